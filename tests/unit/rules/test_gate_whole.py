# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each verdict of the gate as a whole: what is done, what is written, and every line of what a person reads."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import gate, membership, next_step, steps, wording
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest, Verdict
from builders import (
    CLOSED,
    DAY,
    FLEET,
    FP,
    HOUR,
    MINUTE,
    NEW,
    NEXT,
    OLD,
    PATH,
    SECRETS,
    SOAK,
    T0,
    at,
    counting,
    fleet_of,
    idle,
    opened,
    record,
    rolled,
    seen,
    states,
    survey,
    surveyed,
)

NOW = CLOSED["promote"] + DAY
OVER = CLOSED["promote"] + SOAK["seconds"]
SOAKED = T0 + 40 * DAY
LOOK = survey()._replace(clock=NOW)
GO_ON = "No further host is visited. Every host that was proven stays as it is; run phased.keys.{} again when this is fixed."


def request(phase: str, goal: str = "rollout", **changes: Any) -> PhaseRequest:
    return PhaseRequest(
        **{"phase": phase, "goal": goal, "nonce": "n-new", "soak": SOAK, "new_key": SECRETS[3], **changes}
    )


def ask(
    keyring: Any,
    phase: str,
    goal: str = "rollout",
    now: float = NOW,
    evidence: Any = None,
    fleet: Sequence[str] = FLEET,
    **changes: Any,
) -> Verdict:
    found = fleet_of(keyring) if evidence is None else evidence
    for entry in found.values():
        entry["now"] = SOAKED
    return gate.opening(surveyed(keyring, fleet, found, survey()._replace(clock=now)), request(phase, goal, **changes))


def found_by(keyring: Any, evidence: Any, now: float = NOW) -> proofs.Count:
    return surveyed(keyring, FLEET, evidence, survey()._replace(clock=now)).count


@pytest.mark.parametrize(("name", "playbook"), [("promote", "rollout"), ("adopt", "adopt")])
def test_a_closing_count_that_is_not_complete(name: str, playbook: str) -> None:
    keyring = at(name)
    evidence = fleet_of(keyring, web_2=seen(keyring, FP[7]), web_3=None)
    count = found_by(keyring, evidence)
    verdict = gate.closing(surveyed(keyring, FLEET, evidence, LOOK))
    assert (verdict.outcome, verdict.keyring, list(verdict.visit)) == ("refuse", keyring, [])
    assert verdict.text.split("\n") == [
        f"{name} is not complete: {wording.counted(counting(keyring, count))}", *wording.table(count.findings), GO_ON.format(playbook),
    ]  # fmt: skip
    assert list(count.findings) == ["web-2", "web-3"]


def test_a_closing_count_that_is_complete() -> None:
    keyring = at("promote")
    verdict = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), LOOK))
    assert verdict == Verdict(
        "stay", steps.close_step(keyring, NOW),
        f"promote: 3 of 3 hosts sign with {NEW} in every worker; retire is due in 14d, at 2023-11-30T00:23:20Z: run phased.keys.rollout again then",
    )  # fmt: skip


def test_a_refusal_to_open() -> None:
    keyring = at("prepare")
    evidence = fleet_of(keyring, web_2=seen(keyring, FP[7]))
    count = found_by(keyring, evidence)
    verdict = ask(keyring, "promote", evidence=evidence)
    assert verdict == Verdict(
        "refuse",
        keyring,
        wording.refusal(counting(keyring, count), "promote is not safe yet", count.findings, gate.NOTHING_CHANGED),
    )
    assert verdict.text.endswith(
        "\nNothing was changed: no step was opened, and every host keeps the keys that it has."
    )


@pytest.mark.parametrize(("phase", "do"), [("promote", "refuse"), ("retire", "refuse"), ("prepare", "visit")])
def test_what_next_step_refuses_is_said_with_the_phase(phase: str, do: str) -> None:
    keyring = at("adopted")
    verdict = ask(keyring, phase, phase)
    assert verdict.outcome == do
    if do == "refuse":
        assert verdict.text == f"{phase}: {next_step.decide(keyring, phase, phase, NOW).text}"


def test_what_there_is_nothing_to_do_about_stays() -> None:
    keyring = at("promoted")
    assert ask(keyring, "promote", "promote") == Verdict(
        "stay", keyring, f"promote: done, every member was proven at {keyring['step']['closed']}"
    )
    assert ask(keyring, "retire") == Verdict(
        "stay", keyring, f"retire: {next_step.decide(keyring, 'retire', 'rollout', NOW).text}"
    )


# --- going on -----------------------------------------------------------------------


def half() -> Any:
    """Promote is open, and one host was not visited yet."""
    keyring = at("promote")
    return keyring, fleet_of(keyring, web_2=seen(at("prepared")))


def test_going_on_with_those_that_are_left() -> None:
    keyring, evidence = half()
    assert ask(keyring, "current", evidence=evidence) == Verdict(
        "visit", keyring, f"promote: 2 of 3 hosts sign with {NEW} in every worker; 1 to go", ["web-2"]
    )


def test_going_on_registers_whoever_is_new() -> None:
    keyring = at("promote")
    evidence = {**fleet_of(keyring), "web-9": seen(keyring, record=None)}
    verdict = ask(keyring, "current", evidence=evidence, fleet=[*FLEET, "web-9"])
    assert (verdict.outcome, list(verdict.visit)) == ("visit", ["web-9"])
    assert verdict.keyring == membership.register(keyring, ["web-9"], NOW)


def test_what_going_on_would_do() -> None:
    keyring, evidence = half()
    count = found_by(keyring, evidence)
    verdict = ask(keyring, "current", evidence=evidence, checking=True)
    assert (verdict.outcome, verdict.keyring, list(verdict.visit)) == ("stay", keyring, [])
    assert verdict.text.split("\n") == [
        f"promote: 2 of 3 hosts sign with {NEW} in every worker; 1 to go. They would be visited:",
        *wording.table(count.findings),
        f"  web-2  write {PATH}: signs with {NEW} instead of {OLD}; restart shop.service",
    ]
    assert wording.table(count.findings)


def test_what_keeps_it_from_going_on() -> None:
    keyring, evidence = half()
    evidence["web-3"]["record"] = record(keyring, counter=9)
    count = found_by(keyring, evidence)
    verdict = ask(keyring, "current", evidence=evidence)
    assert (verdict.outcome, verdict.keyring) == ("refuse", keyring)
    # Those alone that hold up the others: a visit would put web-2 right.
    blocked = {"web-3": count.findings["web-3"]}
    assert verdict.text == wording.refusal(
        counting(keyring, count), "promote cannot go on", blocked, gate.NOTHING_CHANGED
    )


def test_going_on_where_all_is_well_closes() -> None:
    keyring = at("promote")
    verdict = ask(keyring, "current")
    assert verdict == gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), LOOK), goes_on=True)
    assert verdict.keyring["step"]["closed"]


def test_a_rollback_that_waits_for_a_host_that_is_down() -> None:
    keyring = opened(at("promoted"), "rollback", NOW)
    evidence = fleet_of(keyring, web_2=None)
    count = found_by(keyring, evidence)
    verdict = ask(keyring, "current", evidence=evidence)
    assert verdict == Verdict(
        "refuse",
        keyring,
        wording.refusal(counting(keyring, count), "rollback is not complete", count.findings, gate.NOTHING_CHANGED),
    )


# --- opening ------------------------------------------------------------------------


def test_a_step_that_opens() -> None:
    keyring = at("prepare")
    verdict = ask(keyring, "promote", "promote", fleet=[*FLEET])
    closed = steps.close_step(keyring, NOW)
    expected = steps.open_step(closed, "promote", NOW, "n-new", None, SOAK)
    assert verdict == Verdict(
        "visit", expected,
        f"promote is open: 3 of 3 hosts accept {NEW} in every worker; key {NEW}; the soak will be 14d (the default of django)", list(FLEET),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "phase", "soak"),
    [
        ("adopted", "prepare", ""),
        ("prepared", "promote", "; the soak will be 14d (the default of django)"),
        ("promoted", "rollback", "; the soak will be 14d (the default of django)"),
        ("promoted", "retire", ""),
    ],
)
def test_the_soak_is_said_where_one_will_begin(name: str, phase: str, soak: str) -> None:
    verdict = ask(at(name), phase, phase, now=OVER)
    assert verdict.outcome == "visit"
    assert verdict.text.partition("; key ")[2][16:] == soak


def test_a_key_that_leaked_has_no_soak_and_that_is_said() -> None:
    keyring = steps.mark_compromised(at("prepared"), OLD, NOW)
    assert ask(keyring, "promote").text.endswith(f"; key {NEW}; {OLD} is compromised and has no soak")


def test_the_soak_that_is_said_is_that_of_the_key_that_signs_no_more() -> None:
    """Not that of one that soaks since the rollout before."""
    keyring = rolled(at("promoted"), NOW, 3)
    keyring["keys"][0]["soak"] = {"seconds": 7 * DAY, "source": "an older rollout"}
    keyring["keys"][1]["soak"] = {"seconds": 9 * DAY, "source": "the rollout before"}
    keyring = steps.close_step(opened(keyring, "prepare", NOW, 4), NOW)
    verdict = ask(keyring, "promote", soak={"seconds": HOUR, "source": "app_keys_soak"})
    assert verdict.text.endswith("; the soak will be 1h (app_keys_soak)")


def test_what_a_rollback_says_of_those_that_it_leaves_for_later() -> None:
    keyring = at("promoted")
    verdict = ask(keyring, "rollback", "rollback", evidence=fleet_of(keyring, web_2=None, web_1=None))
    assert verdict.text == (
        "rollback is open: 1 of 3 hosts can be visited now; left out, and to be visited by a later run: web-1, web-2; "
        f"key {OLD}; the soak will be 14d (the default of django)"
    )
    assert verdict.keyring == steps.open_step(keyring, "rollback", NOW, "n-new", None, SOAK)


def test_what_keeps_a_rollback_from_opening() -> None:
    keyring = at("promoted")
    evidence = fleet_of(keyring, web_2=seen(keyring, record=record(keyring, counter=9)))
    verdict = ask(keyring, "rollback", "rollback", evidence=evidence)
    blocked = proofs.not_visitable(surveyed(opened(keyring, "rollback", NOW), FLEET, evidence, LOOK))
    assert list(blocked) == ["web-2"]
    assert verdict == Verdict(
        "refuse",
        keyring,
        wording.refusal(
            counting(keyring, found_by(keyring, evidence)), "rollback is not safe yet", blocked, gate.NOTHING_CHANGED
        ),
    )


def test_a_rollback_without_a_host_in_reach() -> None:
    keyring = at("promoted")
    count = found_by(keyring, {})
    assert ask(keyring, "rollback", "rollback", evidence={}) == Verdict(
        "refuse",
        keyring,
        wording.refusal(
            counting(keyring, count), "rollback: no host can be visited", count.findings, gate.NOTHING_CHANGED
        ),
    )


def test_what_would_open() -> None:
    keyring = at("prepared")
    verdict = ask(keyring, "promote", checking=True)
    assert (verdict.outcome, verdict.keyring, list(verdict.visit)) == ("stay", keyring, [])
    assert verdict.text.split("\n") == [
        f"promote would open: 3 of 3 hosts accept {NEW} in every worker, and 3 hosts would be visited",
        *[f"  {host}  write {PATH}: signs with {NEW} instead of {OLD}; restart shop.service" for host in FLEET],
        f"the soak of {OLD} begins; retire lets go of it when that is over",
    ]
    text = ask(at("adopted"), "prepare", checking=True).text
    assert text.split("\n")[1] == f"  web-1  write {PATH}: accepts a new key; restart shop.service"
    assert NEXT not in text


def test_what_a_check_of_a_rollout_says_of_what_comes_after_visits() -> None:
    keyring, evidence = half()
    assert ask(keyring, "retire", evidence=evidence, checking=True) == Verdict(
        "stay", keyring, "retire: after these visits"
    )
    assert ask(keyring, "retire", "retire", evidence=evidence, checking=True).outcome == "refuse"


# --- letting go -----------------------------------------------------------------------


def short(keyring: Any, *hosts: str, key: str = OLD) -> Dict[str, Any]:
    """Evidence of a fleet on some hosts of which a key has not soaked, by their own clocks."""
    evidence = fleet_of(keyring)
    for host in hosts:
        evidence[host]["record"]["stopped"] = {key: SOAKED - DAY}
    return evidence


def test_a_soak_that_some_hosts_clocks_have_not_seen() -> None:
    keyring = at("promoted")
    evidence = short(keyring, "web-1", "web-3")
    verdict = ask(keyring, "retire", now=OVER, evidence=evidence)
    assert (verdict.outcome, verdict.keyring) == ("stay", keyring)
    missing = proofs.soak_findings(evidence, [keyring["keys"][0]])
    assert verdict.text.split("\n") == ["retire: waiting for the soak on 2 of 3 hosts", *wording.table(missing)]
    assert list(missing) == ["web-1", "web-3"]


def test_of_two_keys_the_one_that_has_soaked_everywhere_goes() -> None:
    keyring = rolled(at("promoted"), CLOSED["promote"] + HOUR, 3)
    for keeps, goes in ((OLD, NEW), (NEW, OLD)):
        verdict = ask(keyring, "retire", now=OVER + DAY, evidence=short(keyring, "web-2", key=keeps))
        assert (verdict.outcome, verdict.keyring["step"]["name"]) == ("visit", "retire")
        assert (states(verdict.keyring)[goes], states(verdict.keyring)[keeps]) == ("dropping", "retiring")
    both = ask(keyring, "retire", now=OVER + DAY)
    assert (states(both.keyring)[OLD], states(both.keyring)[NEW]) == ("dropping", "dropping")
    assert both.text.endswith(f"; keys {NEW}, {OLD}")
    # What was rolled back goes by another name, and not together with what was not.
    next(key for key in keyring["keys"] if key["fingerprint"] == NEW)["marks"].append("rolled_back")
    assert (
        ask(keyring, "retire", now=OVER + DAY, evidence=short(keyring, "web-2")).keyring["step"]["name"] == "withdraw"
    )
    assert ask(keyring, "retire", now=OVER + DAY).keyring["step"]["name"] == "retire"


# --- what a count writes ----------------------------------------------------------------


def test_a_count_that_changes_nothing_writes_nothing() -> None:
    keyring = at("promoted")
    assert gate.closed_keyring(counting(keyring, found_by(keyring, fleet_of(keyring)), now=NOW)) is keyring


@pytest.mark.parametrize("proven", [2, None])
def test_a_member_that_was_not_counted_before_is_written(proven: Optional[int]) -> None:
    keyring = at("promoted")
    keyring["members"]["web-3"]["proven"] = proven
    closed = gate.closed_keyring(counting(keyring, found_by(keyring, fleet_of(keyring)), now=NOW))
    assert closed["members"]["web-3"]["proven"] == 3


def test_members_that_are_only_in_the_inventory_are_no_reason_to_write() -> None:
    keyring = at("promoted")
    joined = {**fleet_of(keyring), "web-9": seen(keyring)}
    count = surveyed(keyring, [*FLEET, "web-9"], joined, LOOK).count
    assert gate.closed_keyring(counting(keyring, count, now=NOW)) is keyring


def test_a_sealed_secret_is_a_reason_to_write_once_nobody_is_set_aside() -> None:
    keyring = at("retired")
    keyring["keys"][0]["secret"] = SECRETS[1]
    count = found_by(keyring, fleet_of(keyring))
    assert gate.closed_keyring(counting(keyring, count, now=NOW))["keys"][0]["secret"] is None
    assert gate.closed_keyring(counting(keyring, count._replace(waived=["web-3"]), now=NOW)) is keyring


def test_what_the_hosts_that_do_not_run_are_worth_is_said() -> None:
    keyring = at("promote")
    verdict = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring, web_2=idle(keyring)), LOOK))
    assert (
        f"3 of 3 hosts sign with {NEW} in every worker (1 of them on disk alone: nothing runs there); retire"
        in verdict.text
    )


def test_the_current_step_is_gone_on_with_unless_it_spreads_a_leak() -> None:
    assert gate.ask(at("promote"), request("current"), NOW).action == "resume"
    assert gate.ask(steps.mark_compromised(at("prepare"), NEW, NOW), request("current"), NOW).action == "skip"
    later = CLOSED["retire"] + 10 * MINUTE
    assert gate.ask(at("retired"), request("prepare", max_age=MINUTE), later).action == "open"
    assert gate.ask(at("retired"), request("prepare"), later).action == "skip"
    assert gate.ask(at("retired"), request("prepare", new=True), later).action == "open"
