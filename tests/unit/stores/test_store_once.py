# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store is read once for each gate and not for each host, and hosts that join are written together."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional

import pytest
from ansible import constants as C
from ansible_collections.phased.keys.plugins.module_utils._rules import landing, membership
from ansible_collections.phased.keys.plugins.plugin_utils import _arrivals as arrivals
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import (
    Deleted,
    Denied,
    Other,
    RemoteKeyring,
    Text,
    Unclear,
)
from faulty import Faulty
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.

# Four kinds of store, each broken in every way: two minutes that `make test` has not.
pytestmark = pytest.mark.slow


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
