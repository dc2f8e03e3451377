# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each phase at each moment of a rollout: what is decided, which step opens, and what a person is told."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import epoch
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.next_step import Decision
from builders import CLOSED, DAY, HOUR, NEW, OLD, OPENED, SOAK, T0, at, opened

NOW = CLOSED["promote"] + DAY
AGAIN = "run phased.keys.rollout again then"
SKIP = Decision("skip", "")
ADOPTED = Decision("skip", "the keyring is adopted")

BACK = opened(at("promoted"), "rollback", NOW)
RINGS = {
    **{name: at(name) for name in ("adopt", "adopted", "prepare", "prepared", "promote", "promoted", "retire", "retired")},
    "rollback": BACK, "rolled back": steps.close_step(BACK, NOW), "withdraw": opened(at("prepared"), "withdraw", NOW),
}  # fmt: skip
OPENED_AT = {
    "adopt": "2023-11-14T22:13:20Z", "prepare": "2023-11-14T23:13:20Z", "promote": "2023-11-15T00:13:20Z", "retire": "2023-11-29T22:13:20Z",
    "rollback": "2023-11-16T00:23:20Z", "withdraw": "2023-11-16T00:23:20Z",
}  # fmt: skip
CLOSED_AT = {
    "adopted": ("adopt", "2023-11-14T22:23:20Z"), "prepared": ("prepare", "2023-11-14T23:23:20Z"),
    "promoted": ("promote", "2023-11-15T00:23:20Z"), "retired": ("retire", "2023-11-29T22:23:20Z"),
    "rolled back": ("rollback", "2023-11-16T00:23:20Z"),
}  # fmt: skip
NO_STAGED = "no key is staged: run phased.keys.prepare first"
NO_RETIRING = "no key is retiring: there is nothing to retire"
ON_ITS_WAY = "a staged key is not promoted yet: run phased.keys.promote first"
STAGED = "a key is staged already: run phased.keys.promote first, or take it back with phased.keys.rollback"
NOTHING_TO_GO_BACK_TO = "this keyring has promoted no key yet: there is nothing to go back to"
NO_WAY_BACK = f"retire has opened for {OLD} at {OPENED_AT['retire']}: some hosts may accept it no longer, and there is no way back to it"


def resume(name: str) -> Decision:
    return Decision("resume", f"{name} is open since {OPENED_AT[name]}", name)


def refuse(name: str, why: str) -> Decision:
    step, closed = CLOSED_AT.get(name, (name, None))
    return Decision("refuse", f"{why}. The last step is {step}, {f'closed at {closed}' if closed else 'still open'}")


def done(name: str) -> Decision:
    return Decision("skip", f"done, every member was proven at {CLOSED_AT[name][1]}")


def already(name: str) -> Decision:
    return Decision("skip", f"{name} is already open")


def next_is(name: str, step: str = "") -> Decision:
    return Decision("open", f"{name} is next", step or name)


def wait(text: str, key: str = OLD) -> Decision:
    moment = epoch(text.rpartition(" at ")[2])
    return Decision("wait", f"waiting for the soak of {key}: {text}: {AGAIN}", until=moment)


FIRST = Decision("open", "no rollout has been done yet", "prepare")
TAKE_BACK = Decision("open", "the last rollout is taken back", "rollback")
UNSTAGE = TAKE_BACK._replace(step="withdraw")
RETIRE_DUE = "retire is due in 13d, at 2023-11-29T00:23:20Z"
WITHDRAW_DUE = "withdraw is due in 14d, at 2023-11-30T00:23:20Z"
TOO_SOON = Decision(
    "skip",
    f"nothing to do: the last rollout ended at {CLOSED_AT['retired'][1]}, 0s ago, and app_keys_max_age is 1d. To start a new one all the "
    "same, give -e app_keys_new=true",
)

# By a rollout: prepare, promote and retire. By their own playbooks: the same. And rollback.
TABLE: Dict[str, Any] = {
    "adopt": (FIRST, SKIP, SKIP, next_is("prepare"), refuse("adopt", NO_STAGED), refuse("adopt", NO_RETIRING), refuse("adopt", NOTHING_TO_GO_BACK_TO)),
    "adopted": (
        FIRST, SKIP, SKIP, next_is("prepare"), refuse("adopted", NO_STAGED), refuse("adopted", NO_RETIRING),
        refuse("adopted", NOTHING_TO_GO_BACK_TO),
    ),
    "prepare": (resume("prepare"), next_is("promote"), SKIP, resume("prepare"), next_is("promote"), refuse("prepare", ON_ITS_WAY), UNSTAGE),
    "prepared": (SKIP, next_is("promote"), SKIP, done("prepared"), next_is("promote"), refuse("prepared", ON_ITS_WAY), UNSTAGE),
    "promote": (already("promote"), resume("promote"), next_is("retire"), next_is("prepare"), resume("promote"), next_is("retire"), TAKE_BACK),
    "promoted": (SKIP, SKIP, wait(RETIRE_DUE), next_is("prepare"), done("promoted"), wait(RETIRE_DUE), TAKE_BACK),
    "retire": (
        already("retire"), already("retire"), resume("retire"), next_is("prepare"), refuse("retire", NO_STAGED), resume("retire"),
        refuse("retire", NO_WAY_BACK),
    ),
    "retired": (TOO_SOON, SKIP, SKIP, next_is("prepare"), refuse("retired", NO_STAGED), done("retired"), refuse("retired", NO_WAY_BACK)),
    "rollback": (
        already("rollback"), already("rollback"), already("rollback"), next_is("prepare"), refuse("rollback", NO_STAGED), next_is("retire"),
        resume("rollback"),
    ),
    "rolled back": (
        SKIP, SKIP, wait(WITHDRAW_DUE, NEW), next_is("prepare"), refuse("rolled back", NO_STAGED), wait(WITHDRAW_DUE, NEW),
        Decision("skip", f"{done('rolled back').text}, and {OLD} signs; {WITHDRAW_DUE}: {AGAIN}"),
    ),
    "withdraw": (
        already("withdraw"), already("withdraw"), resume("withdraw"), next_is("prepare"), refuse("withdraw", NO_STAGED), resume("withdraw"),
        resume("withdraw"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_every_phase_at_every_moment(name: str) -> None:
    keyring = RINGS[name]
    asked = [(phase, goal) for goal in ("rollout", "") for phase in ("prepare", "promote", "retire")] + [
        ("rollback", "")
    ]
    assert [next_step.decide(keyring, phase, goal or phase, NOW) for phase, goal in asked] == list(TABLE[name])
    assert next_step.decide(keyring, "adopt", "adopt", NOW) == (resume("adopt") if name == "adopt" else ADOPTED)
    assert next_step.decide(keyring, "adopt", "rollout", NOW) == (resume("adopt") if name == "adopt" else ADOPTED)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("adopt", f"adopt is open since {OPENED_AT['adopt']}: run phased.keys.rollout to finish it"),
        ("adopted", "no rollout is in progress"),
        ("prepared", "promote is next: run phased.keys.rollout, or phased.keys.promote"),
        ("promoted", f"{RETIRE_DUE}: {AGAIN}"),
        ("retired", "no rollout is in progress; the next rollout is due at 2023-11-30T22:23:20Z, in 14d 22h"),
        ("rolled back", f"{WITHDRAW_DUE}: {AGAIN}"),
    ],
)
def test_what_is_next(name: str, text: str) -> None:
    assert next_step.next_text(RINGS[name], NOW, DAY) == text


def test_what_is_next_when_its_time_has_come() -> None:
    over = CLOSED["promote"] + SOAK["seconds"]
    due = "the soak is over: run phased.keys.rollout, or phased.keys.retire"
    assert [next_step.next_text(at("promoted"), moment, DAY) == due for moment in (over - 1, over, over + 1)] == [
        False,
        True,
        True,
    ]
    begin = CLOSED["retire"] + DAY
    rest = "no rollout is in progress; the next rollout is due at 2023-11-30T22:23:20Z"
    assert [next_step.next_text(at("retired"), begin + late, DAY) for late in (-1, 0, 1)] == [
        f"{rest}, in 1s",
        rest,
        rest,
    ]
    assert next_step.next_text(at("retired"), begin) == "no rollout is in progress"


def leaked(name: str, key: str) -> Dict[str, Any]:
    return steps.mark_compromised(RINGS[name], key, NOW)


def test_a_leak_is_what_is_next() -> None:
    assert (
        next_step.next_text(leaked("prepare", NEW), NOW)
        == "the staged key is compromised, and is taken back: run phased.keys.rollout"
    )
    assert (
        next_step.next_text(leaked("promoted", NEW), NOW)
        == f"the key that signs, {NEW}, is compromised: run phased.keys.rollout"
    )
    assert next_step.next_text(leaked("promoted", OLD), NOW).startswith("the soak is over")


def test_what_a_leak_decides() -> None:
    keyring = leaked("prepare", NEW)
    assert next_step.decide(keyring, "retire", "rollout", NOW) == Decision(
        "open", "the staged key is compromised", "withdraw"
    )
    assert next_step.decide(keyring, "promote", "promote", NOW) == refuse(
        "prepare", f"{NEW} is marked as compromised and never signs: run phased.keys.rollback"
    )
    keyring = leaked("promoted", NEW)
    assert next_step.decide(keyring, "prepare", "rollout", NOW) == Decision(
        "open", f"the key that signs, {NEW}, is marked as compromised", "prepare"
    )
    keyring = leaked("promoted", OLD)
    assert next_step.decide(keyring, "rollback", "rollback", NOW) == refuse(
        "promoted", f"the key before, {OLD}, is marked as compromised and never signs again"
    )
    assert next_step.decide(keyring, "retire", "rollout", NOW) == next_is("retire")


def test_prepare_by_its_own_playbook_waits_for_the_key_that_is_on_its_way() -> None:
    keyring = opened(opened(at("adopted"), "prepare", NOW), "withdraw", NOW)
    assert next_step.decide(keyring, "prepare", "prepare", NOW) == next_is("prepare")
    assert next_step.why_no_prepare(at("prepare")) == STAGED


@pytest.mark.parametrize(
    ("age", "decision"),
    [
        (DAY, ("skip", "1d ago")), (DAY + 1, ("open", "the last rollout ended 1d 1h ago, more than app_keys_max_age")),
        (-HOUR, ("skip", "0s ago")), (HOUR, ("skip", "1h ago")),
    ],
)  # fmt: skip
def test_when_a_rollout_begins_anew(age: float, decision: Any) -> None:
    found = next_step.decide(at("retired"), "prepare", "rollout", CLOSED["retire"] + age, DAY)
    assert found.action == decision[0] and decision[1] in found.text
    assert found.step == ("prepare" if found.action == "open" else "")
    assert next_step.decide(at("retired"), "prepare", "rollout", CLOSED["retire"] + age, DAY, True) == Decision(
        "open", "a new rollout was asked for with app_keys_new", "prepare"
    )


def test_a_recovered_keyring_does_not_rotate_by_itself() -> None:
    keyring = at("adopted")
    keyring["keys"][0]["origin"] = "recovered"
    assert next_step.decide(keyring, "prepare", "rollout", CLOSED["adopt"] + DAY, DAY).action == "skip"
    assert next_step.decide(keyring, "prepare", "rollout", CLOSED["adopt"] + DAY + 1, DAY).action == "open"
    keyring["step"]["closed"] = None
    assert next_step.decide(keyring, "prepare", "rollout", OPENED["adopt"] + DAY, DAY).action == "skip"
    assert next_step.decide(keyring, "prepare", "rollout", OPENED["adopt"] + DAY + 1, DAY).action == "open"


def test_taking_back_again_only_where_asked_for() -> None:
    keyring = RINGS["rolled back"]
    again = next_step.decide(keyring, "rollback", "rollback", NOW, new=True)
    assert again == refuse("rolled back", NOTHING_TO_GO_BACK_TO)
    # After a key was staged and taken back there is the rollout before it, and how to take that back is said.
    keyring = steps.close_step(opened(opened(at("promoted"), "prepare", NOW, 3), "withdraw", NOW), NOW)
    found = next_step.decide(keyring, "rollback", "rollback", NOW)
    assert found.action == "skip" and found.text.endswith(f"{AGAIN}. To take that back too, give -e app_keys_new=true")
    assert next_step.decide(keyring, "rollback", "rollback", NOW, new=True) == TAKE_BACK


def test_the_key_before_must_not_have_been_taken_back_itself() -> None:
    keyring = at("promoted")
    keyring["keys"][0]["marks"] = ["rolled_back"]
    assert next_step.why_no_rollback(keyring) == f"the key before, {OLD}, was itself rolled back and never signs again"
    keyring["keys"][0].update(state="retired", marks=[], times={})
    assert f"retire has opened for {OLD} at {OPENED_AT['promote']}" in str(next_step.why_no_rollback(keyring))


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ([], "retire"),
        ([("retiring", [])], "retire"),
        ([("retiring", ["rolled_back"])], "withdraw"),
        ([("retiring", ["rolled_back"]), ("retiring", [])], "retire"),
        ([("retiring", ["compromised"])], "retire"),
    ],
)
def test_what_letting_go_is_called(keys: Any, name: str) -> None:
    assert next_step.retire_or_withdraw([{"state": state, "marks": marks} for state, marks in keys]) == name


@pytest.mark.parametrize(
    ("keyring", "wait", "now", "may"),
    [
        (RINGS["adopted"], 0.0, NOW, True),
        (RINGS["withdraw"], 0.0, NOW, False),
        (RINGS["promoted"], 13 * DAY - 1, NOW, True),
        (RINGS["promoted"], 13 * DAY, NOW, False),
        ({**RINGS["retire"], "step": {**RINGS["retire"]["step"], "closed": "2023-11-29T22:23:20Z"}}, 0.0, NOW, False),
        ({**RINGS["prepare"], "step": {**RINGS["prepare"]["step"], "closed": "2023-11-29T22:23:20Z"}}, 0.0, NOW, False),
    ],
)
def test_when_a_rollout_that_is_asked_for_may_begin(keyring: Any, wait: float, now: float, may: bool) -> None:
    assert next_step.may_begin(keyring, wait, now) is may


def test_what_opens_without_the_proof_of_all() -> None:
    assert next_step.opens_unproven(RINGS["promoted"], "rollback")
    assert next_step.opens_unproven(RINGS["prepared"], "withdraw")
    assert not next_step.opens_unproven(RINGS["promoted"], "withdraw")
    assert not next_step.opens_unproven(RINGS["prepared"], "promote")
    assert [name for name, keyring in RINGS.items() if next_step.takes_back(keyring)] == [
        "rollback",
        "rolled back",
        "withdraw",
    ]


def test_what_may_go() -> None:
    over = CLOSED["promote"] + SOAK["seconds"]
    assert [key["fingerprint"] for key in next_step.may_go(RINGS["prepared"], T0)] == [NEW]
    assert next_step.may_go(RINGS["promoted"], over - 1) == []
    assert [key["fingerprint"] for key in next_step.may_go(RINGS["promoted"], over)] == [OLD]
    staged = opened(at("promoted"), "prepare", NOW, 3)
    assert [key["state"] for key in next_step.may_go(staged, over)] == ["staged"]
