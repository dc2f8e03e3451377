# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the soak of a retiring key is over: by the controller's clock, and by the clock of every host.

The controller's time alone can be cheated: a tool that puts yesterday's env file back for an hour
makes the host sign with the old key in between, and nobody on the controller sees it.
A key that is marked as compromised has no soak: it is let go of as soon as nothing signs with it.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import ring as rings
from .durations import epoch, seconds, stamp, words
from .ring import Ring, RingError

# In a record's `stopped`: since then the host has certainly not signed with any key but the one that it signs with.
ANY = "any"


def length(value: Any, framework: str, framework_soak: Optional[str]) -> Dict[str, Any]:
    """Return the soak in seconds with its source; RingError where nobody has said how long it is."""
    if value is not None:
        return {"seconds": seconds(value, "app_keys_soak"), "source": "app_keys_soak"}
    if framework_soak is None:
        raise RingError(
            f"nothing says how long something signed may live: {framework} sets no end. "
            "Set app_keys_soak to the longest life of anything that the application signs or encrypts, for example 30d"
        )
    return {"seconds": seconds(framework_soak, "soak"), "source": f"the default of {framework}"}


def over_at(key: Mapping[str, Any]) -> Optional[float]:
    """Return the moment at which a retiring key's soak is over by the controller's clock; None while it has not begun."""
    if "soaking" not in key["times"]:
        return None
    if "compromised" in key["marks"]:
        return 0.0  # and not when its soak began: times are written in whole seconds, and nobody waits for the next one
    return epoch(key["times"]["soaking"]) + float(key["soak"]["seconds"])


def due(ring: Ring, now: float) -> List[Dict[str, Any]]:
    """Return the retiring keys whose soak is over by the controller's clock."""
    return [key for key, over in _soaking(ring) if over <= now]


def next_due(ring: Ring) -> Optional[float]:
    """Return the earliest moment at which a key may be let go of; None where nothing soaks."""
    return min((over for _key, over in _soaking(ring)), default=None)


def _soaking(ring: Ring) -> List[Tuple[Dict[str, Any], float]]:
    found = [(key, over_at(key)) for key in rings.in_state(ring, "retiring")]
    return [(key, over) for key, over in found if over is not None]


class Clock(NamedTuple):
    """Since when a host has done what its record says: `broken` is when that ended, and None if it did not."""

    broken: Optional[float]
    reason: str


def clock(evidence: Mapping[str, Any]) -> Clock:
    """Say whether the host's time since its last visit is unbroken.

    A reboot does not break it: the workers are new, but the file is the one that the visit wrote. A
    file that is another one now does, if workers have started since the visit: there may have been other
    files, and other workers, in between.
    """
    record = evidence.get("record") or {}
    written: Dict[str, Any] = record.get("files") or {}
    breaks: List[float] = []
    reasons: List[str] = []
    for file in evidence["files"]:
        if file["identity"] == written.get(file["path"]):
            continue
        changed = (file["identity"] or {}).get("changed", evidence["now"])
        visited = record.get("at", -math.inf)
        started = [worker["started"] for worker in evidence["workers"] if worker["started"] >= visited]
        if started or not evidence["workers"]:
            breaks.append(max(started or [changed]))
            reasons.append(f"{file['path']} was written by another tool at {stamp(changed)}, and workers started after")
    if breaks:
        return Clock(max(breaks), "; ".join(reasons))
    return Clock(None, "")


def stopped(evidence: Mapping[str, Any], fingerprint: str) -> float:
    """Return since when (host's clock, epoch) the host has not signed with this key; -inf if it never did."""
    past = (evidence.get("record") or {}).get("stopped") or {}
    since = max(float(past.get(fingerprint, -math.inf)), float(past.get(ANY, -math.inf)))
    broken = clock(evidence).broken
    return since if broken is None else max(since, broken)


def shortfall(evidence: Mapping[str, Any], key: Mapping[str, Any]) -> Optional[str]:
    """Say why a host's own time is too short for a retiring key to be dropped; None where it is enough."""
    if "compromised" in key["marks"]:
        return None
    soaked = evidence["now"] - stopped(evidence, key["fingerprint"])
    missing = float(key["soak"]["seconds"]) - soaked
    if missing <= 0:
        return None
    why = clock(evidence).reason or "by the host's own clock"
    return f"may have signed with {key['fingerprint']} until {words(soaked)} ago ({why}): {words(missing)} of its soak remain"


def history(evidence: Mapping[str, Any], signs: str, now: float) -> Dict[str, float]:
    """Return what a record says of the past after a visit that ends at `now` with `signs` signing.

    Every key that the host signed with before, and is not signing with now, with the moment it stopped.
    """
    record = evidence.get("record") or {}
    past = {key: stopped(evidence, key) for key in record.get("stopped") or {} if key != signs}
    held = {worker["signs"] for worker in evidence["workers"]} | {file["signs"] for file in evidence["files"]}
    broken = clock(evidence).broken
    if not record and held - {None}:
        # Nobody knows what this host signed with until now: its record was lost, or it comes from an image.
        past[ANY] = now
    elif broken is not None:
        past[ANY] = max(broken, past.get(ANY, -math.inf))
    for key in held | {record.get("signs")}:
        if key and key != signs:
            past[key] = now
    return past
