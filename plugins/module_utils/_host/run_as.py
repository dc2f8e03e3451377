# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As whom an application is asked something, and with which environment, so that no user of the host decides for root.

A process is what its user makes it: its environment, its folder, its command line, and with a setuid program even its
effective user. So nothing of a process is taken for anybody but the one user whose all of its ids are. What runs as
root takes all from the unit, or where there is none from env files of root's.

Sources: credentials(7), proc_pid_status(5), systemd.exec(5), systemctl(1).
"""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import files, given, paths, proc, processes, units
from .rules import env_text, process_sources
from .rules.errors import PhasedKeysError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # systemd's own
MOST = 4  # so many users one application may have
_PROPERTIES = ("LoadState", "ControlGroup", "User", "Group", "Environment", "EnvironmentFiles")
_WORD = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)', re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
INSTEAD = "or set app_keys_app_check: trust, if you know that the application reads its fallbacks"


class Refused(PhasedKeysError):
    """Nothing says as whom, so that it could be believed; the text says what would."""


class Person(NamedTuple):
    """Who runs something: `groups` besides `gid`, the environment, and the folder where it begins."""

    uid: int
    gid: int
    groups: Sequence[int]
    environment: Dict[str, str]
    folder: str
    why: str  # what says so


class _Unit(NamedTuple):
    """A unit as systemd would start it; `environment` and `files` as `systemctl show` prints them."""

    name: str
    cgroup: str
    user: str
    group: str
    environment: str
    files: Sequence[str]


def persons(app: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> List[Person]:
    """Return as whom the application of these workers runs, one for each user that it has; Refused where nothing says it."""
    table = processes.table()
    running = [table[worker["pid"]] for worker in workers if worker["pid"] in table]
    running = [process for process in running if any(process.ticks == worker["ticks"] for worker in workers)]
    if os.geteuid() != 0:
        return [_ourselves(app, running)]
    found: List[Person] = []
    refused: List[Refused] = []
    outside = list(running)
    for unit in _units(app):
        inside = [process for process in processes.in_cgroup(table, unit.cgroup) if process in running]
        outside = [process for process in outside if process not in inside]
        try:
            found += _of_unit(app, unit, inside)
        except Refused as error:
            refused.append(error)
    if not found and (outside or not refused):
        found = _of_processes(app, outside)
    if not found:
        raise refused[0]
    by_user = {person.uid: person for person in reversed(found)}
    if len(by_user) > MOST:
        raise Refused(
            f"the workers are of {len(by_user)} users: name the application's own in app_keys_processes, {INSTEAD}"
        )
    return list(by_user.values())


def _ourselves(app: Mapping[str, Any], running: Sequence[proc.Process]) -> Person:
    """Who is not root asks an application of his own, as himself."""
    uid, gid = os.geteuid(), os.getegid()
    person = next((person for person in (_of_process(app, one, uid) for one in running) if person), None)
    if person:
        return person
    if running:
        raise Refused(
            f"pid {running[0].pid} is not {paths.user(uid)}'s: run with become (-b), as root or as the user whose application it is"
        )
    environment = _clean(uid)
    for unit in _units(app):
        environment.update(_unit_environment(unit, {0, uid}))
    return Person(uid, gid, [], {**environment, **_env_files(app, {0, uid})}, "/", "nothing runs")


def _of_unit(app: Mapping[str, Any], unit: _Unit, inside: Sequence[proc.Process]) -> List[Person]:
    found = [person for person in (_of_process(app, process) for process in inside) if person]
    users = [person for person in found if person.uid != 0]
    if users:
        return users
    if unit.user not in ("", "root", "0"):
        return [_named(app, unit)]
    if not inside:
        raise Refused(
            f"{unit.name} does not run, and would begin as root, whoever it becomes: start it and run again, {INSTEAD}"
        )
    if len(found) < len(inside):
        raise Refused(f"what runs in {unit.name} has the rights of several users: set User= in it, {INSTEAD}")
    return [Person(0, 0, [], {**_clean(0), **_unit_environment(unit, {0})}, "/", f"{unit.name} is root's")]


def _named(app: Mapping[str, Any], unit: _Unit) -> Person:
    """The user whom a unit names; it need not run."""
    try:
        user = pwd.getpwuid(int(unit.user)) if unit.user.isdigit() else pwd.getpwnam(unit.user)
        gid = user.pw_gid
        if unit.group:
            gid = int(unit.group) if unit.group.isdigit() else grp.getgrnam(unit.group).gr_gid
    except KeyError:
        raise Refused(
            f"{unit.name} runs as {unit.user} {unit.group}, whom this host does not know while it does not run: start it, {INSTEAD}"
        ) from None
    if user.pw_uid == 0:
        raise Refused(f"{unit.name} names {unit.user}, who is root under another name: let it say root, {INSTEAD}")
    environment = {**_clean(user.pw_uid), **_unit_environment(unit), **_env_files(app)}
    return Person(user.pw_uid, gid, groups_of(user.pw_uid, gid), environment, "/", f"User= of {unit.name}")


def _of_processes(app: Mapping[str, Any], running: Sequence[proc.Process]) -> List[Person]:
    """Where no unit says it the workers have to."""
    if not running:
        raise Refused(
            f"nothing runs, and no unit says as whom it would: start the application, or set app_keys_service, {INSTEAD}"
        )
    found = [_of_process(app, process) for process in running]
    users = [person for person in found if person and person.uid != 0]
    if users:
        return users
    if None in found:
        pid = running[found.index(None)].pid
        raise Refused(
            f"pid {pid} has the rights of several users, or has ended: name the application's own workers, {INSTEAD}"
        )
    if any(process_sources.of(place).anybody for place in app["processes"]):
        raise Refused(
            "the workers are root's, and a command line, which anybody may give a program, is no reason to run anything as root: name the "
            f"unit (app_keys_service) or a pid file of root's, {INSTEAD}"
        )
    return [Person(0, 0, [], {**_clean(0), **_env_files(app, {0})}, "/", f"pid {running[0].pid} is root's")]


def _of_process(app: Mapping[str, Any], process: proc.Process, only: Optional[int] = None) -> Optional[Person]:
    """The user of a process, if all of its ids are one (and that is `only`); of root's nothing else is taken. None if not."""
    try:
        with proc.opened("/proc", process.pid) as folder:
            before = ids_of(folder)
            if before is None or before[0] != (before[0] if only is None else only):
                return None
            uid, gid = before
            try:
                environment = given.environment(process) if uid else {}
            except given.EnvironmentUnknown:
                environment = {**_clean(uid), **_env_files(app, None if only is None else {0, only})}
            cwd = os.readlink("cwd", dir_fd=folder) if uid else "/"
            if ids_of(folder) != before or proc.stat_of(folder).ticks != process.ticks:
                return None
    except OSError:
        return None
    return Person(uid, gid, groups_of(uid, gid) if only is None else [], environment, cwd, f"pid {process.pid}")


def ids_of(folder: int) -> Optional[Tuple[int, int]]:
    """Return the user and the group of a process, if the real, effective, saved and file system's are one each."""
    uids, gids = (set(numbers) for numbers in proc.ids(folder))
    return (uids.pop(), gids.pop()) if len(uids) == len(gids) == 1 else None


def groups_of(uid: int, gid: int) -> List[int]:
    """Return the groups that a user is in besides."""
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return [gid]


def _clean(uid: int) -> Dict[str, str]:
    """Return what systemd gives a service of this user."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8"}
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return environment
    return {**environment, "HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


def _env_files(app: Mapping[str, Any], owners: Optional[Set[int]] = None) -> Dict[str, str]:
    """Return what the application's env files say; Refused for one that is not of these owners."""
    values: Dict[str, str] = {}
    for path in app["env_file"]:
        values.update(_env_file(path, app["env_format"], owners))
    return values


def _env_file(path: str, env_format: str, owners: Optional[Set[int]]) -> Dict[str, str]:
    try:
        with files.Place(path) as place:
            text, owner = place.text(), place.owner()
    except (OSError, PhasedKeysError) as error:
        raise Refused(f"{path} cannot be used: {error}") from None
    if text is not None and owners is not None and owner not in owners:
        raise Refused(
            f"{path} is {paths.user(owner)}'s, and says nothing to what runs as {paths.user(max(owners))}: {INSTEAD[3:]}"
        )
    return env_text.read_all(text or "", env_format)


def _units(app: Mapping[str, Any]) -> List[_Unit]:
    """Return the application's units; those that systemd does not know are left out."""
    names = [*process_sources.units(app["processes"]), *app["service"]]
    full = list(dict.fromkeys(units.full_name(name) for name in names))
    if not full:
        return []
    asked = ["show", "--property=" + ",".join(_PROPERTIES), "--", *full]
    code, out, err = units.systemctl(app["service_scope"], asked, units.QUERY_TIMEOUT)
    blocks = [block.strip("\n").split("\n") for block in out.split("\n\n") if block.strip()]
    if code or len(blocks) != len(full):
        raise Refused(f"systemctl does not say as whom {', '.join(full)} would run: {err or 'it told of others'}")
    found = []
    for name, lines in zip(full, blocks):
        said = [line.partition("=")[::2] for line in lines]
        of = dict(said)
        paths_said = [value for field, value in said if field == "EnvironmentFiles"]
        if of.get("LoadState") == "loaded":
            cgroup, user, group, environment = (of.get(field, "") for field in _PROPERTIES[1:5])
            found.append(_Unit(name, cgroup, user, group, environment, paths_said))
    return found


def _unit_environment(unit: _Unit, owners: Optional[Set[int]] = None) -> Dict[str, str]:
    """Return the variables that a unit itself gives; Refused for a file of its that is not of these owners."""
    values = {}
    for quoted, bare in _WORD.findall(unit.environment):
        word = bare or re.sub(r"(?s)\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), quoted)
        name, equals, value = word.partition("=")
        if equals:
            values[name] = value
    for shown in unit.files:
        pattern = re.sub(r" \(ignore_errors=\w+\)$", "", shown)
        for path in sorted(glob.glob(pattern)) or [pattern]:
            values.update(_env_file(path, "systemd", owners))
    return values
