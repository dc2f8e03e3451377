# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a running application has to last: its main processes. How many workers are below one is its own business.

A main process is a named process whose parent is not named. Its pool is the first generation below it of more than one
process, or the last one there is: so a shell or an init that stands between the two is not taken for the pool.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Dict, List, Mapping, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from ..._shapes import Evidence, Pool, Worker


def pools(first: Sequence[Worker], second: Optional[Sequence[Worker]] = None) -> List[Pool]:
    """Return the pools of one look, or of two those whose main process lasts from the first to the second.

    main, ticks   the main process: its pid, and its start in clock ticks
    called        its program
    depth         how many generations below it its pool is, in the look that shows more; 0: it has no child in either
    lasting       the same, of workers that are in both looks
    idle          whether it may run without a pool (app_keys_processes says so)
    """
    second = first if second is None else second
    earlier = {identity(worker) for worker in first}
    lasting = [worker for worker in second if identity(worker) in earlier]
    looks = [_children(workers) for workers in (first, second, lasting)]
    found: List[Pool] = []
    for worker in mains(second):
        if identity(worker) in earlier:
            depths = [_depth(worker["pid"], children) for children in looks]
            found.append(_pool(worker, max(depths), depths[-1]))
    return found


def _pool(main: Worker, depth: int, lasting: int) -> Pool:
    return {
        "main": main["pid"],
        "ticks": main["ticks"],
        "called": main["command"],
        "depth": depth,
        "lasting": lasting,
        "idle": bool(main.get("idle")),
    }


def identity(worker: Worker) -> Tuple[int, int]:
    """Return what tells a process from every other one of this boot: pids are used again."""
    return worker["pid"], worker["ticks"]


def mains(workers: Sequence[Worker]) -> List[Worker]:
    """Return the main processes."""
    named = {worker["pid"] for worker in workers}
    return [worker for worker in workers if worker["parent"] not in named]


def began(workers: Sequence[Worker]) -> Dict[int, float]:
    """Return by pid since when (epoch seconds) each worker has what it was given: a forked one has what its main process was given."""
    by_pid = {worker["pid"]: worker for worker in workers}
    found = {}
    for worker in workers:
        line = [worker]
        while line[-1]["parent"] in by_pid and len(line) < len(by_pid):
            line.append(by_pid[line[-1]["parent"]])
        found[worker["pid"]] = min(float(one["started"]) for one in line)
    return found


def remembered(seen: Sequence[Pool]) -> List[int]:
    """Return what a record keeps at a proof: how far below each main process its pool was."""
    return [0 if pool["idle"] else pool["lasting"] for pool in seen]


def emptied(seen: Sequence[Pool], had: Sequence[int]) -> List[Pool]:
    """Return the main processes that may be meant where fewer have a pool than had one at the last proof (`remembered`)."""
    depths = sorted((math.inf if pool["idle"] else pool["depth"] for pool in seen), reverse=True)
    wanted = [before for before, now in zip(sorted(had, reverse=True), depths) if now < before]
    return [pool for pool in seen if not pool["idle"] and pool["depth"] < max(wanted, default=0)]


def fewer(before: Evidence, now: Evidence) -> bool:
    """Whether main processes are lost that the evidence `before` has, and not the evidence of `now`.

    Workers whose main process had died count as main processes themselves. They are not lost if there is one above them
    again: then as many workers run of their program as before.
    """
    if len(now["pools"]) >= len(before["pools"]):
        return False
    with_pool = [pool for pool in before["pools"] if pool["depth"]]
    alone = {pool["called"] for pool in before["pools"] if not pool["depth"]}
    back = all(_number(now, called) >= _number(before, called) for called in alone)
    return not back or len(now["pools"]) < max(1, len(with_pool))


def _number(seen: Evidence, called: str) -> int:
    return sum(worker["command"] == called for worker in seen["workers"])


def _children(workers: Sequence[Worker]) -> Dict[int, List[int]]:
    children: Dict[int, List[int]] = {}
    for worker in workers:
        children.setdefault(worker["parent"], []).append(worker["pid"])
    return children


def _depth(pid: int, children: Mapping[int, Sequence[int]]) -> int:
    depth, generation = 0, children.get(pid, ())
    while generation:
        depth += 1
        generation = children.get(generation[0], ()) if len(generation) == 1 else ()
    return depth
