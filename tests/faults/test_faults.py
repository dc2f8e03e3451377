# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault, one after the other on one fleet: nobody is logged out, no key is lost, and the next runs finish."""

from __future__ import annotations

import importlib
import os
import time

import pytest
from conftest import Fields
from faults import FAULTS, Fault, in_order

pytestmark = pytest.mark.hosts

# Each of these adds its faults to the list.
for kind in ("clock", "controller", "files", "host", "people", "units"):
    importlib.import_module(f"faults_{kind}")
CASES = in_order(FAULTS, full=os.environ.get("FULL") == "1")


@pytest.mark.parametrize(("fault", "phase"), CASES, ids=[f"{phase}-{fault.strike.__name__}" for fault, phase in CASES])
def test_fault(fields: Fields, keep: dict, fault: Fault, phase: str) -> None:
    field = fields.field()
    began = time.monotonic()
    try:
        field.begin(phase)
        happened = fault.strike(field)
        assert field.note["proof"], "nothing proves that the fault struck"
        runs = field.finish()
        field.settled()
    except BaseException:
        fields.give_up()
        raise
    keep.update(
        fault=fault.name, phase=phase, promised=fault.promised, happened=happened, runs=runs,
        seconds=round(time.monotonic() - began, 1), **field.note,
    )  # fmt: skip
