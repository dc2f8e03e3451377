# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in containers on this host, seen from the host: which processes, and which containers would bring old keys back.

A container's processes are those of its control group, in whatever PID namespace; where it has none of its own, its first
process and what descends from that.

Sources: cgroups(7), pid_namespaces(7), podman-run(1) on --cgroups, conmon(8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, cast

from . import helpers, processes, workers
from .engines import Engines
from .problems import Unusable
from .processes import Process
from .rules import containers as rules
from .rules.containers import Container
from .rules.frameworks import Profile
from .rules.process_sources import Found

if TYPE_CHECKING:
    from .._shapes import Keeper
    from .units import Unit

Table = Mapping[int, Process]
Whose = Tuple[Optional[str], Optional[str]]  # an engine and a user, as a place names them


class Containers:
    """The containers that the places of one look name.

    seen      each with what it is called in messages
    missing   what the places name and is not there
    holds     of each process in one, what that is called
    moved     whether one has started a process since the table was read
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._engines: Dict[Whose, Engines] = {}
        self._answers: Dict[Any, List[Container]] = {}
        self.seen: Dict[str, Container] = {}
        self.missing: Dict[str, None] = {}
        self.holds: Dict[int, str] = {}
        self.moved = False

    def evidence(self, profile: Profile) -> List[Keeper]:
        """Return what a look says of them: fingerprints of what each was created with, and no more of that."""
        found: List[Dict[str, Any]] = [
            {
                "name": called,
                "there": True,
                "made": one.made,
                "runs": one.pid in self._table,
                "returns": one.returns,
                "way": one.way,
                "anew": one.service or one.name,
                **workers.in_fingerprints(profile, one.environment),
            }
            for called, one in self.seen.items()
        ]
        blank = workers.blank("absent", "it is not there")
        found += [
            {
                "name": called,
                "there": False,
                "made": 0.0,
                "runs": False,
                "returns": None,
                "way": "",
                "anew": "",
                **blank,
            }
            for called in self.missing
        ]
        return [cast("Keeper", one) for one in found]

    def named(self, name: str, whose: Whose) -> Found:
        """Return what runs in a container; Unusable where several have the name, or an engine does not answer."""
        found = self._ask(("container", name), whose)
        if len(found) > 1:
            engines = " and of ".join(sorted(one.engine for one in found))
            raise Unusable(
                f"a container of {engines} is called {name}: say engine: {found[0].engine} beside it in app_keys_processes"
            )
        if not found:
            self.missing[f"container {name}"] = None
        return self._inside(found)

    def of_project(self, project: str, services: Optional[Sequence[str]], whose: Whose) -> Found:
        """Return what runs in the containers of a compose project; Unusable where an engine does not answer."""
        found = self._ask(("project", project), whose)
        if not found:
            self.missing[f"container of the compose project {project}"] = None
        elif services is not None:
            there = {one.service for one in found}
            lacking = [service for service in services if service not in there]
            self.missing.update(dict.fromkeys(f"container of the service {name} of {project}" for name in lacking))
            found = [one for one in found if one.service in services]
        return self._inside(found)

    def of_unit(self, unit: Unit, inside: Sequence[Process]) -> Found:
        """Return what runs in a unit, with the containers that it runs: what a monitor in it watches, or what its lines name."""
        engines = [process.pid for process in inside if helpers.is_engine(process)]
        firsts = [one for one in self._table.values() if one.parent in engines and one.pid not in engines]
        groups: List[Found] = []
        # The first of a container before what `podman exec` has started in it, which has a monitor too.
        for first in sorted(firsts, key=lambda one: one.ticks):
            known = any(first.pid in group.pids for group in groups)
            if not known and (first not in inside or processes.container_groups(first)):
                groups.append(self._group(first))
        for words in unit.starts:
            meant = rules.started_by(words)
            if meant and (meant[2] or not groups):
                groups += self._started(unit, *meant)
        found = _together(groups)
        # A client that waits for its container may have been given the keys, to pass them on.
        stand = next((pid for pid in found.pids if pid not in found.guests), None)
        clients = {pid: stand for pid in engines if stand is not None}
        pids = {*found.pids, *(process.pid for process in inside)}
        return Found(sorted(pids), None, {**found.guests, **clients})

    def _started(self, unit: Unit, engine: str, name: str, there: bool) -> List[Found]:
        """What runs in a container that a unit's line names; one that is only started keeps what it was created with."""
        try:
            found = self._ask(("container", name), (engine, None))
        except Unusable:
            if there:
                raise
            return []
        if there:
            found = [one._replace(returns=f"{unit.name} starts it again") for one in found]
            return [self._inside(found)]
        return [self._group(self._table[one.pid]) for one in found if one.pid in self._table]

    def _ask(self, what: Tuple[str, str], whose: Whose) -> List[Container]:
        if whose not in self._engines:
            self._engines[whose] = Engines(*whose)
        engines, (kind, name) = self._engines[whose], what
        if (what, whose) not in self._answers:
            ask = {"container": engines.named, "project": engines.of_project}[kind]
            self._answers[(what, whose)] = ask(name)
        return self._answers[(what, whose)]

    def _inside(self, found: Sequence[Container]) -> Found:
        groups = []
        for one in found:
            called = f"container {one.name}"
            self.seen[called] = one
            if one.pid in self._table:
                group = self._group(self._table[one.pid])
                self.holds.update(dict.fromkeys(group.pids, called))
                groups.append(group)
            elif one.pid:
                self.moved = True
        return _together(groups)

    def _group(self, first: Process) -> Found:
        """Return the processes of the container whose first process this is, and which of them are none of the application's."""
        table, line = self._table, [one.pid for one in processes.below(self._table, first.pid)]
        roots = processes.container_groups(first)
        inside = [
            pid
            for pid in sorted(table)
            if any((path + "/").startswith(root + "/") for path in table[pid].cgroups for root in roots)
        ]
        guests = {}
        if roots and processes.inner(first.pid):
            # What was started in it from outside (exec) has what the container was created with, and comes and goes.
            guests = {pid: first.pid for pid in inside if pid not in line}
        children = [pid for pid in line if table[pid].parent == first.pid]
        if helpers.called(first) in rules.INITS and children:
            guests[first.pid] = children[0]
        return Found(sorted({*inside, *line}), None, guests)


def _together(groups: Sequence[Found]) -> Found:
    pids = {pid for group in groups for pid in group.pids}
    return Found(sorted(pids), None, {pid: stand for group in groups for pid, stand in group.guests.items()})
