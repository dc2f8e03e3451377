# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Those who verify and whom Ansible cannot reach (a partner, a function, a mobile backend): only their own word is to be had.

Before promote they confirm that they accept the staged key, before retire that they need the old ones no longer. A confirmation stands with
the keys that it is about, and ends with their phase: for what the next rollout does it is asked for anew.
"""

from __future__ import annotations

import copy
import json
from typing import List, Sequence

from .._host.rules.proof import listed
from .._keyring_shapes import Key, Keyring
from . import keyring as keyrings
from .keyring import KeyringError, note

CONFIRMED = "confirmed"


def asked(keyring: Keyring) -> List[Key]:
    """Return the keys that a confirmation is about now: the staged one, or those that nothing signs with any more."""
    return keyrings.in_state(keyring, "staged") or [
        key for key in keyrings.in_state(keyring, "retiring") if "soaking" in key["times"]
    ]


def missing(keys: Sequence[Key], verifiers: Sequence[str]) -> List[str]:
    """Return who has not confirmed it of each of these keys."""
    return [name for name in verifiers if any(name not in key.get("confirmed", []) for key in keys)]


def why(names: Sequence[str], what: str) -> str:
    """Say whose word is missing, and how to give it."""
    given = json.dumps({"app_keys_confirmed": list(names)})
    return f"{listed(list(names))} (app_keys_external) has not confirmed that it {what}: ask there, then run it again with -e '{given}'"


def confirm(keyring: Keyring, names: Sequence[str], verifiers: Sequence[str], now: float) -> Keyring:
    """Return the keyring with the word of these verifiers about the keys that are asked about now; KeyringError where nothing is."""
    strangers = [name for name in names if name not in verifiers]
    if strangers:
        known = ", ".join(verifiers) or "nobody"
        raise KeyringError(f"app_keys_confirmed names {listed(strangers)}, and app_keys_external names {known}")
    about = asked(keyring)
    if not about:
        raise KeyringError(
            f"app_keys_confirmed names {listed(list(names))}, and there is nothing to confirm: no key is staged or soaks. Run it without"
        )
    new = missing(about, names)
    if not new:
        return keyring
    keyring = copy.deepcopy(keyring)
    for key in asked(keyring):
        key["confirmed"] = [
            *key.get("confirmed", []),
            *(name for name in names if name not in key.get("confirmed", [])),
        ]
    what = "accepted" if about[0]["state"] == "staged" else "no longer needed"
    keys = [key["fingerprint"] for key in about]
    note(
        keyring,
        now,
        f"{', '.join(new)} {CONFIRMED} that it is {what}",
        key=keys[0],
        lets_go=keys if about[0]["state"] != "staged" else [],
    )
    return keyring
