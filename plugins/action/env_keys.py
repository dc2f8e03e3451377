# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of a visit: takes what the open step allows straight from the keyring to the module."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, Mapping, Optional

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure

from ..module_utils.rules import members
from ..module_utils.rules import ring as rings
from ..module_utils.rules.ring import Ring
from ..plugin_utils import action
from ..plugin_utils.action import APPLICATION_OPTIONS, HostAction, same_form
from ..plugin_utils.fleet import FleetError, fleet, keyring_path, read
from ..plugin_utils.keyring_file import KeyringFile, KeyringFileError

OWN = ("order", "token", "step", "secrets", "vouched")
FILE_OPTIONS = ["env_owner", "env_group", "env_mode", "replace"]
TRIES = 20
# So many recorded hosts are asked about the keyring when one joins: one answer is enough, and one may be down.
VOUCHERS = 3
NOBODY_VOUCHES = (
    "{host} has no record, and no host that has one vouches for this keyring, which may be a copy or a backup. Nothing was changed: "
    "see that a member that was rolled with it can be reached, or finish phased.keys.adopt first. If no host has its record any more "
    "(app_keys_state_dir was changed or emptied) docs/incidents.md has the way out"
)
NO_PIPELINING = (
    "this visit carries keys, and without pipelining they would lie in a temporary file on the host. {why}, or set "
    "app_keys_allow_key_in_file for this host if you accept it"
)
KEPT = "ANSIBLE_KEEP_REMOTE_FILES turns pipelining off: unset it"
SU = "Ansible has no pipelining with su: become with sudo (ansible_become_method), or log in as root"
OTHER = "The connection {connection} has none{become}: use one that has it, like ssh with sudo"


class ActionModule(HostAction):
    """Visit one host."""

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Run the module with the settings of the open step."""
        result = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        try:
            result.update(self.visit(task_vars))
        except (FleetError, KeyringFileError) as error:
            result.update(failed=True, msg=str(error))
        return result

    def visit(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Prepare and run the visit."""
        given = [option for option in OWN if option in self._task.args]
        if given:
            raise FleetError(
                f"{', '.join(given)} cannot be given: a visit writes what the keyring's open step says, and nothing else"
            )
        if self._task.args.get("first"):
            # Registered over the host's last visit, whose evidence has to stay.
            seen = (task_vars.get(action.VISIT) or {}).get("evidence")
            return {"changed": False, "first": self._task.args["first"], **({"evidence": seen} if seen else {})}
        host = task_vars["inventory_hostname"]
        raw = self.raw_variables(task_vars)
        values = read(raw, host)
        arguments = self.arguments(raw, APPLICATION_OPTIONS + FILE_OPTIONS)
        name = arguments.get("name")
        if not name:
            raise FleetError(f"{host} has no app_keys_name: it belongs to no fleet")
        path = arguments.pop("keyring", None) or keyring_path(values, str(name), task_vars)
        self.file = KeyringFile(path, self._loader)
        ring, self.members = self.file.excerpt(str(name))
        same_form(ring, values)
        if host not in self.members:
            if host not in fleet(task_vars, self._templar, self._loader).members:
                raise FleetError(
                    f"{host} has app_keys_name {name}, and app_keys_hosts leaves it out of the fleet: it gets no key"
                )
            foreseen = self.foreseen(ring, arguments, values, task_vars)
            if foreseen.get("failed") or foreseen.get("joining") or self._task.check_mode:
                return foreseen
            ring = self.changed(ring, lambda ring: members.register(ring, [host], time.time()))
        elif not self._task.check_mode and any(waiver["member"] == host for waiver in ring["waivers"]):
            # Nobody is set aside who serves again: the waiver ends before the visit, if the host answers at all.
            self.foreseen(ring, arguments, values, task_vars)
            ring = self.changed(ring, lambda ring: members.end_waivers(ring, [host], time.time()))
        answer = self.carry(ring, arguments, values, task_vars)
        if answer.get("failed") and (values["before_tasks"] or values["after_tasks"]):
            answer["msg"] = (
                f"{answer.get('msg')}. app_keys_after_tasks is not run: the host stays drained until a visit proves it"
            )
        return answer

    def carry(
        self, ring: Ring, given: Dict[str, Any], values: Mapping[str, Any], task_vars: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Run the module with what the open step allows."""
        host = task_vars["inventory_hostname"]
        voucher = members.vouched(ring, host, self.records(values, task_vars))
        if voucher.refuse:
            raise FleetError(voucher.refuse)
        order = rings.order(ring)
        arguments = {
            **given,
            "order": order._asdict(),
            "token": rings.token(ring)._asdict(),
            "step": ring["step"]["name"],
            # The dropping ones too, which are not written: what the module returns is searched for all of them.
            "secrets": rings.secrets(ring, order.may_accept),
            "vouched": voucher.ok,
        }
        if not self.pipelined() and not values["allow_key_in_file"]:
            raise FleetError(NO_PIPELINING.format(why=self.why_not()))
        try:
            answer = self.ask("env_keys", arguments, task_vars)
        except AnsibleConnectionFailure as error:
            # Where a batch is one host Ansible ends the run with this very message: no gate comes after it.
            raise AnsibleConnectionFailure(f"{error}{action.CUT_OFF.format(host=host)}") from error
        answer.pop("invocation", None)
        if answer.get("joining"):
            answer["first"] = "join"
            whole = self.file.load(ring["name"])
            answer["vouchers"] = members.vouchers(whole, host, task_vars["groups"]["all"])[:VOUCHERS]
            if action.VOUCHERS in task_vars or not answer["vouchers"]:
                answer.update(failed=True, msg=NOBODY_VOUCHES.format(host=host))
        return answer

    def records(self, values: Mapping[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Return the records of other members: of this run's survey in a playbook, of hosts that were asked in a deploy."""
        found: Dict[str, Any] = {}
        hostvars = task_vars["hostvars"]
        nonce = self._task.args.get("nonce")
        # Those of this play, of whom most have been visited; then the others, who may need no visit any more.
        asked = [*task_vars["ansible_play_hosts_all"], *task_vars["groups"]["all"]] if nonce else []
        for member in dict.fromkeys(asked):
            if found:
                break  # the gate has seen every record: one that is there says enough
            theirs = hostvars.raw_get(member) if member in self.members else {}
            for name in (action.LOOK, action.VISIT):
                evidence = action.seen_in(theirs.get(name) or {})
                if evidence.get("nonce") == nonce and evidence["record"]:
                    found[member] = evidence["record"]
        for looked in (task_vars.get(action.VOUCHERS) or {}).get("results") or []:
            seen = looked.get("evidence")
            if seen and 0 <= action.boot_time() - seen["asked"] <= values["evidence_max_age"]:
                found[looked["item"]] = seen["record"]
        return found

    def foreseen(
        self, ring: Ring, given: Dict[str, Any], values: Mapping[str, Any], task_vars: Dict[str, Any]
    ) -> Dict[str, Any]:
        """Ask a host that would join what a visit would do: one that refuses it does not become a member."""
        checking = self._task.check_mode
        self._task.check_mode = True
        try:
            return self.carry(ring, given, values, task_vars)
        finally:
            self._task.check_mode = checking

    def changed(self, ring: Ring, change: Callable[[Ring], Ring]) -> Ring:
        """Write what this host's visit changes in the keyring: it joins, or is set aside no longer."""
        for tries in reversed(range(TRIES)):
            ring = self.file.load(ring["name"])
            after = change(ring)
            if after is ring:
                break
            try:
                return self.file.replace(after)
            except KeyringFileError:
                # Other hosts of the batch do the same at the same moment, each in a process of its own.
                if not tries:
                    raise
        return ring

    def why_not(self) -> str:
        """Say why there is no pipelining, and what to do."""
        if C.config.get_config_value("DEFAULT_KEEP_REMOTE_FILES"):
            return KEPT
        become = self._connection.become.name.rpartition(".")[2] if self._connection.become else ""
        if become == "su" and self._connection.has_pipelining:
            return SU
        name = getattr(self._connection, "_load_name", self._connection.transport)
        return OTHER.format(connection=name, become=become and f" with become {become}")
