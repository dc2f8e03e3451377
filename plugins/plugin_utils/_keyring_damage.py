# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in a keyring's place where it is none: said in words that a person can act on, and never quoted.

A keyring is kept in version control, on mounts and in backups, and each of them has a way of its own to spoil it.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import yaml

MARK = b"$ANSIBLE_VAULT;"
HEADER = re.compile(rb"\$ANSIBLE_VAULT;\d\.\d;[^\r\n]*\r?\n")
CONFLICT = re.compile(rb"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?\r?$", re.MULTILINE)
ODD = re.compile(rb"[^\x20-\x7e\r\n]")
PLAIN = re.compile(rb"^kind: [\"']?phased\.keys/keyring", re.MULTILINE)

RESTORE = (
    "put the last good version back, from version control or a backup. If it is older than what the hosts have seen they say so, and nothing is "
    'changed by it: docs/incidents.md goes on from there ("The keyring cannot be read")'
)
ONE_SIDE = (
    "two versions of a keyring cannot be merged: take the one of the run that came later as it is (git checkout --ours or --theirs, then git add). "
    'Should it be the wrong one the hosts say so, and nothing is changed by it; see docs/incidents.md ("The keyring cannot be read")'
)
# What the system says, and what to do then. The keyring is on the controller, where become does not reach.
READ_ADVICE = {
    errno.EISDIR: "it is a folder: app_keys_keyring is the path of the file itself",
    errno.EACCES: "run ansible-playbook as its owner, or let your user read it (become is for the hosts)",
    errno.EPERM: "run ansible-playbook as its owner, or let your user read it (become is for the hosts)",
    errno.EINVAL: "app_keys_keyring is the path of an ordinary file",
}
WRITE_ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EROFS: "mount it read-write",
    errno.EACCES: "let the user who runs ansible-playbook write to its folder (become is for the hosts)",
    errno.EPERM: "see lsattr whether the file or its folder is immutable",
}


class Damage(NamedTuple):
    """What a file is in place of a keyring, and what to do."""

    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


def of_file(content: bytes) -> Optional[Damage]:
    """Say what a file is that is not one whole vault envelope, as far as can be seen without opening it; None for one."""
    return next((damage for damage in (kind(content) for kind in KINDS) if damage), None)


def why(error: Exception, advice: Dict[int, str]) -> str:
    """Say in the system's words and ours why a file could not be read or written."""
    number = error.errno if isinstance(error, OSError) else None
    text = os.strerror(number) if number else str(error)
    return f"{text} ({advice[number]}, and run again)" if number in advice else text


def _empty(content: bytes) -> Optional[Damage]:
    if not content.strip():
        return Damage("is empty", RESTORE)
    if not content.strip(b"\0"):
        return Damage("holds nothing but zero bytes, as after a crash of the machine or its disk", RESTORE)
    return None


def _pointer(content: bytes) -> Optional[Damage]:
    if content.startswith(b"version https://git-lfs"):
        return Damage("is a pointer of Git LFS, and not the keyring itself", "run git lfs pull")
    if content.startswith(b"/annex/objects/"):
        return Damage("is a pointer of git-annex, and not the keyring itself", "run git annex get on it")
    return None


def conflict(content: bytes) -> Optional[Damage]:
    """Find what version control writes where two versions differ; in the text of an envelope too, if that was merged."""
    found = CONFLICT.search(content)
    if not found:
        return None
    line = content.count(b"\n", 0, found.start()) + 1
    return Damage(f"holds the markers of a merge conflict, in line {line} first", ONE_SIDE)


def _several(content: bytes) -> Optional[Damage]:
    number = content.count(MARK)
    return Damage(f"holds {number} vault envelopes, one after the other", ONE_SIDE) if number > 1 else None


def _open(content: bytes) -> Optional[Damage]:
    if not PLAIN.search(content):
        return None
    do = "seal it with ansible-vault encrypt and the secret that runs are given; if others could read it meanwhile, its keys have leaked"
    return Damage("is a keyring that is not encrypted, with its secrets in the open", do)


def _no_envelope(content: bytes) -> Optional[Damage]:
    if HEADER.match(content):
        return None
    if MARK.startswith(content.strip()) or content.startswith(MARK):
        return Damage("is cut off or damaged in its first line", RESTORE)
    if MARK in content:
        do = f"take away what an editor or a copy has put there, so that the file begins with {MARK.decode()} in its first column"
        return Damage("has something in front of its vault envelope", do)
    return Damage(
        "is not encrypted with Ansible Vault, or is cut off, and is no keyring that phased.keys wrote", RESTORE
    )


def _bytes(content: bytes) -> Optional[Damage]:
    return Damage("is damaged: it holds bytes that no vault envelope has", RESTORE) if ODD.search(content) else None


# The first that finds something speaks.
KINDS: List[Callable[[bytes], Optional[Damage]]] = [_empty, _pointer, conflict, _several, _open, _no_envelope, _bytes]


def repeated(node: Any) -> Optional[str]:
    """Return a name that stands twice in one mapping of a YAML document, as where two versions were merged without markers; None where none does."""
    if isinstance(node, yaml.MappingNode):
        names = [str(name.value) for name, _value in node.value if isinstance(name, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            return next(name for number, name in enumerate(names) if name in names[:number])
        inner = [value for _name, value in node.value]
    else:
        inner = node.value if isinstance(node, yaml.SequenceNode) else []
    return next((found for found in map(repeated, inner) if found), None)
