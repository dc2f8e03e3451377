# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process as /proc shows it: bytes in, with a bound on each, and nothing decided.

Sources: proc(5), proc_pid_stat(5), proc_pid_cmdline(5), cgroups(7), and the kernel's fs/proc and fs/exec.c.
"""

from __future__ import annotations

import contextlib
import os
from typing import Collection, Iterator, NamedTuple, Optional, Tuple

# What is read of a process is bounded, since any user of the host may have made it. Of a command line so much is kept, shown and
# matched, as `ps` had it for long: a pattern may take quadratic time over it.
LONGEST_COMMAND = 4096
LONGEST_TEXT = 65536  # of the kernel's own texts: stat, status and cgroup
HERTZ = os.sysconf("SC_CLK_TCK")
_FORKED, _KERNEL_THREAD = 0x00000040, 0x00200000  # PF_FORKNOEXEC and PF_KTHREAD in include/linux/sched.h


class Process(NamedTuple):
    """One running process. `pid` and `ticks` together are its identity: pids are used again."""

    pid: int
    parent: int
    ticks: int  # when it started, in clock ticks since boot
    started: float  # the same in epoch seconds, by the present wall clock
    uid: int  # effective, like gid
    gid: int
    command: str  # its first LONGEST_COMMAND bytes; may hold secrets that somebody passed as arguments: not for reports as it is
    cgroups: Tuple[str, ...]
    uids: Tuple[int, ...] = ()  # real, effective, saved and file system, like gids; empty where they were not read
    gids: Tuple[int, ...] = ()
    forked: bool = False  # and has called no execve since: it runs on what its parent was given
    areas: Tuple[int, ...] = (0, 0, 0, 0)  # arg_start, arg_end, env_start, env_end; all 0 where they may not be seen
    stack: int = 0  # where its stack began at execve, which the kernel chooses at random

    @property
    def image(self) -> Tuple[int, ...]:
        """What a process shares with those that it forked, until one of them calls execve; empty where it may not be seen."""
        return (self.stack, *self.areas[2:]) if self.areas[3] else ()


class Stat(NamedTuple):
    """What /proc/PID/stat says; the fields are those of `Process`, and `name` is the program's."""

    name: str
    state: str
    parent: int
    flags: int
    threads: int
    ticks: int
    stack: int
    areas: Tuple[int, ...]

    @property
    def alive(self) -> bool:
        """Whether it still serves: one whose first thread has ended looks like a zombie, but its other threads go on."""
        return self.state not in "ZXx" or (self.state == "Z" and self.threads > 1)


@contextlib.contextmanager
def opened(proc: str, pid: int) -> Iterator[int]:
    """Hold a process's folder open.

    It stays with this very process: once it has ended, nothing can be read through it any more, and in particular
    nothing of the next one that gets the pid.
    """
    folder = os.open(f"{proc}/{pid}", os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield folder
    finally:
        os.close(folder)


def read(folder: int, name: str, most: int = LONGEST_TEXT) -> bytes:
    """Return the first `most` bytes of a file of a process, as they are: the kernel gives them in one piece."""
    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(fd, most)
    finally:
        os.close(fd)


def stat_of(folder: int) -> Stat:
    """Return what the kernel says of the process whose folder is open."""
    # The name is in parentheses and may hold spaces, parentheses and newlines itself. Numbers as in proc_pid_stat(5).
    head, _paren, tail = read(folder, "stat", 4096).rpartition(b")")
    field = [b"", b"", b"", *tail.split()]
    return Stat(
        name=head.partition(b"(")[2].decode("utf-8", "replace"), state=field[3].decode(), parent=int(field[4]),
        flags=int(field[9]), threads=int(field[20]), ticks=int(field[22]), stack=int(field[28]),
        areas=tuple(int(number) for number in field[48:52]),
    )  # fmt: skip


def same(folder: int, process: Process) -> Stat:
    """Return the same while it is still this process that is in the folder; ProcessLookupError."""
    now = stat_of(folder)
    if now.ticks != process.ticks or not now.alive:
        raise ProcessLookupError
    return now


def process_of(proc: str, pid: int, boot: float, what: Collection[str]) -> Optional[Process]:
    """Return a process with its "ids", its "command" and its "cgroups" where `what` names them.

    None if there is none, and for the kernel's own. `boot` is when the host was booted, in epoch seconds.
    """
    try:
        with opened(proc, pid) as folder:
            stat = stat_of(folder)
            if stat.flags & _KERNEL_THREAD or not stat.alive:
                return None
            uids, gids = ids(folder) if "ids" in what else ((), ())
            command = _command(folder) if "command" in what else ""
            cgroups = _cgroups(folder) if "cgroups" in what else ()
    except OSError:
        return None
    return Process(
        pid=pid, parent=stat.parent, ticks=stat.ticks, started=boot + stat.ticks / HERTZ,
        uid=uids[1] if uids else -1, gid=gids[1] if gids else -1, uids=uids, gids=gids,
        command=command or f"[{stat.name}]", cgroups=cgroups,
        forked=bool(stat.flags & _FORKED), areas=stat.areas, stack=stat.stack,
    )  # fmt: skip


def ids(folder: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """Return the real, effective, saved and file system user ids, and the group ids likewise."""
    # Their lines come early, and of the name before them the kernel escapes the line ends.
    fields = dict(line.partition(b":")[::2] for line in read(folder, "status", 4096).split(b"\n"))
    uids, gids = (tuple(int(number) for number in fields[kind].split()[:4]) for kind in (b"Uid", b"Gid"))
    return uids, gids


def _command(folder: int) -> str:
    shown = read(folder, "cmdline", LONGEST_COMMAND)
    return shown.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def _cgroups(folder: int) -> Tuple[str, ...]:
    try:
        lines = read(folder, "cgroup").split(
            b"\n"
        )  # str.splitlines() has more line ends, and a group's name may hold them
    except OSError:  # a kernel without cgroups, or a path that is too long to be shown
        return ()
    paths = [line.split(b":", 2)[2].decode("utf-8", "surrogateescape") for line in lines if line]
    return tuple(dict.fromkeys(paths))
