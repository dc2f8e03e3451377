# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each process was given when its program was started: its environment, or why that cannot be known.

Sources: proc_pid_environ(5), execve(2), prctl(2), and the kernel's fs/proc/base.c.
"""

from __future__ import annotations

import os
import re
import time
from typing import Collection, Dict, Iterable, Iterator, Optional, Tuple, Union

from .proc import Process, opened, read, same
from .rules.errors import PhasedKeysError

# execve gives a program at most this much of arguments and environment together (fs/exec.c: three quarters of _STK_LIM): what is
# larger was moved or made later, and is not read.
LARGEST = 6 * 1024 * 1024
# Of a process that is between two programs (execve) or on its way out, /proc has no environment for a moment.
_TRIES, _PAUSE = 10, 0.02
_ENTRY, _ANY_ENTRY = rb"(?:\A|\0)%s=([^\0]*)", rb"(?:\A|\0)[^\0=]+="
_CODING = ("utf-8", "surrogateescape")
_TOO_LARGE = (
    f"pid {{pid}} has overwritten its environment: it shows {{size}} bytes, and no program is given more than {LARGEST}"
)


class EnvironmentUnknown(PhasedKeysError):
    """What a process was given cannot be known; `kind` is one of "gone", "unreadable" and "overwritten"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


Settings = Union[Dict[str, str], EnvironmentUnknown]


def environment(process: Process, proc: str = "/proc") -> Dict[str, str]:
    """Return the environment that `process` was given when its program was started (execve); EnvironmentUnknown.

    What it did to its variables later does not show. A process that was forked and has not yet called execve shows
    its parent's, and execve changes neither pid nor start: so one look proves little, and callers take two.
    """
    _process, given = next(_all_given([process], proc))
    if isinstance(given, EnvironmentUnknown):
        raise given
    found: Dict[str, str] = {}
    for entry in given.split(b"\0"):
        name, equals, value = entry.decode("utf-8", "surrogateescape").partition("=")
        if equals and name:
            found.setdefault(name, value)  # getenv(3) takes the first of several too
    return found


def settings(
    wanted: Iterable[Process], names: Collection[str], proc: str = "/proc"
) -> Iterator[Tuple[Process, Settings]]:
    """Yield each process with those of the variables `names` that it was given, or with why that is not known.

    In no order, and of one process at a time: all together may be more than there is memory.
    """
    for process, given in _all_given(wanted, proc):
        if isinstance(given, EnvironmentUnknown):
            yield process, given
        else:
            entries = {name: re.search(_ENTRY % re.escape(name.encode()), given) for name in names}
            yield process, {name: entry[1].decode(*_CODING) for name, entry in entries.items() if entry}


def may_hold(wanted: Iterable[Process], names: Collection[str], proc: str = "/proc") -> Iterator[Process]:
    """Yield the processes for which `settings` may find something: quick, since every process of a host is asked.

    One is left out only where all that it was given was read and holds none of `names`, or nobody here may read it.
    """
    needles = [name.encode() + b"=" for name in names]
    for process in wanted:
        size = process.areas[3] - process.areas[2]
        try:
            fd = os.open(f"{proc}/{process.pid}/environ", os.O_RDONLY)
            try:
                given = os.read(fd, min(max(size, 0), LARGEST) + 1)
            finally:
                os.close(fd)
        except PermissionError:
            continue
        except OSError:
            given = b""
        if not size or len(given) != size or any(needle in given for needle in needles):
            yield process


def _all_given(wanted: Iterable[Process], proc: str) -> Iterator[Tuple[Process, Union[bytes, EnvironmentUnknown]]]:
    """Yield each process with what it was given, as it stands in its memory.

    Who is between two programs is asked again, all of them together: nobody makes us wait for one after the other.
    """
    for last in [False] * (_TRIES - 1) + [True]:
        between = []
        for process in wanted:
            try:
                given = _given(process, proc)
            except EnvironmentUnknown as error:
                yield process, error
                continue
            if given is not None:
                yield process, given
            elif last:
                text = f"pid {process.pid} shows no environment: its main thread has ended"
                yield process, EnvironmentUnknown("unreadable", text)
            else:
                between.append(process)
        if not between:
            return
        wanted = between
        time.sleep(_PAUSE)


def _given(process: Process, proc: str) -> Optional[bytes]:
    """Return what a process was given; None where it shows nothing at this moment. EnvironmentUnknown."""
    pid = process.pid
    try:
        with opened(proc, pid) as folder:
            before = same(folder, process)
            arguments, size = (max(0, end - start) for start, end in (before.areas[:2], before.areas[2:]))
            if max(arguments, size) > LARGEST:
                raise EnvironmentUnknown("overwritten", _TOO_LARGE.format(pid=pid, size=max(arguments, size)))
            try:
                raw = read(folder, "environ", size + 1)
                shown = len(read(folder, "cmdline", arguments + 1))
            except ProcessLookupError:  # no memory: it ends, or its first thread has ended
                return None
            after = same(folder, process)
    except (FileNotFoundError, ProcessLookupError):
        raise EnvironmentUnknown("gone", f"pid {pid} has ended meanwhile") from None
    except OSError as error:
        raise EnvironmentUnknown("unreadable", f"pid {pid} does not show its environment: {error.strerror}") from None
    if before.areas != after.areas or not after.areas[3]:
        return None
    return _judged(pid, raw, shown, after.areas)


def _judged(pid: int, raw: bytes, shown: int, areas: Tuple[int, ...]) -> bytes:
    """Return the variables, unless the process has written over them; `shown` is how long a command line the kernel shows."""
    arg_start, arg_end, env_start, env_end = areas
    # At execve the arguments and the environment lie side by side. setproctitle(3) takes both for the title and
    # clears the rest; the kernel shows a title that runs over into the environment as a command line longer than
    # the arguments were, and what such a title leaves there may well look like a variable. A program may also move
    # the borders of its environment (PR_SET_MM) until nothing lies between them. One that was really started without
    # any environment has those borders right behind its arguments; a gap there tells that they were moved.
    spilled = arg_end > arg_start and shown > arg_end - arg_start
    emptied = not re.search(_ANY_ENTRY, raw) and (raw or env_start != arg_end)
    if spilled or emptied or len(raw) != env_end - env_start:
        raise EnvironmentUnknown("overwritten", f"pid {pid} has overwritten its environment (setproctitle)")
    return raw
