# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on real hosts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from played import Played


@pytest.fixture(scope="module")
def bring_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Played]]:
    """Bring fleets up as `Hosts.up` does; they are gone when the tests of the file are over, however those end."""
    fleets = []

    def bring(hosts: int, **options: object) -> Played:
        fleets.append(Played(tmp_path_factory.mktemp("played") / "fleet"))
        return fleets[-1].up(hosts, **options)

    yield bring
    for fleet in fleets:
        fleet.end()
