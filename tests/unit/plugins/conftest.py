# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Light fleets for the tests of the plugins and playbooks; whatever a test starts is ended with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import pytest

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parents[1] / "fleet"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

from light_fleet import Fleet  # noqa: E402

NAMES = ["web1", "web2"]


@pytest.fixture
def new_fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Make a fleet of these names, with settings and nothing running."""
    made: List[Fleet] = []

    def _make(names: List[str] = NAMES, folder: str = "fleet") -> Fleet:
        (tmp_path / folder).mkdir()
        fleet = Fleet(tmp_path / folder, names)
        made.append(fleet)
        fleet.write_env()
        return fleet

    yield _make
    for fleet in made:
        fleet.end()
