# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A framework that takes few keys: a rollout that has no place is told so before it begins, with what to do."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import limits, next_step, steps
from builders import CLOSED, NEW, OLD, SOAK, adopt, rolled

BEGUN = CLOSED["adopt"]
GAP = 1000.0


def authjs(rollouts: int) -> Dict[str, Any]:
    """The keyring of an Auth.js fleet after so many rollouts, shortly after one another."""
    keyring: Any = {**steps.close_step(adopt(), BEGUN), "framework": "authjs"}
    for number in range(rollouts):
        keyring = rolled(keyring, BEGUN + GAP * (number + 1), number + 2)
    return dict(keyring)


@pytest.mark.parametrize(("rollouts", "fits"), [(0, True), (1, True), (2, True), (3, False)])
@pytest.mark.parametrize("goal", ["prepare", "rollout"])
def test_a_rollout_begins_while_there_is_a_place_for_its_key(rollouts: int, fits: bool, goal: str) -> None:
    decision = next_step.decide(authjs(rollouts), "prepare", goal, BEGUN + 10 * GAP, new=True)
    assert decision.action == ("open" if fits else "refuse")
    if fits:
        keys = frameworks.Keys("new", ["new", *map(str, range(rollouts + 1))])
        assert frameworks.encode(frameworks.profile("authjs"), keys)
    else:
        assert (
            "authjs takes 4 keys, and there is no place for another beside the 4 that every host accepts"
            in decision.text
        )
        assert f"{OLD} soaks until {stamp(BEGUN + GAP + SOAK['seconds'])}; {NEW} soaks until " in decision.text
        assert "phased.keys.retire" in decision.text and "app_keys_compromised=FINGERPRINT" in decision.text


def test_the_same_keys_have_a_place_where_there_is_no_limit() -> None:
    keyring: Any = {**authjs(3), "framework": "django"}
    assert limits.why_no_place(keyring) is None
    assert next_step.decide(keyring, "prepare", "prepare", BEGUN + 10 * GAP).action == "open"


def test_a_rollout_that_nobody_asked_for_anew_waits_for_retire_without_a_word() -> None:
    assert next_step.decide(authjs(3), "prepare", "rollout", BEGUN + 10 * GAP) == next_step.Decision("skip", "")
    assert next_step.decide(authjs(3), "retire", "rollout", BEGUN + 10 * GAP).action == "wait"


def test_where_retire_is_due_it_makes_the_place_in_the_same_run() -> None:
    over = BEGUN + GAP + SOAK["seconds"] + 1
    keyring: Any = authjs(3)
    decision = next_step.decide(keyring, "prepare", "rollout", over, new=True)
    assert decision.action == "skip" and decision.text.endswith(
        "Retire is due and comes first: run phased.keys.rollout again then"
    )
    assert next_step.decide(keyring, "retire", "rollout", over).action == "open"
    keyring = steps.close_step(steps.open_step(keyring, "retire", over, "n"), over)
    assert next_step.decide(keyring, "prepare", "rollout", over, new=True).action == "open"


def test_a_leaked_key_that_has_no_place_to_be_rolled_is_told_what_makes_one() -> None:
    keyring: Any = authjs(3)
    signs = keyrings.primary(keyring)["fingerprint"]
    keyring = steps.mark_compromised(keyring, signs, BEGUN + 9 * GAP)
    assert next_step.decide(keyring, "prepare", "rollout", BEGUN + 10 * GAP).action == "refuse"
    keyring = steps.mark_compromised(keyring, OLD, BEGUN + 9 * GAP)
    assert f"{OLD} has no soak" in str(limits.why_no_place(keyring))
    assert next_step.decide(keyring, "retire", "rollout", BEGUN + 10 * GAP).action == "open"


def test_an_unknown_framework_has_no_limit_of_its_own() -> None:
    keyring: Any = {**authjs(3), "framework": "of-a-later-release"}
    assert limits.why_no_place(keyring) is None
