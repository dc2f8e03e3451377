# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every store of keyrings does, whatever is behind it: here stand-ins and a git folder, in `make stores` real servers (PHASED_STORES=real)."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import builders
import pytest
import store_kinds
from ansible import constants as C
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible_collections.phased.keys.plugins.module_utils._rules import landing, membership
from ansible_collections.phased.keys.plugins.plugin_utils import _arrivals as arrivals
from ansible_collections.phased.keys.plugins.plugin_utils import _moving as moving
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import (
    KeyringFileError,
    NotWrittenError,
    UnknownError,
)
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import (
    Deleted,
    Denied,
    Other,
    Remote,
    RemoteKeyring,
    Text,
    Unclear,
)
from sealed import PASSWORD
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.
pytestmark = pytest.mark.slow
KINDS = store_kinds.chosen(os.environ.get("PHASED_STORES", "fast"))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have nobody wait for long, and each test have a run folder of its own."""
    monkeypatch.setattr(remote_store, "PAUSES", (0.001,))
    monkeypatch.setattr(remote_store, "READING", 0.2)
    monkeypatch.setitem(vars(C), "DEFAULT_LOCAL_TMP", str(tmp_path / "run"))


@pytest.fixture(params=KINDS, ids=[name for name, _kind in KINDS])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    """A store of each kind, with no keyring in it."""
    made = request.param[1](tmp_path, monkeypatch)
    yield made
    made.end()


@pytest.fixture
def first(kind: Kind) -> Dict[str, Any]:
    """The keyring that lies there, just written."""
    return kind.keyring(loader()).create(builders.at("prepared", ("web1", "web2")))


# --- reading and writing ------------------------------------------------------------


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


# --- did my write land? ----------------------------------------------------------------


class Faulty(Remote):
    """A store on the way to which things go wrong: `plan` says what happens to the first write, the second and so on; then all is well.

    no request    it never arrives
    no answer     it is carried out, and nobody is told
    late          it is carried out just before the next try is
    last          it is carried out just after the next try was
    A callable is called, and nothing arrives.
    """

    def __init__(self, real: Remote, *plan: Any) -> None:
        self.real, self.plan, self.tries = real, list(plan), 0
        self.largest = real.largest
        self.waiting: List[Any] = []

    def read(self) -> Optional[Text]:
        return self.real.read()

    def write(self, text: bytes, version: Optional[str]) -> str:
        self.tries += 1
        what = self.plan.pop(0) if self.plan else "well"
        self.arrive("late")
        try:
            if callable(what):
                what()
            elif what == "no answer":
                self.quietly(text, version)
            elif what in ("late", "last"):
                self.waiting.append((what, text, version))
            elif what != "no request":
                return self.real.write(text, version)
        finally:
            self.arrive("last", but=what)
        raise Unclear("timed out")

    def arrive(self, when: str, but: Any = None) -> None:
        """Carry out what is under way."""
        if but == when:
            return
        due = [one for one in self.waiting if one[0] == when]
        self.waiting = [one for one in self.waiting if one[0] != when]
        for _when, text, version in due:
            self.quietly(text, version)

    def quietly(self, text: bytes, version: Optional[str]) -> None:
        """Carry out a request of which nobody hears."""
        with contextlib.suppress(Other):
            self.real.write(text, version)


def faulty(kind: Kind, *plan: Any) -> RemoteKeyring:
    """Return the keyring with such a store."""
    file = kind.keyring(loader())
    file.remote = Faulty(file.remote, *plan)
    return file


ONCE: Dict[str, List[str]] = {
    "down for a moment": ["no request"],
    "down for longer": ["no request"] * 5,
    "the answer is lost": ["no answer"],
    "two answers are lost": ["no answer", "no answer"],
    "the request is late": ["late"],
    "the request is later than the next one": ["last"],
    "all of it": ["no request", "late", "last", "no answer"],
}


@pytest.mark.parametrize("plan", ONCE)
def test_a_write_lands_once_whatever_happens_on_the_way(kind: Kind, first: Dict[str, Any], plan: str) -> None:
    file = faulty(kind, *ONCE[plan])
    file.load()
    written = file.replace(first)
    assert kind.keyring(loader()).load() == written
    assert (written["revision"], len(written["writes"])) == (2, 2)
    # And the run goes on from there.
    assert file.replace(written)["revision"] == 3


@pytest.mark.parametrize("plan", ONCE)
def test_so_does_the_first_one(kind: Kind, plan: str) -> None:
    file = faulty(kind, *ONCE[plan])
    written = file.create(builders.at("prepared", ("web1", "web2")))
    assert kind.keyring(loader()).load() == written and written["revision"] == 1


def foreign(kind: Kind, times: int = 1) -> Callable[[], None]:
    """Somebody else writes."""

    def write() -> None:
        for _time in range(times):
            file = kind.keyring(loader())
            file.replace(file.load())

    return write


def test_a_write_is_ours_by_its_id_where_somebody_has_written_over_it(kind: Kind, first: Dict[str, Any]) -> None:
    file = faulty(kind, "no answer", foreign(kind, 3))
    file.load()
    written = file.replace(first)
    there = kind.keyring(loader()).load()
    assert there["revision"] == 5 and written["writes"][0] in there["writes"]
    with pytest.raises(NotWrittenError, match="was changed by somebody else"):
        file.replace(written)


def test_a_write_that_somebody_came_before_is_not_ours(kind: Kind, first: Dict[str, Any]) -> None:
    for number, plan in (
        (1, [foreign(kind)]),
        (2, ["no request", foreign(kind, 2)]),
        (1, [foreign(kind), "no answer"]),
    ):
        file = faulty(kind, *plan)
        keyring = file.load()
        with pytest.raises(NotWrittenError, match="was changed by somebody else"):
            file.replace(keyring)
        there = kind.keyring(loader()).load()
        assert there["revision"] == keyring["revision"] + number


def test_without_an_answer_it_is_said_that_it_is_not_known(
    kind: Kind, first: Dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "WRITING", 0.05)
    for plan in (["no request"] * 1000, ["no answer"] * 1000, ["last", *["no request"] * 1000]):
        file = faulty(kind, *plan)
        keyring = file.load()
        with pytest.raises(UnknownError) as error:
            file.replace(keyring)
        said = str(error.value)
        assert "it is not known whether" in said and "No host is visited" in said
        assert "Nothing was changed" not in said
    # The next run goes by what is there.
    file = kind.keyring(loader())
    assert file.replace(file.load())["revision"] > 1


@pytest.mark.parametrize(
    "then",
    [
        pytest.param(lambda kind, old: kind.delete(), id="deleted"),
        pytest.param(lambda kind, old: kind.overwrite(b"spoiled\n"), id="spoiled"),
    ],
)
def test_what_cannot_be_told_is_not_claimed(
    kind: Kind, first: Dict[str, Any], then: Callable[[Kind, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_store, "WRITING", 0.3)
    if not kind.sees_deleted:
        pytest.skip("a write over what was deleted is let in there")
    file = faulty(kind, "no answer", lambda: then(kind, b""))
    keyring = file.load()
    with pytest.raises(UnknownError):
        file.replace(keyring)
    # Where every try had its answer it is certain.


def test_a_clear_no_is_certain_only_where_no_try_before_it_was_in_doubt(kind: Kind, first: Dict[str, Any]) -> None:
    class Full(Faulty):
        def write(self, text: bytes, version: Optional[str]) -> str:
            if not self.plan:
                raise Denied("the disk is full: free some space there")
            return super().write(text, version)

    file = kind.keyring(loader())
    file.remote = Full(file.remote)
    keyring = file.load()
    with pytest.raises(NotWrittenError, match="the disk is full: free some space there. Nothing was changed"):
        file.replace(keyring)
    file.remote = Full(file.remote.real, "no answer")
    assert file.replace(keyring)["revision"] == 2
    assert kind.keyring(loader()).load()["revision"] == 2


# --- once for each gate, and not for each host ------------------------------------------


class Counting(Faulty):
    """Counts."""

    reads = 0

    def read(self) -> Optional[Text]:
        Counting.reads += 1
        return super().read()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[RemoteKeyring], RemoteKeyring]]:
    """Have reads be counted."""
    Counting.reads = 0

    def count(file: RemoteKeyring) -> RemoteKeyring:
        file.remote = Counting(file.remote)
        return file

    yield count


def test_visits_read_what_the_gate_has_read(kind: Kind, first: Dict[str, Any], counted: Any) -> None:
    gate = counted(kind.keyring(loader()))
    gate.exists(), gate.exists()
    whole = gate.load()
    for _host in range(5):
        keyring, names = counted(kind.keyring(loader())).for_visits("shop")
        assert keyring == membership.for_visits(whole)
        assert "web1" in names and "web3" not in names
    assert Counting.reads == 1
    written = gate.replace(whole)
    assert Counting.reads == 1
    assert counted(kind.keyring(loader())).for_visits("shop")[0]["revision"] == written["revision"]
    assert Counting.reads == 1
    # The next gate reads anew, whoever has written.
    file = kind.keyring(loader())
    third = file.replace(file.load())
    assert counted(kind.keyring(loader())).load() == third


def test_visits_without_a_gate_read_once_among_them_and_not_what_is_old(
    kind: Kind, first: Dict[str, Any], counted: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(vars(C), "DEFAULT_LOCAL_TMP", str(tmp_path / "another"))
    files = [counted(kind.keyring(loader())) for _host in range(6)]
    threads = [threading.Thread(target=file.for_visits, args=("shop",)) for file in files]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert Counting.reads == 1
    monkeypatch.setattr(remote_store, "FRESH", -1.0)
    counted(kind.keyring(loader())).for_visits("shop")
    assert Counting.reads > 1


def test_hosts_that_join_at_once_are_registered_in_a_few_writes(kind: Kind, first: Dict[str, Any]) -> None:
    hosts = [f"new{number:02}" for number in range(25)]
    together, errors = threading.Barrier(25), []

    def join(host: str) -> None:
        file = kind.keyring(loader())
        together.wait(30)
        try:
            assert arrivals.registered(file, "shop", host)["id"] == first["id"]
            assert host in kind.keyring(loader()).for_visits("shop")[1]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=join, args=(host,)) for host in hosts]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    keyring = kind.keyring(loader()).load()
    assert {*hosts, "web1", "web2"} == set(keyring["members"])
    assert keyring["revision"] <= 6, "the hosts did not wait for one another"


def test_the_ids_that_a_text_carries_do_not_grow_without_end(kind: Kind, first: Dict[str, Any]) -> None:
    file = kind.keyring(loader())
    keyring = {**file.load(), "writes": [f"{number:016x}" for number in range(landing.KEPT)]}
    written = file.replace(keyring)
    assert len(written["writes"]) == landing.KEPT and written["writes"][1:] == keyring["writes"][:-1]


def test_what_a_store_answers_has_a_reason_and_no_secret(kind: Kind, first: Dict[str, Any]) -> None:
    for answer in (Deleted("a"), Denied("a"), Other("a"), Unclear("a")):
        assert str(answer) == "a"


# --- to another place, and with another secret --------------------------------------------


def test_a_keyring_moves_there_and_back_cut_off_after_every_step(
    kind: Kind, first: Dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "shop.yml"

    def go(whence: Any, where: Any) -> None:
        steps = 0
        while True:
            # A run of its own for each step.
            for _said in moving.moved(whence(), where(), "shop"):
                steps += 1
                break
            else:
                break
            assert [usable(whence()), usable(where())].count(True) == (0 if steps == 2 else 1)
        assert steps == 3

    def in_store() -> Any:
        return kind.keyring(loader())

    def in_file() -> Any:
        return stores.store_for(str(path), loader())

    go(in_store, in_file)
    assert builders.at("prepared", ("web1", "web2"))["keys"] == in_file().load("shop")["keys"]
    with pytest.raises(KeyringFileError, match="the keyring has moved to .*kept/shop.yml: set app_keys_keyring"):
        in_store().load("shop")
    written = in_file().replace(in_file().load("shop"))
    go(in_file, in_store)
    there = in_store().load("shop")
    assert (there["revision"], there["keys"]) == (written["revision"], written["keys"])
    assert in_store().replace(there)["revision"] == written["revision"] + 1


def usable(file: Any) -> bool:
    """Whether a run takes what lies there for a keyring."""
    try:
        return bool(file.load("shop"))
    except KeyringFileError:
        return False


def test_a_keyring_gets_another_vault_secret(kind: Kind, first: Dict[str, Any], tmp_path: Path) -> None:
    both = DataLoader()
    secrets = [("default", VaultSecret(PASSWORD.encode())), ("new", VaultSecret(b"another"))]
    both.set_vault_secrets(secrets)
    path = str(tmp_path / "shop.yml")
    stores.store_for(path, loader()).create(builders.at("prepared"))
    for place in (kind.place, path):
        file = stores.store_for(place, both)
        with pytest.raises(
            NotWrittenError, match="app_keys_rekey_to is other, and no vault secret of that label was given"
        ):
            moving.rekeyed(file, "other", secrets)
        before = file.load()
        assert moving.rekeyed(file, "new", secrets) and not moving.rekeyed(file, "new", secrets)
        new = DataLoader()
        new.set_vault_secrets(secrets[1:])
        after = stores.store_for(place, new).load()
        assert {**after, "writes": 0} == {**before, "writes": 0}
        with pytest.raises(KeyringFileError, match="is opened by none of the vault secrets"):
            stores.store_for(place, loader()).load()
