# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a rollout back: when it may be, what it makes of the keys, and whom it does not wait for (rule 12)."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, soak, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import (
    CLOSED,
    DAY,
    FLEET,
    HOUR,
    NEW,
    NEXT,
    OLD,
    SOAK,
    adopt,
    at,
    fleet_of,
    opened,
    rolled,
    seen,
    states,
    survey,
    surveyed,
    unit,
)

SOON = CLOSED["promote"] + HOUR


def ask(keyring, now=SOON):
    return next_step.decide(keyring, "rollback", "rollback", now)


@pytest.mark.parametrize(
    "name, do, step",
    [
        ("prepare", "open", "withdraw"),
        ("prepared", "open", "withdraw"),
        ("promote", "open", "rollback"),
        ("promoted", "open", "rollback"),
        ("adopt", "refuse", ""),
        ("adopted", "refuse", ""),
        ("retire", "refuse", ""),
        ("retired", "refuse", ""),
    ],
)
def test_12_a_rollout_is_taken_back_until_retire_opens(name, do, step):
    decision = ask(at(name))
    assert (decision.action, decision.step) == (do, step)


@pytest.mark.parametrize("name", ["retire", "retired"])
def test_12_once_retire_has_opened_the_reason_is_said(name):
    assert f"retire has opened for {OLD}" in ask(at(name)).text
    with pytest.raises(KeyringError, match="no key to go back to"):
        opened(at(name), "rollback", SOON)


def test_a_key_that_never_signed_is_let_go_of_at_once_and_never_used():
    keyring = opened(at("prepare"), "withdraw", SOON)
    assert states(keyring) == {OLD: "primary", NEW: "dropping"}
    order = keyrings.order(keyring)
    assert (order.signs, order.accepts, order.may_sign, order.must_accept) == (OLD, [OLD], [OLD], [OLD])
    assert order.admits(OLD, [OLD, NEW])
    keyring = steps.close_step(keyring, SOON)
    assert states(keyring) == {OLD: "primary", NEW: "withdrawn"}
    assert keyrings.find(keyring, NEW)["secret"] is None
    assert "rolled_back" in keyrings.find(keyring, NEW)["marks"]


@pytest.mark.parametrize("name", ["promote", "promoted"])
def test_12_the_key_before_signs_again_and_the_new_one_gets_a_soak_of_its_own(name):
    keyring = opened(at(name), "rollback", SOON)
    assert states(keyring) == {OLD: "primary", NEW: "retiring"}
    order = keyrings.order(keyring)
    assert (order.signs, order.accepts) == (OLD, [OLD, NEW])
    assert sorted(order.may_sign) == order.must_accept == sorted([OLD, NEW])
    assert soak.next_due(keyring) is None
    keyring = steps.close_step(keyring, SOON + HOUR)
    assert soak.next_due(keyring) == SOON + HOUR + SOAK["seconds"]
    assert "soaking" not in keyrings.find(keyring, OLD)["times"]
    assert next_step.decide(keyring, "retire", "rollout", SOON + DAY) == (
        "wait", f"waiting for the soak of {NEW}: withdraw is due in 13d 1h, at 2023-11-29T02:23:20Z: run phased.keys.rollout again then", "",
        SOON + HOUR + SOAK["seconds"], "soak",
    )  # fmt: skip


def rolled_back():
    return steps.close_step(opened(at("promoted"), "rollback", SOON), SOON)


def test_after_its_soak_a_key_that_was_taken_back_is_withdrawn():
    keyring, over = rolled_back(), SOON + SOAK["seconds"]
    decision = next_step.decide(keyring, "retire", "rollout", over)
    assert (decision.action, decision.step) == ("open", "withdraw")
    keyring = steps.close_step(opened(keyring, "withdraw", over), over)
    assert states(keyring) == {OLD: "primary", NEW: "withdrawn"}
    assert not keyrings.is_open(keyring)


def test_taking_back_again_finds_nothing_to_do():
    decision = ask(rolled_back())
    assert decision.action == "skip"
    assert "withdraw is due" in decision.text
    assert ask(opened(at("promoted"), "rollback", SOON)).action == "resume"


def test_a_key_that_was_taken_back_never_signs_again():
    # The next key takes its place; taking that one back leads to the key that signed, never to the one in between.
    keyring = rolled(rolled_back(), SOON + HOUR, 3)
    assert states(keyring) == {OLD: "retiring", NEW: "retiring", NEXT: "primary"}
    keyring = opened(keyring, "rollback", SOON + DAY)
    assert states(keyring) == {OLD: "primary", NEW: "retiring", NEXT: "retiring"}
    # And nothing leads back to what was before that one.
    keyrings.primary(keyring)["after"] = NEW
    assert "rolled back" in next_step.why_no_rollback(keyring)


def test_while_an_older_key_is_let_go_of_the_last_rollout_can_still_be_taken_back():
    keyring = rolled(at("promoted"), CLOSED["promote"] + 10 * DAY, 3)
    over = CLOSED["promote"] + SOAK["seconds"]
    keyring = opened(keyring, "retire", over)
    assert states(keyring) == {OLD: "dropping", NEW: "retiring", NEXT: "primary"}
    keyring = opened(keyring, "rollback", over + HOUR)
    order = keyrings.order(keyring)
    assert (order.signs, sorted(order.accepts)) == (NEW, sorted([NEW, NEXT]))
    assert order.admits(NEXT, [NEXT, NEW, OLD]) and order.admits(NEXT, [NEXT, NEW])
    assert states(steps.close_step(keyring, over + DAY)) == {OLD: "retired", NEW: "primary", NEXT: "retiring"}


def test_both_keys_may_sign_until_the_rollback_is_closed_whatever_was_open_before():
    keyring = opened(at("promote"), "rollback", SOON)
    for signs in (OLD, NEW):
        assert keyrings.order(keyring).admits(signs, [OLD, NEW])
    assert not keyrings.order(steps.close_step(keyring, SOON)).admits(NEW, [OLD, NEW])


# --- whom it does not wait for --------------------------------------------------


def blocked(keyring, members=FLEET, fleet=FLEET, **odd):
    return list(proofs.not_visitable(surveyed(keyring, fleet, fleet_of(at("promoted"), members, **odd), survey())))


def test_12_a_rollback_does_not_wait_for_a_host_that_was_proven_when_the_new_key_came():
    keyring = opened(at("promoted"), "rollback", SOON)
    assert blocked(keyring, web_2=None) == []
    assert blocked(at("promoted"), web_2=None) == ["web-2"]


def test_12_it_waits_for_one_that_was_not():
    keyring = opened(at("promoted"), "rollback", SOON)
    for proven in (None, 1):
        keyring["members"]["web-2"]["proven"] = proven
        assert blocked(keyring, web_2=None) == ["web-2"]


def test_1_a_host_that_vanished_from_the_inventory_is_not_excused():
    keyring = opened(at("promoted"), "rollback", SOON)
    assert blocked(keyring, fleet=FLEET[:2]) == ["web-3"]


def test_4_a_host_that_has_seen_a_later_step_is_not_excused():
    keyring = opened(at("promote"), "rollback", SOON)
    late = seen(at("promote"))
    late["record"]["counter"] = 9
    assert blocked(keyring, web_2=late) == ["web-2"]


@pytest.mark.parametrize("cut_off, stopped", [(["web-2"], []), ([], ["web-2"])])
def test_12_a_host_that_is_lost_in_its_batch_stops_a_rollback_only_if_its_visit_failed(cut_off, stopped):
    keyring = opened(at("promoted"), "rollback", SOON)
    evidence = fleet_of(at("promoted"), web_2=None)
    lost = {"web-2": [Finding("was lost", "fix it")]}
    found = proofs.batch_findings(
        surveyed(keyring, FLEET, evidence, survey()._replace(cut_off=cut_off)), lost, [], ["web-3"]
    )
    assert list(found) == stopped


def test_a_key_that_never_signed_is_taken_back_whoever_is_away():
    keyring = opened(at("prepare"), "withdraw", SOON)
    keyring["members"]["web-2"]["proven"] = None
    assert blocked(keyring, web_2=None) == []


def test_a_first_keyring_has_nothing_to_go_back_to():
    assert "has promoted no key yet" in ask(steps.close_step(adopt(), SOON)).text


# --- what it is not about --------------------------------------------------------


def later_rollout():
    """NEW was taken back and soaks; NEXT has been promoted since."""
    return rolled(rolled_back(), SOON + DAY, 3)


@pytest.mark.parametrize("closed", [False, True])
def test_a_withdraw_of_an_older_key_is_not_taken_for_the_rollback_that_is_asked_for(closed):
    over = SOON + SOAK["seconds"]
    keyring = opened(later_rollout(), "withdraw", over)
    decision = ask(steps.close_step(keyring, over) if closed else keyring, over + HOUR)
    assert (decision.action, decision.step) == ("open", "rollback")


def test_what_was_taken_back_is_said_and_how_to_go_further():
    keyring = opened(at("promoted"), "prepare", SOON, 3)
    keyring = steps.close_step(opened(keyring, "withdraw", SOON), SOON)
    decision = ask(keyring)
    assert decision.action == "skip"
    assert f"{NEW} signs" in decision.text and "To take that back too, give -e app_keys_new=true" in decision.text
    assert next_step.decide(keyring, "rollback", "rollback", SOON, new=True).step == "rollback"
    assert "take that back too" not in ask(rolled_back()).text


def test_12_a_host_on_which_nothing_runs_before_and_after_holds_up_nobody():
    keyring = opened(at("promoted"), "rollback", SOON)
    down = seen(keyring, workers=[], units=[unit("failed")])
    evidence = fleet_of(at("promoted"), web_2=down)
    assert proofs.batch_findings(surveyed(keyring, FLEET, evidence, survey()), {}, ["web-2"], ["web-3"]) == {}
    ordinary = at("promoted")
    assert proofs.batch_findings(surveyed(ordinary, FLEET, evidence, survey()), {}, ["web-2"], ["web-3"])
    assert list(surveyed(keyring, FLEET, evidence, survey()).count.findings) == list(FLEET), "and it is not proven"


def test_retire_after_a_withdraw_is_done_too():
    over = SOON + SOAK["seconds"]
    keyring = steps.close_step(opened(rolled_back(), "withdraw", over), over)
    assert next_step.decide(keyring, "retire", "retire", over).action == "skip"
