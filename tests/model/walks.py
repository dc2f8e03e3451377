# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks of any length over everything together, for what is too large to be explored: `python -m ...tests.model.walks WALKS`.

Hypothesis chooses the events, always the same ones for one release of it, and shortens a walk that ends badly.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, List

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .events import events, happen
from .explore import path_told
from .mending import Mender
from .profiles import Profile, start
from .world import Violation

HOSTS = ("b", "c", "d", "e", "f")
ONE = {
    "new": 2, "crash": 3, "restart": 2, "reboot": 2, "cut": 2, "lose": 1, "unlist": 1, "release": 1, "deploy": 3, "join": 1,
    "rollback": 2, "promote": 1, "prepare": 1, "retire": 1, "slow": 2, "mark": 1, "outsider": 1, "stray": 1, "runs of B": 3,
}  # fmt: skip
ALONE = {
    "new": 2,
    "crash": 2,
    "restart": 1,
    "jump": 1,
    "rewrite": 1,
    "rollback": 1,
    "facts": 1,
    "deploy": 2,
    "reboot": 1,
}
AWAY = {"new": 1, "crash": 2, "cut": 1, "waive": 1, "rollback": 1, "restart": 1, "deploy": 2, "mark": 1, "alien": 1}
TWO = {"new": 2, "crash": 2, "restart": 1, "copy": 1, "runs of B": 4, "deploy": 2, "slow": 1, "reboot": 1}
STORED = {"new": 2, "crash": 3, "lose": 1, "restart": 1, "rollback": 2, "mark": 1, "reboot": 1}
LOST = {"new": 1, "crash": 2, "lose keyring": 1, "recover": 2, "restart": 1, "reboot": 1, "deploy": 1}


def walk_profile(kind: int, size: int) -> Profile:
    """Return what may happen on a walk of a kind, in a fleet of a size."""
    fleet = HOSTS[:size]
    return [
        Profile("one keyring", ONE, hosts=fleet, joiners=("a",), operators=2),
        Profile("accidents", ALONE, hosts=fleet),
        Profile("away", AWAY, hosts=fleet),
        Profile("two keyrings", TWO, hosts=fleet, operators=2, copies=2),
        Profile("lost keyring", LOST, hosts=fleet),
        Profile("at rest", STORED, hosts=fleet, at_rest=True, spread=1),
    ][kind]


def walks(number: int) -> Dict[str, Any]:
    """Take some walks, and return how many steps they had; AssertionError tells of a walk that ended badly."""
    seen = {"walks": 0, "steps": 0}
    menders = [Mender() for _kind in range(6)]

    @settings(max_examples=number, derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.integers(0, 5), st.integers(2, 5), st.lists(st.integers(0, 2**20), min_size=120, max_size=400))
    def walk(kind: int, size: int, choices: List[int]) -> None:
        seen["walks"] += 1
        profile = walk_profile(kind, size)
        state, labels = start(profile), []
        for number, choice in enumerate(choices):
            possible = list(events(state))
            # Faults are many and steps are few: three of four times something goes on.
            going = [event for event in possible if "goes on" in event[0] and "restart ends" not in event[0]]
            possible = going if going and choice % 4 else possible
            event = possible[(choice // 4) % len(possible)]
            labels.append(event[0])
            seen["steps"] += 1
            try:
                state = happen(state, event)
            except Violation as violation:
                raise AssertionError(path_told(start(profile), labels, str(violation))) from None
            stuck = menders[kind].stuck(state) if number % 10 == 9 else None
            if stuck:
                raise AssertionError(path_told(start(profile), labels, stuck))

    walk()
    return seen


def main() -> int:
    """Take as many walks as the command line says."""
    began = time.monotonic()
    try:
        seen = walks(int(sys.argv[1]))
    except AssertionError as wrong:
        print(wrong)
        return 1
    print(f"{seen['walks']} random walks of {seen['steps']} steps, in {time.monotonic() - began:.0f} s: nothing wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
