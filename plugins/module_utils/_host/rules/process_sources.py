# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of places that `app_keys_processes` may name: where on a host the workers of an application are.

`SOURCES`, at the end, holds one entry for each, and nothing else knows a kind by its name (CONTRIBUTING.md says how to add one).
A source reads nothing by itself: what it has to know of the host it asks of a `Sight`, which the host's code is.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Collection, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from .errors import PhasedKeysError

Place = Mapping[str, Any]
IDLE = "idle"  # stands beside every kind
ENGINES = ("podman", "docker")  # of containers, as their clients are called
# The name of a container, and of a project and a service of compose.
CONTAINER = re.compile(r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_COMMON = f"{IDLE}: true beside it where its main process may run without workers"


class PlaceError(PhasedKeysError):
    """A place that cannot be used; the text is the end of a sentence that begins with the variable's name."""


class Found(NamedTuple):
    """The processes that a place names; `doubt` says why they may be others than are meant.

    guests   of some of them another one by its pid, which has to be proven in their place: one that waits for the application, or
             that looks in. They are workers only where they were given other keys than that one
    """

    pids: Collection[int]
    doubt: Optional[str] = None
    guests: Mapping[int, int] = {}


class Running(Protocol):
    """A process of the host; what was not asked for (`Source.reads`) is empty: no `uids`, no `cgroups`, the program's name for `command`."""

    @property
    def pid(self) -> int: ...
    @property
    def parent(self) -> int: ...
    @property
    def command(self) -> str: ...
    @property
    def uids(self) -> Tuple[int, ...]: ...
    @property
    def cgroups(self) -> Tuple[str, ...]: ...


class Sight(Protocol):
    """What a source may ask of the host at the moment of a look. What a person can fix (PhasedKeysError) and OSError end the look, and their text is shown."""

    @property
    def table(self) -> Mapping[int, Running]:
        """Every process by pid."""

    def of_unit(self, name: str) -> Found:
        """Return what runs in the whole control group of a unit that `Source.units` has named."""

    def of_pid_file(self, path: str) -> Found:
        """Return the process that a pid file names, and its descendants."""

    def of_container(self, name: str, engine: Optional[str], user: Optional[str]) -> Found:
        """Return what runs in the container with this name, of one engine or of any, of the system's or of a user's."""

    def of_project(
        self, project: str, services: Optional[Sequence[str]], engine: Optional[str], user: Optional[str]
    ) -> Found:
        """Return what runs in the containers of a compose project, of some services of it or of all."""

    def called(self, pattern: str) -> Found:
        """Return the processes whose command line has a match for a regular expression, without our own and what it runs in."""


class Source(NamedTuple):
    """One kind of place.

    argument   what stands behind its name, as messages and docs say it: {unit: NAME}
    find       the processes of a place of this kind
    problem    what is wrong with a place, as the end of a sentence that begins with the variable's name; None: nothing
    fields     what else may stand in such a place
    reads      what has to be read of every process of the host to find them, beside its pid and parent: "ids", "command", "cgroups"
    units      the units that a place brings: they are looked at, and their environment is the application's
    together   whether they are named as one, by what they are in or below, and not each by what it is called. Only among such is
               one that has no keys a helper
    anybody    whether any user of the host can have a process of his named: then it is no reason to run anything as root
    """

    argument: str
    find: Callable[[Sight, Place], Found]
    problem: Callable[[Place], Optional[str]] = lambda place: None
    fields: Tuple[str, ...] = ()
    reads: Tuple[str, ...] = ()
    units: Callable[[Place], Sequence[str]] = lambda place: ()
    together: bool = True
    anybody: bool = False


def read(place: Any) -> Dict[str, Any]:
    """Return a place of `app_keys_processes` that can be used; PlaceError."""
    kinds = [name for name in place if name in SOURCES] if isinstance(place, Mapping) else []
    if len(kinds) != 1 or not set(place) <= {kinds[0], IDLE, *SOURCES[kinds[0]].fields}:
        raise PlaceError(f"holds {place!r}; a place is {one_of(forms())}, with {_COMMON}")
    (kind,) = kinds
    if not isinstance(place[kind], str) or not place[kind]:
        raise PlaceError(f"must be a text that is not empty, not {place[kind]!r}")
    if any("\0" in value for value in place.values() if isinstance(value, str)):
        raise PlaceError(f"is {place!r}, with a NUL in it: no path, name or argument of a program can hold one")
    problem = SOURCES[kind].problem(place)
    if problem:
        raise PlaceError(problem)
    return {name: value for name, value in place.items() if name != IDLE}


def of(place: Place) -> Source:
    """Return the kind of a place that `read` returned."""
    return next(SOURCES[name] for name in place if name in SOURCES)


def units(places: Sequence[Place]) -> List[str]:
    """Return the units that these places bring."""
    return [unit for place in places for unit in of(place).units(place)]


def one_of(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: a, b or c."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def forms(but: str = "") -> List[str]:
    """Return each kind as one writes it."""
    return [f"{{{name}: {source.argument}}}" for name, source in SOURCES.items() if name != but]


def _no_expression(place: Place) -> Optional[str]:
    try:
        re.compile(place["pattern"])
    except re.error as error:
        return f"has a pattern that is no regular expression: {error}"
    return None


def _no_container(kind: str) -> Callable[[Place], Optional[str]]:
    """Return what sees that a place names its container, and everything beside that, in words that an engine takes."""

    def problem(place: Place) -> Optional[str]:
        services = place.get("services", [place[kind]])
        if not isinstance(services, list) or not services:
            return f"is {place!r}, and services in it is no list of names"
        for name in [place[kind], *services]:
            if not isinstance(name, str) or not CONTAINER.match(name):
                return f"is {place!r}, and {name!r} in it is not the name of a container, a project or a service"
        if place.get("engine", ENGINES[0]) not in ENGINES:
            return f"is {place!r}, and engine in it is none of {', '.join(ENGINES)}"
        if not isinstance(place.get("user", "root"), str) or not re.match(
            r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", place.get("user", "root")
        ):
            return f"is {place!r}, and user in it is not the name of a user"
        return None

    return problem


SOURCES: Dict[str, Source] = {
    "unit": Source(
        argument="NAME",
        find=lambda host, place: host.of_unit(place["unit"]),
        reads=("cgroups",),
        units=lambda place: (place["unit"],),
    ),
    "pid_file": Source(
        argument="PATH",
        find=lambda host, place: host.of_pid_file(place["pid_file"]),
    ),
    "pattern": Source(
        argument="REGULAR EXPRESSION",
        find=lambda host, place: host.called(place["pattern"]),
        problem=_no_expression,
        reads=("command",),
        together=False,
        anybody=True,
    ),
    "container": Source(
        argument="NAME",
        find=lambda host, place: host.of_container(place["container"], place.get("engine"), place.get("user")),
        problem=_no_container("container"),
        fields=("engine", "user"),
        reads=("cgroups",),
    ),
    "compose": Source(
        argument="PROJECT",
        find=lambda host, place: host.of_project(
            place["compose"], place.get("services"), place.get("engine"), place.get("user")
        ),
        problem=_no_container("compose"),
        fields=("services", "engine", "user"),
        reads=("cgroups",),
    ),
}
