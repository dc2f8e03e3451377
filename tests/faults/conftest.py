# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make faults`: one real fleet under load, and one fault after the other. Needs root."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import machine
import pytest
from backends import BACKENDS
from field import Fields
from table import table

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("PHASED_SEED", "1"))


@pytest.fixture(scope="session")
def fields(seed: int) -> Iterator[Fields]:
    # Without root or the packages the suite fails here, and says why: whoever asks for it is not told that all is well.
    machine.provide((*BACKENDS["unshare"].commands, "nsenter"))
    fields = Fields(CHECKOUT / ".cache" / "faults", seed)
    yield fields
    fields.give_up()


@pytest.fixture
def keep() -> Iterator[dict]:
    """What a test tells about its fault; kept for the table."""
    told: dict = {}
    yield told
    if told:
        RUN.append(told)


RUN: list[dict] = []
LEFT_OUT: list[tuple[str, str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what did not pass."""
    if report.failed or report.skipped:
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "failed"
        # At once, for the rest takes a while.
        (CHECKOUT / "build").mkdir(exist_ok=True)
        with (CHECKOUT / "build" / "faults-failed.txt").open("a") as log:
            log.write(f"######## {report.nodeid}\n{report.longreprtext}\n")
        LEFT_OUT.append((report.nodeid.partition("[")[2].rstrip("]"), reason.removeprefix("Skipped: ")))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table."""
    if RUN:
        page = Path(os.environ.get("PHASED_TABLE") or CHECKOUT / "build" / "faults.md")
        (CHECKOUT / "build").mkdir(exist_ok=True)
        page.write_text(table(RUN, LEFT_OUT, os.environ.get("SHARE") or "1/1"))
        (CHECKOUT / "build" / "faults.json").write_text(json.dumps(RUN, indent=1) + "\n")
        print(f"\n{page} has the table")
