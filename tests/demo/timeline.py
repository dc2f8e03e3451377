# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened in each second of one rotation. A plain function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

SERIES = ("requests", "lost", "errors")


def timeline(moments: Iterable[tuple[float, str]], marks: Sequence[tuple[str, float]], end: float) -> dict[str, Any]:
    """Return counts by second, and when each phase began, in seconds since the first mark; `end` is the last moment.

    The last second may be a part of one. What comes earlier or later by a hair belongs to the first or the last.
    """
    began = marks[0][1]
    seconds = end - began
    bins = max(int(seconds) + (seconds % 1 > 0), 1)
    counts = Counter((min(max(int(moment - began), 0), bins - 1), what) for moment, what in moments)
    return {
        "seconds": round(seconds, 2),
        "marks": [[name, round(moment - began, 2)] for name, moment in marks],
        **{name: [counts[second, name] for second in range(bins)] for name in SERIES},
    }
