# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring that a disk, an editor or version control has spoiled, in every way that a generator finds: it is said what it is
and what to do, no secret comes out, and a keyring that could not be written leaves what was there.
"""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.phased.keys.plugins.module_utils._host import files
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from ansible_collections.phased.keys.plugins.plugin_utils import _keyring_file as keyring_file
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import (
    WITHOUT_IT,
    KeyringFile,
    KeyringFileError,
    NotWrittenError,
)
from sealed import PASSWORD, opened

VAULT = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
SECRETS = [f"secret-{number}-abcdefghijklmnopqrstuvwxyz0123456789" for number in range(3)]
HEADER = b"$ANSIBLE_VAULT;1.1;AES256\n"
Damaged = Tuple[Any, bytes]


@pytest.fixture
def file(tmp_path: Path) -> KeyringFile:
    """A keyring of a fleet that was adopted in the middle of a rotation, and the secret that opens it."""
    file = opened(tmp_path / "keyrings" / "shop.yml")
    start = steps.Start(SECRETS, "adopted")
    form, soak = {"framework": "django", "settings": {}}, {"seconds": 60.0, "source": "app_keys_soak"}
    file.create(steps.adopt("shop", "ring", "n1", start, ["web1", "web2"], form, soak, {"how": "trust"}, 1.7e9))
    return file


def content(file: KeyringFile) -> bytes:
    """The file as it is."""
    return Path(file.path).read_bytes()


def refused(file: KeyringFile) -> str:
    """See that the keyring is refused by all who would use it, without a secret, and return what is said."""
    before = content(file) if os.path.isfile(file.path) else None
    said = set()
    for use in (lambda: file.load("shop"), lambda: file.for_visits("shop")):
        with pytest.raises(KeyringFileError) as error:
            use()
        said.add(str(error.value))
    (text,) = said
    assert text.startswith(file.path)
    assert text.endswith(WITHOUT_IT)
    assert not [secret for secret in SECRETS if secret in text]
    assert before is None or content(file) == before
    return text


# --- by a generator ---------------------------------------------------------------


def cut_off(good: bytes) -> Iterator[Damaged]:
    """The file as far as it was written: at every length where something begins or ends, and at many between."""
    for length in [*range(400), *range(400, len(good) - 400, 29), *range(len(good) - 400, len(good))]:
        yield f"cut at {length}", good[:length]


def bits(good: bytes) -> Iterator[Damaged]:
    """One bit that has fallen over, most of them where the envelope begins."""
    chance = random.Random(11)
    for number in range(800):
        spoiled = bytearray(good)
        place = chance.randrange(200 if number % 2 else len(good))
        bit = chance.randrange(8)
        spoiled[place] ^= 1 << bit
        yield f"bit {bit} of {place}", bytes(spoiled)


def markers(good: bytes) -> Iterator[Damaged]:
    """Two versions of a part of the file, with what git writes around them, from every line on."""
    lines = good.splitlines(keepends=True)
    for number in range(len(lines)):
        ours, theirs = lines[number : number + 2], lines[number + 1 : number + 3]
        between = [b"<<<<<<< HEAD\n", *ours, b"=======\n", *theirs, b">>>>>>> the other\n"]
        yield f"line {number}", b"".join([*lines[:number], *between, *lines[number + 3 :]])


def noise(good: bytes) -> Iterator[Damaged]:
    """A few bytes that somebody typed."""
    chance = random.Random(12)
    for _time in range(500):
        place = chance.randrange(len(good))
        typed = bytes(chance.randrange(256) for _byte in range(chance.choice((1, 2, 80))))
        yield f"{typed!r} at {place}", good[:place] + typed + good[place:]


@pytest.mark.parametrize("how", [cut_off, bits, markers, noise])
def test_however_the_file_is_damaged_it_is_refused_in_our_words_or_is_the_same_keyring(
    file: KeyringFile, how: Callable[[bytes], Iterator[Damaged]]
) -> None:
    good, keyring, told = content(file), file.load(), 0
    for label, spoiled in how(good):
        Path(file.path).write_bytes(spoiled)
        try:
            same = file.load("shop") == keyring
        except KeyringFileError as error:
            told += 1
            text = str(error)
            assert text.endswith(WITHOUT_IT), label
            assert not [secret for secret in SECRETS if secret in text], label
            assert how is not markers or "holds the markers of a merge conflict, in line" in text, label
        else:
            # A digit in capitals, or the last line's end.
            assert same, label
    assert told > 50


@pytest.mark.parametrize("how", [cut_off, markers])
def test_however_the_text_in_the_envelope_is_damaged_it_is_refused_in_our_words(
    file: KeyringFile, how: Callable[[bytes], Iterator[Damaged]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = VAULT.decrypt(content(file))
    journal = plain.index(b"\njournal:")
    for label, spoiled in how(plain):
        # Not sealed and opened again each time, which takes most of the time and adds nothing.
        opened = (spoiled, "default", None)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(VaultLib, "decrypt_and_get_vault_id", lambda *_given, opened=opened: opened)
                file._opened(HEADER + b"3030\n", "shop")
        except KeyringFileError as error:
            assert not [secret for secret in SECRETS if secret in str(error)], label
            assert how is not markers or "is decrypted, and holds the markers of a merge conflict" in str(error), label
        else:
            # What is lost is of the journal, which is for people.
            assert how is cut_off and len(spoiled) > journal, label


# --- by name ------------------------------------------------------------------------

TWICE = b"step:\n  name: adopt\n"
KINDS: Dict[str, Tuple[Callable[[bytes], bytes], str, str]] = {
    "empty": (lambda good: b"", "is empty:", "put the last good version back"),
    "blank": (lambda good: b"\n \n", "is empty:", "put the last good version back"),
    "zeros": (lambda good: bytes(4096), "holds nothing but zero bytes, as after a crash", "put the last good version back"),
    "git lfs": (
        lambda good: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 8260\n",
        "is a pointer of Git LFS, and not the keyring itself",
        "run git lfs pull",
    ),
    "git-annex": (lambda good: b"/annex/objects/SHA256E-s8260--4d7a.yml\n", "is a pointer of git-annex", "git annex get"),
    "two envelopes": (lambda good: good + good, "holds 2 vault envelopes", "take the one of the run that came later"),
    "conflict in the whole": (
        lambda good: b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> main\n",
        "holds the markers of a merge conflict, in line 1 first",
        "git checkout --ours or --theirs",
    ),
    "conflict, CRLF": (
        lambda good: good.replace(b"\n", b"\r\n") + b"=======\r\n",
        "holds the markers of a merge conflict",
        "git checkout --ours or --theirs",
    ),
    "decrypted": (VAULT.decrypt, "is a keyring that is not encrypted", "seal it with ansible-vault encrypt"),
    "byte-order mark": (lambda good: b"\xef\xbb\xbf" + good, "has something in front of its vault", "in its first column"),
    "indented": (
        lambda good: b"keyring: !vault |\n  " + good.replace(b"\n", b"\n  "),
        "has something in front of its vault",
        "in its first column",
    ),
    "utf-16": (lambda good: good.decode().encode("utf-16"), "is not encrypted with Ansible Vault", "put the last good"),
    "half a header": (lambda good: HEADER[:20], "is cut off or damaged in its first line", "put the last good"),
    "header alone": (lambda good: HEADER, "is cut off or damaged", "put the last good version back"),
    "more behind it": (lambda good: good + b"# vim: ft=yaml\n", "is cut off or damaged", "put the last good version back"),
    "a terminal's codes": (
        lambda good: good.replace(b"1.1;AES256", b"1.2;AES256;\x1b]0;gone\x07"),
        "is damaged: it holds bytes that no vault envelope has",
        "put the last good version back",
    ),
    "another label": (
        lambda good: VAULT.encrypt(VAULT.decrypt(good), VaultSecret(b"another"), "prod"),
        "is opened by none of the vault secrets that were given (default), or it is cut off",
        "(it was sealed as prod)",
    ),
    "merged without markers": (
        lambda good: VAULT.encrypt(VAULT.decrypt(good) + TWICE),
        "is decrypted, and step stands in it twice",
        "take the one of the run that came later",
    ),
    "a date that is none": (lambda good: VAULT.encrypt(b"since: 2023-99-99\n"), "is decrypted and is not YAML", "put the last"),
    "endless": (lambda good: VAULT.encrypt(b"a: &a [*a]\n"), "is decrypted and is not YAML", "put the last good"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_what_lies_in_the_keyrings_place_and_what_to_do(file: KeyringFile, kind: str) -> None:
    spoil, what, do = KINDS[kind]
    Path(file.path).write_bytes(spoil(content(file)))
    text = refused(file)
    assert what in text, text
    assert do in text, text
    assert "\x1b" not in text


def test_a_document_that_yaml_reads_as_something_else_is_refused(file: KeyringFile) -> None:
    for value in (None, [], "text", {"kind": "phased.keys/keyring"}):
        Path(file.path).write_bytes(VAULT.encrypt(yaml.safe_dump(value)))
        refused(file)


@pytest.mark.parametrize(
    "harmless",
    [lambda good: good.replace(b"\n", b"\r\n"), lambda good: good.rstrip(b"\n"), lambda good: good + b"\n"],
    ids=["CRLF", "without the last line's end", "with one more"],
)
def test_what_an_editor_does_to_line_ends_does_no_harm(file: KeyringFile, harmless: Callable[[bytes], bytes]) -> None:
    keyring, good = file.load(), content(file)
    Path(file.path).write_bytes(harmless(good))
    assert file.load("shop") == keyring
    file.replace(keyring)
    assert content(file).startswith(HEADER)
    assert b"\r" not in content(file)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (lambda path: path.mkdir(), "cannot be read: Is a directory (it is a folder: app_keys_keyring is the path of"),
        (os.mkfifo, "cannot be read: Invalid argument (app_keys_keyring is the path of an ordinary"),
        (lambda path: path.symlink_to("gone.yml"), "gone.yml, which is not there: mount it, fetch it, or set"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_something_else_in_the_keyrings_place_is_named(
    file: KeyringFile, place: Callable[[Path], None], said: str
) -> None:
    keyring = file.load()
    os.unlink(file.path)
    place(Path(file.path))
    assert said in refused(file)
    with pytest.raises(NotWrittenError, match="exists: a keyring that exists is never overwritten"):
        file.create(keyring)


def raising(number: int) -> Callable[..., Any]:
    """What the system does when something is refused."""

    def fail(*_given: Any, **_more: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_keyring_that_may_not_be_read_says_that_become_does_not_help(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may read everything.
    monkeypatch.setattr(files.os, "open", raising(errno.EACCES))
    with pytest.raises(KeyringFileError, match=r"Permission denied \(run ansible-playbook as its owner.*become is for"):
        file.load()


# --- where it cannot be written --------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "do"),
    [
        (errno.ENOSPC, "No space left on device (free some space there, and run again)"),
        (errno.EDQUOT, "(free some space there, or have the quota raised, and run again)"),
        (errno.EROFS, "Read-only file system (mount it read-write, and run again)"),
        (
            errno.EACCES,
            "Permission denied (let the user who runs ansible-playbook write to its folder (become is for the",
        ),
        (errno.EIO, "cannot be written: Input/output error"),
    ],
)
@pytest.mark.parametrize("when", ["open", "fsync", "rename"])
def test_a_keyring_that_cannot_be_written_is_as_it_was_and_it_is_said_why(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch, when: str, number: int, do: str
) -> None:
    keyring, before = file.load(), content(file)
    with monkeypatch.context() as patched:
        if when == "open":
            patched.setattr(files.Lock, "__enter__", raising(number))
        else:
            patched.setattr(files.os, when, raising(number))
        with pytest.raises(NotWrittenError) as error:
            file.replace(keyring)
    assert f"{file.path} cannot be written: " in error.value.why
    assert do in error.value.why
    assert str(error.value) == f"{error.value.why}. Nothing was changed"
    assert content(file) == before
    file.replace(keyring)


def test_a_keyring_whose_folder_alone_could_not_be_flushed_is_not_said_to_be_as_it_was(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, fsync = file.load(), os.fsync

    def fail(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(fd)

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", fail)
        with pytest.raises(
            KeyringFileError, match=r"is written, and its folder could not be flushed to the disk \(Input/"
        ) as error:
            file.replace(keyring)
    assert not isinstance(error.value, NotWrittenError)
    assert file.load()["revision"] == keyring["revision"] + 1


@pytest.mark.parametrize("given", [[], ["web-1", "web-2"]])
def test_what_is_no_keyring_is_never_written(file: KeyringFile, given: Any) -> None:
    before = content(file)
    with pytest.raises(KeyringError, match="members"):
        file.replace({**file.load(), "members": given})
    assert content(file) == before


# --- before anybody is asked -------------------------------------------------------------


def test_a_first_keyring_that_could_not_be_written_is_refused_before_anybody_is_asked(
    file: KeyringFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready(path: Path) -> None:
        file.path = str(path)
        file.ready()

    ready(tmp_path / "new" / "folders" / "shop.yml")
    assert not (tmp_path / "new").exists()
    with pytest.raises(NotWrittenError, match=r"keyrings/shop\.yml is no folder"):
        ready(tmp_path / "keyrings" / "shop.yml" / "shop.yml")
    with monkeypatch.context() as patched:
        patched.setattr(keyring_file.os, "access", lambda *_given: False)
        with pytest.raises(NotWrittenError, match="keyrings is not writable for the user who runs ansible-playbook"):
            ready(tmp_path / "keyrings" / "shop.yml")
    file.secrets = []
    with pytest.raises(
        KeyringFileError, match="cannot be written without a vault secret: give ansible-playbook --vault"
    ):
        ready(tmp_path / "new" / "shop.yml")
