# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and times as people write and read them."""

from __future__ import annotations

import math
import re
from typing import Any

from .errors import PhasedKeysError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
STAMP = "%Y-%m-%dT%H:%M:%SZ"
WRITTEN = re.compile(r"\d+(\.\d+)?|(\d+(\.\d+)?[smhdw])+")
PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
LONGEST = 100 * 365 * 86400.0  # longer ones are a mistake, and no date can be told of their end


class DurationError(PhasedKeysError):
    """A text that is no duration, or one that nobody means."""


def seconds(value: Any, name: str) -> float:
    """Return the seconds of a duration such as `14d`, `1h30m`, `0.5s` or a bare number of seconds.

    `name` is the variable that held it, for the DurationError of what is none.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        found = float(value)
    else:
        text = str(value).strip()
        if isinstance(value, bool) or not WRITTEN.fullmatch(text):
            raise DurationError(f"{name} is {value!r}; a duration is written like 14d, 90m, 1h30m or 45s")
        parts = PART.findall(text)
        found = sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
    if not 0 <= found <= LONGEST:
        raise DurationError(
            f"{name} is {value!r}; a duration is between 0s and 100 years, and written like 14d, 90m, 1h30m or 45s"
        )
    return found


def in_words(duration: float) -> str:
    """Return a duration in its two largest units, rounded up: what is waited for is never said too short."""
    rest = max(0, math.ceil(duration))
    sizes = [UNITS[unit] for unit in "dhms"]
    largest = next((place for place, size in enumerate(sizes) if rest >= size), len(sizes) - 1)
    least = sizes[min(largest + 1, len(sizes) - 1)]
    rest = math.ceil(rest / least) * least
    parts = []
    for unit in "dhms":
        count, rest = divmod(rest, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


def stamp(epoch: float) -> str:
    """Return a moment as UTC text (RFC 3339), rounded up to whole seconds so that no wait is cut short."""
    # Here and not above: on a host that was sent its code no call comes to this, and the import is among the costly ones.
    from datetime import datetime, timezone

    return datetime.fromtimestamp(math.ceil(epoch), tz=timezone.utc).strftime(STAMP)


def epoch(text: str) -> float:
    """Return the moment that `stamp` wrote; ValueError where it is none."""
    from datetime import datetime, timezone

    return datetime.strptime(text, STAMP).replace(tzinfo=timezone.utc).timestamp()
