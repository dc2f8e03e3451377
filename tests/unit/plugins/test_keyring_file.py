# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring that cannot be used: a clear error, and the file stays as it is."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.phased.keys.plugins.module_utils._host import files
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import membership
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from ansible_collections.phased.keys.plugins.plugin_utils import _keyring_file as keyring_file
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFileError
from sealed import PASSWORD, Sealed

VAULT = VaultLib([("default", VaultSecret(PASSWORD.encode()))])


@pytest.fixture
def sealed(tmp_path: Path) -> Sealed:
    """No host, but a keyring in the middle of a rollout."""
    return Sealed(tmp_path)


def plain(change: Callable[[Dict[str, Any]], None]) -> Callable[[Sealed], None]:
    """Change what is in the envelope."""

    def write(sealed: Sealed) -> None:
        document = yaml.safe_load(VAULT.decrypt(sealed.keyring_path.read_bytes()))
        change(document)
        sealed.keyring_path.write_bytes(VAULT.encrypt(yaml.safe_dump(document)))

    return write


def text(content: str) -> Callable[[Sealed], None]:
    """Put another text into the envelope."""
    return lambda sealed: sealed.keyring_path.write_bytes(VAULT.encrypt(content))


def secret(value: Any) -> Callable[[Sealed], None]:
    """Give the key that signs another secret, with the fingerprint that goes with it."""

    def change(document: Dict[str, Any]) -> None:
        key = document["keys"][-1]
        key.update(secret=value, fingerprint=fingerprint(value) if value else key["fingerprint"])

    return plain(change)


def cut(start: int, end: Any) -> Callable[[Sealed], None]:
    """Leave only a part of the file."""
    return lambda sealed: sealed.keyring_path.write_bytes(sealed.keyring_path.read_bytes()[start:end])


def flip(place: int) -> Callable[[Sealed], None]:
    """Change a digit: what is sealed are hex digits that stand for hex digits, and those of 0 to 9 begin with a 3."""

    def write(sealed: Sealed) -> None:
        content = sealed.keyring_path.read_bytes()
        at = content.index(b"39", place)
        sealed.keyring_path.write_bytes(content[:at] + b"38" + content[at + 2 :])

    return write


BAD: Dict[str, Any] = {
    "cut off in the middle": (cut(0, 701), "is cut off or damaged"),
    "changed in the middle": (
        flip(900),
        "is opened by none of the vault secrets that were given (default), or it is cut off or damaged",
    ),
    "cut off in the first line": (cut(0, 14), "is cut off or damaged"),
    "empty": (cut(0, 0), "is empty: put the last good version back"),
    "plain text": (
        lambda sealed: sealed.keyring_path.write_text("keys: []\n"),
        "is not encrypted with Ansible Vault, or is cut off",
    ),
    "not YAML": (text("keys: [unclosed\n"), "is decrypted and is not YAML"),
    "not a keyring": (text("hello: world\n"), "this is not a keyring of phased.keys"),
    "a list": (text("- 1\n"), "this is not a keyring of phased.keys"),
    "of a newer schema": (
        plain(lambda keyring: keyring.update(schema=3)),
        "the keyring has schema 3, and this release of phased.keys knows up to 2",
    ),
    "of another application": (
        plain(lambda keyring: keyring.update(name="blog")),
        "belongs to the application 'blog', not to 'shop'",
    ),
    "with two primaries": (
        plain(lambda keyring: keyring["keys"][0].update(state="primary")),
        "the keyring has 2 keys that are primary",
    ),
    "with an empty key": (secret(""), "is primary and has no secret: it is empty, null or not a text"),
    "with a null key": (secret(None), "is primary and has no secret: it is empty, null or not a text"),
    "with a weak key": (secret("aaaaaaaaaaaaaaaaaaaaaaaa"), "is too weak: it has 1 different characters"),
    "with a short key": (secret("abc-123-xyz"), "is too weak: it has 11 characters"),
    "with another secret": (
        plain(lambda keyring: keyring["keys"][-1].update(secret="x" * 10 + "0123456789abcdefgh")),
        "has a secret with another fingerprint: the keyring was edited or damaged",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_keyring_is_refused_and_stays_as_it_is(sealed: Sealed, bad: str) -> None:
    spoil, said = BAD[bad]
    keyring = sealed.keyring()
    secrets = [key["secret"] for key in keyring["keys"]]
    spoil(sealed)
    before = sealed.keyring_path.read_bytes()
    for use in (lambda: sealed.keyring_file().load("shop"), lambda: sealed.keyring_file().replace(keyring)):
        with pytest.raises(KeyringFileError) as error:
            use()
        assert said in str(error.value)
        assert str(sealed.keyring_path) in str(error.value)
        assert not [one for one in secrets if one in str(error.value)]
    assert sealed.keyring_path.read_bytes() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "cannot be read without a vault secret: give ansible-playbook --vault-password-file"),
        (("prod",), "is opened by none of the vault secrets that were given (prod)"),
    ],
)
def test_a_keyring_needs_the_vault_secret_that_it_was_written_with(sealed: Sealed, given: Any, said: str) -> None:
    file = sealed.keyring_file()
    file.secrets = [(name, VaultSecret(b"another")) for name in given]
    before = sealed.keyring_path.read_bytes()
    for use in (file.load, lambda: file.replace(sealed.keyring())):
        with pytest.raises(KeyringFileError, match=r".") as error:
            use()
        assert said in str(error.value)
    assert sealed.keyring_path.read_bytes() == before


def test_a_keyring_is_sealed_again_with_the_id_and_secret_that_opened_it(sealed: Sealed) -> None:
    mine = VaultSecret(b"mine")
    plain_text = VAULT.decrypt(sealed.keyring_path.read_bytes())
    sealed.keyring_path.write_bytes(VaultLib([("prod", mine)]).encrypt(plain_text, secret=mine, vault_id="prod"))
    file = sealed.keyring_file()
    file.secrets = [("default", VaultSecret(b"another")), ("prod", mine)]
    keyring = file.replace(file.load())
    assert sealed.keyring_path.read_bytes().startswith(b"$ANSIBLE_VAULT;1.2;AES256;prod\n")
    assert yaml.safe_load(VaultLib([("prod", mine)]).decrypt(sealed.keyring_path.read_bytes())) == keyring
    assert sealed.keyring_path.stat().st_mode & 0o777 == 0o600


def test_of_two_writers_that_read_the_same_keyring_only_the_first_writes(sealed: Sealed) -> None:
    first, second = sealed.keyring(), sealed.keyring()
    sealed.keyring_file().replace(first)
    before = sealed.keyring_path.read_bytes()
    with pytest.raises(KeyringFileError, match="was changed by somebody else meanwhile"):
        sealed.keyring_file().replace(second)
    assert sealed.keyring_path.read_bytes() == before
    with pytest.raises(KeyringFileError, match="exists: a keyring that exists is never overwritten"):
        sealed.keyring_file().create(first)
    assert sealed.keyring_path.read_bytes() == before


def test_a_keyring_that_is_locked_is_not_written(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_file, "LOCK_WAIT", 0.3)
    lock = sealed.keyring_path.parent / ".shop.yml.lock"
    code = "import sys; from ansible_collections.phased.keys.plugins.module_utils._host.files import Lock\n"
    code += "lock = Lock(sys.argv[1]).__enter__(); print(flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    before = sealed.keyring_path.read_bytes()
    with holder:
        assert holder.stdout.readline()
        with pytest.raises(KeyringFileError, match=f"is locked.*: pid {holder.pid} has held .*Nothing was changed"):
            sealed.keyring_file().replace(sealed.keyring())
    assert sealed.keyring_path.read_bytes() == before
    sealed.keyring_file().replace(sealed.keyring())


@pytest.mark.parametrize("failing", ["write", "fsync", "rename"])
def test_a_keyring_that_cannot_be_written_stays_whole(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    # Whoever may do all, root, meets a full disk just as well.
    place, name = (files, "_dress") if failing == "write" else (files.os, failing)

    def fail(*arguments: Any, **more: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before, keyring = sealed.keyring_path.read_bytes(), sealed.keyring()
    monkeypatch.setattr(place, name, fail)
    with pytest.raises(
        KeyringFileError,
        match=r"cannot be written: No space left on device .free some space there, and run again.\. Nothing was changed",
    ):
        sealed.keyring_file().replace(keyring)
    monkeypatch.undo()
    assert sealed.keyring_path.read_bytes() == before
    assert sorted(os.listdir(sealed.keyring_path.parent)) == [".shop.yml.lock", "shop.yml"]


def test_something_else_in_the_keyring_s_place_is_no_keyring_and_stays(sealed: Sealed) -> None:
    keyring = sealed.keyring()
    sealed.keyring_path.unlink()
    sealed.keyring_path.mkdir()
    for use in (
        sealed.keyring,
        lambda: sealed.keyring_file().replace(keyring),
        lambda: sealed.keyring_file().create(keyring),
    ):
        with pytest.raises(KeyringFileError, match=r"shop\.yml (cannot be read: .*Is a directory|exists)"):
            use()
    shutil.rmtree(sealed.keyring_path.parent)
    sealed.keyring_path.parent.write_text("a file where the folder should be")
    with pytest.raises(KeyringFileError, match=r"\.keyrings cannot be made: File exists\. Nothing was changed"):
        sealed.keyring_file().create(keyring)


def test_a_keyring_that_was_opened_once_is_not_decrypted_again(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sealed.keyring_file()
    first = file.load()

    def nobody(*arguments: Any) -> Any:
        raise AssertionError("decrypted once more")

    monkeypatch.setattr(VaultLib, "decrypt_and_get_vault_id", nobody)
    assert file.load() == first
    # Another version of the file, and whoever has other secrets.
    monkeypatch.undo()
    changed = file.replace(first)
    assert file.load() == changed != first


def test_what_visits_need_is_read_from_the_file_once(sealed: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sealed.keyring_file()
    whole = file.load()
    keyring, names = file.for_visits("shop")
    assert keyring == membership.for_visits(whole)
    assert [name in names for name in (*whole["members"], "web", "", '"', "\n")] == [True] * len(whole["members"]) + [
        False
    ] * 4

    def nobody(*arguments: Any, **more: Any) -> Any:
        raise AssertionError("read once more")

    monkeypatch.setattr(files, "read_text", nobody)
    assert file.for_visits("shop")[0] == keyring
    stranger = sealed.keyring_file()
    stranger.secrets = [("default", VaultSecret(b"another"))]
    for other, name in ((file, "till"), (stranger, "shop")):
        with pytest.raises(AssertionError, match="read once more"):
            other.for_visits(name)
    monkeypatch.undo()
    # Another version of the file, also one that is an older one again.
    before = sealed.keyring_path.read_bytes()
    first = next(iter(whole["members"]))
    changed = file.replace({**whole, "members": {"web9": whole["members"][first]}})
    assert changed["revision"] == file.for_visits("shop")[0]["revision"] != keyring["revision"]
    assert ("web9" in file.for_visits("shop")[1], first in file.for_visits("shop")[1]) == (True, False)
    sealed.keyring_path.write_bytes(before)
    assert file.for_visits("shop")[0] == keyring
    sealed.keyring_path.unlink()
    with pytest.raises(KeyringFileError, match="there is no keyring at"):
        file.for_visits("shop")


def test_an_excerpt_is_never_written(sealed: Sealed) -> None:
    before = sealed.keyring_path.read_bytes()
    with pytest.raises(KeyringError, match="no usable journal"):
        sealed.keyring_file().replace(sealed.keyring_file().for_visits("shop")[0])
    assert sealed.keyring_path.read_bytes() == before


def test_members_in_groups_take_a_few_bytes_each_and_are_apart_when_they_are_read(sealed: Sealed) -> None:
    file = sealed.keyring_file()
    keyring = file.load("shop")
    many = [f"host{number:04}" for number in range(2000)]
    written = file.replace(membership.register(keyring, many, 1700000000.0))
    text = VAULT.decrypt(sealed.keyring_path.read_bytes()).decode()
    members = text[text.index("\nmembers:") : text.index("\nwaivers:")]
    # A name, an alias, and nothing more.
    assert len(members) / 2000 < len("  host0000: *id001\n") + 2
    read = sealed.keyring_file().load("shop")
    assert read == written and yaml.safe_load(text) == read
    read["members"]["host0001"]["proven"] = 7
    assert read["members"]["host0002"]["proven"] is None
