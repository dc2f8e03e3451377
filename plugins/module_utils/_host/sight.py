# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules may ask of this host: the `Sight` of a process source, and that of a proof."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Set, Union

from . import helpers, processes, units
from .age import Ages
from .processes import Process
from .rules.process_sources import Found
from .rules.proofs import Asking

if TYPE_CHECKING:
    from .._shapes import EnvFile
    from .containers import Containers

Table = Mapping[int, Process]


class Processes:
    """See `rules.process_sources.Sight`; `shown` are the units that the places bring."""

    def __init__(self, table: Table, shown: Sequence[units.Unit]) -> None:
        self.table = table
        self._units = {unit.name: unit for unit in shown}
        self.containers: Optional[Containers] = None  # once a place names one

    def of_unit(self, name: str) -> Found:
        """Return what runs in the control group of a unit."""
        unit = self._units[units.full_name(name)]
        inside = processes.in_cgroup(self.table, unit.cgroup)
        if unit.starts or any(helpers.is_engine(process) for process in inside):
            return self._containers().of_unit(unit, inside)
        return _found(inside)

    def of_container(self, name: str, engine: Optional[str], user: Optional[str]) -> Found:
        """Return what runs in the container with this name."""
        return self._containers().named(name, (engine, user))

    def of_project(
        self, project: str, services: Optional[Sequence[str]], engine: Optional[str], user: Optional[str]
    ) -> Found:
        """Return what runs in the containers of a compose project."""
        return self._containers().of_project(project, services, (engine, user))

    def of_pid_file(self, path: str) -> Found:
        """Return the process that a pid file names, and its descendants."""
        from . import pid_files

        named = pid_files.read(self.table, path)
        return _found(named.processes, named.doubt)

    def called(self, pattern: str) -> Found:
        """Return the processes that are called so, but what Ansible itself runs."""
        return _found(processes.matching(self.table, pattern, processes.lineage(self.table, os.getpid())))

    def _containers(self) -> Containers:
        from . import containers

        self.containers = self.containers or containers.Containers(self.table)
        return self.containers


class Keys:
    """See `rules.proofs.Sight`; `app` holds the application's variables, `stamps` are the record's, `env_files` what the files say, and
    `sends` is what goes along with a question to the application."""

    def __init__(
        self,
        app: Mapping[str, Any],
        table: Table,
        named: Table,
        stamps: Mapping[str, Any],
        env_files: Sequence[EnvFile],
        sends: Optional[bytes] = None,
    ) -> None:
        self._sends = sends
        self._app, self._table, self._named, self._stamps, self._env_files = app, table, named, stamps, env_files
        self._ages: Optional[Ages] = None

    def by_age(self, pid: int) -> Dict[str, Any]:
        """Return what a worker must have read, by its age."""
        self._ages = self._ages or Ages(self._table, self._named, self._stamps)
        return self._ages.read(self._named[pid], self._env_files)

    def by_http(self, url: str, host: Optional[str]) -> Asking:
        """Return what asks at a URL of this host."""
        from . import loopback

        return loopback.http(url, host, self._uids(), self._sends)

    def by_socket(self, path: str, page: str, host: Optional[str]) -> Asking:
        """Return what asks at a unix socket."""
        from . import loopback

        return loopback.unix(path, page, host, self._uids(), self._sends)

    def by_command(self, command: Union[str, List[str]]) -> Asking:
        """Return what runs a command as the application's user."""
        from . import own_word

        workers = [{"pid": pid, "ticks": process.ticks} for pid, process in self._named.items()]
        return own_word.from_command(self._app, command, workers, self._sends or b"")

    def _uids(self) -> Set[int]:
        return {uid for process in self._named.values() for uid in process.uids}


def _found(members: Sequence[Process], doubt: Optional[str] = None) -> Found:
    return Found([process.pid for process in members], doubt)
