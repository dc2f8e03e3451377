# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promote is refused while one member is not proven: nothing changes, and the member is named with what was seen."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Callable, Iterator, NamedTuple

import envfile
import pytest
from light_fleet import Fleet, Run

NOTHING = "Nothing was changed"


class Sick(NamedTuple):
    """What one promote said of a fleet with one ill of each kind."""

    fleet: Fleet
    run: Run
    stale: int
    outsider: int
    before: Any
    after: Any


@pytest.fixture(scope="module")
def sick() -> None:
    ...
