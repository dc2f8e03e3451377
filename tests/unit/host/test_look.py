# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two looks say together, and what a process outside the named ones holds."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils.host import look

OURS, OTHER = "our-key-abcdefghijklmnop", "another-key-abcdefghijkl"


def seen(*workers: Tuple[int, int], restarts: int = 0) -> Dict[str, Any]:
    """A look at workers given as (pid, parent)."""
    unit = {"name": "shop.service", "active": "active", "restarts": restarts}
    named = [{"pid": pid, "parent": parent, "ticks": pid, "command": "gunicorn:"} for pid, parent in workers]
    return {"workers": named, "units": [unit]}


@pytest.mark.parametrize(
    "what, first, second, settled, unsettled, lasting",
    [
        ("nothing changed", seen((10, 1), (11, 10)), seen((10, 1), (11, 10)), True, [], 2),
        ("a master that lasts ran a command", seen((10, 1), (20, 10)), seen((10, 1)), True, [], 1),
        ("a worker of it started one", seen((10, 1), (11, 10)), seen((10, 1), (11, 10), (21, 11), (22, 21)), True, [], 2),
        ("the application restarted", seen((10, 1), (11, 10)), seen((30, 1), (31, 30)), False, [10, 11, 30, 31], 0),
        ("a second master came", seen((10, 1)), seen((10, 1), (40, 1)), False, [40], 1),
        ("its unit restarted", seen((10, 1)), seen((10, 1), restarts=1), False, [], 1),
    ],
)  # fmt: skip
def test_workers_below_one_that_lasts_may_come_and_go(
    what: str, first: Any, second: Any, settled: bool, unsettled: List[int], lasting: int
) -> None:
    found = look.compared(first, second)
    assert (found["settled"], found["unsettled"], found["lasting"]) == (settled, unsettled, lasting)
