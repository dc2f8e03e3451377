# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether another key has a place: some frameworks take few, and a key that soaks keeps its own."""

from __future__ import annotations

from typing import Optional

from .._host.rules import frameworks
from .._host.rules.durations import stamp
from .._keyring_shapes import Key, Keyring
from . import keyring as keyrings
from . import soak


def why_no_place(keyring: Keyring) -> Optional[str]:
    """Say why no further key can be accepted beside those that hosts accept now; None where there is place."""
    try:
        most = frameworks.profile(keyring["framework"], keyring["settings"]).most
    except frameworks.SettingsError:
        return None  # of this release, and that is said where the profile is used
    held = keyrings.in_state(keyring, "primary", "retiring")
    if len(held) < most:
        return None
    retiring = sorted(keyrings.in_state(keyring, "retiring"), key=lambda key: soak.over_at(key) or 0.0)
    soaking = "; ".join(map(_until, retiring))
    return (
        f"{keyring['framework']} takes {most} keys, and there is no place for another beside the {len(held)} that every host accepts: {soaking}. "
        "Wait until one of them is let go of (phased.keys.retire); one that has leaked, or that need not be accepted any longer, goes at once with "
        "-e app_keys_compromised=FINGERPRINT"
    )


def _until(key: Key) -> str:
    over = soak.over_at(key)
    if over is None:
        return f"the soak of {key['fingerprint']} has not begun"
    return f"{key['fingerprint']} soaks until {stamp(over)}" if over else f"{key['fingerprint']} has no soak"
