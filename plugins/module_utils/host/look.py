# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at one host: what its workers sign with and accept, what its env files say, and its record.

The evidence that a look returns holds fingerprints and no secret. It changes nothing.
"""

from __future__ import annotations

import os
import time
from typing import Any, Collection, Dict, List, Mapping, Optional, Set, Tuple

from ..rules import env_text, pools, proof
from ..rules.fingerprint import fingerprint
from ..rules.frameworks import Keys, Profile, SettingsError, decode
from . import files, processes, record, sources, units
from .processes import Process

Application = Mapping[str, Any]
Table = Dict[int, Process]


def look(app: Application, known: Collection[str], nonce: str) -> Dict[str, Any]:
    """Return the evidence of this host, with a second look where one cannot be enough.

    `app` holds the application's variables (see `rules.variables`), `known` the fingerprints that a
    process outside the named ones is searched for. Workers that are older than `settle` have
    already lasted; younger ones must be the same in two looks that far apart. A pool that is gone
    may just be coming again, so that takes two looks as well.
    """
    seen = look_once(app, known, nonce)
    young = any(seen["now"] - worker["started"] < app["settle"] for worker in seen["workers"])
    if young or proof.pool_findings(seen):
        time.sleep(app["settle"])
        return compared(seen, look_once(app, known, nonce))
    return seen


def look_once(app: Application, known: Collection[str], nonce: str) -> Dict[str, Any]:
    """Return what is to be seen at this moment."""
    # First the units: one that restarts in between would show its new state with the processes of before.
    shown = units.show(_unit_names(app), scope=app["service_scope"])
    on_demand = units.on_demand(shown, scope=app["service_scope"])
    table = processes.table()
    if 1 not in table:
        raise PermissionError("/proc does not show the processes of others (hidepid): run with become (-b)")
    found = _named(app, table, shown)
    env_files = [read_file(path, app) for path in app["env_file"]]
    resting = _named({**app, "processes": [place for place in app["processes"] if place.get("idle")]}, table, shown)
    looked = [{**_worker(process, app, env_files, found), "idle": process.pid in resting} for process in found.values()]
    workers = [worker for worker in looked if not (worker["problem"] and worker["problem"]["kind"] == "gone")]
    held = set(known) | {holder["signs"] for holder in [*env_files, *workers] if holder["signs"]}
    return {
        "nonce": nonce,
        "now": time.time(),
        "machine": processes.machine(),
        "proof": app["proof"],
        "workers": workers,
        "files": env_files,
        "others": _others(table, found, app["profile"], held),
        "units": [
            {
                **units.evidence(unit, unit.name in on_demand),
                "sources": sources.of(unit, app["env_file"], app["profile"].names),
            }
            for unit in shown
        ],
        "settled": True,
        "unsettled": [],
        "lasting": len(workers),
        "pools": pools.pools(workers),
        "record": record.load(app["state_dir"], app["name"]),
        "visit": files.holder(record.lock_path(app["state_dir"], app["name"])),
        "restart": app["restart_words"],
    }


def compared(first: Mapping[str, Any], second: Dict[str, Any]) -> Dict[str, Any]:
    """Return the second look with what the two say together: whether the host has settled, its lasting workers and pools.

    Below a worker that lasts, others may come and go: a command that it runs, a child that is recycled. Their
    keys are looked at all the same.
    """
    lasting = _ids(first) & _ids(second)
    pids = {pid for pid, _ticks in lasting}
    parents = {worker["pid"]: worker["parent"] for worker in [*first["workers"], *second["workers"]]}
    changed = sorted({pid for pid, _ticks in _ids(first) ^ _ids(second) if not _below(pid, parents, pids)})
    units_same = _unit_states(first) == _unit_states(second)
    return {
        **second,
        "settled": units_same and not changed,
        "unsettled": changed,
        "lasting": len(lasting),
        "pools": pools.pools(first["workers"], second["workers"]),
    }


def _ids(seen: Mapping[str, Any]) -> Set[Tuple[int, int]]:
    return {(worker["pid"], worker["ticks"]) for worker in seen["workers"]}


def _unit_states(seen: Mapping[str, Any]) -> List[Any]:
    return [(unit["name"], unit["active"], unit["restarts"]) for unit in seen["units"]]


def _below(pid: int, parents: Mapping[int, int], lasting: Collection[int]) -> bool:
    """Whether a process descends from one that lasts; the number of steps bounds a loop of reused pids."""
    for _step in range(len(parents)):
        pid = parents.get(pid, 0)
        if pid in lasting:
            return True
    return False


def read_file(path: str, app: Application) -> Dict[str, Any]:
    """Return what an env file says, in fingerprints, with the file's identity."""
    text = files.read_text(path)
    entry: Dict[str, Any] = {
        "path": path,
        "identity": files.identity(path),
        "signs": None,
        "accepts": [],
        "problem": None,
    }
    if text is None:
        return {**entry, "problem": {"kind": "absent", "text": "there is no such file"}}
    try:
        values = env_text.read(text, app["env_format"], app["profile"].names)
    except env_text.EnvTextError as error:
        return {**entry, "problem": {"kind": error.kind, "text": str(error)}}
    return {**entry, **_in_fingerprints(app["profile"], values)}


def _unit_names(app: Application) -> List[str]:
    places = [place["unit"] for place in app["processes"] if "unit" in place]
    return list(dict.fromkeys([*places, *app["service"]]))


def _named(app: Application, table: Table, shown: List[units.Unit]) -> Table:
    """The processes that are to be proven, by pid."""
    by_name = {unit.name: unit for unit in shown}
    own = processes.lineage(table, os.getpid())
    found: Table = {}
    for place in app["processes"]:
        if "unit" in place:
            unit = by_name[units.full_name(place["unit"])]
            members = processes.in_cgroup(table, unit.cgroup) if unit.cgroup else []
        elif "pid_file" in place:
            members = processes.from_pid_file(table, place["pid_file"])
        else:
            members = processes.matching(table, place["pattern"], own)
        found.update({process.pid: process for process in members})
    return dict(sorted(found.items()))


def _worker(process: Process, app: Application, env_files: List[Dict[str, Any]], named: Table) -> Dict[str, Any]:
    entry: Dict[str, Any] = {
        "pid": process.pid,
        "parent": process.parent,
        "ticks": process.ticks,
        "started": process.started,
        "command": _called(process),
    }
    if app["proof"] == "process_age":
        return {**entry, **_by_age(process, env_files, named)}
    try:
        values = processes.environment(process)
    except processes.EnvironmentUnknown as error:
        return {**entry, "signs": None, "accepts": [], "problem": {"kind": error.kind, "text": str(error)}}
    return {**entry, **_in_fingerprints(app["profile"], values)}


def _by_age(process: Process, env_files: List[Dict[str, Any]], named: Table) -> Dict[str, Any]:
    """What a worker must have read, if it and all that it descends from started after the file was written."""
    root = process
    while root.parent in named:
        root = named[root.parent]
    if len({(entry["signs"], tuple(sorted(entry["accepts"]))) for entry in env_files}) > 1:
        return {"signs": None, "accepts": [], "problem": {"kind": "stale", "text": "its env files do not agree"}}
    file = max(env_files, key=lambda entry: (entry["identity"] or {}).get("changed", 0.0))
    if file["problem"]:
        return {
            "signs": None,
            "accepts": [],
            "problem": {
                "kind": "stale",
                "text": f"nothing is known of its keys: {file['path']}: {file['problem']['text']}",
            },
        }
    if root.started <= file["identity"]["changed"]:
        return {
            "signs": None,
            "accepts": [],
            "problem": {"kind": "stale", "text": f"started before {file['path']} was written"},
        }
    return {"signs": file["signs"], "accepts": file["accepts"], "problem": None}


def _others(table: Table, named: Table, profile: Profile, held: Collection[str]) -> List[Dict[str, Any]]:
    """Processes outside the named ones that were given one of our keys: a queue worker, a cron job."""
    found = []
    for process in table.values():
        if process.pid in named:
            continue
        try:
            values = processes.environment(process)
        except processes.EnvironmentUnknown:
            # Another user's process, or one that is gone: it cannot be judged, and is not ours by name.
            continue
        key = _any_key(profile, values, held)
        if key:
            identity = {"pid": process.pid, "ticks": process.ticks, "started": process.started}
            found.append({**identity, "command": _called(process), "signs": key})
    return found


def _called(process: Process) -> str:
    """What a process is called: its program, and a script's path, but no argument that may be a secret."""
    words = process.command.split(" ")
    script = words[1:2] if words[1:2] and words[1].startswith(("/", "./")) else []
    return " ".join([os.path.basename(words[0]), *script])[:60]


def _any_key(profile: Profile, values: Mapping[str, str], held: Collection[str]) -> Optional[str]:
    """The fingerprint of a held key that is somewhere in our settings, however malformed the rest of them is."""
    texts = [values[name] for name in profile.names if values.get(name)]
    separator = "," if profile.separator == "json" else profile.separator
    parts = [part.strip(' []"') for text in texts for part in text.split(separator)]
    found = (fingerprint(text) for text in [*texts, *parts] if text)
    return next((key for key in found if key in held), None)


def _in_fingerprints(profile: Profile, values: Mapping[str, str]) -> Dict[str, Any]:
    keys, problem = _keys(profile, values)
    if keys is None:
        return {"signs": None, "accepts": [], "problem": problem}
    return {"signs": fingerprint(keys.signs), "accepts": [fingerprint(key) for key in keys.accepts], "problem": None}


def _keys(profile: Profile, values: Mapping[str, str]) -> Tuple[Optional[Keys], Optional[Dict[str, str]]]:
    try:
        return decode(profile, values), None
    except SettingsError as error:
        return None, {"kind": error.kind, "text": str(error)}
