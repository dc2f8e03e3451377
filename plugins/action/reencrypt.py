# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of `reencrypt`: it asks the one host that the gate has named, for the key that the gate has named."""

from __future__ import annotations

from typing import Any, Dict

from ..module_utils._host.rules.durations import seconds
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._host_action import APPLICATION_OPTIONS, HostAction
from ..plugin_utils._inventory import FleetError

NOT_NAMED = "the gate has not named this host for a re-encryption: run phased.keys.rollout, which asks it first. Nothing was done"


class ActionModule(HostAction):
    """Have one host encrypt anew what is at rest."""

    kind = run_folder.REENCRYPT

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Run the module with what the gate has said, and the host's variables."""
        asked = run_folder.current().get("reencrypt") or {}
        if not self.nonce or task_vars["inventory_hostname"] != asked.get("host"):
            raise FleetError(NOT_NAMED)
        given = {"key": asked["key"], "command": asked["run"], "shows": asked["proof"], "within": asked["within"]}
        arguments = self.arguments(self.raw_variables(task_vars), APPLICATION_OPTIONS)
        arguments.update(given, host=asked["host"])
        # Twice: the command, and what proves it.
        limit = 2 * seconds(asked["within"], "timeout") + self.limit(arguments, 1)
        return self.ask("reencrypt", arguments, task_vars, limit)
