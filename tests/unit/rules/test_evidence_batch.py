# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps the next batch from beginning, who does not, and in what order hosts are visited."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import membership
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import (
    AGAIN,
    ANOTHER_REASON,
    SET_ASIDE,
    Count,
    Looks,
    unusable,
)
from builders import (
    DAY,
    FLEET,
    HOUR,
    NEW,
    OLD,
    T0,
    at,
    env_file,
    fleet_of,
    idle,
    opened,
    outsider,
    record,
    seen,
    survey,
    surveyed,
    unit,
    worker,
)

NOW = T0 + 20 * DAY
LOST = [Finding("was lost", "look at it")]
BACK = opened(at("promoted"), "rollback", NOW)
# Beside promote: what was done before is safe, what is older is not.
SAFE, UNSAFE, DONE = seen(at("prepared")), seen(at("prepared"), OLD), seen(at("promote"))


def batch(
    keyring: Any, evidence: Any, lost: Any = None, visited: Sequence[str] = (), batch: Sequence[str] = (), fleet: Sequence[str] = FLEET,
    cut_off: Sequence[str] = (),
) -> List[str]:  # fmt: skip
    look = survey()._replace(clock=NOW, cut_off=cut_off)
    return list(proofs.batch_findings(surveyed(keyring, fleet, evidence, look), lost or {}, visited, batch))


def fleet(*odd: Any) -> Dict[str, Any]:
    return dict(zip(FLEET, odd))


@pytest.mark.parametrize(
    ("evidence", "next_batch", "stopped"),
    [
        # Hosts that are not safe come first, in batches of their own: until then they do not stop themselves ...
        (fleet(SAFE, UNSAFE, UNSAFE), ["web-2"], []),
        (fleet(SAFE, UNSAFE, UNSAFE), ["web-2", "web-3"], []),
        # ... and a batch with one that is safe is not such a batch: others have to be safe beside it.
        (fleet(SAFE, UNSAFE, UNSAFE), ["web-1", "web-2"], ["web-3"]),
        (fleet(SAFE, UNSAFE, SAFE), ["web-1", "web-2"], []),
        (fleet(SAFE, UNSAFE, UNSAFE), ["web-1"], ["web-2", "web-3"]),
        # The last batch is over: nobody is in one, and nothing is set right any more.
        (fleet(SAFE, UNSAFE, SAFE), [], ["web-2"]),
        # One of whom nothing is known sets nothing right.
        ({"web-1": SAFE, "web-3": UNSAFE}, ["web-2"], ["web-2", "web-3"]),
    ],
)  # fmt: skip
def test_2_hosts_that_are_not_safe_are_set_right_first(evidence: Any, next_batch: Any, stopped: Any) -> None:
    assert batch(at("promote"), evidence, batch=next_batch) == stopped


def test_1_everybody_is_asked_for_whoever_knows_of_them() -> None:
    """By the inventory, by the keyring, and by a play that has lost a host: findings of all, not of the first."""
    keyring = at("promote")
    keyring["members"] = {"web-1": keyring["members"]["web-1"]}
    evidence = {"web-1": SAFE, "web-5": UNSAFE}
    assert batch(keyring, evidence, {"web-7": LOST}, batch=["web-1"], fleet=["web-1", "web-5"]) == ["web-5", "web-7"]
    keyring["members"]["web-6"] = {"since": "2023-11-14T22:13:20Z", "proven": 2}
    assert batch(keyring, evidence, {}, batch=["web-1"], fleet=["web-1"]) == ["web-6"]


def test_1_whoever_is_excused_does_not_hide_those_behind_it() -> None:
    keyring = membership.waive(at("promote"), ["web-1"], "its disk is dead", HOUR, NOW)
    assert batch(keyring, {"web-3": UNSAFE, "web-2": SAFE}, batch=["web-2"]) == ["web-3"]
    # Nor does one on which nothing runs.
    down = seen(BACK, workers=[], units=[unit("failed")])
    assert batch(BACK, fleet(down, SAFE, seen(BACK, OLD)), batch=["web-2"]) == ["web-3"]


def test_1_a_host_that_was_lost_is_told_as_that_and_not_by_its_evidence() -> None:
    found = proofs.batch_findings(
        surveyed(at("promote"), FLEET, fleet(SAFE, SAFE, SAFE), survey()), {"web-2": LOST}, [], ["web-3"]
    )
    assert found == {"web-2": LOST}


@pytest.mark.parametrize(
    ("keyring", "workers", "keys", "stops"),
    [
        # Where a rollout is taken back, a host on which nothing runs holds up nobody, if its file is safe.
        (BACK, [], (OLD, NEW), False),
        (BACK, [worker(1, NEW, OLD)], (OLD, NEW), True),
        (BACK, [], (OLD,), True),
        (at("promoted"), [], (NEW, OLD), True),
    ],
)
def test_12_what_holds_up_a_rollback(keyring: Any, workers: Any, keys: Any, stops: bool) -> None:
    entry = seen(
        keyring, workers=workers, units=[unit("failed")], files=[env_file(*keys)], record=record(keyring, state="begun")
    )
    assert batch(keyring, {**fleet_of(keyring), "web-2": entry}, visited=["web-2"], batch=["web-3"]) == (
        ["web-2"] if stops else []
    )


def test_a_host_that_was_visited_may_have_strangers_beside_it_until_the_closing_count() -> None:
    keyring = at("promote")
    crowded = seen(keyring, others=[outsider()])
    assert batch(keyring, fleet(DONE, crowded, SAFE), visited=["web-1", "web-2"], batch=["web-3"]) == []
    assert list(surveyed(keyring, FLEET, fleet(DONE, crowded, DONE), survey()).count.findings) == ["web-2"]


def test_hosts_on_one_machine_do_not_accuse_each_other() -> None:
    keyring = at("promote")
    mine = {"pid": 101, "ticks": 1010, "started": T0, "command": "gunicorn: worker", "signs": NEW}
    for others, found in (([mine], []), ([{**mine, "ticks": 1}], ["web-2"]), ([{**mine, "pid": 7}], ["web-2"])):
        evidence = fleet(DONE, seen(keyring, others=others, workers=[worker(201, NEW, OLD)]), DONE)
        assert list(surveyed(keyring, FLEET, evidence, survey()).count.findings) == found
    # Another machine's process of that number is somebody else.
    elsewhere = seen(keyring, others=[mine], machine="boot-2/1", workers=[worker(201, NEW, OLD)])
    assert list(surveyed(keyring, FLEET, fleet(DONE, elsewhere, DONE), survey()).count.findings) == ["web-2"]


# --- skippable_since ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proven", "in_inventory", "skippable"),
    [(2, True, True), (3, True, True), (1, True, False), (None, True, False), (3, False, False)],
)
def test_12_whom_a_rollback_excuses(proven: Any, in_inventory: bool, skippable: bool) -> None:
    keyring = opened(at("promoted"), "rollback", NOW)
    assert keyring["step"]["skippable_since"] == 2
    keyring["members"]["web-2"]["proven"] = proven
    names = FLEET if in_inventory else ("web-1", "web-3")
    evidence = {"web-1": seen(keyring), "web-3": seen(keyring)}
    assert (proofs.not_visitable(surveyed(keyring, names, evidence, survey())) == {}) is skippable


def test_12_a_host_that_is_new_since_is_excused_by_no_step_but_one_that_takes_back_what_never_signed() -> None:
    evidence = {"web-1": SAFE, "web-2": SAFE, "web-3": SAFE}
    joined = [*FLEET, "web-9"]
    assert list(proofs.not_visitable(surveyed(BACK, joined, evidence, survey()))) == ["web-9"]
    unstaged = opened(at("prepared"), "withdraw", NOW)
    assert proofs.not_visitable(surveyed(unstaged, joined, evidence, survey())) == {}
    assert list(proofs.not_visitable(surveyed(at("promote"), joined, evidence, survey()))) == ["web-9"]


# --- order -----------------------------------------------------------------------------------


def test_those_that_are_not_safe_come_first_then_the_first_member_then_as_the_inventory_has_them() -> None:
    keyring, names = at("promote"), ("web-3", "web-2", "web-1")
    safe = {"web-1": SAFE, "web-2": SAFE, "web-3": SAFE}
    assert proofs.visiting_order(surveyed(keyring, names, safe)) == ["web-1", "web-3", "web-2"]
    assert proofs.visiting_order(surveyed(keyring, names, {**safe, "web-2": UNSAFE})) == ["web-2", "web-1", "web-3"]
    assert proofs.visiting_order(surveyed(keyring, names, {**safe, "web-2": UNSAFE, "web-1": UNSAFE})) == [
        "web-1",
        "web-2",
        "web-3",
    ]
    # Of whom nothing is known is no reason to come first.
    assert proofs.visiting_order(surveyed(keyring, names, {"web-1": SAFE, "web-3": SAFE})) == [
        "web-1",
        "web-3",
        "web-2",
    ]


def test_who_is_visited_now() -> None:
    keyring = at("promote")
    assert proofs.visits(surveyed(keyring, FLEET, fleet(DONE, UNSAFE, SAFE), survey())) == ["web-2", "web-3"]
    assert proofs.visits(surveyed(keyring, FLEET, {"web-3": SAFE, "web-2": DONE}, survey())) == ["web-3"]


# --- what a count says ------------------------------------------------------------------------


def test_who_is_idle_and_who_is_set_aside_is_told_apart() -> None:
    keyring = membership.waive(at("promote"), ["web-3"], "its disk is dead", HOUR, NOW)
    look = survey()._replace(clock=NOW)
    found = surveyed(keyring, FLEET, {"web-1": idle(keyring), "web-2": DONE}, look).count
    assert found == Count(["web-1", "web-2"], {}, ["web-1"], ["web-3"])
    found = surveyed(keyring, FLEET, {"web-1": DONE, "web-3": UNSAFE}, look).count
    assert (found.proven, list(found.findings), list(found.waived)) == (["web-1"], ["web-2", "web-3"], [])


def test_what_is_soon_too_old() -> None:
    look = survey()  # the evidence is 10 s old, and may be 300 s old
    old, other = seen(at("promote"), asked=1010.0 - 150.5), seen(at("promote"), asked=0.0, nonce="survey-0")
    half = seen(at("promote"), asked=1010.0 - 150)
    assert proofs.stale(Looks(FLEET, fleet(half, old, other), look)) == ["web-2"]
    assert proofs.stale(Looks(["web-1"], fleet(half, old, other), look)) == []


@pytest.mark.parametrize(("age", "usable"), [(0.0, True), (300.0, True), (300.5, False), (-0.5, False)])
def test_how_old_evidence_may_be(age: float, usable: bool) -> None:
    assert (unusable("web-1", seen(at("promote"), asked=1010.0 - age), survey()) == []) is usable


def test_a_survey_without_a_nonce_counts_nothing() -> None:
    assert (
        unusable("web-1", seen(at("promote"), nonce=""), survey(nonce=""))[0].seen
        == "what was seen of it is from another run"
    )


def test_a_host_that_ansible_could_not_reach_is_told_how_to_set_it_aside_and_one_that_was_not_looked_at_is_not() -> (
    None
):
    look = survey(web_2="unreachable (ssh: connection refused)")._replace(cut_off=["web-2"], clock=NOW)
    found = surveyed(at("promote"), FLEET, {"web-1": DONE}, look).count.findings
    assert [finding.seen for finding in found["web-2"] + found["web-3"]] == [
        "unreachable (ssh: connection refused)",
        "was not looked at",
    ]
    assert found["web-2"][0].advice == f"{AGAIN}; {SET_ASIDE.format(member='web-2')}"
    assert found["web-3"][0].advice == AGAIN
    keyring = membership.waive(at("promote"), ["web-2"], "its disk is dead", HOUR, NOW - HOUR)
    found = surveyed(keyring, FLEET, {"web-1": DONE}, look).count.findings
    assert [(finding.seen, finding.advice) for finding in found["web-2"]] == [
        ("unreachable (ssh: connection refused)", AGAIN),
        ("its waiver ran out at 2023-12-04T22:13:20Z", SET_ASIDE.format(member="web-2") + ANOTHER_REASON),
    ]


@pytest.mark.parametrize(
    ("serial", "batches"), [([1, "25%"], [1, "25%"]), (["1", 5], ["1", 5]), ([10], [1, 10]), (["100%"], [1, "100%"])]
)
def test_the_first_batch_is_one_host(serial: Any, batches: Any) -> None:
    assert proofs.batch_sizes(serial) == batches
