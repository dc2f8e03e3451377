# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The invariant of section 3, at every step of whole rollouts.

For every two workers that serve at the same time: the key that one signs with is accepted by the other, and
the key of anything still alive is accepted by both. A host may have whatever the open step admits, so it has
to hold for every two admissible settings.
"""

from __future__ import annotations

import itertools
import random
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import visit
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, steps
from builders import (
    DAY,
    FLEET,
    FP,
    HOUR,
    NEW,
    OLD,
    SECRETS,
    SOAK,
    T0,
    adopt,
    fleet_of,
    idle,
    opened,
    seen,
    states,
    survey,
    surveyed,
)

Settings = Tuple[str, Tuple[str, ...]]


def admitted(keyring: Dict[str, Any]) -> List[Settings]:
    """Every settings that the open step admits, out of all that can be made of the keyring's keys and one more."""
    order = keyrings.order(keyring)
    keys = [*order.known, "0123456789abcdef"]
    every = [combination for size in range(len(keys) + 1) for combination in itertools.combinations(keys, size)]
    return [(signs, accepts) for signs in keys for accepts in every if order.admits(signs, accepts)]


class Rollout:
    """A keyring on its way, with what the world remembers: until when anything signed with a key is alive."""

    def __init__(self, keyring: Dict[str, Any], now: float) -> None:
        self.keyring, self.now = keyring, now
        self.alive: Dict[str, float] = {key["fingerprint"]: now + SOAK["seconds"] for key in keyring["keys"]}
        self.check()

    def do(self, step: str, now: float, number: int = 2) -> None:
        before = keyrings.order(self.keyring)
        self.pass_time(now)
        self.keyring = opened(self.keyring, step, now, number)
        assert keyrings.order(self.keyring).admits(before.signs, before.accepts), (
            "who was proven a moment ago is not wrong now"
        )
        self.check()

    def close(self, now: float) -> None:
        self.pass_time(now)
        self.keyring = steps.close_step(self.keyring, now)
        self.check()

    def pass_time(self, now: float) -> None:
        """Whoever may sign has signed until now."""
        self.now = now
        for signs, _accepts in admitted(self.keyring):
            self.alive[signs] = now + SOAK["seconds"]

    def check(self) -> None:
        settings = admitted(self.keyring)
        order = keyrings.order(self.keyring)
        assert (order.signs, tuple(sorted(order.accepts))) in [
            (signs, tuple(sorted(accepts))) for signs, accepts in settings
        ]
        for (signs, _own), (_other, accepts) in itertools.product(settings, repeat=2):
            assert signs in accepts, f"{signs} is signed with, and a host accepts {accepts}"
        for key, until in self.alive.items():
            if until > self.now:
                assert all(key in accepts for _signs, accepts in settings), (
                    f"{key} is alive, and not accepted everywhere"
                )
        assert keyrings.check(self.keyring) == self.keyring


def test_3_the_invariant_holds_at_every_step_of_a_rollout():
    rollout = Rollout(adopt(), T0)
    rollout.close(T0 + HOUR)
    for number, start in ((2, DAY), (3, 40 * DAY), (4, 80 * DAY)):
        for step, after in (("prepare", HOUR), ("promote", 3 * HOUR), ("retire", 15 * DAY)):
            rollout.do(step, T0 + start + after, number)
            rollout.close(T0 + start + after + HOUR)
    assert list(states(rollout.keyring).values()) == ["retired", "retired", "retired", "primary"]


def test_3_the_invariant_holds_while_several_keys_soak_at_once():
    rollout = Rollout(adopt(secrets=SECRETS[1:3]), T0)
    rollout.close(T0 + HOUR)
    for number in (3, 4, 5):
        rollout.do("prepare", T0 + number * DAY, number)
        rollout.close(T0 + number * DAY + HOUR)
        rollout.do("promote", T0 + number * DAY + 2 * HOUR)
        rollout.close(T0 + number * DAY + 3 * HOUR)
    assert sorted(states(rollout.keyring).values()) == ["primary", *["retiring"] * 4]
    for day, left in ((16, 3), (18, 2), (20, 0)):
        rollout.do("retire", T0 + day * DAY)
        rollout.close(T0 + day * DAY + HOUR)
        assert len(keyrings.in_state(rollout.keyring, "retiring")) == left


def test_3_the_check_itself_finds_a_retire_that_comes_too_early():
    rollout = Rollout(adopt(), T0)
    rollout.close(T0)
    for step in ("prepare", "promote"):
        rollout.do(step, T0 + HOUR)
        rollout.close(T0 + HOUR)
    rollout.keyring["keys"][0]["soak"] = {"seconds": 60.0, "source": "nobody"}
    with pytest.raises(AssertionError, match="is alive, and not accepted everywhere"):
        rollout.do("retire", T0 + DAY)


def test_3_the_check_itself_finds_a_promote_that_was_not_prepared():
    rollout = Rollout(adopt(), T0)
    rollout.close(T0)
    rollout.keyring["keys"].append({**opened(rollout.keyring, "prepare", T0)["keys"][-1]})
    rollout.keyring["keys"][-1]["state"] = "withdrawn"
    rollout.keyring["step"].update(signing=[NEW, OLD], closed=None)
    with pytest.raises(AssertionError, match="is signed with, and a host accepts"):
        rollout.check()


@pytest.mark.parametrize("seed", range(12))
def test_3_the_invariant_holds_whatever_is_asked_for_and_when(seed):
    """Steps in any order and at any time, as far as `decide` opens them; each goal, and new rollouts on demand."""
    dice = random.Random(seed)
    rollout = Rollout(adopt(secrets=SECRETS[1:2]), T0)
    counters = [1]
    for _turn in range(120):
        now = rollout.now + dice.choice([60.0, HOUR, DAY, 3 * DAY, 15 * DAY])
        step = dice.choice(next_step.ROLLOUT)
        decision = next_step.decide(
            rollout.keyring, step, dice.choice([step, "rollout"]), now, DAY, dice.random() < 0.3
        )
        if decision.action == "open" and len(rollout.keyring["keys"]) < 6:
            if rollout.keyring["step"]["closed"] is None:
                rollout.close(now)
            # The gate asks again after it has closed the step before.
            if next_step.decide(rollout.keyring, step, step, now).action == "open":
                rollout.do(step, now, 1 + len(rollout.keyring["keys"]))
                counters.append(rollout.keyring["step"]["counter"])
        elif dice.random() < 0.5 and rollout.keyring["step"]["closed"] is None:
            rollout.close(now)
    assert counters == list(range(1, len(counters) + 1)), "the counter only grows"
    assert len(counters) > 5


# --- the same with hosts -----------------------------------------------------


class Host:
    """A host that is visited by the real rules of a visit; its workers do what its file says after a restart."""

    def __init__(self, keyring: Dict[str, Any], member: str) -> None:
        self.look = seen(keyring, machine=member, record=None)

    def visit(self, keyring: Dict[str, Any], converge: bool) -> None:
        order = keyrings.order(keyring)
        plan = visit.plan(order, self.look, converge)
        assert plan.refuse is None
        assert visit.fence(keyrings.token(keyring), self.look["record"]) is None
        if plan.write:
            self.look["files"] = seen(keyring)["files"]
        if plan.restart:
            self.look["workers"] = seen(keyring, *self.look["files"][0]["accepts"])["workers"]
        assert visit.unproven(order, self.look, converge, self.look) == []
        if converge or plan.write or plan.restart:
            self.look["record"] = seen(keyring)["record"]

    def settings(self) -> Iterator[Tuple[str, List[str]]]:
        return ((worker["signs"], worker["accepts"]) for worker in self.look["workers"])


def test_3_a_fleet_on_its_way_serves_every_session_at_every_moment():
    keyring = adopt()
    hosts = {member: Host(keyring, member) for member in FLEET}
    dice = random.Random(35400)
    now = T0
    for step in ("adopt", "prepare", "promote", "retire", "prepare", "promote"):
        if step != "adopt":
            keyring = opened(keyring, step, now, 1 + len(keyring["keys"]))
        for member in dice.sample(FLEET, len(FLEET)):
            evidence = {name: host.look for name, host in hosts.items()}
            assert not surveyed(keyring, FLEET, evidence, survey()).count.complete, "not before the last of them"
            hosts[dice.choice(FLEET)].visit(keyring, converge=False)
            hosts[member].visit(keyring, converge=True)
            for one, other in itertools.product(hosts.values(), repeat=2):
                for (signs, _own), (_signs, accepts) in itertools.product(one.settings(), other.settings()):
                    assert signs in accepts
        evidence = {name: host.look for name, host in hosts.items()}
        assert surveyed(keyring, FLEET, evidence, survey()).count.complete
        keyring = steps.close_step(keyring, now + HOUR)
        now += SOAK["seconds"] + DAY
    assert states(keyring) == {OLD: "retired", NEW: "retiring", FP[3]: "primary"}


def test_5_no_number_of_deploys_rotates_a_fleet():
    keyring = steps.close_step(adopt(), T0)
    for step in ("prepare", "promote"):
        keyring = opened(keyring, step, T0 + HOUR)
        order = keyrings.order(keyring)
        for settings in admitted(keyring):
            look = seen(keyring, settings[0], *settings[1])
            assert visit.plan(order, look, converge=False)[:2] == (False, False)
        keyring = steps.close_step(keyring, T0 + HOUR)


def test_a_fleet_that_is_idle_rolls_on_disk():
    keyring = steps.close_step(adopt(), T0)
    keyring = opened(keyring, "prepare", T0 + HOUR)
    fleet = {member: idle(keyring) for member in FLEET}
    assert surveyed(keyring, FLEET, fleet, survey()).count.complete
    assert set(fleet_of(keyring)) == set(fleet)
