# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A key that has ended holds up nobody where it turns up under a uid that no worker has; every other key or uid does."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence, gate, steps, wording
from builders import (
    FLEET,
    FP,
    NEW,
    OLD,
    T0,
    at,
    counting,
    fleet_of,
    idle,
    opened,
    outsider,
    record,
    seen,
    survey,
    surveyed,
    worker,
)

SHOP, NOBODY, ROOT = 990, 65534, 0


def host(keyring: Any, *others: Dict[str, Any], uids: Any = (SHOP,), **changes: Any) -> Dict[str, Any]:
    """Evidence of a host whose workers are of the user shop, with these processes beside them."""
    workers = [{**one, "uids": list(uids)} for one in seen(keyring)["workers"]]
    return seen(keyring, **{"workers": workers, "others": list(others), "machine": "boot-1/1", **changes})


def other(*keys: str, uids: Any = (NOBODY,)) -> Dict[str, Any]:
    return {**outsider(900, keys[0]), "holds": list(keys), "uids": list(uids)}


def without_uids(process: Dict[str, Any]) -> Dict[str, Any]:
    return {name: value for name, value in process.items() if name != "uids"}


def count(keyring: Any, entry: Dict[str, Any]) -> evidence.Count:
    return surveyed(keyring, FLEET, fleet_of(keyring, web_2=entry), survey()).count


@pytest.mark.parametrize("uids", [(NOBODY,), (ROOT,), (NOBODY, SHOP), (ROOT, SHOP)])
def test_an_ended_key_under_a_uid_that_no_worker_has_is_noted_and_blocks_nothing(uids: Any) -> None:
    keyring = at("retired")
    found = count(keyring, host(keyring, other(OLD, uids=uids)))
    assert found.complete
    (finding,) = found.noted["web-2"]
    assert f"pid 900, started 2023-11-14T22:13:20Z, (celery worker) holds {OLD}" in finding.seen
    assert f"uid {', '.join(map(str, uids))}" in finding.seen


@pytest.mark.parametrize(
    "what, entry",
    [
        ("a key that is used", lambda keyring: host(keyring, other(NEW))),
        ("and one that has ended besides", lambda keyring: host(keyring, other(OLD, NEW))),
        ("a key that no keyring knows", lambda keyring: host(keyring, other("0123456789abcdef"))),
        ("a worker's uid", lambda keyring: host(keyring, other(OLD, uids=[SHOP]))),
        ("some workers' uid", lambda keyring: host(keyring, other(OLD, uids=[ROOT]), uids=[ROOT, SHOP])),
        ("uids that are workers' all", lambda keyring: host(keyring, other(OLD, uids=[ROOT, SHOP]), uids=[ROOT, SHOP])),
        ("an unknown uid", lambda keyring: host(keyring, other(OLD, uids=[]))),
        ("evidence without uids", lambda keyring: host(keyring, without_uids(outsider(900, OLD)))),
        ("workers of unknown uids", lambda keyring: host(keyring, other(OLD), uids=[])),
        ("nothing runs, and nothing is known of who did", lambda keyring: idle(keyring, others=[other(OLD)])),
        ("nothing runs, and it was his", lambda keyring: idle(keyring, others=[other(OLD)], record=record(keyring, workers=0, uids=[NOBODY]))),
        ("the last proof was his", lambda keyring: host(keyring, other(OLD), record=record(keyring, uids=[NOBODY]))),
    ],
)  # fmt: skip
def test_everything_else_blocks(what: str, entry: Any) -> None:
    keyring = at("retired")
    found = count(keyring, entry(keyring))
    assert list(found.findings) == ["web-2"], what
    assert not found.noted


def test_on_a_host_where_nothing_runs_the_record_says_whose_the_workers_were() -> None:
    keyring = at("retired")
    found = count(keyring, idle(keyring, others=[other(OLD)], record=record(keyring, workers=0, uids=[SHOP])))
    assert found.complete and found.noted


def test_a_withdrawn_key_has_ended_too() -> None:
    keyring = steps.close_step(opened(at("prepare"), "withdraw", T0 + 9000), T0 + 9600)
    assert count(keyring, host(keyring, other(NEW))).complete
    assert not count(keyring, host(keyring, other(OLD))).complete


@pytest.mark.parametrize("name", ["promote", "promoted", "retire"])
def test_a_key_that_is_only_on_its_way_out_has_not(name: str) -> None:
    keyring = at(name)
    assert not count(keyring, host(keyring, other(OLD))).complete


def test_of_a_worker_that_another_member_answers_for_nothing_is_said() -> None:
    keyring = at("retired")
    fleet = fleet_of(keyring, web_2=host(keyring, other(OLD)))
    fleet["web-1"] = seen(keyring, machine="boot-1/1", workers=[{**worker(900, NEW), "uids": [NOBODY]}])
    assert surveyed(keyring, FLEET, fleet, survey()).count.noted == {}


def test_it_is_said_in_the_status_and_when_a_step_closes() -> None:
    keyring = at("retire")
    keyring["keys"].insert(
        0, {**keyring["keys"][0], "id": "k0", "fingerprint": FP[5], "state": "withdrawn", "secret": None}
    )
    fleet = fleet_of(keyring, web_2=host(keyring, other(FP[5])))
    verdict = gate.closing(surveyed(keyring, FLEET, fleet, survey()._replace(clock=T0)))
    assert verdict.outcome == "stay"
    assert f"noted: web-2: pid 900, started 2023-11-14T22:13:20Z, (celery worker) holds {FP[5]}" in verdict.text
    found = surveyed(keyring, FLEET, fleet, survey()).count
    lines = wording.status(counting(keyring, found, fleet, T0)).splitlines()
    assert "noted, and blocking nothing" in lines
    assert "noted: " not in lines[0]
    assert any(FP[5] in line for line in lines[lines.index("noted, and blocking nothing") + 1 :])


def test_of_many_the_first_are_said() -> None:
    keyring = at("retired")
    others = [{**other(OLD), "pid": 900 + number, "command": f"celery worker {number}"} for number in range(5)]
    text = wording.counted(counting(keyring, count(keyring, host(keyring, *others))))
    assert text.count("celery worker") == 3
    assert "and 2 more" in text


def test_those_of_one_command_and_one_user_are_said_together() -> None:
    keyring = at("retired")
    others = [{**other(OLD), "pid": 900 + number} for number in range(4)]
    # The same processes are seen by every host on their machine.
    fleet = fleet_of(keyring, web_2=host(keyring, *others), web_3=host(keyring, *others, state="another folder"))
    fleet["web-3"]["machine"] = fleet["web-2"]["machine"]
    text = wording.counted(surveyed(keyring, FLEET, fleet, survey()))
    assert text.count("celery worker") == 1
    assert (
        f"noted: web-2, web-3: pids 900, 901 and 2 more, started 2023-11-14T22:13:20Z, (celery worker) hold {OLD}"
        in text
    )
    assert "; uid 65534, and that key has ended" in text


def test_more_than_are_listed_are_nobodys_workers() -> None:
    keyring = at("retired")
    listed = {**outsider(900, NEW), "more": 7}
    fleet = fleet_of(keyring, web_2=host(keyring, listed))
    fleet["web-1"] = seen(keyring, machine="boot-1/1", workers=[worker(900, NEW)])
    (finding,) = surveyed(keyring, FLEET, fleet, survey()).count.findings["web-2"]
    assert "(celery worker) (and 7 more like it) holds" in finding.seen
    listed["more"] = 0
    assert surveyed(keyring, FLEET, {**fleet, "web-2": host(keyring, listed)}, survey()).count.complete
