# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light fleets for the tests of the plugins and playbooks; whatever a test starts is ended with it.

A run of ansible-playbook keeps hardly more than one core busy. So the tests of this folder that take nothing but fleets are
run side by side, in threads, from the moment on at which the first of them is due; each is reported when its turn comes.
Every fleet has keys of its own, since any process on a machine that holds a fleet's key is found.
"""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "rules", HERE.parents[1] / "fleet"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from light_fleet import Fleet  # noqa: E402
from walk import NAMES, Walk  # noqa: E402

SIDE_BY_SIDE = {"after", "new_fleet", "walk"}


class Fleets:
    """The fleets of one test."""

    def __init__(self, folder: Path, walk: Walk) -> None:
        self.folder = folder
        self.walk = walk
        self.made: List[Fleet] = []

    def new(self, names: Sequence[str] = NAMES) -> Fleet:
        """Make a fleet of these names, with settings and nothing running."""
        fleet = Fleet(self.folder / f"fleet{len(self.made)}", names)
        self.made.append(fleet)
        fleet.write_env()
        return fleet

    def after(self, step: str, names: Sequence[str] = NAMES, keyring: str = "") -> Fleet:
        """Return a fleet that has just gone through a step; `keyring`: with a copy of the keyring from after that one."""
        for run in self.walk.runs.values():
            run.ended(0)
        fleet = self.new(names)
        fleet.take(self.walk.places[step], self.walk.places[keyring] if keyring else None)
        return fleet

    def end(self) -> None:
        """End all that runs."""
        for fleet in self.made:
            fleet.end()


class SideBySide:
    """Runs the tests that take nothing but fleets, a few at a time, in their order."""

    def __init__(self, items: Sequence[pytest.Function], walk: Walk, make_folder: Callable[[str], Path]) -> None:
        self.walk = walk
        self.begun: List[Fleets] = []
        self.over = threading.Event()
        self.pool = ThreadPoolExecutor(max(2, min(4, os.cpu_count() or 2)))
        folders = [make_folder("side") for _item in items]
        self.futures: Dict[str, Future[None]] = {
            item.nodeid: self.pool.submit(self.run, item, folder) for item, folder in zip(items, folders)
        }

    def run(self, item: pytest.Function, folder: Path) -> None:
        """Run one test with fleets of its own."""
        fleets = Fleets(folder, self.walk)
        self.begun.append(fleets)
        given = {"after": fleets.after, "new_fleet": fleets.new, "walk": self.walk}
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        names = item._fixtureinfo.argnames
        try:
            if not self.over.is_set():
                item.obj(**{name: parameters[name] if name in parameters else given[name] for name in names})
        finally:
            fleets.end()

    def end(self) -> None:
        """Stop, also in the middle."""
        self.over.set()
        for future in self.futures.values():
            future.cancel()
        for fleets in self.begun:
            fleets.end()
        self.pool.shutdown()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Optional[bool]:
    """Report a test that was, or is being, run side by side with others."""
    if not side_by_side(pyfuncitem):
        return None
    pyfuncitem._request.getfixturevalue("_side").futures[pyfuncitem.nodeid].result()
    return True


def side_by_side(item: pytest.Item) -> bool:
    """Whether a test of this folder takes nothing but fleets and its parameters."""
    if not isinstance(item, pytest.Function) or item.path.parent != HERE:
        return False
    own = set(item._fixtureinfo.argnames) - set(item.callspec.params if hasattr(item, "callspec") else ())
    return bool(own) and own <= SIDE_BY_SIDE


@pytest.fixture(scope="session")
def _side(request: pytest.FixtureRequest, walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SideBySide]:
    items = [item for item in request.session.items if side_by_side(item)]
    side = SideBySide(items, walk, tmp_path_factory.mktemp)
    yield side
    side.end()


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A whole rollout, one step at a time; other tests begin where a step ended."""
    Fleet.bytecode = tmp_path_factory.mktemp("bytecode")
    return Walk(tmp_path_factory.mktemp("walk"))


@pytest.fixture
def fleets(tmp_path: Path, walk: Walk) -> Iterator[Fleets]:
    """The fleets of a test that is not run side by side with others."""
    made = Fleets(tmp_path, walk)
    yield made
    made.end()


@pytest.fixture
def after(fleets: Fleets) -> Any:
    """`Fleets.after`."""
    return fleets.after


@pytest.fixture
def new_fleet(fleets: Fleets) -> Any:
    """`Fleets.new`."""
    return fleets.new
