# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host signed with in the past, and since when it does not: by its record, and by what has happened to its files since."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional

from .durations import stamp

if TYPE_CHECKING:
    from ..._shapes import Evidence

# In a record's `stopped`: since then the host has certainly not signed with any key but the one that it signs with.
ANY = "any"


class Clock(NamedTuple):
    """Since when a host has done what its record says: `broken` is when that ended, and None if it did not."""

    broken: Optional[float]
    reason: str


def clock(evidence: Evidence) -> Clock:
    """Say whether the host's time since its last visit is unbroken.

    A reboot does not break it: the workers are new, but the file is the one that the visit wrote. A
    file that is another one now does, if workers have started since the visit: there may have been other
    files, and other workers, in between.
    """
    record = evidence["record"]
    written = (record.get("files") if record else None) or {}
    visited = record["at"] if record else -math.inf
    breaks: List[float] = []
    reasons: List[str] = []
    for file in evidence["files"]:
        if file["identity"] == written.get(file["path"]):
            continue
        changed = file["identity"]["changed"] if file["identity"] else evidence["now"]
        started = [worker["started"] for worker in evidence["workers"] if worker["started"] >= visited]
        if started or not evidence["workers"]:
            breaks.append(max(started or [changed]))
            reasons.append(f"{file['path']} was written by another tool at {stamp(changed)}, and workers started after")
    if breaks:
        return Clock(max(breaks), "; ".join(reasons))
    return Clock(None, "")


def stopped(evidence: Evidence, fingerprint: str) -> float:
    """Return since when (host's clock, epoch) the host has not signed with this key; -inf if it never did."""
    past = (evidence["record"].get("stopped") if evidence["record"] else None) or {}
    since = max(float(past.get(fingerprint, -math.inf)), float(past.get(ANY, -math.inf)))
    broken = clock(evidence).broken
    return since if broken is None else max(since, broken)


def after(evidence: Evidence, signs: str, now: float) -> Dict[str, float]:
    """Return what a record says of the past after a visit that ends at `now` with `signs` signing.

    Every key that the host signed with before, and is not signing with now, with the moment it stopped.
    """
    record = evidence["record"]
    before = (record.get("stopped") if record else None) or {}
    past = {key: stopped(evidence, key) for key in before if key != signs}
    held = {worker["signs"] for worker in evidence["workers"]} | {file["signs"] for file in evidence["files"]}
    broken = clock(evidence).broken
    if not record and held - {None}:
        # Nobody knows what this host signed with until now: its record was lost, or it comes from an image.
        past[ANY] = now
    elif broken is not None:
        past[ANY] = max(broken, past.get(ANY, -math.inf))
    for key in held | ({record.get("signs")} if record else set()):
        if key and key != signs:
            past[key] = now
    return past
