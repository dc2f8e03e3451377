# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a rollout is, in a few fields: what the gate tells to whoever shows it."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Optional, Sequence

from .._keyring_shapes import Keyring
from .._shapes import Evidence
from . import keyring as keyrings
from . import soak, spread
from .next_step import next_text
from .survey import Survey

# What the gate says every few seconds while it waits; a living line shows a countdown instead.
WAITING = {"soak": "waiting for the soak, ", "spread": "waiting for the spread, "}


def so_far(keyring: Keyring, survey: Optional[Survey], phase: str, now: float) -> Dict[str, Any]:
    """Return how far a rollout is by this keyring, and by the fleet as it was seen last; None where it was not looked at."""
    count = survey.with_keyring(keyring).count if survey else None
    seen = survey.evidence.values() if survey else ()
    return {
        "phase": phase,
        "step": keyring["step"]["name"],
        "open": keyrings.is_open(keyring),
        "proven": len(count.proven) if count else None,
        "total": len(count.proven) + len(count.findings) + len(count.waived) if count else None,
        "due_at": due_at(keyring, seen, now),
        "next": next_text(keyring, now, fleet=seen),
    }


def due_at(keyring: Keyring, fleet: Collection[Evidence] = (), now: float = 0.0) -> Optional[float]:
    """Return when (epoch) the next wait is over: a spread, or a soak, and that also by the time of each host of the `fleet`; None where there is none."""
    spreading = [over for over in map(spread.over_at, keyrings.in_state(keyring, "staged")) if over is not None]
    return min(spreading, default=soak.next_due(keyring, fleet, now))


def batches(serial: Sequence[Any], hosts: int) -> List[int]:
    """Return how many hosts each batch of a play has, as Ansible's `serial` makes them: numbers and percentages, the last of them again and again."""
    sizes: List[int] = []
    while sum(sizes) < hosts:
        asked = str(serial[min(len(sizes), len(serial) - 1)])
        share = int(float(asked[:-1]) / 100 * hosts) or 1 if asked.endswith("%") else int(asked)
        left = hosts - sum(sizes)
        sizes.append(min(share, left) if share > 0 else left)
    return sizes


def seconds_left(sizes: Sequence[int], forks: int, done: int, took: float) -> Optional[float]:
    """Return in how many seconds the last batch will have ended, by the `done` hosts that `took` so many; None while nobody can know.

    Hosts of one batch go side by side, as many as there are `forks`: what counts is in how many rounds.
    """
    over, rest = 0.0, done
    for size in sizes:
        here = min(size, rest)
        over += -(-size // forks) if here == size else here / forks
        rest -= here
    everything = sum(-(-size // forks) for size in sizes)
    return (everything - over) * took / over if over > 0 and took > 0 else None
