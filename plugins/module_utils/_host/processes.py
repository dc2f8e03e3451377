# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on this host: read from /proc, nothing decided, nothing changed.

What each process was given is in `given`. Sources: proc(5), cgroups(7), pid_namespaces(7).
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Collection, Dict, List, Mapping, Optional

from .given import EnvironmentUnknown, environment
from .problems import Unusable
from .proc import HERTZ, Process, opened, process_of, stat_of
from .proc import read as text_of

__all__ = ["EnvironmentUnknown", "Process", "environment"]
CONTAINER_GROUP = re.compile(r"(?:\A|[-/])([0-9a-f]{64})(?:\.scope)?\Z")
EVERYTHING = ("ids", "command", "cgroups")


def table(proc: str = "/proc", read: Collection[str] = EVERYTHING) -> Dict[int, Process]:
    """Return every process by pid, without the dead and the kernel's own.

    What is not in `read` costs nothing and is not there: no ids (-1), no cgroups, the program's name for a command. Where
    /proc is mounted with hidepid, an ordinary user does not see the others' processes: pid 1 is missing then.
    """
    boot = _boot()
    found = {}
    for name in os.listdir(proc):
        process = process_of(proc, int(name), boot, read) if name.isdigit() else None
        if process:
            found[process.pid] = process
    return found


def whole(process: Process, proc: str = "/proc") -> Optional[Process]:
    """Return the process with everything that `table` can read of it; None if it has ended."""
    found = process_of(proc, process.pid, _boot(), EVERYTHING)
    return found if found and found.ticks == process.ticks else None


def below(table: Mapping[int, Process], pid: int) -> List[Process]:
    """Return the process and all that descend from it, by pid."""
    children: Dict[int, List[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found = {pid: None} if pid in table else {}
    waiting = list(found)
    while waiting:
        new = [child for child in children.get(waiting.pop(), []) if child not in found]
        found.update(dict.fromkeys(new))
        waiting.extend(new)
    return [table[one] for one in sorted(found)]


def matching(table: Mapping[int, Process], pattern: str, but: Collection[int]) -> List[Process]:
    """Return the processes whose command line has a match for `pattern`, by pid, without those in `but`.

    It is looked for in the first LONGEST_COMMAND bytes, once for processes that are called the same.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise Unusable(f"{pattern!r} is not a regular expression: {error}") from None
    others = [table[pid] for pid in sorted(table) if pid not in but]
    called = {command for command in {process.command for process in others} if expression.search(command)}
    return [process for process in others if process.command in called]


def lineage(table: Mapping[int, Process], pid: int) -> List[int]:
    """Return `pid` and its ancestors: of our own pid, what Ansible itself runs, whose arguments may match a pattern."""
    line: List[int] = []
    while pid > 0 and pid not in line:
        line.append(pid)
        pid = table[pid].parent if pid in table else 0
    return line


def in_cgroup(table: Mapping[int, Process], path: str) -> List[Process]:
    """Return the processes in the cgroup `path` (as systemd names it) or below it, by pid; none for an empty path.

    With version 1 and in hybrid setups a process has a path per hierarchy, and one that fits is enough.
    """
    if not path:
        return []  # what systemd says of a unit that does not run: by no means the root
    # Whoever looks at a container's systemd from outside of its cgroup namespace (nsenter without -C) sees paths that
    # begin farther up: its own tree begins where its init.scope is.
    first = table[1].cgroups if 1 in table else ()
    roots = {"", *(own[: -len("/init.scope")] for own in first if own.endswith("/init.scope"))}
    places = tuple((root + path).rstrip("/") + "/" for root in roots)
    return [table[pid] for pid in sorted(table) if any((own + "/").startswith(places) for own in table[pid].cgroups)]


def container_groups(process: Process) -> List[str]:
    """Return the control groups, one for each hierarchy, that an engine made for the container of a process: they are called by its id."""
    found = []
    for path in process.cgroups:
        parts = path.split("/")
        named = [place for place, part in enumerate(parts, 1) if CONTAINER_GROUP.search(part)]
        if named:
            found.append("/".join(parts[: named[0]]))
    return found


def container_of(process: Process) -> Optional[str]:
    """Return the id of the container that a process is in, by its control group; None where that names none."""
    found = [CONTAINER_GROUP.search(group) for group in container_groups(process)]
    return next((match[1] for match in found if match), None)


def boot_id() -> str:
    """Return the kernel's random name of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def machine() -> str:
    """Return what two inventory hosts share exactly if they see the same processes: "<boot>/<pid namespace>"."""
    return f"{boot_id()}/{os.stat('/proc/self/ns/pid').st_ino}"


def inner(pid: int, proc: str = "/proc") -> Optional[Dict[str, Any]]:
    """Return what a process in another PID namespace than ours is called there: `machine`, as who looks from in there has it, and `pid`.

    None for one in ours, and where it may not be seen.
    """
    try:
        with opened(proc, pid) as folder:
            namespace = os.stat("ns/pid", dir_fd=folder).st_ino
            if namespace == os.stat("/proc/self/ns/pid").st_ino:
                return None
            lines = [line.split() for line in text_of(folder, "status").split(b"\n")]
    except OSError:
        return None
    numbers = next((line[1:] for line in lines if line[:1] == [b"NSpid:"]), [])
    return {"machine": f"{boot_id()}/{namespace}", "pid": int(numbers[-1])} if numbers else None


def ticks_now() -> int:
    """Return the boot clock now, in the clock ticks in which the start of a process is told."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * HERTZ // 10**9


def start_ticks(pid: int, proc: str = "/proc") -> Optional[int]:
    """Return when the process that has `pid` now started, in clock ticks since boot; None if there is none."""
    try:
        with opened(proc, pid) as folder:
            stat = stat_of(folder)
            return stat.ticks if stat.alive else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def _boot() -> float:
    """Return when the host was booted, in epoch seconds by the present wall clock."""
    # In this order: if this is held up in between, processes look older and never younger.
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
