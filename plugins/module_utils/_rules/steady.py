# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steady, not just started: how long the first batch of a step has to run before the second begins, and whether it does.

Two looks of a visit are seconds apart. A crash loop with a longer period shows only later.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple

from .._host.rules import pools
from .._host.rules.durations import stamp
from .._host.rules.proof import Finding, process_findings
from .._shapes import Evidence, Unit, VisitAnswer

UNSTEADY = "see in its log (journalctl -u UNIT) why it does not run steadily, and run again when that is fixed"


class Pause(NamedTuple):
    """How many seconds the run has to wait, and because of what."""

    seconds: float
    why: str


def pause(visits: Mapping[str, VisitAnswer], bake: float) -> Pause:
    """Return how long a run waits between the first batch of a step and its look at that batch before the second.

    `visits` are the answers of the first batch's visits by member: of each `did` (`restarted`, and in `took` how many
    seconds it took from the restart to the proof) and `evidence` (`units`, each with its `restart_delay` in seconds or
    None) count. `bake` is app_keys_bake in seconds: 0 waits for nothing. Nothing is waited for either where no visit
    restarted anything.
    """
    restarted = {member: visit for member, visit in visits.items() if visit["did"]["restarted"]}
    if not restarted or not bake:
        return Pause(0.0, "")
    longest = Pause(bake, "app_keys_bake")
    for member, visit in sorted(restarted.items()):
        took = Pause(visit["did"]["took"], f"so long {member} took from its restart to its proof")
        delays = [
            Pause(unit["restart_delay"] or 0.0, f"RestartSec= of {unit['name']} on {member}")
            for unit in visit["evidence"]["units"]
            if unit["active"] != "inactive"
        ]
        longest = max(longest, took, *delays, key=lambda one: one.seconds)
    return longest


def unsteady(before: Evidence, after: Evidence) -> List[Finding]:
    """Find what of an application did not last from the evidence that proved its host to a later look at it.

    The workers below a main process that lasts are its own business.
    """
    found = [Finding(text, UNSTEADY) for text in _restarts(before, after)]
    for unit in _ended(before, after):
        if not unit["on_demand"]:
            found.append(Finding(f"{unit['name']} is {unit['active']} ({unit['sub']})", UNSTEADY))
    return found + process_findings(after)


def restarted_since(proved: Mapping[str, Evidence], now: Mapping[str, Evidence]) -> Dict[str, str]:
    """Say of each member what was restarted since the evidence that `proved` it, by its evidence of `now`; nothing where nothing was."""
    found = {member: _restarts(proved[member], seen) for member, seen in now.items() if member in proved}
    return {member: "; ".join(texts) for member, texts in sorted(found.items()) if texts}


def _restarts(before: Evidence, after: Evidence) -> List[str]:
    """Say what restarted: the host, units, main processes."""
    if before["machine"] != after["machine"]:
        return ["the host was booted again since its visit"]
    texts = []
    counts = {unit["name"]: unit["restarts"] for unit in before["units"]}
    for unit in after["units"]:
        times = unit["restarts"] - counts.get(unit["name"], unit["restarts"])
        if times > 0:
            texts.append(
                f"systemd restarted {unit['name']} {'once' if times == 1 else f'{times} times'} since its visit"
            )
    lasts = {pools.identity(worker) for worker in after["workers"]}
    gone = [pool for pool in before["pools"] if (pool["main"], pool["ticks"]) not in lasts]
    earlier = {pools.identity(worker) for worker in before["workers"]}
    new = [worker for worker in pools.mains(after["workers"]) if pools.identity(worker) not in earlier]
    came = "".join(
        f", and pid {worker['pid']} ({worker['command']}) came at {stamp(worker['started'])}" for worker in new
    )
    # A service that a socket starts may end when it has nothing to do.
    rests = any(unit["on_demand"] for unit in _ended(before, after))
    if gone and (new or not rests):
        pids = ", ".join(f"{pool['main']} ({pool['called']})" for pool in gone)
        noun, verb = ("process", "is") if len(gone) == 1 else ("processes", "are")
        texts.append(f"the main {noun} {pids} {verb} gone since its visit{came}")
    return texts


def _ended(before: Evidence, after: Evidence) -> List[Unit]:
    """The units that ran, and have come to a regular end."""
    ran = {unit["name"] for unit in before["units"] if unit["active"] == "active"}
    return [unit for unit in after["units"] if unit["name"] in ran and unit["active"] == "inactive"]
