# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make bench` runs: which hosts, how often, and in which order, within its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

FULL_SECONDS = 29 * 60
SMALL_SECONDS = 165


class Shape(NamedTuple):
    """Hosts that are measured together, and how often each variant is run; what has no number is left out."""

    hosts: int
    forks: int
    connection: str
    repeats: dict[str, int]

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"{self.hosts} hosts, {self.connection}, forks {self.forks}"


SMALL = [Shape(32, 10, "local", {"a": 3, "b": 1, "c": 1, "c_raw": 1, "d": 1})]


def full(largest: int = 200) -> list[Shape]:
    """Return the shapes of the full run, up to so many hosts; what it must not miss comes first, for a machine that is slow.

    By hand 50 hosts take minutes and 200 a quarter of an hour: so those are run once, and 200 not at all. Besides the rollout all
    is run with 10 forks alone, and with 200 hosts, whose floor is 800 module calls, at the very end.
    """
    found = []
    for hosts, all_forks in ((50, (10, 50)), (200, (50,)), (10, (10, 50)), (200, (10,))):
        for connection in ("local", "ssh"):
            for forks in all_forks:
                repeats = {"a": 2 if hosts <= 50 and forks == 10 else 1}
                if forks == 10 and hosts <= 50:
                    repeats["b"] = 1
                if forks == 10:
                    repeats.update(c_raw=1, d=1, c=1)
                found.append(Shape(hosts, forks, connection, repeats))
    return [shape for shape in found if shape.hosts <= largest]


def rounds(shape: Shape) -> Iterator[tuple[int, str]]:
    """Go through the variants in turn, so that a machine that grows slower does so for all; (c) needs (a) before it."""
    for number in range(max(shape.repeats.values())):
        for variant, times in shape.repeats.items():
            if number < times:
                yield number, variant


class Clock:
    """How much of the time is left, and whether one more run of a variant fits: by what its last one took for each host."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.per_host: dict[tuple[str, str], float] = {}

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()

    def fits(self, shape: Shape, variant: str) -> bool:
        """Tell whether one more run will be done in time."""
        return self.per_host.get((shape.connection, variant), 0) * shape.hosts < self.left()

    def took(self, shape: Shape, variant: str, seconds: float) -> None:
        """Note what a run took."""
        self.per_host[shape.connection, variant] = seconds / shape.hosts
