# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process source and a proof that are one entry of their registry, on real processes: nothing else on the host has to know of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.process_sources import SOURCES, Found, Source
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proofs import PROOFS, Proof

KEY, OTHER = "a-key-that-is-no-secret-1", "a-key-that-is-no-secret-2"
SLEEP = ["/bin/sleep", "59.125"]


def children(host: Any, place: Any) -> Found:
    """The children of a process that are called so."""
    pids = [
        pid for pid, one in host.table.items() if one.parent == int(place["parent"]) and place["name"] in one.command
    ]
    return Found(pids, place.get("doubt"))


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("PID", children, fields=("name", "doubt"), reads=("command",), units=lambda place: [])
    monkeypatch.setitem(SOURCES, "parent", source)


@pytest.mark.usefixtures("parent")
def test_one_entry_is_a_process_source(shop: Any) -> None:
    shop.write(KEY)
    pid = shop.run(SLEEP, {"SECRET_KEY": KEY})
    place = {"parent": str(os.getpid()), "name": "59.125"}
    (worker,) = shop.look(processes=place)["workers"]
    assert (worker["pid"], worker["signs"], worker["idle"], worker["problem"]) == (pid, fingerprint(KEY), False, None)
    assert [one["idle"] for one in shop.look(processes={**place, "idle": True})["workers"]] == [True]
    assert shop.look(processes={**place, "name": "no such name"})["workers"] == []


def test_what_a_source_names_and_has_ended_is_no_worker(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "gone", Source("PID", lambda host, place: Found([int(place["gone"])])))
    assert shop.look(processes=[{"gone": str(2**22 + 1)}, {"pid_file": str(shop.pid_file)}])["workers"] == []


@pytest.mark.usefixtures("parent")
def test_what_a_source_doubts_is_no_proof_unless_something_else_names_it(shop: Any) -> None:
    shop.write(KEY)
    shop.run(SLEEP, {"OTHER": "x"})
    place = {"parent": str(os.getpid()), "name": "59.125", "doubt": "it may be another process"}
    (worker,) = shop.look(processes=place)["workers"]
    assert worker["problem"] == {"kind": "doubtful", "text": "it may be another process"}
    (worker,) = shop.look(processes=[place, {"pid_file": str(shop.pid_file)}])["workers"]
    assert worker["problem"]["kind"] == "absent"


@pytest.mark.parametrize("anybody", [True, False])
def test_root_does_not_go_by_a_source_by_which_anybody_may_be_named(
    shop: Any, monkeypatch: pytest.MonkeyPatch, anybody: bool
) -> None:
    from ansible_collections.phased.keys.plugins.module_utils._host import run_as

    if os.geteuid() != 0:
        pytest.skip("only root can run anything as somebody else")
    monkeypatch.setitem(
        SOURCES, "parent", Source("PID", children, fields=("name",), reads=("command",), anybody=anybody)
    )
    shop.write(KEY)
    shop.run(SLEEP, {"SECRET_KEY": KEY})
    app = shop.app(processes={"parent": str(os.getpid()), "name": "59.125"})
    workers = shop.look(processes=app["processes"])["workers"]
    if anybody:
        with pytest.raises(run_as.Refused, match="the workers are root's"):
            run_as.persons(app, workers)
    else:
        assert [person.uid for person in run_as.persons(app, workers)] == [0]


def test_one_entry_is_a_proof_and_a_readable_environment_counts_more(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = {"signs": fingerprint(KEY), "accepts": [fingerprint(KEY)], "problem": None}
    monkeypatch.setitem(PROOFS, "word", Proof(read=lambda host, pid: word))
    shop.write(KEY)
    silent = shop.worker(shop.run(SLEEP, {"OTHER": "x"}), proof="word")
    assert (silent["signs"], silent["by"]) == (fingerprint(KEY), "word")
    other = shop.worker(shop.run(SLEEP, {"SECRET_KEY": OTHER}), proof="word")
    assert (other["signs"], other["by"]) == (fingerprint(OTHER), "environ")
