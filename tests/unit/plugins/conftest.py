# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light fleets for the tests of the plugins and playbooks; whatever a test starts is ended with it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules import steps

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1] / "fleet"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from light_fleet import Fleet, Run  # noqa: E402

NAMES = ("web1", "web2")


class Walk:
    """A whole rollout, one step at a time: what each playbook said, and the fleet as each step left it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: Dict[str, Run] = {}
        self.places: Dict[str, Path] = {}


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """Walk a fleet from adopt to retire, with tries at what is not its turn. Other tests begin where a step ended."""
    walked = Walk(tmp_path_factory.mktemp("walk"))
    fleet = Fleet(walked.folder / "fleet", NAMES)
    try:
        fleet.write_env()
        fleet.restart()
        for step in ("adopt", "prepare", "promote", "retire"):
            if step == "retire":
                time.sleep(max(0.0, steps.next_due(fleet.ring()) - time.time()))
            walked.runs[step] = fleet.run(step)
            if walked.runs[step].code:
                break
            walked.places[step] = walked.folder / step
            fleet.save(walked.places[step])
    finally:
        fleet.end()
    return walked


@pytest.fixture
def new_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Make a fleet of these names, with settings and nothing running."""
    made: List[Fleet] = []

    def _make(names: Sequence[str] = NAMES) -> Fleet:
        fleet = Fleet(tmp_path / f"fleet{len(made)}", names)
        made.append(fleet)
        fleet.write_env()
        return fleet

    yield _make
    for fleet in made:
        fleet.end()


@pytest.fixture
def after(walk: Walk, new_fleet: Callable[..., Fleet]) -> Callable[..., Fleet]:
    """Return a fleet that has just gone through a step: `after("prepare")`."""

    def _after(step: str, names: Sequence[str] = NAMES) -> Fleet:
        assert step in walk.places, walk.runs[list(walk.runs)[-1]].text
        fleet = new_fleet(names)
        fleet.take(walk.places[step])
        return fleet

    return _after
