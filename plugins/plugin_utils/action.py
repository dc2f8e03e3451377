# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins share: the variables of a host as module arguments, and the keyring of its application."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, Mapping, Optional

from ansible import constants as C
from ansible.plugins.action import ActionBase

from ..module_utils.host.arguments import APPLICATION
from ..module_utils.rules import variables
from ..module_utils.rules.ring import Ring
from . import carry, fleet
from .keyring_file import KeyringFile, KeyringFileError

# A play's own results, by the names under which the playbooks and the role register them.
LOOK = "__app_keys_look"
VISIT = "__app_keys_visit"
AGAIN = "__app_keys_again"
VOUCHERS = "__app_keys_vouchers"

# Stands behind what the connection says of a host that was lost in its visit.
CUT_OFF = " -> see that Ansible reaches {host}, and run phased.keys.rollout again: a visit that has begun ends by itself, and the next run finishes"


class HostAction(ActionBase):
    """An action that looks at, or visits, one host."""

    _supports_check_mode = True

    def raw_variables(self, task_vars: Mapping[str, Any]) -> Dict[str, Any]:
        """Return this host's `app_keys_*` variables, templated."""
        names = [name for name in task_vars if name.startswith(variables.PREFIX)]
        return {name: fleet.plain(self._templar.template(task_vars[name])) for name in names}

    def arguments(self, raw: Mapping[str, Any], options: List[str]) -> Dict[str, Any]:
        """Return the module's arguments: the task's own, and the variables for those it does not give."""
        given = dict(self._task.args)
        for option in options:
            value = raw.get(variables.PREFIX + option)
            if given.get(option) is None and value is not None:
                given[option] = value
        return given

    def ask(self, module: str, arguments: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Run the module on the host; the evidence is as old as the question, whatever the host's clock says."""
        asked = boot_time()
        interpreter = self.interpreter(task_vars)
        if interpreter and self.pipelined():
            result = self.carried(interpreter, module, arguments, task_vars)
        else:
            result = carry.explained(
                self._execute_module(module_name=f"phased.keys.{module}", module_args=arguments, task_vars=task_vars)
            )
        # What is to be done next the controller says, and when it was asked.
        for name in ("first", "vouchers"):
            result.pop(name, None)
        if not isinstance(result.get("evidence"), dict):
            result.pop("evidence", None)
        else:
            result["evidence"]["asked"] = asked
            if arguments.get("nonce"):
                # For the gate alone, and there may be thousands: as text they take a tenth of the memory.
                result["evidence"] = json.dumps(result["evidence"], separators=(",", ":"))
                result.pop("invocation", None)
        return result

    def carried(
        self, interpreter: str, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]
    ) -> Dict[str, Any]:
        """Run the module's code as one text on the interpreter's stdin (see carry.py)."""
        try:
            log = self.log_line(module, arguments, task_vars)
            text = carry.text(module, arguments, bool(self._task.check_mode), log)
        except carry.ArgumentsError as error:
            return {"failed": True, "msg": str(error)}
        command = f"{self._compute_environment_string()} {interpreter} {carry.OPTIONS}".strip()
        return carry.answer(interpreter, self._low_level_execute_command(command, in_data=text))

    def log_line(self, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Optional[List[str]]:
        """Return what the host's log is told of this call, by Ansible's settings for it; None for nothing."""
        if self._task.no_log or C.config.get_config_value("DEFAULT_NO_TARGET_SYSLOG", variables=dict(task_vars)):
            return None
        facility = task_vars.get("ansible_syslog_facility") or C.config.get_config_value("DEFAULT_SYSLOG_FACILITY")
        # A setting that ansible-core 2.16 does not have.
        info = task_vars.get("ansible_target_log_info", getattr(C, "TARGET_LOG_INFO", None))
        return carry.logged(module, arguments, str(facility), str(info) if info else None)

    def pipelined(self) -> bool:
        """Turn pipelining on for this call, and return whether the connection has it."""
        try:
            self._connection.set_option("pipelining", True)
        except (AttributeError, KeyError):
            # A connection plugin that has no such option of its own reads the play's.
            self._play_context.pipelining = True
        return bool(self._is_pipelining_enabled("new"))

    def interpreter(self, task_vars: Mapping[str, Any]) -> Optional[str]:
        """Return the host's Python; None where Ansible has yet to find it, which it does by running an ordinary module."""
        found: Mapping[str, Any] = task_vars
        if self._task.delegate_to:
            found = task_vars["ansible_delegated_vars"][self._task.delegate_to]
        if getattr(self._connection, "_remote_is_local", False):
            return None
        said = self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=dict(found)))
        if not said or str(said).startswith("auto"):
            said = (found.get("ansible_facts") or {}).get("discovered_interpreter_python")
        # With arguments of its own it is Ansible's to quote, which each version does in its own way.
        return str(said) if said and " " not in str(said) else None


def seen_in(result: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the evidence in a registered result, which is text where a run of ours asked for it; empty where there is none."""
    seen = result.get("evidence") or {}
    return dict(json.loads(seen) if isinstance(seen, str) else seen)


def boot_time() -> float:
    """Return the controller's seconds since its boot, sleep included: evidence ages while a laptop is closed."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def same_form(ring: Ring, values: Mapping[str, Any]) -> None:
    """Refuse variables that say another form of keys than the keyring was adopted with."""
    if (ring["framework"], ring["settings"]) != (values["framework"], values["settings"]):
        raise KeyringFileError(
            f"the keyring was adopted for {ring['framework']} with app_keys_settings {ring['settings']}, and the inventory says "
            f"{values['framework']} with {values['settings']}: the hosts would be given settings that their applications do not read. "
            "Put the variables back"
        )


def keyring_of(file: KeyringFile, name: str, values: Mapping[str, Any]) -> Ring:
    """Return the keyring for an application with these variables."""
    ring = file.load(name)
    same_form(ring, values)
    return ring


APPLICATION_OPTIONS = [name for name in APPLICATION if name != "nonce"]
