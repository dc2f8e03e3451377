# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes until those who verify have learned of a key, or that it is gone: they keep a key set (JWKS) for a while.

So a staged key that every host accepts may sign only that long after prepare's closing count, and a key that no host accepts any more is
revoked everywhere only that long after retire's. By the controller's clock and by that of every host, as with a soak.
"""

from __future__ import annotations

from typing import Optional, Union

from .._host.rules.durations import epoch, in_words, seconds, stamp
from .._keyring_shapes import Key, Spread
from .._shapes import Evidence


def length(value: Union[str, int, float, None], framework: str, framework_spread: Optional[str]) -> Optional[Spread]:
    """Return the spread in seconds with its source; None where nobody learns late."""
    if value is not None:
        found: Spread = {"seconds": seconds(value, "app_keys_spread"), "source": "app_keys_spread"}
    else:
        found = {"seconds": seconds(framework_spread or 0, "spread"), "source": f"the default of {framework}"}
    return found if found["seconds"] else None


def over_at(key: Key) -> Optional[float]:
    """Return when all who verify have learned of a staged key; None where none learn late, or not every host accepts it yet."""
    if "spread" not in key or "spreading" not in key["times"]:
        return None
    return epoch(key["times"]["spreading"]) + float(key["spread"]["seconds"])


def revoked_at(key: Key) -> Optional[float]:
    """Return when nobody goes by a key any more that has ended; None where nobody did longer than the hosts."""
    if "spread" not in key or "ended" not in key["times"]:
        return None
    return epoch(key["times"]["ended"]) + float(key["spread"]["seconds"])


def told(key: Key, now: float) -> str:
    """Say of a key for whom it is not yet there, or not yet gone; empty where nobody learns late."""
    over, gone = over_at(key) if key["state"] == "staged" else None, revoked_at(key)
    if over is not None and over > now:
        return f"may sign at {stamp(over)}, in {in_words(over - now)}: spread {in_words(float(key['spread']['seconds']))}, {key['spread']['source']}"
    if gone is not None:
        return f"revoked everywhere {'since' if gone <= now else 'at'} {stamp(gone)}"
    return ""


def shortfall(evidence: Evidence, key: Key) -> Optional[str]:
    """Say why a host's own time since its proof at prepare is too short for a staged key to sign; None where it is enough."""
    record = evidence["record"]
    if "spread" not in key or record is None:
        return None
    missing = float(key["spread"]["seconds"]) - (evidence["now"] - record["at"])
    if missing <= 0:
        return None
    return (
        f"accepts {key['fingerprint']} since its last visit, by its own clock: {in_words(missing)} of the spread remain"
    )
