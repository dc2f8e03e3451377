# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of all faults: each is a function that strikes, once, in a phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from field import Field
from share import Share, picked

STEPS = ("prepare", "promote", "retire")
ALL = (*STEPS, "rollback")
WHOLE = Share(1, 1)

# What a fault promises, besides that nothing is lost and that the next runs finish.
REFUSED = "stops with a refusal that names the host, what was seen and what to do; the next run finishes"
GOES_ON = "goes on safely"
FINISHED = "is cut off; the next run finishes"


class Fault(NamedTuple):
    """`strike` strikes, checks what the run made of it, mends what was broken, and says in a few words what happened."""

    name: str
    strike: Callable[[Field], str]
    promised: str
    phases: Sequence[str]
    quick: Sequence[str]


FAULTS: list[Fault] = []


def fault(name: str, promised: str, phases: Sequence[str] = STEPS, quick: Sequence[str] = ()) -> Callable:
    """Add a fault to the list. `quick` are the phases in which it strikes without FULL=1; none means the first."""

    def add(strike: Callable[[Field], str]) -> Callable[[Field], str]:
        FAULTS.append(Fault(name, strike, promised, phases, quick or phases[:1]))
        return strike

    return add


def in_order(faults: Sequence[Fault], full: bool, share: Share = WHOLE) -> list[tuple[Fault, str]]:
    """Return each fault with each of its phases, ordered as rollouts go: prepare, promote, retire, and again.

    Of each phase a share alone, the next one in each next phase, so that shares are of one length.
    """
    waiting = {
        phase: picked(
            [fault for fault in faults if phase in (fault.phases if full else fault.quick)], share.turned(number)
        )
        for number, phase in enumerate(ALL)
    }
    order = []
    while any(waiting.values()):
        for phase in STEPS:
            if waiting[phase]:
                order.append((waiting[phase].pop(0), phase))
            # A rollback stands where a retire would be.
            if phase == "promote" and waiting["rollback"] and not waiting["retire"]:
                order.append((waiting["rollback"].pop(0), "rollback"))
    return order
