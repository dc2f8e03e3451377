# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads an application's keyring, without its secrets. It asks no host and changes nothing."""

from __future__ import annotations

from typing import Any, Dict

from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import keyring as keyrings
from ..plugin_utils._fleet_action import FleetAction
from ..plugin_utils._inventory import FleetError


class ActionModule(FleetAction):
    """Show the keyring."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Return the keyring, and what most people want of it."""
        del task_vars
        if self._task.args:
            raise FleetError(
                f"keyring_info takes no options, and was given {', '.join(sorted(self._task.args))}: the keyring is that of the inventory's "
                "app_keys_name and app_keys_keyring"
            )
        return info(self.load())

    def needs_nonce(self) -> bool:
        """The keyring is the same in every run."""
        return False


def info(keyring: Keyring) -> Dict[str, Any]:
    """Return what the keyring says, in the fields that most people want of it and as a whole; no secret is in it."""
    step, asked = keyring["step"], keyrings.order(keyring)
    return {
        "name": keyring["name"],
        "signing": asked.signs,
        "accepted": list(asked.accepts),
        "step": {
            **{field: step[field] for field in ("name", "counter", "opened", "closed")},
            "open": keyrings.is_open(keyring),
        },
        "members": sorted(keyring["members"]),
        "keyring": keyrings.public(keyring),
    }
