# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on this host, and what each process was given: read from /proc, nothing decided, nothing changed.

Sources: proc(5), proc_pid_stat(5), proc_pid_environ(5), cgroups(7), and the kernel's fs/proc/base.c.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import Collection, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

# A process that started this much later than its pid file was written is not the one that the file means. A pid
# comes round again after minutes at the earliest, and clocks are set by seconds.
PID_FILE_TOLERANCE = 60.0
# Of a process that is between two programs (execve) or on its way out, /proc has no environment for a moment.
_TRIES, _PAUSE = 10, 0.02
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD in include/linux/sched.h


class Process(NamedTuple):
    """One running process. `pid` and `ticks` together are its identity: pids are used again."""

    pid: int
    parent: int
    ticks: int  # when it started, in clock ticks since boot
    started: float  # the same in epoch seconds, by the present wall clock
    uid: int  # effective, like gid
    gid: int
    command: str  # may hold secrets that somebody passed as arguments: not for reports as it is
    cgroups: Tuple[str, ...]


class EnvironmentUnknown(Exception):
    """What a process was given cannot be known; `kind` is one of "gone", "unreadable" and "overwritten"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class _Stat(NamedTuple):
    name: str
    state: str
    parent: int
    flags: int
    threads: int
    ticks: int
    areas: Tuple[int, ...]  # arg_start, arg_end, env_start, env_end; all 0 where there is no memory to look at

    @property
    def alive(self) -> bool:
        # A process whose first thread has ended looks like a zombie, but its other threads still serve.
        return self.state not in "ZXx" or (self.state == "Z" and self.threads > 1)


def table(proc: str = "/proc") -> Dict[int, Process]:
    """Return every process by pid, without the dead and the kernel's own.

    Where /proc is mounted with hidepid, an ordinary user does not see the others' processes: pid 1 is missing then.
    """
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)  # in this order: held up, all look older, not younger
    hertz = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid in (int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            with _opened(proc, pid) as folder:
                if _stat(folder).flags & _KERNEL_THREAD:
                    continue
                cgroups = _cgroups(folder)
                command = _read(folder, "cmdline").rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
                ids = {line.split(b":")[0]: line.split() for line in _read(folder, "status").splitlines()}
                stat = _stat(folder)  # the last: fails if the process ended meanwhile
        except OSError:
            continue
        if stat.alive:
            started = boot + stat.ticks / hertz
            uid, gid = int(ids[b"Uid"][2]), int(ids[b"Gid"][2])
            name = command or f"[{stat.name}]"
            found[pid] = Process(pid, stat.parent, stat.ticks, started, uid, gid, name, cgroups)
    return found


def environment(process: Process, proc: str = "/proc") -> Dict[str, str]:
    """Return the environment that `process` was given when its program was started (execve); EnvironmentUnknown.

    What it did to its variables later does not show. A process that was forked and has not yet called execve shows
    its parent's, and execve changes neither pid nor start: so one look proves little, and callers take two.
    """
    pid = process.pid
    try:
        with _opened(proc, pid) as folder:
            for attempt in range(_TRIES):
                time.sleep(_PAUSE if attempt else 0)
                before = _same(folder, process)
                try:
                    raw, command = _read(folder, "environ"), _read(folder, "cmdline")
                except ProcessLookupError:  # no memory: it ends, or its first thread has ended
                    continue
                after = _same(folder, process)
                if before.areas == after.areas and after.areas[3]:
                    return _decoded(pid, raw, command, after.areas)
    except (FileNotFoundError, ProcessLookupError):
        raise EnvironmentUnknown("gone", f"pid {pid} has ended meanwhile") from None
    except OSError as error:
        raise EnvironmentUnknown("unreadable", f"pid {pid} does not show its environment: {error.strerror}") from None
    raise EnvironmentUnknown("unreadable", f"pid {pid} shows no environment: its main thread has ended")


def below(table: Mapping[int, Process], pid: int) -> List[Process]:
    """Return the process and all that descend from it, by pid."""
    children: Dict[int, List[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found = [pid] if pid in table else []
    for one in found:  # grows on the way
        found.extend(child for child in children.get(one, []) if child not in found)
    return [table[one] for one in sorted(found)]


def from_pid_file(table: Mapping[int, Process], path: str) -> List[Process]:
    """Return the process that a pid file names and its descendants; none if it does not run, or is another by now.

    The first line counts (PostgreSQL writes more). ValueError if that is not a pid.
    """
    try:
        with open(path, "rb") as file:
            content, written = file.read(4096), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return []
    first = content.strip().split(b"\n")[0].strip()
    if not re.fullmatch(rb"0*[1-9][0-9]{0,9}", first):
        # What it holds is not shown: a path that is wrong by one line may be that of the env file.
        raise ValueError(f"{path} should hold a pid, and {'holds something else' if first else 'is empty'}")
    process = table.get(int(first))
    if process is None or process.started > written + PID_FILE_TOLERANCE:
        return []
    return below(table, process.pid)


def matching(table: Mapping[int, Process], pattern: str, but: Collection[int]) -> List[Process]:
    """Return the processes whose command line has a match for `pattern`, by pid, without those in `but`."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return [table[pid] for pid in sorted(table) if pid not in but and expression.search(table[pid].command)]


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


def boot_id() -> str:
    """Return the kernel's random name of this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def machine() -> str:
    """Return what two inventory hosts share exactly if they see the same processes: "<boot>/<pid namespace>"."""
    return f"{boot_id()}/{os.stat('/proc/self/ns/pid').st_ino}"


def start_ticks(pid: int, proc: str = "/proc") -> Optional[int]:
    """Return when the process that has `pid` now started, in clock ticks since boot; None if there is none."""
    try:
        with _opened(proc, pid) as folder:
            stat = _stat(folder)
            return stat.ticks if stat.alive else None
    except (FileNotFoundError, ProcessLookupError):
        return None


@contextlib.contextmanager
def _opened(proc: str, pid: int) -> Iterator[int]:
    # The open folder stays with this very process: once it has ended, nothing can be read through it any more, and
    # in particular nothing of the next one that gets the pid.
    folder = os.open(f"{proc}/{pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def _read(folder: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def _stat(folder: int) -> _Stat:
    # The name is in parentheses and may hold spaces, parentheses and newlines itself. Numbers as in proc_pid_stat(5).
    head, _paren, tail = _read(folder, "stat").rpartition(b")")
    field = dict(enumerate(tail.split(), start=3))
    name = head.partition(b"(")[2].decode("utf-8", "replace")
    areas = tuple(int(field.get(number, b"0")) for number in (48, 49, 50, 51))
    return _Stat(name, field[3].decode(), int(field[4]), int(field[9]), int(field[20]), int(field[22]), areas)


def _cgroups(folder: int) -> Tuple[str, ...]:
    with contextlib.suppress(FileNotFoundError):  # a kernel without cgroups
        lines = _read(folder, "cgroup").decode("utf-8", "surrogateescape").splitlines()
        return tuple(dict.fromkeys(line.split(":", 2)[2] for line in lines))
    return ()


def _same(folder: int, process: Process) -> _Stat:
    stat = _stat(folder)
    if stat.ticks != process.ticks or not stat.alive:
        raise ProcessLookupError
    return stat


def _decoded(pid: int, raw: bytes, command: bytes, areas: Tuple[int, ...]) -> Dict[str, str]:
    arg_start, arg_end, env_start, _end = areas
    # At execve the arguments and the environment lie side by side. setproctitle(3) takes both for the title and
    # clears the rest; the kernel shows a title that runs over into the environment as a command line longer than
    # the arguments were, and what such a title leaves there may well look like a variable. A program may also move
    # the borders (PR_SET_MM): one with nothing between them that was never given nothing is told by the gap.
    spilled = arg_end > arg_start and len(command) > arg_end - arg_start
    found: Dict[str, str] = {}
    for entry in raw.split(b"\0"):
        name, equals, value = entry.decode("utf-8", "surrogateescape").partition("=")
        if equals and name:
            found.setdefault(name, value)  # getenv(3) takes the first of several too
    if spilled or (not found and (raw or env_start != arg_end)):
        raise EnvironmentUnknown("overwritten", f"pid {pid} has overwritten its environment (setproctitle)")
    return found
