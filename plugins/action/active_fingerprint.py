# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of `active_fingerprint`: options that are not given come from the host's variables."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..module_utils._host.limit import look_parts
from ..module_utils._host.rules import variables
from ..module_utils._rules.cross_proof import Question
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._host_action import APPLICATION_OPTIONS, HostAction
from ..plugin_utils._inventory import PREFIX, FleetError, Inventory

TRUST, VERIFY = "trust", "verify"
SAID = ("token", "trouble", "verdicts")
WORKLOAD = "it is a workload of a cluster, and app_keys_cross_proof asks hosts alone"


class ActionModule(HostAction):
    """Look at one host."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Run the module with the host's variables."""
        member = self._task.args.get("member")
        raw = Inventory(task_vars, self._templar).of(str(member)) if member else self.raw_variables(task_vars)
        arguments = self.arguments(raw, APPLICATION_OPTIONS)
        for option in ("reveal", "reveal_pad", "crossing"):
            if option in arguments:
                raise FleetError(f"{option} is for the collection's own actions alone")
        if self.nonce and arguments.get("known") is None:
            # What the gate of this run wants to be searched for.
            arguments["known"] = run_folder.current().get("known", [])
        arguments["host"] = str(arguments.pop("member", None) or task_vars["inventory_hostname"])
        if arguments.get("app_check") == TRUST:
            del arguments["app_check"]
        part = arguments.pop("cross", None)
        if part is not None:
            return self.cross(str(part), raw, arguments, task_vars)
        return self.looked(arguments, task_vars)

    def cross(
        self, part: str, raw: Mapping[str, Any], arguments: Dict[str, Any], task_vars: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Have the host take its part of a cross-proof beside the look, and keep what it says apart from that: no result shows a token."""
        host = str(arguments["host"])
        ways = variables.one("cross_proof", raw.get(f"{PREFIX}cross_proof"))
        if not self.nonce or part not in ways:
            raise FleetError("cross is sign or verify, in a run of the collection's own playbooks")
        asked = (run_folder.one(self.nonce, run_folder.QUESTIONS, host) or {}).get("asked", [])
        tokens = [Question(*question).token for question in asked]
        kind = run_folder.VERDICTS if part == VERIFY else run_folder.TOKEN
        run_folder.forget(self.nonce, kind, host)
        if arguments.get("workload"):
            run_folder.keep(self.nonce, kind, host, {"trouble": WORKLOAD})
            return self.looked(arguments, task_vars)
        arguments["crossing"] = {part: ways[part], "tokens": tokens}
        said = self.looked(arguments, task_vars)
        kept: Dict[str, Any] = {name: said.pop(name) for name in SAID if name in said}
        run_folder.keep(self.nonce, kind, host, {**kept, **({"asked": asked} if part == VERIFY else {})})
        return said

    def looked(self, arguments: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Return what the host said of itself, within the time that all which it was asked for may take."""
        return self.ask("active_fingerprint", arguments, task_vars, self.limit(arguments, look_parts(arguments)))
