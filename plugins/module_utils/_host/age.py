# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof `process_age`: what a worker must have read, if it and all that it runs on started after its env files were written.

Sources: proc_pid_stat(5), pid_namespaces(7), clock_gettime(2).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Collection, Dict, List, Mapping, Optional, Sequence, Union

from . import files, processes
from .processes import Process
from .rules import age

if TYPE_CHECKING:
    from .._shapes import EnvFile, Stamp

Entry = Dict[str, Any]
_TRIES, _PAUSE = 3, 0.01
ORPHAN = "was forked by a process that is gone or runs another program by now, and so its age does not say how old its settings are"


def stamps(paths: Sequence[str], before: Mapping[str, Stamp]) -> Dict[str, Stamp]:
    """Note since when (boot clock) these files are as they are. What starts after this returns is younger than they are.

    What was noted `before` of a file that has not changed since stays.
    """
    tick = 1 / processes.HERTZ
    # File times are no finer than this: whatever changes the file after the pause gives it another identity.
    time.sleep(2 * tick)
    identities = {path: files.identity(path) for path in paths}
    boot, ticks = processes.boot_id(), processes.ticks_now()
    time.sleep(tick)
    noted = {path: age.stamp(identity, boot, ticks, before.get(path)) for path, identity in identities.items()}
    return {path: stamp for path, stamp in noted.items() if stamp}


class Ages:
    """What is needed to tell the ages of a host's processes.

    table    all processes, named or not
    named    the pids of those that are to be proven
    stamps   the record's, by path
    """

    def __init__(self, table: Mapping[int, Process], named: Collection[int], stamps: Mapping[str, Stamp]) -> None:
        self.table = table
        self.named = frozenset(named)
        self.stamps = stamps
        self.boot = processes.boot_id()
        self.namespace = os.stat("/proc/self/ns/pid").st_ino

    def read(self, process: Process, env_files: Sequence[EnvFile]) -> Entry:
        """Return what a worker signs with and accepts by its age, or the problem that keeps it from being told."""
        problem = self._problem(process, env_files)
        if problem:
            return {"signs": None, "accepts": [], "problem": problem}
        return {"signs": env_files[0]["signs"], "accepts": env_files[0]["accepts"], "problem": None}

    def _problem(self, process: Process, env_files: Sequence[EnvFile]) -> Optional[Dict[str, str]]:
        if not env_files:
            return _trouble("stale", "no env file is named")
        if len({(entry["signs"], tuple(sorted(entry["accepts"]))) for entry in env_files}) > 1:
            return _trouble("stale", "its env files do not agree")
        for file in env_files:
            if file["problem"]:
                return _trouble("stale", f"nothing is known of its keys: {file['path']}: {file['problem']['text']}")
        line = self._line(process)
        if isinstance(line, dict):
            return line
        oldest = min(line, key=lambda one: one.ticks)
        who = "" if oldest.pid == process.pid else f"runs on what pid {oldest.pid} was given, which "
        said = {
            file["path"]: age.judge(file, self.stamps.get(file["path"]), self.boot, oldest.ticks, oldest.started)
            for file in env_files
        }
        for path, verdict in said.items():
            if verdict == age.OLDER:
                return _trouble("stale", f"{who}started before {path} was written")
        for path, verdict in said.items():
            if verdict == age.UNDATED:
                return _trouble(
                    "undated",
                    f"no visit noted when {path} was written as it is, and clocks are set: its age proves nothing yet",
                )
        return None

    def _line(self, process: Process) -> Union[List[Process], Dict[str, str]]:
        """Return the process and all whose program or settings it runs on, or the problem where they are not all there."""
        try:
            namespace = os.stat(f"/proc/{process.pid}/ns/pid").st_ino
            process = _steady(process)
        except (FileNotFoundError, ProcessLookupError):
            return _trouble("gone", "has ended meanwhile")
        except OSError as error:
            return _trouble("unreadable", f"does not show what it runs on: {error.strerror}")
        if namespace != self.namespace:
            # With `docker restart` it is young, and still has what the container was created with.
            return _trouble(
                "container", "runs in a container, and its age does not say what the container was created with"
            )
        line = [process]
        seen = {process.pid}
        while True:
            last = line[-1]
            parent = self.table.get(last.parent)
            if last.forked and (parent is None or not last.image or parent.image != last.image):
                return _trouble("ageless", ORPHAN)
            if parent is None or parent.pid in seen or not (last.forked or parent.pid in self.named):
                return line
            seen.add(parent.pid)
            line.append(parent)


def _steady(process: Process) -> Process:
    """Return a process as it is when it is not just between two programs."""
    for _try in range(_TRIES):
        if process.image or not process.forked:
            break
        time.sleep(_PAUSE)
        now = processes.whole(process)
        if now is None:
            raise ProcessLookupError
        process = now
    return process


def _trouble(kind: str, text: str) -> Dict[str, str]:
    return {"kind": kind, "text": text}
