# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which step may come next: rules 3 and 5, and the column "opens when" of the table of steps."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import VARIABLES
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, soak, steps
from builders import CLOSED, DAY, HOUR, NEW, OLD, OPENED, SECRETS, SOAK, adopt, at, opened, rolled, states

SOON = CLOSED["promote"] + DAY
OVER = CLOSED["promote"] + SOAK["seconds"]
LATER = CLOSED["retire"] + HOUR


@pytest.mark.parametrize(
    "name, step, now, do",
    [
        ("adopt", "adopt", SOON, "resume"),
        ("adopted", "adopt", SOON, "skip"),
        ("adopt", "prepare", SOON, "open"),
        ("adopted", "prepare", SOON, "open"),
        ("adopted", "promote", SOON, "refuse"),
        ("adopted", "retire", SOON, "refuse"),
        ("prepare", "prepare", SOON, "resume"),
        ("prepare", "promote", SOON, "open"),
        ("prepare", "retire", SOON, "refuse"),
        ("prepared", "prepare", SOON, "skip"),
        ("prepared", "promote", SOON, "open"),
        ("prepared", "retire", SOON, "refuse"),
        ("promote", "promote", SOON, "resume"),
        ("promoted", "promote", SOON, "skip"),
        ("promoted", "prepare", SOON, "open"),
        ("promoted", "retire", SOON, "wait"),
        ("promoted", "retire", OVER - 1, "wait"),
        ("promoted", "retire", OVER, "open"),
        ("retire", "retire", LATER, "resume"),
        ("retire", "promote", LATER, "refuse"),
        ("retired", "retire", LATER, "skip"),
        ("retired", "promote", LATER, "refuse"),
        ("retired", "prepare", LATER, "open"),
    ],
)
def test_3_one_step_at_a_time(name, step, now, do):
    assert next_step.decide(at(name), step, step, now).action == do


@pytest.mark.parametrize(
    "name, now, expected",
    [
        ("adopt", SOON, ["open", "skip", "skip"]),
        ("adopted", SOON, ["open", "skip", "skip"]),
        ("prepare", SOON, ["resume", "open", "skip"]),
        ("prepared", SOON, ["skip", "open", "skip"]),
        ("promote", SOON, ["skip", "resume", "open"]),
        ("promoted", SOON, ["skip", "skip", "wait"]),
        ("promoted", OVER, ["skip", "skip", "open"]),
        ("promoted", OVER + 90 * DAY, ["skip", "skip", "open"]),
        ("retire", LATER, ["skip", "skip", "resume"]),
        ("retire", LATER + 90 * DAY, ["skip", "skip", "resume"]),
        ("retired", LATER, ["skip", "skip", "skip"]),
        ("retired", LATER + 90 * DAY, ["open", "skip", "skip"]),
    ],
)
def test_5_a_rollout_finishes_what_is_in_flight(name, now, expected):
    keyring = at(name)
    assert [
        next_step.decide(keyring, step, "rollout", now).action for step in ("prepare", "promote", "retire")
    ] == expected


@pytest.mark.parametrize(
    "age, max_age, new, do",
    [
        (0, DAY, False, "skip"),
        (DAY, DAY, False, "skip"),
        (DAY + 1, DAY, False, "open"),
        (30 * DAY, 90 * DAY, False, "skip"),
        (0, 0, False, "skip"),
        (1, 0, False, "open"),
        (0, DAY, True, "open"),
        (-HOUR, DAY, False, "skip"),
    ],
)
def test_5_a_re_run_never_rotates_twice_unless_old_enough_or_asked(age, max_age, new, do):
    decision = next_step.decide(at("retired"), "prepare", "rollout", CLOSED["retire"] + age, max_age, new)
    assert decision.action == do
    if do == "skip":
        assert "nothing to do" in decision.text
        assert "-e app_keys_new=true" in decision.text


@pytest.mark.parametrize("name", ["prepare", "promote", "retire"])
def test_5_a_new_rollout_that_is_asked_for_waits_for_the_step_in_flight(name):
    decision = next_step.decide(at(name), "prepare", "rollout", LATER, new=True)
    assert decision.action == ("resume" if name == "prepare" else "skip")


def test_5_asked_for_while_a_key_is_staged_no_second_is_made():
    assert next_step.decide(at("prepared"), "prepare", "rollout", LATER, new=True).action == "skip"


def test_a_new_rollout_may_be_asked_for_during_the_soak_of_the_last():
    assert next_step.decide(at("promoted"), "prepare", "rollout", SOON, new=True).action == "open"


def test_5_a_rollout_with_a_key_that_still_soaks_has_not_ended():
    """Two keys soak; the first is retired. The last rollout is still in flight, however old its other steps are."""
    keyring = rolled(at("promoted"), CLOSED["promote"] + 10 * DAY, 3)
    keyring = steps.close_step(opened(keyring, "retire", OVER), OVER)
    assert states(keyring)[OLD] == "retired"
    assert states(keyring)[NEW] == "retiring"
    assert next_step.decide(keyring, "prepare", "rollout", OVER + 2 * DAY).action == "skip"


def test_10_retire_opens_for_the_key_that_is_due_while_another_soaks_on():
    keyring = rolled(at("promoted"), CLOSED["promote"] + 10 * DAY, 3)
    assert next_step.decide(keyring, "retire", "retire", OVER - 1).action == "wait"
    assert next_step.decide(keyring, "retire", "retire", OVER).action == "open"
    keyring = steps.close_step(opened(keyring, "retire", OVER), OVER)
    assert next_step.decide(keyring, "retire", "rollout", OVER + DAY).action == "wait"
    assert next_step.decide(keyring, "retire", "rollout", OVER + 10 * DAY).action == "open"


def test_no_retire_while_a_key_is_on_its_way_in():
    keyring = opened(at("promoted"), "prepare", OVER + 1, 3)
    decision = next_step.decide(keyring, "retire", "retire", OVER + 2)
    assert decision.action == "refuse"
    assert "a staged key is not promoted yet: run phased.keys.promote first" in decision.text


@pytest.mark.parametrize(
    "name, step, said",
    [
        ("adopted", "promote", "no key is staged: run phased.keys.prepare first. The last step is adopt, closed at"),
        ("adopt", "promote", "no key is staged: run phased.keys.prepare first. The last step is adopt, still open"),
        ("adopted", "retire", "no key is retiring: there is nothing to retire"),
        ("prepared", "retire", "a staged key is not promoted yet: run phased.keys.promote first"),
    ],
)
def test_a_refusal_says_what_to_do(name, step, said):
    assert said in next_step.decide(at(name), step, step, LATER).text


def test_a_retire_before_the_adoption_is_complete_waits_for_a_soak_that_begins_with_it():
    keyring = adopt(secrets=SECRETS[1:3])
    assert (
        next_step.decide(keyring, "retire", "retire", LATER).action == "open"
    )  # the gate counts, and closes the adoption first
    closed = steps.close_step(keyring, LATER)
    assert next_step.decide(closed, "retire", "retire", LATER).action == "wait"


@pytest.mark.parametrize(
    "name, step, now, said",
    [
        ("promoted", "retire", SOON, f"waiting for the soak of {OLD}: retire is due in 13d"),
        ("promote", "promote", SOON, "promote is open since 2023-11-15T00:13:20Z"),
        ("adopted", "prepare", SOON, "no rollout has been done yet"),
    ],
)
def test_a_decision_says_why(name, step, now, said):
    assert said in next_step.decide(at(name), step, "rollout", now).text


@pytest.mark.parametrize("name", ["adopted", "prepared", "promoted", "retired"])
def test_a_rollout_that_does_nothing_says_so_once(name):
    """In the middle of a soak, say, it is retire that tells when it is due, and not prepare and promote too."""
    texts = [next_step.decide(at(name), step, "rollout", SOON).text for step in ("prepare", "promote", "retire")]
    assert len([text for text in texts if text]) == 1


def test_a_step_that_is_asked_for_by_itself_and_is_done_says_so():
    assert "every member was proven at 20" in next_step.decide(at("promoted"), "promote", "promote", SOON).text


def test_what_is_left_of_the_soak_is_counted_from_now():
    keyring = rolled(at("promoted"), CLOSED["promote"] + 10 * DAY, 3)
    keyring = steps.close_step(opened(keyring, "retire", OVER), OVER)
    assert "in 9d" in next_step.decide(keyring, "retire", "rollout", OVER + DAY).text


@pytest.mark.parametrize(
    "name, now, said",
    [
        ("prepare", SOON, "prepare is open since 2023-11-14T23:13:20Z: run phased.keys.rollout to finish it"),
        ("prepared", SOON, "promote is next"),
        ("promoted", SOON, "retire is due in 13d, at 2023-11-29T00:23:20Z: run phased.keys.rollout again then"),
        ("promoted", OVER, "the soak is over"),
        ("retired", LATER, "no rollout is in progress"),
        ("adopted", SOON, "no rollout is in progress"),
    ],
)
def test_what_comes_next_is_said_in_one_line(name, now, said):
    assert said in next_step.next_text(at(name), now)


@pytest.mark.parametrize(
    "name, moment", [("adopted", None), ("promote", None), ("promoted", OVER), ("retire", None), ("retired", None)]
)
def test_10_the_soak_is_over_its_length_after_promotes_closing_count(name, moment):
    assert soak.next_due(at(name)) == moment
    assert OPENED["promote"] + SOAK["seconds"] < OVER


def test_a_step_that_is_open_is_not_said_to_be_done():
    """A leaked key that is on its way to the hosts is neither brought further nor taken for being there."""
    keyring = steps.mark_compromised(at("prepare"), NEW, LATER)
    decision = next_step.decide(keyring, "prepare", "prepare", LATER)
    assert (decision.action, decision.text.endswith("The last step is prepare, still open")) == ("refuse", True)


@pytest.mark.parametrize("name, now, step", [("promote", SOON, "retire"), ("promoted", OVER, "retire")])
def test_what_soaks_or_will_is_retired_and_what_was_rolled_back_is_withdrawn(name, now, step):
    assert next_step.decide(at(name), "retire", "retire", now).step == step
    back = steps.close_step(opened(at(name), "rollback", SOON), SOON)
    assert next_step.decide(back, "retire", "retire", SOON + SOAK["seconds"]).step == "withdraw"


@pytest.mark.parametrize(
    "name, now, max_age, said",
    [
        ("retired", LATER, None, "no rollout is in progress"),
        ("adopted", SOON, DAY, "no rollout is in progress"),
        ("retired", LATER, DAY, "no rollout is in progress; the next rollout is due at 2023-11-30T22:23:20Z, in 23h"),
        (
            "retired",
            CLOSED["retire"] + DAY,
            DAY,
            "no rollout is in progress; the next rollout is due at 2023-11-30T22:23:20Z",
        ),
    ],
)
def test_when_the_next_rollout_is_due_is_said_where_that_is_known(name, now, max_age, said):
    assert next_step.next_text(at(name), now, max_age) == said


def test_the_age_at_which_a_rollout_begins_anew_is_the_variables_default():
    assert next_step.MAX_AGE == VARIABLES["max_age"].default == DAY


def recovered(now):
    start = steps.Start(SECRETS[1:3], "recovered")
    return steps.adopt(
        "shop", "r", "n", start, ["web-1"], {"framework": "django", "settings": {}}, SOAK, {"how": "trust"}, now
    )


def test_5_a_keyring_that_was_recovered_is_no_reason_to_roll_before_max_age():
    keyring = steps.close_step(recovered(SOON), SOON)
    done = {**keyring, "keys": [key for key in keyring["keys"] if key["state"] == "primary"]}
    assert next_step.decide(done, "prepare", "rollout", SOON + DAY, DAY).action == "skip"
    assert next_step.decide(done, "prepare", "rollout", SOON + DAY + 1, DAY).action == "open"
    still_open = {**recovered(SOON), "keys": done["keys"]}
    assert next_step.decide(still_open, "prepare", "rollout", SOON + HOUR, DAY).action == "skip"


@pytest.mark.parametrize("name, state", [("retire", "still open"), ("retired", "closed at 2023-11-29T22:23:20Z")])
def test_a_rollback_that_comes_too_late_says_how_far_the_rollout_is(name, state):
    decision = next_step.decide(at(name), "rollback", "rollback", LATER)
    assert decision.action == "refuse"
    assert decision.text.startswith(f"retire has opened for {OLD} at ")
    assert decision.text.endswith(f"The last step is retire, {state}")


def test_a_clock_that_was_set_back_is_not_told_as_an_age():
    assert ", 0s ago, and" in next_step.decide(at("retired"), "prepare", "rollout", CLOSED["retire"] - HOUR).text


def test_of_a_leak_that_is_on_its_way_a_rollout_says_nothing_before_it_is_taken_back():
    keyring = steps.mark_compromised(at("prepare"), NEW, LATER)
    texts = [next_step.decide(keyring, phase, "rollout", LATER).text for phase in ("prepare", "promote")]
    assert texts == ["", ""]
