# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of `active_fingerprint`: options that are not given come from the host's variables."""

from __future__ import annotations

from typing import Any, Dict, Optional

from ..plugin_utils.action import APPLICATION_OPTIONS, HostAction
from ..plugin_utils.fleet import FleetError, of_host

TRUST = "trust"


class ActionModule(HostAction):
    """Look at one host."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Run the module with the host's variables."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        try:
            member = self._task.args.get("member")
            raw = of_host(task_vars["hostvars"], member) if member else self.raw_variables(task_vars)
            arguments = self.arguments(raw, APPLICATION_OPTIONS)
        except FleetError as error:
            return {**result, "failed": True, "msg": str(error)}
        for option in ("reveal", "reveal_pad"):
            if option in arguments:
                return {
                    **result,
                    "failed": True,
                    "msg": f"{option} is for phased.keys.keyring alone, which adopts a key",
                }
        arguments.pop("member", None)
        if arguments.get("app_check") == TRUST:
            del arguments["app_check"]
        result.update(self.ask("active_fingerprint", arguments, task_vars))
        return result
