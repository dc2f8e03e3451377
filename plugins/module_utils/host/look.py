# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at one host: what its workers sign with and accept, what its env files say, and its record.

The evidence that a look returns holds fingerprints and no secret. It changes nothing.
"""

from __future__ import annotations

import os
import time
from typing import Any, Collection, Dict, List, Mapping, Optional, Tuple

from ..rules import env_text
from ..rules.fingerprint import fingerprint
from ..rules.frameworks import Keys, Profile, SettingsError, decode
from . import files, processes, record, units
from .processes import Process

Application = Mapping[str, Any]
Table = Dict[int, Process]


def look(app: Application, known: Collection[str], nonce: str) -> Dict[str, Any]:
    """Return the evidence of this host, with a second look where one cannot be enough.

    `app` holds the application's variables (see `rules.variables`), `known` the fingerprints that a
    process outside the named ones is searched for. Workers that are older than `settle` have
    already lasted; younger ones must be the same in two looks that far apart.
    """
    seen = look_once(app, known, nonce)
    if any(seen["now"] - worker["started"] < app["settle"] for worker in seen["workers"]):
        time.sleep(app["settle"])
        again = look_once(app, known, nonce)
        again["settled"] = steady(seen, again)
        return again
    return seen


def look_once(app: Application, known: Collection[str], nonce: str) -> Dict[str, Any]:
    """Return what is to be seen at this moment."""
    # First the units: one that restarts in between would show its new state with the processes of before.
    shown = units.show(_unit_names(app)) if _unit_names(app) else []
    table = processes.table()
    if 1 not in table:
        raise PermissionError("/proc does not show the processes of others (hidepid): run with become (-b)")
    found = _named(app, table, shown)
    env_files = [read_file(path, app) for path in app["env_file"]]
    workers = [_worker(process, app, env_files, found) for process in found.values()]
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
            {"name": unit.name, "load": unit.load, "active": unit.active, "sub": unit.sub, "restarts": unit.restarts}
            for unit in shown
        ],
        "settled": True,
        "visit": files.holder(record.lock_path(app["state_dir"], app["name"])),
        "record": record.load(app["state_dir"], app["name"]),
        "restart": app["restart_words"],
    }


def steady(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two looks saw the same workers, and no unit that restarted in between."""

    def who(seen: Mapping[str, Any]) -> List[Any]:
        workers = sorted((worker["pid"], worker["ticks"]) for worker in seen["workers"])
        return [workers, [(unit["name"], unit["active"], unit["restarts"]) for unit in seen["units"]]]

    return who(first) == who(second)


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
        keys = _in_fingerprints(profile, values) if profile.primary in values or profile.fallbacks in values else None
        if keys and set(keys["accepts"]) & set(held):
            found.append(
                {
                    "pid": process.pid,
                    "ticks": process.ticks,
                    "started": process.started,
                    "command": _called(process),
                    "signs": keys["signs"],
                }
            )
    return found


def _called(process: Process) -> str:
    """What a process is called, without arguments that may be secrets."""
    words = [word.partition("=")[0] for word in process.command.split(" ")[:3]]
    return " ".join([os.path.basename(words[0]), *words[1:]])[:60]


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
