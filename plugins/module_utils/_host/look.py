# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at one host: what its workers sign with and accept, what its env files say, and its record.

The evidence that a look returns holds fingerprints and no secret. It changes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Collection, Dict, List, Mapping, Sequence, Set, Tuple, cast

from . import files, paths, processes, record, sight, sources, units, workers
from .rules import env_text, pools, process_sources, proof, writable
from .rules.fingerprint import fingerprint
from .rules.frameworks import SettingsError, decode, misfit
from .workers import Application

if TYPE_CHECKING:
    from .._shapes import EnvFile, Evidence


# A container that is started while its host is looked at has other processes than those that were read before.
_TRIES, _PAUSE = 3, 0.1


def look(app: Application, known: Collection[str], nonce: str) -> Evidence:
    """Return the evidence of this host, with a second look where one cannot be enough.

    `app` holds the application's variables (see `rules.variables`), `known` the fingerprints that a
    process outside the named ones is searched for. Workers that are older than `settle` have
    already lasted; younger ones must be the same in two looks that far apart. A pool that is gone
    may just be coming again, so that takes two looks as well.
    """
    seen = look_once(app, known, nonce)
    young = any(seen["ticks"] - worker["ticks"] < app["settle"] * processes.HERTZ for worker in seen["workers"])
    if young or proof.pool_findings(seen):
        time.sleep(app["settle"])
        return compared(seen, look_once(app, known, nonce))
    return seen


def look_once(app: Application, known: Collection[str], nonce: str) -> Evidence:
    """Return what is to be seen at this moment."""
    # First the units: one that restarts in between would show its new state with the processes of before.
    shown = units.show(_unit_names(app), scope=app["service_scope"])
    on_demand = units.on_demand(shown, scope=app["service_scope"])
    here, named = _find(app, shown)
    table = here.table
    env_files = [read_file(path, app) for path in app["env_file"]]
    entries = [entry for entry, _values in env_files]
    kept, whose = record.own(app["state_dir"], app["name"], app["host"])
    may_idle = workers.find({**app, "processes": [place for place in app["processes"] if place.get("idle")]}, here)
    stamps = (kept.get("stamps") if kept else None) or {}
    looked = workers.read(app, table, named, env_files, stamps)
    for worker in looked:
        worker["idle"] = worker["pid"] in may_idle.processes
    held = set(known) | {holder["signs"] for holder in [*entries, *looked] if holder["signs"]}
    evidence: Evidence = {
        "nonce": nonce,
        "now": time.time(),
        "ticks": processes.ticks_now(),
        "machine": processes.machine(),
        "proof": app["proof"],
        "workers": looked,
        "files": entries,
        "others": workers.others(table, named.processes, app["profile"], held),
        "units": [
            units.evidence(unit, unit.name in on_demand, sources.of(unit, app["env_file"], app["profile"].names))
            for unit in shown
        ],
        "settled": True,
        "unsettled": [],
        "lasting": len(looked),
        "pools": pools.pools(looked),
        "record": kept,
        "record_of": whose,
        "state": record.folder_mark(app["state_dir"]),
        "visit": files.holder(record.lock_path(app["state_dir"], app["name"])),
        "restart": app["restart_words"],
    }
    if here.containers:
        evidence["keepers"] = here.containers.evidence(app["profile"])
    return evidence


def _find(app: Application, shown: Sequence[units.Unit]) -> Tuple[sight.Processes, workers.Named]:
    """Return the host's processes with those that are to be proven, of one moment."""
    for _try in range(_TRIES):
        table = processes.table(read=workers.needed(app))
        if 1 not in table:
            raise PermissionError("/proc does not show the processes of others (hidepid): run with become (-b)")
        here = sight.Processes(table, shown)
        named = workers.find(app, here)
        if not (here.containers and here.containers.moved):
            break
        time.sleep(_PAUSE)
    return here, named


def compared(first: Evidence, second: Evidence) -> Evidence:
    """Return the second look with what the two say together: whether the host has settled, its lasting workers and pools.

    Below a worker that lasts, others may come and go: a command that it runs, a child that is recycled. Their
    keys are looked at all the same.
    """
    lasting = _ids(first) & _ids(second)
    parents = {worker["pid"]: worker["parent"] for worker in [*first["workers"], *second["workers"]]}
    below = _below({pid for pid, _ticks in lasting}, parents)
    changed = sorted({pid for pid, _ticks in _ids(first) ^ _ids(second) if pid not in below})
    units_same = _unit_states(first) == _unit_states(second)
    return {
        **second,
        "settled": units_same and not changed,
        "unsettled": changed,
        "lasting": len(lasting),
        "pools": pools.pools(first["workers"], second["workers"]),
    }


def _ids(seen: Evidence) -> Set[Tuple[int, int]]:
    return {(worker["pid"], worker["ticks"]) for worker in seen["workers"]}


def _unit_states(seen: Evidence) -> List[Tuple[str, str, int]]:
    return [(unit["name"], unit["active"], unit["restarts"]) for unit in seen["units"]]


def _below(lasting: Collection[int], parents: Mapping[int, int]) -> Set[int]:
    """Return the pids that descend from one that lasts."""
    children: Dict[int, List[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: Set[int] = set()
    waiting = list(lasting)
    while waiting:
        new = set(children.get(waiting.pop(), [])) - found
        found |= new
        waiting.extend(new)
    return found


def read_file(path: str, app: Application) -> Tuple[EnvFile, Dict[str, str]]:
    """Return what an env file says, in fingerprints, with its identity and how many names it has; and our settings in it as they are."""
    entry, values = _said_by(path, app)
    return cast("EnvFile", entry), values


def _said_by(path: str, app: Application) -> Tuple[Dict[str, Any], Dict[str, str]]:
    entry: Dict[str, Any] = {"path": path, "identity": None, "links": 0, "unusable": {}}
    try:
        with files.Place(path) as place:
            entry.update(identity=place.identity(), links=place.links())
            text, absent = place.text(), place.absent()
    except paths.Unsafe as error:
        return {**entry, **workers.blank("unsafe", str(error))}, {}
    if text is None:
        return {**entry, **workers.blank("absent", absent)}, {}
    try:
        values = env_text.read(text, app["env_format"], app["profile"].names)
    except env_text.EnvTextError as error:
        return {**entry, **workers.blank(error.kind, str(error))}, {}
    entry.update(workers.in_fingerprints(app["profile"], values), unusable=_unusable(app, values))
    return entry, values


def _unusable(app: Application, values: Mapping[str, str]) -> Dict[str, str]:
    """Which keys of a file no rollout could write, each with the reason."""
    try:
        keys = decode(app["profile"], values).accepts
    except SettingsError:
        return {}
    profile = app["profile"]
    why = {key: writable.why_not(profile, app["env_format"], key) or misfit(profile, key) for key in keys}
    return {fingerprint(key): reason for key, reason in why.items() if reason}


def _unit_names(app: Application) -> List[str]:
    return list(dict.fromkeys([*process_sources.units(app["processes"]), *app["service"]]))
