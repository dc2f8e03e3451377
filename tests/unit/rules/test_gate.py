# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate as a whole: a keyring, a request and the fleet's evidence in, a verdict out."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import emergency, gate, membership, next_step, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import (
    CLOSED,
    DAY,
    FLEET,
    FP,
    HOUR,
    NEW,
    NEXT,
    OLD,
    SECRETS,
    SOAK,
    T0,
    at,
    fleet_of,
    opened,
    rolled,
    seen,
    states,
    survey,
    surveyed,
)

NOW = CLOSED["promote"] + DAY
OVER = CLOSED["promote"] + SOAK["seconds"]
# The hosts' own clocks have soaked as well.
SOAKED = T0 + 40 * DAY


def request(phase, goal="rollout", **changes):
    new_key = SECRETS[3]
    return PhaseRequest(**{"phase": phase, "goal": goal, "nonce": "n-new", "soak": SOAK, "new_key": new_key, **changes})


def ask(keyring, phase, now=NOW, goal="rollout", evidence=None, fleet=FLEET, **changes):
    found = fleet_of(keyring) if evidence is None else evidence
    for entry in found.values():
        entry["now"] = SOAKED
    return gate.opening(surveyed(keyring, fleet, found, survey()._replace(clock=now)), request(phase, goal, **changes))


@pytest.mark.parametrize(
    "name, phase, step",
    [
        ("adopt", "prepare", "prepare"),
        ("adopted", "prepare", "prepare"),
        ("prepare", "promote", "promote"),
        ("prepared", "promote", "promote"),
        ("prepared", "rollback", "withdraw"),
        ("promote", "rollback", "rollback"),
    ],
)
def test_3_a_step_opens_when_it_is_next_and_every_member_is_proven(name, phase, step):
    verdict = ask(at(name), phase, goal=phase)
    assert verdict.outcome == "visit"
    assert (verdict.keyring["step"]["name"], verdict.keyring["step"]["closed"]) == (step, None)
    assert verdict.keyring["step"]["nonce"] == "n-new"
    assert list(verdict.visit) == list(FLEET)
    assert f"{step} is open" in verdict.text


@pytest.mark.parametrize("name, phase", [("adopt", "prepare"), ("prepare", "promote"), ("promote", "retire")])
@pytest.mark.parametrize("odd", [None, "stale"])
def test_3_one_member_that_is_not_proven_is_enough_to_refuse(name, phase, odd):
    keyring = at(name)
    evidence = fleet_of(keyring, web_2=None if odd is None else seen(keyring, FP[7]))
    verdict = ask(keyring, phase, evidence=evidence)
    assert (verdict.outcome, verdict.keyring) == ("refuse", keyring)
    assert verdict.text.startswith(f"{phase} is not safe yet: 2 of 3 hosts")
    assert "web-2" in verdict.text
    assert "Nothing was changed" in verdict.text


def test_3_the_step_before_is_closed_in_the_same_write():
    keyring = ask(at("prepare"), "promote").keyring
    assert [entry["event"] for entry in keyring["journal"][-2:]] == [
        "prepare closed: all 3 members are proven",
        "promote opened",
    ]
    assert all(member["proven"] == 2 for member in keyring["members"].values())


def test_12_a_rollback_opens_with_a_host_down_and_says_whom_it_leaves_for_later():
    keyring = at("promoted")
    verdict = ask(keyring, "rollback", goal="rollback", evidence=fleet_of(keyring, web_2=None))
    assert (verdict.outcome, list(verdict.visit)) == ("visit", ["web-1", "web-3"])
    assert "2 of 3 hosts can be visited now; left out, and to be visited by a later run: web-2" in verdict.text
    assert "the soak will be 14d" in verdict.text


def test_12_a_rollback_that_only_waits_for_a_host_that_is_down_says_so():
    keyring = ask(at("promoted"), "rollback", goal="rollback").keyring
    verdict = ask(keyring, "rollback", goal="rollback", evidence=fleet_of(keyring, web_2=None))
    assert (verdict.outcome, verdict.keyring) == ("refuse", keyring)
    assert verdict.text.startswith("rollback is not complete: 2 of 3 hosts sign with")


def test_12_with_no_host_in_reach_no_rollback_opens():
    verdict = ask(at("promoted"), "rollback", goal="rollback", evidence={})
    assert verdict.outcome == "refuse"
    assert "rollback: no host can be visited: 0 of 3" in verdict.text


def test_a_rollout_waits_for_the_soak_and_opens_retire_after_it():
    assert ask(at("promoted"), "retire").outcome == "stay"
    assert ask(at("promoted"), "retire", now=OVER).keyring["step"]["name"] == "retire"


def test_10_a_host_whose_own_clock_is_behind_is_waited_for():
    keyring = at("promoted")
    evidence = fleet_of(keyring)
    for entry in evidence.values():
        entry["record"]["stopped"] = {OLD: SOAKED - DAY}
    verdict = ask(keyring, "retire", now=OVER, evidence=evidence)
    assert (verdict.outcome, verdict.keyring["step"]["name"]) == ("stay", "promote")
    assert "waiting for the soak on 3 of 3 hosts" in verdict.text


def test_check_mode_says_for_every_host_what_would_change_and_writes_nothing():
    keyring = at("prepared")
    verdict = ask(keyring, "promote", checking=True)
    assert (verdict.outcome, verdict.keyring["step"]["name"]) == ("stay", "prepare")
    assert "promote would open: 3 of 3 hosts" in verdict.text
    for host in FLEET:
        assert f"  {host}  write /etc/shop.env: signs with {NEW} instead of {OLD}; restart shop.service" in verdict.text


def test_check_mode_does_not_name_a_key_that_is_not_there_yet():
    text = ask(at("adopted"), "prepare", checking=True).text
    assert "accepts a new key" in text
    assert NEXT not in text


def test_a_step_that_is_open_goes_on_with_those_that_are_not_proven():
    keyring = at("promote")
    evidence = fleet_of(keyring, web_2=seen(at("prepared")))
    verdict = ask(keyring, "current", evidence=evidence)
    assert (verdict.outcome, list(verdict.visit)) == ("visit", ["web-2"])
    assert "2 of 3 hosts" in verdict.text


def test_the_closing_count_closes_once():
    keyring = at("promote")
    look = survey()._replace(clock=NOW)
    verdict = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), look))
    assert verdict.keyring["step"]["closed"] is not None
    again = gate.closing(surveyed(verdict.keyring, FLEET, fleet_of(verdict.keyring), look))
    assert (again.outcome, again.keyring) == ("stay", verdict.keyring)


def test_a_host_that_was_set_aside_and_answers_is_counted_like_any_other():
    keyring = membership.waive(at("promote"), ["web-2"], "dead disk", DAY, NOW - HOUR)
    keyring = membership.end_waivers(keyring, fleet_of(keyring), NOW)
    assert keyring["waivers"] == []
    verdict = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=NOW)))
    assert [entry["event"] for entry in verdict.keyring["journal"][-2:]] == [
        "answers again: its waiver has ended", "promote closed: all 3 members are proven",
    ]  # fmt: skip


def test_a_sealed_secret_is_destroyed_by_the_first_count_without_a_waiver():
    keyring = membership.waive(at("retire"), ["web-2"], "dead disk", DAY, NOW - HOUR)
    look = survey()._replace(clock=NOW)
    keyring = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring, web_2=None), look)).keyring
    assert keyrings.find(keyring, OLD)["secret"]
    keyring = membership.end_waivers(keyring, ["web-2"], NOW)
    keyring = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), look)).keyring
    assert keyrings.find(keyring, OLD)["secret"] is None


# --- a key that has leaked -------------------------------------------------------


def leaked(keyring, key):
    return steps.mark_compromised(keyring, key, NOW)


def run(keyring, now=NOW):
    """What a whole rollout does: the steps that it opens, and the keyring afterwards."""
    taken = []
    for phase in ("current", "prepare", "promote", "retire"):
        verdict = ask(keyring, phase, now=now)
        assert verdict.outcome in ("visit", "stay"), verdict.text
        keyring = verdict.keyring
        if verdict.outcome == "visit":
            taken.append(keyring["step"]["name"])
            keyring = gate.closing(surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=now))).keyring
    return taken, keyring


@pytest.mark.parametrize(
    "name, key, taken, after",
    [
        ("adopted", OLD, ["prepare", "promote", "retire"], {OLD: "retired", NEXT: "primary"}),
        ("retired", NEW, ["prepare", "promote", "retire"], {OLD: "retired", NEW: "retired", NEXT: "primary"}),
        ("promoted", OLD, ["retire"], {OLD: "retired", NEW: "primary"}),
        ("promote", OLD, ["retire"], {OLD: "retired", NEW: "primary"}),
        ("prepare", OLD, ["promote", "retire"], {OLD: "retired", NEW: "primary"}),
        ("prepare", NEW, ["withdraw"], {OLD: "primary", NEW: "withdrawn"}),
        ("prepared", NEW, ["withdraw"], {OLD: "primary", NEW: "withdrawn"}),
        ("promoted", NEW, ["prepare", "promote", "retire"], {OLD: "retiring", NEW: "retired", NEXT: "primary"}),
        ("promote", NEW, ["prepare", "promote", "retire"], {OLD: "retiring", NEW: "retired", NEXT: "primary"}),
    ],
)
def test_14_a_leaked_key_is_gone_after_one_run_wherever_it_was_found(name, key, taken, after):
    done, keyring = run(leaked(at(name), key))
    assert (done, states(keyring)) == (taken, after)
    assert "compromised" in keyrings.find(keyring, key)["marks"]
    assert keyrings.find(keyring, key)["secret"] is None


def test_14_a_leaked_key_is_let_go_of_with_the_evidence_that_closed_promote():
    """By no host's own clock either: a soak of two weeks began this very moment everywhere."""
    keyring = leaked(at("promoted"), OLD)
    evidence = {member: {**entry, "now": CLOSED["promote"]} for member, entry in fleet_of(keyring).items()}
    for entry in evidence.values():
        entry["record"]["stopped"] = {OLD: CLOSED["promote"]}
    verdict = gate.opening(
        surveyed(keyring, FLEET, evidence, survey()._replace(clock=CLOSED["promote"])), request("retire")
    )
    assert (verdict.outcome, states(verdict.keyring)) == ("visit", {OLD: "dropping", NEW: "primary"})
    # The same one without the mark waits.
    waits = gate.opening(
        surveyed(at("promoted"), FLEET, evidence, survey()._replace(clock=CLOSED["promote"])), request("retire")
    )
    assert waits.outcome == "stay"


def test_14_other_keys_keep_their_soak():
    keyring = rolled(at("promoted"), CLOSED["promote"] + HOUR, 4)
    done, keyring = run(leaked(keyring, OLD))
    assert (done, states(keyring)[NEW]) == (["retire"], "retiring")


def test_14_a_leaked_key_never_signs_again():
    with pytest.raises(KeyringError, match="has not leaked"):
        opened(leaked(at("prepared"), NEW), "promote", NOW)
    assert "never signs again" in next_step.why_no_rollback(leaked(at("promoted"), OLD))
    assert "never signs" in next_step.why_no_promote(leaked(at("prepared"), NEW))


def test_8_no_failed_visit_brings_a_leaked_key_back():
    order = keyrings.order(opened(leaked(at("prepared"), OLD), "promote", NOW))
    assert order.admits(OLD, [OLD, NEW]) and not order.may_restore(OLD, [OLD, NEW])
    order = keyrings.order(opened(leaked(at("promoted"), OLD), "retire", NOW))
    assert order.admits(NEW, [NEW, OLD]) and not order.may_restore(NEW, [NEW, OLD])
    # Where the step itself asks for nothing else, the previous settings are no worse than the new ones.
    order = keyrings.order(opened(leaked(at("adopted"), OLD), "prepare", NOW, 2))
    assert order.may_restore(OLD, [OLD])


def test_14_a_key_is_marked_once_and_only_if_the_keyring_knows_it():
    keyring = leaked(at("promoted"), OLD)
    assert leaked(keyring, OLD) is keyring
    with pytest.raises(KeyringError, match="which this keyring never held; it holds"):
        leaked(keyring, FP[6])


@pytest.mark.parametrize(
    "name, key, said",
    [
        ("adopted", OLD, ["signs now", "every login", "password reset link", "whoever has the key can still use it"]),
        ("promoted", OLD, ["its soak, which would last until 2023-11-29T00:23:20Z, is waived", "every login"]),
        ("prepared", NEW, ["has never signed", "nothing that anybody holds ends"]),
        ("retire", OLD, ["is being let go of already"]),
        ("retired", OLD, ["is retired: no host is to accept it"]),
        ("promote", OLD, ["does not sign after the step that is under way; its soak is waived", "every login"]),
        ("retired", FP[6], [f"{FP[6]} is unknown: no host is to accept it"]),
    ],
)
def test_14_what_it_costs_is_said_by_what_the_key_did(name, key, said):
    text = emergency.cost(at(name), key)
    assert all(part in text for part in said), text


def test_14_every_framework_says_what_ends_with_its_key():
    from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import PROFILES

    assert all(form["ends"] for form in PROFILES.values())


# --- a keyring that cannot be written ---------------------------------------------


def test_where_the_keyring_cannot_be_written_it_is_said_what_holds():
    prepared = at("prepared")
    opening = ask(prepared, "promote").keyring
    assert gate.unwritten(prepared, opening).startswith("promote was not opened: no host was visited for it")
    # A step that closes as the next one opens: that one counts.
    assert gate.unwritten(at("prepare"), ask(at("prepare"), "promote").keyring).startswith("promote was not opened")
    for name, closed, playbook in (("promote", "promoted", "rollout"), ("adopt", "adopted", "adopt")):
        said = gate.unwritten(at(name), at(closed))
        assert said.startswith(f"Every member is proven at {name} and stays as it is")
        assert f"so {name} stays open: when that is fixed run phased.keys.{playbook}," in said
    joined = membership.register(prepared, ["web-9"], NOW)
    waived = membership.waive(at("prepare"), ["web-2"], "its disk is dead", DAY, NOW)
    for before, after in ((prepared, joined), (at("prepare"), waived)):
        assert gate.unwritten(before, after).startswith("No step was opened or closed, and every host stays as it is")


# --- rollouts that overlap their soaks -------------------------------------------


def test_a_new_rollout_that_is_asked_for_does_not_wait_for_a_soak_to_end():
    verdict = ask(at("promoted"), "prepare", new=True)
    assert (verdict.outcome, states(verdict.keyring)) == ("visit", {OLD: "retiring", NEW: "primary", NEXT: "staged"})
    assert ask(at("promoted"), "prepare").outcome == "stay"


@pytest.mark.parametrize(
    "name, wait, may",
    [
        ("adopted", 0.0, True),
        ("retired", 0.0, True),
        ("prepare", 0.0, False),
        ("prepared", 0.0, False),
        ("promote", 0.0, False),
        ("retire", 0.0, False),
        ("promoted", 0.0, True),
        # A run that would wait for the soak itself takes up the rollout that soaks.
        ("promoted", 30 * DAY, False),
    ],
)
def test_5_the_same_command_after_a_kill_does_not_begin_another_rollout(name, wait, may):
    assert next_step.may_begin(at(name), wait, NOW) is may
    assert not next_step.may_begin(at("promoted"), 0.0, OVER), "one that is due is finished first"


# --- what an incident must not wait for -------------------------------------------


def test_14_a_leaked_key_does_not_wait_for_another_that_has_not_soaked_on_some_host():
    keyring = leaked(rolled(at("promoted"), CLOSED["promote"] + HOUR, 4), NEW)
    evidence = fleet_of(keyring)
    evidence["web-2"]["record"]["stopped"] = {OLD: SOAKED - DAY}
    verdict = ask(keyring, "retire", now=OVER, evidence=evidence)
    assert verdict.outcome == "visit"
    assert (states(verdict.keyring)[NEW], states(verdict.keyring)[OLD]) == ("dropping", "retiring")


def test_14_a_leaked_key_that_is_on_its_way_is_not_brought_to_the_other_hosts_first():
    keyring = leaked(at("prepare"), NEW)
    evidence = fleet_of(keyring, web_2=seen(at("adopted")), web_3=None)
    assert [gate.ask(keyring, request(phase), NOW).action for phase in ("current", "prepare", "promote")] == [
        "skip"
    ] * 3
    verdict = ask(keyring, "retire", evidence=evidence)
    assert (verdict.outcome, verdict.keyring["step"]["name"], list(verdict.visit)) == (
        "visit",
        "withdraw",
        ["web-1", "web-2"],
    )


def test_4_a_copy_of_the_keyring_cannot_take_back_what_another_has_opened():
    keyring = at("promoted")
    other = seen(keyring)
    other["record"]["nonce"] = "of the other copy"
    verdict = ask(keyring, "rollback", goal="rollback", evidence=fleet_of(keyring, web_2=other))
    assert verdict.outcome == "refuse"
    assert "has seen step 3 (promote)" in verdict.text


def test_a_check_of_a_rollout_goes_on_where_visits_are_all_that_is_missing():
    keyring = at("retired")
    joined = [*FLEET, "web-9"]
    evidence = {**fleet_of(keyring), "web-9": seen(keyring, record=None)}
    later = CLOSED["retire"] + 2 * DAY
    assert ask(keyring, "prepare", now=later, evidence=evidence, fleet=joined, checking=True).outcome == "stay"
    assert ask(keyring, "prepare", now=later, evidence=evidence, fleet=joined).outcome == "refuse"
    del evidence["web-9"]
    assert ask(keyring, "prepare", now=later, evidence=evidence, fleet=joined, checking=True).outcome == "refuse"


def test_what_is_next_in_an_emergency_is_said_first():
    assert "is compromised: run phased.keys.rollout" in next_step.next_text(leaked(at("retired"), NEW), NOW)
    assert "is taken back: run phased.keys.rollout" in next_step.next_text(leaked(at("prepare"), NEW), NOW)


def test_what_an_emergency_costs_depends_on_the_playbook():
    assert "phased.keys.rollback does its own step alone" in emergency.cost(at("promoted"), NEW, "rollback")
    # Only where the key signs does it matter which playbook it is.
    for name, key in (("promoted", OLD), ("prepared", NEW), ("retire", OLD)):
        assert emergency.cost(at(name), key, "rollback") == emergency.cost(at(name), key)


CLOSINGS = [
    ("prepare", "promote is next"),
    ("promote", "retire is due in "),
    ("retire", "no rollout is in progress"),
    ("rollback", "retire is due in "),
]


@pytest.mark.parametrize("step, what", CLOSINGS)
def test_a_run_that_goes_on_by_itself_tells_nobody_to_run_it(step, what):
    keyring = opened(at("promoted"), "rollback", NOW) if step == "rollback" else at(step)
    looked = surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=NOW))
    ends = gate.closing(looked).text
    goes_on = gate.closing(looked, goes_on=True).text
    assert what.replace("retire", "withdraw" if step == "rollback" else "retire") in goes_on
    assert "run phased.keys" not in goes_on and ends.startswith(goes_on)
    assert ("run phased.keys" in ends) == (step != "retire")


@pytest.mark.parametrize(
    "phase, goal, told", [("current", "rollout", False), ("current", "adopt", True), ("promote", "promote", True)]
)
def test_a_step_that_is_found_done_tells_to_run_only_where_the_run_ends(phase, goal, told):
    verdict = ask(at("promote"), phase, goal=goal)
    assert ("run phased.keys" in verdict.text) == told


@pytest.mark.parametrize(
    "goal, phase, goes_on",
    [("rollout", "current", True), ("rollout", "prepare", True), ("rollout", "promote", True), ("rollout", "retire", False)]
    + [(phase, phase, False) for phase in ("prepare", "promote", "retire", "rollback")] + [("adopt", "current", False)],
)  # fmt: skip
def test_only_a_rollout_goes_on_and_not_after_its_last_phase(goal, phase, goes_on):
    assert next_step.goes_on(goal, phase) == goes_on
