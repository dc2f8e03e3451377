# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of a container say of themselves, held against what its spec gave it: an entrypoint may give them something else.

A look runs in the container (`LOOK`, by `python3`; nothing of ours need be there) and says of each process by what digest its settings are
known, made with a nonce of this one look: no key comes out of the pod, and no answer serves twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .pod_spec import Object

# What is no process of the application: the look itself, what has ended, and what has none of the settings.
LOOK = """\
import hashlib, hmac, json, os, sys
nonce, names, root = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
found = []
for pid in sorted(filter(str.isdigit, os.listdir(root)), key=int)[:4096]:
    try:
        if int(pid) == os.getpid():
            continue
        with open("%s/%s/stat" % (root, pid), "rb") as file:
            stat = file.read(4096)
        comm, state = stat[stat.index(b"(") + 1:stat.rindex(b")")], stat[stat.rindex(b")") + 2:][:1]
        if state in b"ZX":
            continue
        with open("%s/%s/environ" % (root, pid), "rb") as file:
            text = file.read(4194304)
        says = "overwritten" if text and not text.strip(b"\\0") else {}
        for pair in text.split(b"\\0") if says == {} else ():
            name, equals, value = pair.partition(b"=")
            name = name.decode("utf-8", "replace")
            if equals and name in names:
                digest = hmac.new(nonce.encode(), value, hashlib.sha256).hexdigest()
                says.setdefault(name, []).append(digest)
    except PermissionError:
        says = "unreadable"
    except (OSError, ValueError):
        continue
    if says:
        found.append([int(pid), comm.decode("utf-8", "replace"), says])
print(json.dumps(found))
"""
LIMIT = 1_000_000  # bytes of an answer
REPLACED, UNASKED = "replaced", "unasked"


class Question(NamedTuple):
    """A container that is asked: its place among what was told, its pod's name and its own, and the values that its spec gives (these are keys)."""

    place: Tuple[str, str]
    pod: str
    container: str
    values: Mapping[str, str]


# By pod (uid) and container what keeps its keys from being proven, kind and text; null where nothing does.
Told = Mapping[Tuple[str, str], Optional[Tuple[str, str]]]


def place(pod: Object, container: Object) -> Tuple[str, str]:
    """Return by what a container of a pod is found among what was told."""
    return str(pod["metadata"]["uid"]), str(container["name"])


def command(nonce: str, names: Sequence[str], proc: str = "/proc") -> List[str]:
    """Return what is run in the container."""
    return ["python3", "-I", "-S", "-c", LOOK, nonce, ",".join(names), proc]


def judged(question: Question, names: Sequence[str], nonce: str, answer: str) -> Optional[Tuple[str, str]]:
    """Return what the answer of a container says against its keys, kind and text; None where all that it runs has what the spec gives."""
    processes = _read(answer, names)
    if processes is None:
        return UNASKED, "its container answers what cannot be read"
    wanted = {name: _digest(nonce, question.values.get(name, "")) for name in names}
    blank = _digest(nonce, "")
    having = 0
    for pid, comm, said in processes:
        who = f"process {pid} ({comm}) in its container"
        if isinstance(said, str):
            return (
                UNASKED,
                f"{who} {'has overwritten its environment' if said == 'overwritten' else 'does not show its environment'}",
            )
        for name in names:
            if any(digest != wanted[name] for digest in said.get(name) or [blank]):
                return REPLACED, f"{who} has another {name} than its spec gives it"
        having += 1
    return None if having else (UNASKED, f"no process in its container has {names[0]}")


def _digest(nonce: str, value: str) -> str:
    return hmac.new(nonce.encode(), value.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _read(answer: str, names: Sequence[str]) -> Optional[List[Tuple[int, str, Any]]]:
    """Return the processes of an answer; None where it is no answer of ours. What runs in the container may answer what it likes."""
    try:
        said: Any = json.loads(answer)
        found = [(int(pid), _plain(comm), _settings(what, names)) for pid, comm, what in said]
    except (ValueError, TypeError, RecursionError):
        return None
    return None if any(what is None for _pid, _comm, what in found) else found


def _settings(what: Any, names: Sequence[str]) -> Any:
    """Return what is said of one process; None where it is nothing of ours."""
    if what in ("overwritten", "unreadable"):
        return what
    found: Dict[str, List[str]] = {}
    for name, digests in what.items() if isinstance(what, dict) else ():
        if name not in names or not isinstance(digests, list):
            return None
        found[name] = [str(digest) for digest in digests]
    return found or None


def _plain(comm: Any) -> str:
    return "".join(one if one.isprintable() else "?" for one in str(comm))[:32]
