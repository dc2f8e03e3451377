# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes in a unit that are no workers of the application: told by what the kernel says of them, never by what they call themselves.

Sources: proc_pid_exe(5), proc_pid_auxv(5), getauxval(3), systemd.exec(5) on PAMName=, conmon(8), podman(1).
"""

from __future__ import annotations

import os
import stat
import struct
from typing import Optional

from .proc import LONGEST_TEXT, Process, opened, read

# What a container engine runs beside a container. They are given the engine's environment; the keys are in the container.
ENGINES = (
    "conmon",
    "podman",
    "catatonit",
    "slirp4netns",
    "pasta",
    "pasta.avx2",
    "rootlessport",
    "fuse-overlayfs",
    "aardvark-dns",
    "docker",
)
_EXECFN, _DELETED = 31, " (deleted)"  # AT_EXECFN in elf.h; what the kernel says behind a program that was replaced


def runs_for_others(process: Process, proc: str = "/proc") -> bool:
    """Whether a process is the service manager's own, or a container engine's: no program of the application.

    `(sd-pam)` is a fork of the manager that never became another program. The application could only pretend that with a
    program file of root's in the place of the manager's or the engine's.
    """
    program = _program(process.pid, proc)
    if program is None:
        return False
    if process.forked:
        manager = _program(1, proc) or ""
        if os.path.basename(manager) == "systemd" and program in (manager, f"{manager}-executor"):
            return True
    return os.path.basename(program) in ENGINES


def called(process: Process) -> str:
    """Return what a process calls its program, with or without its command line read."""
    return os.path.basename(process.command.split(" ")[0].strip("[]"))


def is_engine(process: Process, proc: str = "/proc") -> bool:
    """Whether a process is a container engine's; asked of many, so it is believed first that others do not call themselves so."""
    return called(process) in ENGINES and runs_for_others(process, proc)


def given_nothing(process: Process, proc: str = "/proc") -> bool:
    """Whether a process was given an empty environment at execve, and has not only emptied or moved it since.

    Above the environment the kernel puts the name of the program, and tells where (AT_EXECFN).
    """
    _arg_start, arg_end, env_start, env_end = process.areas
    return bool(env_end) and arg_end == env_start == env_end == _name_at(process.pid, proc)


def _program(pid: int, proc: str) -> Optional[str]:
    """Return the path of the program that a process runs; None where it may not be seen, or where others than root may write it."""
    link = f"{proc}/{pid}/exe"
    try:
        path, found = os.readlink(link), os.stat(link)
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return None
        if path.endswith(_DELETED) and found.st_nlink == 0:  # since an update
            return path[: -len(_DELETED)]
        return path if os.path.samestat(os.stat(path), found) else None
    except OSError:
        return None


def _name_at(pid: int, proc: str) -> Optional[int]:
    pair = struct.Struct("@LL")
    try:
        with opened(proc, pid) as folder:
            vector = read(folder, "auxv", LONGEST_TEXT)
    except OSError:
        return None
    whole = len(vector) - len(vector) % pair.size
    return dict(pair.iter_unpack(vector[:whole])).get(_EXECFN)
