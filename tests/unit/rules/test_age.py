# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process is younger than a file, told by the boot clock."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import age

NOW, BEFORE = {"inode": 1, "changed": 1000.0}, {"inode": 1, "changed": 900.0}
STAMP = {"identity": NOW, "boot": "this", "ticks": 500}


@pytest.mark.parametrize(
    "what, stamp, boot, ticks, started, said",
    [
        ("later on the same boot", STAMP, "this", 501, 0.0, age.YOUNGER),
        ("at the same tick", STAMP, "this", 500, 9999.0, age.OLDER),
        ("earlier, whatever the wall clock says", STAMP, "this", 499, 9999.0, age.OLDER),
        ("another boot", STAMP, "that", 1, 0.0, age.YOUNGER),
        ("another file, and older", {**STAMP, "identity": BEFORE}, "this", 501, 1000.0, age.OLDER),
        ("another file, and younger by the wall clock alone", {**STAMP, "identity": BEFORE}, "this", 501, 1000.1, age.UNDATED),
        ("another file, and another boot", {**STAMP, "identity": BEFORE}, "that", 501, 1000.1, age.UNDATED),
        ("no visit was here", None, "this", 501, 1000.1, age.UNDATED),
        ("no visit was here, and it is older", None, "this", 501, 999.0, age.OLDER),
    ],
)  # fmt: skip
def test_16_by_the_boot_clock(what: str, stamp: Any, boot: str, ticks: int, started: float, said: str) -> None:
    assert age.judge({"identity": NOW}, stamp, boot, ticks, started) == said, what


def test_16_of_a_file_that_is_not_there_nothing_is_known() -> None:
    assert age.judge({"identity": None}, STAMP, "this", 501, 9999.0) == age.UNDATED
    assert age.judge({"identity": None}, {**STAMP, "identity": None}, "this", 501, 9999.0) == age.UNDATED
    assert age.stamp(None, "this", 500) is None
    assert age.stamp(None, "this", 500, STAMP) is None


def test_16_a_file_that_did_not_change_has_been_so_since_the_first_time() -> None:
    assert age.stamp(NOW, "this", 500) == STAMP
    assert age.stamp(NOW, "that", 900, STAMP) == STAMP
    assert age.stamp(BEFORE, "that", 900, STAMP) == {"identity": BEFORE, "boot": "that", "ticks": 900}
