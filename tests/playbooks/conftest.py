# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light fleets for the tests of whole playbooks; whatever a test starts is ended with it.

A run of ansible-playbook keeps hardly more than one core busy, and waits often: pytest-xdist runs a few tests side by side.
Every fleet has keys of its own, since any process on a machine that holds a fleet's key is found.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, List, Sequence

import pytest
from light_fleet import Fleet
from walk import NAMES, Walk


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


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """A whole rollout, one step at a time; other tests begin where a step ended."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of all workers
    Fleet.bytecode = folder / "bytecode"
    return Walk(folder / "walk")


@pytest.fixture
def fleets(tmp_path: Path, walk: Walk) -> Iterator[Fleets]:
    """The fleets of one test."""
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
