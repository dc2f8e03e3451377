# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the soak of a retiring key is over: by the controller's clock, and by the clock of every host.

The controller's time alone can be cheated: a tool that puts yesterday's env file back for an hour
makes the host sign with the old key in between, and nobody on the controller sees it.
A key that is marked as compromised has no soak: it is let go of as soon as nothing signs with it.
"""

from __future__ import annotations

from typing import Collection, List, Optional, Tuple, Union

from .._host.rules.durations import epoch, in_words, seconds
from .._host.rules.history import clock, stopped
from .._keyring_shapes import Key, Keyring, Soak
from .._shapes import Evidence
from . import keyring as keyrings
from .keyring import KeyringError


def length(value: Union[str, int, float, None], framework: str, framework_soak: Optional[str]) -> Soak:
    """Return the soak in seconds with its source; KeyringError where nobody has said how long it is."""
    if value is not None:
        return {"seconds": seconds(value, "app_keys_soak"), "source": "app_keys_soak"}
    if framework_soak is None:
        raise KeyringError(
            f"app_keys_soak is not set, and {framework} has no default for it: set it to the longest life of anything that the application "
            "signs or encrypts, for example 30d"
        )
    return {"seconds": seconds(framework_soak, "soak"), "source": f"the default of {framework}"}


def over_at(key: Key) -> Optional[float]:
    """Return the moment at which a retiring key's soak is over by the controller's clock; None while it has not begun."""
    if "soaking" not in key["times"]:
        return None
    if "compromised" in key["marks"]:
        return 0.0  # at once: the moment at which its soak began is written in whole seconds, and may lie up to a second ahead
    length = float(key["soak"]["seconds"])
    begun = epoch(key["times"]["soaking"])
    # A soak of no length is over as it begins. The time that was written for that was rounded up, by less than a second.
    return begun + length if length else begun - 1


def due(keyring: Keyring, now: float) -> List[Key]:
    """Return the retiring keys whose soak is over by the controller's clock."""
    return [key for key, over in _soaking(keyring) if over <= now]


def next_due(keyring: Keyring, fleet: Collection[Evidence] = (), now: float = 0.0) -> Optional[float]:
    """Return the earliest moment (epoch) at which a key may be let go of; None where nothing soaks.

    That is by the controller's clock, and once that lets it go by the time of each host of the `fleet`, which was seen `now`.
    """
    return min((_held(key, over, fleet, now) if over <= now else over for key, over in _soaking(keyring)), default=None)


def _held(key: Key, over: float, fleet: Collection[Evidence], now: float) -> float:
    left = max((missing(seen, key) for seen in fleet), default=0.0)
    return now + left if left > 0 else over


def _soaking(keyring: Keyring) -> List[Tuple[Key, float]]:
    found = [(key, over_at(key)) for key in keyrings.in_state(keyring, "retiring")]
    return [(key, over) for key, over in found if over is not None]


def shortfall(evidence: Evidence, key: Key) -> Optional[str]:
    """Say why a host's own time is too short for a retiring key to be dropped; None where it is enough."""
    left = missing(evidence, key)
    if left <= 0:
        return None
    soaked = float(key["soak"]["seconds"]) - left
    why = clock(evidence).reason or "by the host's own clock"
    return f"may have signed with {key['fingerprint']} until {in_words(soaked)} ago ({why}): {in_words(left)} of its soak remain"


def missing(evidence: Evidence, key: Key) -> float:
    """Return how many seconds of a retiring key's soak are left by a host's own time; none (or less) where it may go."""
    if "compromised" in key["marks"]:
        return 0.0
    return float(key["soak"]["seconds"]) - (evidence["now"] - stopped(evidence, key["fingerprint"]))
