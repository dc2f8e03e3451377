# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reachable state, the nearest first, so that the first counter-example is a shortest one."""

from __future__ import annotations

import time
from collections import deque
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from .events import events, happen
from .mending import Mender
from .world import State, Violation, canon, describe

Label = str


class Found(NamedTuple):
    """What an exploration found: `complete` if it saw all there is, and the counter-example's labels if there is one."""

    states: int
    transitions: int
    seconds: float
    complete: bool
    wrong: Optional[str] = None
    trace: Tuple[Label, ...] = ()


def explore(start: State, seconds: float = 1e9, dead_ends: bool = True) -> Found:
    """Explore all that can come of a state, until something is wrong or so many seconds of the processor are spent."""
    began = time.process_time()
    seen: Dict[int, Optional[Tuple[int, Label]]] = {hash(canon(start)): None}
    queue = deque([(start, hash(canon(start)))])
    mender = Mender()
    transitions = 0

    def found(complete: bool, wrong: Optional[str] = None, trace: Tuple[Label, ...] = ()) -> Found:
        return Found(len(seen), transitions, time.process_time() - began, complete, wrong, trace)

    while queue:
        if time.process_time() - began > seconds:
            return found(False)
        state, here = queue.popleft()
        if dead_ends:
            stuck = mender.stuck(state)
            if stuck:
                return found(False, stuck, path(seen, here))
        for event in events(state):
            transitions += 1
            try:
                after = happen(state, event)
            except Violation as violation:
                return found(False, str(violation), (*path(seen, here), event[0]))
            there = hash(canon(after))
            if there not in seen:
                seen[there] = (here, event[0])
                queue.append((after, there))
    return found(True)


def path(seen: Dict[int, Optional[Tuple[int, Label]]], here: int) -> Tuple[Label, ...]:
    """Return the labels of the events that led here."""
    labels: List[Label] = []
    step = seen[here]
    while step is not None:
        labels.append(step[1])
        step = seen[step[0]]
    return tuple(reversed(labels))


def path_told(start: State, trace: Sequence[Label], wrong: str) -> str:
    """Return a counter-example as a person reads it: each event, and the fleet after it."""
    state = start
    lines = [_indented(describe(state))]
    for number, label in enumerate(trace, 1):
        lines.append(f"{number:>3}. {label}")
        event = next(event for event in events(state) if event[0] == label)
        try:
            state = happen(state, event)
        except Violation:
            break
        lines.append(_indented(describe(state)))
    return "\n".join([*lines, f"  => {wrong}"])


def _indented(text: str) -> str:
    return "\n".join(f"       {line}" for line in text.splitlines())
