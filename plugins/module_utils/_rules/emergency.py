# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to roll a key that has leaked: its soak is waived, and what it signed ends."""

from __future__ import annotations

from .._host.rules.durations import stamp
from .._host.rules.frameworks import PROFILES
from .._keyring_shapes import Keyring
from . import at_rest, soak
from . import keyring as keyrings


def cost(keyring: Keyring, leaked: str, goal: str = "rollout") -> str:
    """Say what happens, and to whom, when this key is rolled without its soak by a playbook with this goal."""
    key = keyrings.find(keyring, leaked)
    state = key["state"] if key else "unknown"
    ends = f"What {leaked} signed or encrypted ends at once when retire opens: {PROFILES[keyring['framework']]['ends']}"
    stored = "; ".join(at_rest.stored(keyring))
    if stored:
        # What lies in a database is lost, and not just logged out: no emergency is a reason for that.
        ends = (
            f"What {leaked} signed ends at once when retire opens. What it encrypted and is stored ({stored}) is encrypted anew first, or somebody says with "
            "app_keys_reencrypted that it was: whatever is not is lost then"
        )
    if state == "primary" and goal != "rollout":
        then = "phased.keys.rollout then lets go of it without a soak"
        return f"{leaked} signs now, and phased.keys.{goal} does its own step alone; {then}. {ends}"
    if state == "primary":
        return (
            f"{leaked} signs now. A new key is prepared and promoted on every host, then {leaked} is let go of without a soak. {ends}. Until then "
            "whoever has the key can still use it"
        )
    if key is not None and state == "retiring":
        over = soak.over_at(key)
        until = (
            f"its soak, which would last until {stamp(over)}, is waived" if over is not None else "its soak is waived"
        )
        return f"{leaked} is accepted everywhere and does not sign after the step that is under way; {until}. {ends}"
    if state == "staged":
        return f"{leaked} has never signed. It is taken back from every host, and nothing that anybody holds ends"
    if state == "dropping":
        return f"{leaked} is being let go of already: that step is finished, and nothing else ends"
    return f"{leaked} is {state}: no host is to accept it, and nothing ends. The mark is all that changes"
