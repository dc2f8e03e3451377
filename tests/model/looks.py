# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a look at a host of the model shows: evidence as _host/look.py returns it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, Optional, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules import pools as pool_rules

from . import pods
from .world import PATH, T0, TICK, File, Host, Record, Seen, State, Worker


def look(state: State, host: Host, nonce: str) -> Seen:
    """Look at a host now. A visit that waits for the lock is not seen."""
    visiting = any(visit.stage != "sent" for visit in host.visits)
    return Seen(host._replace(visits=()), state.now, nonce, visiting)


@lru_cache(maxsize=100_000)
def evidence(seen: Seen) -> Dict[str, Any]:
    """Return the evidence of a look; nobody changes what is returned."""
    host = seen.host
    if host.workload:
        return pods.evidence(seen, record(host.record))
    clock = T0 + (seen.at + host.skew) * TICK
    active = {"ok": "active", "down": "failed", "flapping": "activating"}[host.health]
    # A unit that crashes and is restarted shows as active most of the time: only two looks tell.
    active = "active" if host.health == "flapping" else active
    workers = [_worker(number, worker, host) for number, worker in enumerate(host.workers, 101)]
    return {
        "nonce": seen.nonce, "asked": seen.at * TICK, "now": clock, "machine": host.name, "proof": "environ",
        "workers": workers, "pools": pool_rules.pools(workers),
        "files": [_file(host.file)],
        "others": [_outsider(host.outsider)] if host.outsider else [],
        "units": [
            {"name": "shop.service", "load": "loaded", "active": active, "sub": active, "restarts": 0, "on_demand": False,
             "restart_delay": 0.1, "sources": []}
        ],
        "settled": host.health != "flapping", "unsettled": [101] if host.health == "flapping" else [],
        "visit": 77 if seen.visiting else None, "record": record(host.record), "restart": "shop.service",
        "lasting": len(host.workers),
    }  # fmt: skip


def record(kept: Optional[Record]) -> Optional[Dict[str, Any]]:
    """Return a record as it stands in its file."""
    if kept is None:
        return None
    fields = kept._asdict()
    fields.update(schema=1, name="shop", leaked=list(kept.leaked), at=T0 + kept.at * TICK)
    fields["stopped"] = {key: T0 + moment * TICK for key, moment in kept.stopped}
    fields["files"] = {PATH: _identity(kept.file)} if kept.file else {}
    del fields["file"]
    return fields


def _worker(pid: int, worker: Worker, host: Host) -> Dict[str, Any]:
    # A process's start is kept in time since boot, so it moves with the host's clock.
    started = T0 + (worker.started + host.skew) * TICK
    return {
        "pid": pid, "parent": 1, "ticks": pid, "started": started, "command": "worker",
        "signs": worker.signs, "accepts": list(worker.accepts), "problem": None,
    }  # fmt: skip


def _outsider(worker: Worker) -> Dict[str, Any]:
    return {"pid": 900, "ticks": 900, "started": T0, "command": "queue", "signs": worker.signs}


def _file(file: File) -> Dict[str, Any]:
    return {
        "path": PATH, "identity": _identity(file[2:]), "signs": file.signs, "accepts": list(file.accepts), "problem": None,
    }  # fmt: skip


def _identity(written: Tuple[int, int]) -> Dict[str, Any]:
    return {"inode": written[0], "changed": T0 + written[1] * TICK}
