# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of `active_fingerprint`: options that are not given come from the host's variables."""

from __future__ import annotations

from typing import Any, Dict

from ..module_utils._host.limit import look_parts
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._host_action import APPLICATION_OPTIONS, HostAction
from ..plugin_utils._inventory import FleetError, Inventory

TRUST = "trust"


class ActionModule(HostAction):
    """Look at one host."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Run the module with the host's variables."""
        member = self._task.args.get("member")
        raw = Inventory(task_vars, self._templar).of(str(member)) if member else self.raw_variables(task_vars)
        arguments = self.arguments(raw, APPLICATION_OPTIONS)
        for option in ("reveal", "reveal_pad"):
            if option in arguments:
                raise FleetError(f"{option} is for phased.keys.keyring alone, which adopts a key")
        if self.nonce and arguments.get("known") is None:
            # What the gate of this run wants to be searched for.
            arguments["known"] = run_folder.current().get("known", [])
        arguments["host"] = str(arguments.pop("member", None) or task_vars["inventory_hostname"])
        if arguments.get("app_check") == TRUST:
            del arguments["app_check"]
        return self.ask("active_fingerprint", arguments, task_vars, self.limit(arguments, look_parts(arguments)))
