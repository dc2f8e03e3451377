# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every store of keyrings does, whatever is behind it: it is read and written, and what is wrong with it is said."""

from __future__ import annotations

import random
import threading
from typing import Any, Dict, List

import builders
import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import membership
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import (
    KeyringFileError,
    NotWrittenError,
)
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import (
    RemoteKeyring,
)
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.

# Four kinds of store, each broken in every way: two minutes that `make test` has not.
pytestmark = pytest.mark.slow


def test_a_keyring_is_begun_read_and_replaced(kind: Kind) -> None:
    file = kind.keyring(loader())
    assert not file.exists()
    with pytest.raises(KeyringFileError, match="there is no keyring at .*: run phased.keys.adopt first"):
        file.load()
    file.ready()
    keyring = file.create(builders.at("prepared", ("web1", "web2")))
    assert (keyring["revision"], len(keyring["writes"])) == (1, 1)
    other = kind.keyring(loader())
    assert other.exists() and other.load("shop") == keyring
    text = kind.remote(loader()).read()
    assert text and text.text.startswith(b"$ANSIBLE_VAULT;1.1;AES256\n")
    for number in (2, 3):
        keyring = file.replace(membership.register(keyring, [f"new{number}"], builders.T0))
        assert (keyring["revision"], len(keyring["writes"])) == (number, number)
        assert kind.keyring(loader()).load() == keyring
    with pytest.raises(KeyringFileError, match="belongs to the application 'shop', not to 'till'"):
        other.load("till")
    with pytest.raises(KeyringFileError, match="is opened by none of the vault secrets"):
        kind.keyring(loader("another")).load()


def test_a_keyring_that_exists_is_never_overwritten(kind: Kind, first: Dict[str, Any]) -> None:
    with pytest.raises(NotWrittenError, match="exists: a keyring that exists is never overwritten"):
        kind.keyring(loader()).create(builders.at("adopted", ("web1",)))
    assert kind.keyring(loader()).load() == first


def test_a_keyring_that_was_changed_meanwhile_is_not_overwritten(kind: Kind, first: Dict[str, Any]) -> None:
    slow, quick = kind.keyring(loader()), kind.keyring(loader())
    slow.load(), quick.load()
    written = quick.replace(first)
    for late in (slow, kind.keyring(loader())):
        with pytest.raises(NotWrittenError, match="was changed by somebody else meanwhile"):
            late.replace(first)
    assert kind.keyring(loader()).load() == written


def test_of_two_that_write_at_once_one_wins_and_what_lies_there_is_its_own(kind: Kind, first: Dict[str, Any]) -> None:
    there = first
    for number in range(kind.rounds):
        won, lost = race([kind.keyring(loader()) for _who in range(2)], there, number)
        assert (len(won), len(lost)) == (1, 1), lost
        there = kind.keyring(loader()).load()
        assert there == won[0]


def race(files: List[RemoteKeyring], there: Dict[str, Any], number: int) -> Any:
    """Have all of them replace the same keyring at once; return what was written, and who was refused."""
    won: List[Any] = []
    lost: List[NotWrittenError] = []
    together = threading.Barrier(len(files))

    def write(who: int) -> None:
        files[who].load()
        together.wait(30)
        try:
            won.append(files[who].replace(membership.register(there, [f"host-{number}-{who}"], builders.T0)))
        except NotWrittenError as error:
            lost.append(error)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


def test_not_there_is_not_down_and_not_forbidden(kind: Kind, first: Dict[str, Any]) -> None:
    place = kind.place
    kind.forbid()
    for use in (lambda: kind.keyring(loader()).exists(), lambda: kind.keyring(loader()).load()):
        with pytest.raises(KeyringFileError) as error:
            use()
        assert "cannot be read" in str(error.value) and "there is no keyring" not in str(error.value)
        assert "does not mean that there is none" not in str(error.value)
    kind.down()
    for use in (lambda: kind.keyring(loader()).exists(), lambda: kind.keyring(loader()).load()):
        with pytest.raises(KeyringFileError, match="That does not mean that there is none"):
            use()
    assert place


def test_deleted_is_not_never_there(kind: Kind, first: Dict[str, Any]) -> None:
    file = kind.keyring(loader())
    keyring = file.load()
    kind.delete()
    if kind.sees_deleted:
        with pytest.raises(KeyringFileError) as error:
            file.replace(keyring)
        assert "deleted" in str(error.value)
    if kind.leaves_a_trace:
        for use in (lambda: kind.keyring(loader()).exists(), lambda: kind.keyring(loader()).load()):
            with pytest.raises(KeyringFileError, match="was deleted"):
                use()
    else:
        assert not kind.keyring(loader()).exists()


def test_set_back_and_made_anew(kind: Kind, first: Dict[str, Any]) -> None:
    """By somebody who goes by nothing of ours: what lies there then is what a run goes by, and nothing is lost silently."""
    old = kind.remote(loader()).read()
    file = kind.keyring(loader())
    second = file.replace(file.load())
    kind.overwrite(old.text)
    with pytest.raises(NotWrittenError, match="was changed by somebody else meanwhile"):
        file.replace(second)
    assert kind.keyring(loader()).load() == first
    # The same text with another version is the same keyring.
    file = kind.keyring(loader())
    file.load()
    kind.overwrite(old.text)
    third = file.replace(first)
    assert kind.keyring(loader()).load() == third
    other = kind.keyring(loader())
    sealed = other._sealed(
        other._open(other._look(), None)._replace(keyring={**builders.at("adopted"), "id": "ring-2"})
    )
    kind.overwrite(sealed[1].encode())
    with pytest.raises(NotWrittenError, match="was changed by somebody else meanwhile"):
        file.replace(third)


def test_a_keyring_that_is_too_large_is_not_written_and_one_that_is_large_is_compressed(
    kind: Kind, first: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = kind.keyring(loader())
    if not file.remote.largest:
        pytest.skip("this store takes texts of any size")
    assert 500_000 < file.remote.largest < 1_500_000
    file.remote.largest = most = 40_000
    keyring = membership.register(file.load(), [f"host-{number:03}.example.org" for number in range(100)], builders.T0)
    written = file.replace(keyring)
    text = kind.remote(loader()).read()
    assert text.text.startswith(remote_store.MARK) and text.text.isascii()
    assert kind.keyring(loader()).load() == written
    chance = random.Random(1)
    many = [f"{chance.getrandbits(512):x}" for number in range(200)]
    with pytest.raises(NotWrittenError, match=rf"bytes, and this store takes {most:,}\. Keep it in a store without"):
        file.replace(membership.register(written, many, builders.T0))
    assert kind.keyring(loader()).load() == written
    said: List[str] = []
    monkeypatch.setattr(remote_store.Display, "warning", lambda _self, text, *_more: said.append(text))
    file.remote.largest = int(len(text.text) * 1.2)
    file.replace(written)
    assert len(said) == 1 and "before it is full" in said[0]


def test_a_text_that_was_cut_off_is_said_to_be(kind: Kind, first: Dict[str, Any]) -> None:
    for text in (
        b"",
        b"\0\0",
        b"hello: world\n",
        remote_store.MARK,
        remote_store.MARK + b"eJw=",
        b"$ANSIBLE_VAULT;1.1;AES256\n12",
    ):
        if text == b"" and kind.never_empty:
            continue
        try:
            kind.overwrite(text)
        except UnicodeDecodeError:
            continue
        with pytest.raises(KeyringFileError) as error:
            kind.keyring(loader()).load()
        assert "keyring" in str(error.value) and "there is no keyring at" not in str(error.value), text
