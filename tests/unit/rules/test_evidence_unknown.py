# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 1, unknown is unsafe, and rule 4 as the gate sees it: whose evidence counts at all."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Looks
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import unusable as found_unusable
from builders import FLEET, NEW, NONCE, OLD, T0, at, fleet_of, idle, record, seen, survey, surveyed, texts

RING = at("promote")
STEPS = ["adopt", "prepare", "prepared", "promote", "promoted", "retire", "retired"]
NONE_YET = at("retired", members=())


def stops_at(keyring, fleet, evidence, look, lost):
    """What keeps a batch from beginning in a run that has visited whoever has seen this step."""
    visited = [
        member
        for member, seen in evidence.items()
        if seen["record"] and seen["record"]["counter"] == keyring["step"]["counter"]
    ]
    return proofs.batch_findings(surveyed(keyring, fleet, evidence, look), lost, visited, [])


def count(keyring=None, fleet=FLEET, look=None, **odd):
    keyring = keyring or RING
    return surveyed(keyring, fleet, fleet_of(keyring, fleet, **odd), look or survey()).count


@pytest.mark.parametrize("name", STEPS)
def test_1_a_fleet_is_proven_when_every_member_is(name):
    result = count(at(name))
    assert result.complete
    assert result.proven == list(FLEET)


def test_1_a_fleet_of_no_hosts_is_not_proven():
    assert not surveyed(NONE_YET, [], {}, survey()).count.complete


# What makes a member's evidence unusable, whatever it says; and what is said of it.
UNUSABLE = [
    ("missing", None, "was not looked at"),
    ("of another survey", {"nonce": "survey-0"}, "what was seen of it is from another run"),
    ("of no survey", {"nonce": ""}, "what was seen of it is from another run"),
    ("stale", {"asked": 709.0}, "the evidence is 5m 1s old, and 5m is the limit"),
    (
        "from the future, as after a reboot of the controller",
        {"asked": 1011.0},
        "the evidence is 0s old, and 5m is the limit",
    ),
    ("taken while a visit is in progress", {"visit": 4711}, "a visit of it is still running (pid 4711)"),
]
unusable = pytest.mark.parametrize("changes, said", [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])


@unusable
@pytest.mark.parametrize("name", STEPS)
def test_1_evidence_that_cannot_be_used_proves_nothing(name, changes, said):
    keyring = at(name)
    result = count(keyring, web_2=None if changes is None else seen(keyring, **changes))
    assert not result.complete
    assert result.proven == ["web-1", "web-3"]
    assert texts(result.findings) == [said]


@unusable
def test_1_nor_does_a_step_go_on_beside_it(changes, said):
    evidence = fleet_of(RING, web_2=None if changes is None else seen(RING, **changes))
    assert texts(proofs.not_visitable(surveyed(RING, FLEET, evidence, survey()))) == [said]


@unusable
def test_1_nor_does_a_batch_begin(changes, said):
    evidence = fleet_of(RING, web_2=None if changes is None else seen(RING, **changes))
    assert texts(stops_at(RING, FLEET, evidence, survey(), {})) == [said]


@pytest.mark.parametrize(
    "age, usable", [(0, True), (10, True), (300, True), (300.1, False), (9e9, False), (-0.1, False)]
)
def test_1_how_old_evidence_may_be(age, usable):
    assert (found_unusable("web-1", seen(RING), survey(now=1000.0 + age)) == []) is usable


def test_1_the_limit_is_the_operators():
    assert found_unusable("web-1", seen(RING), survey(now=1031.0, max_age=30.0)) != []


def test_1_evidence_of_no_survey_does_not_count_for_a_gate_without_one():
    assert found_unusable("web-1", seen(RING, nonce=""), survey(nonce="")) != []


@pytest.mark.parametrize(
    "said", ["unreachable (ssh: connection refused)", "is outside --limit, and was not looked at", "skipped"]
)
def test_1_a_member_without_evidence_is_said_with_its_reason(said):
    assert texts(count(look=survey(web_2=said), web_2=None).findings) == [said]


def test_1_a_reason_does_not_hide_evidence_that_is_there():
    assert count(look=survey(web_2="unreachable")).complete


@pytest.mark.parametrize("fleet", [("web-1", "web-2"), ("web-1",), ()])
def test_1_a_member_that_has_vanished_from_the_inventory_refuses(fleet):
    result = count(fleet=fleet)
    assert not result.complete
    assert texts(result.findings, "web-3") == ["is a member by the keyring and not in the inventory"]
    assert "put it back into the inventory" in result.findings["web-3"][0].advice


def test_1_not_even_good_evidence_of_a_vanished_member_counts():
    result = surveyed(RING, FLEET[:2], fleet_of(RING), survey()).count
    assert list(result.findings) == ["web-3"]


@pytest.mark.parametrize(
    "ask", [lambda *a: proofs.not_visitable(surveyed(*a)), lambda *a: stops_at(*a, {})], ids=["visit", "batch"]
)
def test_1_a_vanished_member_stops_visits_and_batches_too(ask):
    assert list(ask(RING, FLEET[:2], fleet_of(RING, FLEET[:2]), survey())) == ["web-3"]


def test_11_a_member_that_the_keyring_does_not_know_counts_too():
    fleet = (*FLEET, "web-4")
    assert texts(count(fleet=fleet, web_4=None).findings, "web-4") == ["was not looked at"]
    assert texts(count(fleet=fleet, web_4=seen(RING, record=None)).findings, "web-4") == ["has no record of a visit"]
    assert count(fleet=fleet).complete


def test_1_a_host_that_is_listed_twice_is_counted_once():
    assert count(fleet=(*FLEET, "web-1")).proven == list(FLEET)


def test_1_one_finding_is_enough_whatever_else_is_proven():
    members = [f"web-{number}" for number in range(120)]
    keyring = at("promote", members)
    result = surveyed(keyring, members, fleet_of(keyring, members, web_17=None), survey()).count
    assert (len(result.proven), list(result.findings), result.complete) == (119, ["web-17"], False)


# --- the host's record against the keyring -----------------------------------

FENCE = [
    ("no record", None, "has no record of a visit"),
    ("another keyring", {"keyring": "ring-2"}, "its record is of another keyring (ring-2)"),
    (
        "another keyring that was further",
        {"keyring": "ring-2", "counter": 99},
        "its record is of another keyring (ring-2)",
    ),
    (
        "a later step",
        {"counter": 4, "nonce": "n4", "step": "retire"},
        "has seen step 4 (retire), and this keyring is at 3 (promote)",
    ),
    ("the same counter from another copy", {"nonce": "x3"}, "has seen step 3 (promote)"),
    ("an earlier step", {"counter": 2, "nonce": "n2", "step": "prepare"}, "was last visited at step 2 (prepare)"),
    (
        "a visit that was cut off",
        {"state": "visiting"},
        "its last visit, at 2023-11-14T22:13:20Z, did not end in a proof",
    ),
    ("a visit that failed", {"state": "unproven"}, "did not end in a proof"),
]


@pytest.mark.parametrize("changes, said", [row[1:] for row in FENCE], ids=[row[0] for row in FENCE])
def test_4_a_host_is_proven_only_by_a_visit_of_the_open_step(changes, said):
    entry = seen(RING, record=None if changes is None else record(RING, **changes))
    found = texts(count(web_2=entry).findings)
    assert len(found) == 1
    assert found[0].startswith(said) or said in found[0]


@pytest.mark.parametrize(
    "changes, stops",
    [
        (None, False),
        ({"counter": 2, "nonce": "n2"}, False),
        ({"state": "visiting"}, False),
        ({"state": "unproven"}, False),
        ({}, False),
        ({"keyring": "ring-2"}, True),
        ({"counter": 4}, True),
        ({"nonce": "x3"}, True),
    ],
)
def test_4_a_step_goes_on_unless_a_host_has_seen_more_than_this_keyring(changes, stops):
    entry = seen(RING, record=None if changes is None else record(RING, **changes))
    assert bool(proofs.not_visitable(surveyed(RING, FLEET, fleet_of(RING, web_2=entry), survey()))) is stops


@pytest.mark.parametrize(
    "changes, stops",
    [
        (None, False),
        ({"counter": 2, "nonce": "n2", "state": "unproven"}, False),
        ({}, False),
        ({"state": "visiting"}, True),
        ({"state": "unproven"}, True),
        ({"state": "unproven", "nonce": "x3"}, True),
        pytest.param({"counter": 4, "nonce": "n4"}, True),
        pytest.param({"nonce": "x3"}, True),
        pytest.param({"keyring": "ring-2"}, True),
    ],
)
def test_1_no_batch_begins_after_a_visit_that_was_not_proven_or_behind_another_operator(changes, stops):
    entry = seen(RING, record=None if changes is None else record(RING, **changes))
    assert bool(stops_at(RING, FLEET, fleet_of(RING, web_2=entry), survey(), {})) is stops


def test_1_no_batch_begins_once_a_host_has_dropped_out_of_the_play():
    lost = {"web-3": [Finding("unreachable", "bring it back")]}
    assert stops_at(RING, FLEET, fleet_of(RING), survey(), lost) == lost
    assert stops_at(RING, FLEET, fleet_of(RING, web_3=None), survey(), lost) == lost


def test_1_all_that_keeps_a_batch_from_beginning_is_said_at_once():
    lost = {"web-3": [Finding("unreachable", "bring it back")]}
    evidence = fleet_of(RING, web_1=None, web_2=seen(RING, record=record(RING, state="unproven")), web_3=None)
    assert set(stops_at(RING, FLEET, evidence, survey(), lost)) == set(FLEET)


def test_1_a_batch_begins_while_hosts_that_were_not_visited_are_still_at_the_step_before():
    before = seen(RING, OLD, NEW, record=record(at("prepared")))
    assert stops_at(RING, FLEET, fleet_of(RING, web_2=before, web_3=before), survey(), {}) == {}


@pytest.mark.parametrize("age, renew", [(0, []), (150, []), (150.1, ["web-1"]), (300, ["web-1"])])
def test_1_evidence_is_renewed_before_it_is_too_old(age, renew):
    evidence = {"web-1": seen(RING), "web-2": seen(RING, asked=1000.0 + age), "web-3": seen(RING, nonce="survey-0")}
    assert proofs.stale(Looks(FLEET, evidence, survey(now=1000.0 + age))) == renew


# --- the soak, member by member ----------------------------------------------


def test_10_the_fleet_is_ready_for_retire_when_each_host_is():
    keyring = at("promoted")
    key = keyring["keys"][0]
    evidence = {
        "web-1": seen(keyring, now=T0 + 30 * 86400, record=record(keyring, stopped={OLD: T0})),
        "web-2": seen(keyring, now=T0 + 86400, record=record(keyring, stopped={OLD: T0})),
        "web-3": idle(keyring, now=T0 + 86400),
    }
    assert list(proofs.soak_findings(evidence, [key])) == ["web-2"]
    assert proofs.soak_findings(evidence, []) == {}


def test_the_nonce_of_these_tests_is_not_empty():
    assert NONCE


# --- before a batch: what the other hosts do is still safe -------------------


def before_batch(*batch, visited=(), **odd):
    keyring = at("promote")
    # Hosts that were not visited yet still do what prepare left them with.
    prepared = {member: seen(at("prepared")) for member in FLEET}
    return proofs.batch_findings(surveyed(keyring, FLEET, {**prepared, **odd}, survey()), {}, visited, batch)


def test_2_a_batch_begins_while_every_other_host_is_admissible():
    assert before_batch("web-1") == {}
    assert before_batch("web-2", visited=["web-1"], **{"web-1": seen(at("promote"))}) == {}


def test_2_no_batch_begins_while_a_host_would_refuse_the_new_key():
    found = before_batch("web-1", **{"web-3": seen(at("prepared"), OLD)})
    assert list(found) == ["web-3"]
    assert "does not accept" in found["web-3"][0].seen
    assert "run the role app_keys on it" in found["web-3"][0].advice


def test_2_a_host_that_was_visited_and_changed_since_stops_the_next_batch():
    assert list(before_batch("web-2", visited=["web-1"], **{"web-1": seen(at("promote"), OLD, NEW)})) == ["web-1"]
    assert list(before_batch("web-2", visited=["web-1"], **{"web-1": seen(at("promote"), record=None)})) == ["web-1"]


def test_2_hosts_that_are_not_safe_are_mended_first():
    odd = {member: seen(at("prepared"), OLD) for member in ("web-2", "web-3")}
    assert proofs.visiting_order(surveyed(at("promote"), FLEET, odd)) == ["web-2", "web-3", "web-1"]
    assert before_batch("web-2", **odd) == {}
    assert list(before_batch("web-1", **odd)) == ["web-2", "web-3"]
