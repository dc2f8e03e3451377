# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of a visit: takes what the open step allows straight from the keyring to the module.

A key goes only where it is needed (rule 18): to a member that is registered, fenced and vouched for, by a visit that may write.
What a visit would do is asked before, without a key, wherever this run has not seen the host's record.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List, Mapping, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.validation import check_type_list

from ..module_utils._host.limit import VISIT_PARTS
from ..module_utils._host.rules import visit as rules
from ..module_utils._host.rules.variables import profile_of
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules import membership
from ..module_utils._rules.survey import evidence_age
from ..module_utils._shapes import DatedEvidence, Record
from ..plugin_utils import _arrivals as arrivals
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils import _stores as stores
from ..plugin_utils._fleet_action import Teller
from ..plugin_utils._host_action import APPLICATION_OPTIONS, HostAction, see_same_profile
from ..plugin_utils._host_call import boot_time
from ..plugin_utils._inventory import FleetError, fleet, keyring_path, read
from ..plugin_utils._keyring_store import KeyringFileError, UnknownError

OWN = ("host", "order", "token", "step", "secrets", "vouched")
FILE_OPTIONS = ["env_owner", "env_group", "env_mode", "replace", "take_over"]
TRIES = 20
# So many hosts are asked about the keyring when one joins: one answer is enough, and one may be down.
VOUCHERS = 3
NOT_BEGUN = (
    "this batch waits for looks at members whose evidence has grown old, and {host} is not visited before: take them (query('phased.keys.run', "
    "'looks')), then ask phased.keys.gate with do=batch once more. Nothing was changed"
)
NOBODY_VOUCHES = (
    "{host} has no record, and no host that has one vouches for this keyring, which may be a copy or a backup. Nothing was changed: "
    "see that a member that was rolled with it can be reached, or finish phased.keys.adopt first. If no host has its record any more "
    "(app_keys_state_dir was changed or emptied) docs/incidents.md has the way out"
)
BROUGHT_BACK = (
    "{host}: {path} held {keys}, which has ended: something wrote it there since the last visit, a task of this deploy most likely. This visit "
    "puts the keys of the open step back; until it has, the application may have served with the old one. Take {names} out of the template or "
    "task that writes {path}, or give the keys a file of their own"
)
# Stands behind what the connection says of a host that was lost in its visit.
CUT_OFF = (
    " -> what it does now is unknown, for the visit may still run there and ends by itself: see that Ansible reaches {host}, and run "
    "phased.keys.rollout again, which finishes"
)


class ActionModule(HostAction):
    """Visit one host."""

    kind = run_folder.VISIT

    def shown(self) -> List[str]:
        """Return which parts of an answer the result has: those too that the role goes by."""
        return [*super().shown(), "waits_for", "vouchers", "warnings"]

    def keep(self, task_vars: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Keep what a visit ended with; of one that waits for something, which has not been, only that it waits."""
        host = str(task_vars["inventory_hostname"])
        if "waits_for" in said:
            run_folder.keep(self.nonce, run_folder.WAIT, host, {"waits_for": said["waits_for"]})
        else:
            run_folder.forget(self.nonce, run_folder.WAIT, host)
            super().keep(task_vars, said)
            if (said.get("failed") or said.get("unreachable")) and self.ends_the_run(task_vars):
                Teller.tell(self, dict(task_vars), f"{host}: {str(said.get('msg', '')).partition(' -> ')[0]}")

    def ends_the_run(self, task_vars: Mapping[str, Any]) -> bool:
        """Whether no host of this batch is left, so that Ansible ends the run here."""
        if not self.nonce or self._task.check_mode:
            return False
        left = set(task_vars["ansible_play_batch"]) & set(task_vars["ansible_play_hosts"])
        visits = [run_folder.one(self.nonce, run_folder.VISIT, host) or {} for host in left]
        return all(visit.get("failed") or visit.get("unreachable") for visit in visits)

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Prepare and run the visit."""
        given = [option for option in OWN if option in self._task.args]
        if given:
            raise FleetError(
                f"{', '.join(given)} cannot be given: a visit writes what the keyring's open step says, and nothing else"
            )
        self.task_vars, self.host = task_vars, str(task_vars["inventory_hostname"])
        self.wait_for: List[str] = check_type_list(self._task.args.get("wait_for") or [])
        if self.nonce and run_folder.current().get("looks"):
            if "looks" not in self.wait_for:
                raise FleetError(NOT_BEGUN.format(host=self.host))
            return {"changed": False, "waits_for": "looks"}
        raw = self.raw_variables(task_vars)
        self.values = read(raw, self.host)
        self.given = self.arguments(raw, APPLICATION_OPTIONS + FILE_OPTIONS)
        name = self.given.get("name")
        if not name:
            raise FleetError(f"{self.host} has no app_keys_name: it belongs to no fleet")
        path = self.given.pop("keyring", None) or keyring_path(self.values, str(name), task_vars)
        self.file = stores.store_for(path, self._loader)
        keyring, self.members = self.file.for_visits(str(name))
        see_same_profile(keyring, self.values)
        if self.host not in self.members and self.host not in fleet(task_vars, self._templar, self._loader).members:
            raise FleetError(
                f"{self.host} has app_keys_name {name}, and app_keys_hosts leaves it out of the fleet: it gets no key"
            )
        answer = self.visit(keyring)
        if answer.get("failed") and (self.values["before_tasks"] or self.values["after_tasks"]):
            answer["msg"] = (
                f"{answer.get('msg')}. app_keys_after_tasks is not run: the host stays drained until a visit proves it"
            )
        return answer

    def visit(self, keyring: Keyring) -> Dict[str, Any]:
        """Ask the host what a visit would do unless this run has seen its record, and visit it if that is to be done."""
        warnings: List[str] = []
        joins = self.host not in self.members
        waived = any(waiver["member"] == self.host for waiver in keyring["waivers"])
        drains = "drain" in self.wait_for and bool(self.values["before_tasks"] or self.values["after_tasks"])
        if self._task.check_mode or joins or waived or drains or self.values["take_over"] or not self.recorded(keyring):
            foreseen = self.foreseen(keyring)
            if foreseen.get("failed") or "waits_for" in foreseen:
                return foreseen
            if drains and foreseen.get("needed"):
                return {"changed": False, "waits_for": "drain"}
            if self._task.check_mode or self.done(foreseen):
                return foreseen
            warnings = self.brought_back(keyring, foreseen)
            taking = foreseen.get("taking")
            if taking:
                # Before it is done, like everything that cannot be seen afterwards.
                keyring = self.changed(
                    keyring, lambda keyring: membership.take_over(keyring, self.host, taking, time.time())
                )
        if joins or waived:
            # Registered before it is written. And nobody is set aside who serves again: the waiver ends before the visit, since the host has answered.
            keyring = arrivals.registered(self.file, keyring["name"], self.host)
        answer = self.written(keyring)
        return {**answer, "warnings": warnings} if warnings else answer

    def brought_back(self, keyring: Keyring, foreseen: Mapping[str, Any]) -> List[str]:
        """Say that something wrote keys that have ended into the env file, which this visit is about to put right."""
        found = rules.brought_back(keyrings.order(keyring), foreseen["evidence"]) if "evidence" in foreseen else {}
        names = " and ".join(profile_of(self.values).names)
        return [
            BROUGHT_BACK.format(host=self.host, path=path, keys=", ".join(keys), names=names)
            for path, keys in found.items()
        ]

    def done(self, foreseen: Mapping[str, Any]) -> bool:
        """Whether a deploy has nothing to do here: the host has what it should, and its record."""
        has_record = bool((foreseen.get("evidence") or {}).get("record"))
        return not self._task.args.get("converge") and has_record and not foreseen.get("needed")

    def foreseen(self, keyring: Keyring) -> Dict[str, Any]:
        """Return what the host says a visit would do. No key goes along."""
        checking = self._task.check_mode
        self._task.check_mode = True
        try:
            return self.answered(keyring, {})
        finally:
            self._task.check_mode = checking

    def written(self, keyring: Keyring) -> Dict[str, Any]:
        """Visit the host with the keys of the open step."""
        self.may_carry_keys(in_file=self.values["allow_key_in_file"])
        # The dropping ones too, which are not written: what the module returns is searched for all of them.
        return self.answered(keyring, keyrings.secrets(keyring, keyrings.order(keyring).may_accept))

    def answered(self, keyring: Keyring, secrets: Mapping[str, str]) -> Dict[str, Any]:
        """Run the module with what the open step allows, and say what has to come before if it would not be let in yet."""
        voucher = membership.vouched(keyring, self.host, self.records(keyring), alone=self.alone())
        if voucher.refuse:
            raise FleetError(voucher.refuse)
        arguments = {
            **self.given,
            "host": self.host,
            "order": keyrings.order(keyring)._asdict(),
            "token": keyrings.token(keyring)._asdict(),
            "step": keyring["step"]["name"],
            "secrets": dict(secrets),
            "vouched": voucher.ok,
        }
        try:
            answer = self.ask(
                "env_keys", arguments, self.task_vars, self.limit(self.given, VISIT_PARTS), keys=bool(secrets)
            )
        except AnsibleConnectionFailure as error:
            # Where a batch is one host Ansible ends the run with this very message: no gate comes after it.
            raise AnsibleConnectionFailure(f"{error}{CUT_OFF.format(host=self.host)}") from None
        if answer.get("joining"):
            whole = self.file.load(keyring["name"])
            vouchers = membership.vouchers(whole, self.host, self.task_vars["groups"]["all"])[:VOUCHERS]
            if "vouchers" in self.wait_for and vouchers:
                return {"changed": False, "waits_for": "vouchers", "vouchers": vouchers}
            answer.update(failed=True, msg=NOBODY_VOUCHES.format(host=self.host))
        return answer

    def recorded(self, keyring: Keyring) -> bool:
        """Whether this run has seen on the host a record by which it fences, and may be written, now."""
        evidence = self.evidence(self.nonce, self.host) if self.nonce else None
        record = evidence and evidence["record"]
        return bool(record) and rules.fence(keyrings.token(keyring), record) is None

    def records(self, keyring: Keyring) -> Dict[str, Optional[Record]]:
        """Return the records of other members, None for one that has none: of this run's looks, and of those that the role had taken."""
        found: Dict[str, Optional[Record]] = {}
        first = membership.first_member(keyring)
        for nonce in filter(None, (self.nonce, run_folder.NO_RUN)):
            # Those too who are not in this play, since they need no visit. The first member is visited first: where its record is,
            # nobody has to go through thousands.
            for member in sorted(self.task_vars["groups"]["all"], key=lambda member: member != first):
                evidence = self.evidence(nonce, member) if member != self.host and member in self.members else None
                if evidence:
                    found[member] = evidence["record"]
                if found.get(member) and nonce == self.nonce:
                    return found  # the gate has seen every record: one that is there says enough
        return found

    def alone(self) -> bool:
        """Whether no other member is in the inventory."""
        return not any(host in self.members for host in self.task_vars["groups"]["all"] if host != self.host)

    def evidence(self, nonce: str, host: str) -> Optional[DatedEvidence]:
        """Return the newest evidence of a host; None where there is none that is young enough."""
        said = [run_folder.one(nonce, kind, host) for kind in (run_folder.LOOK, run_folder.VISIT)]
        newest = max((one for one in said if one), key=lambda one: float(one["asked"]), default={})
        seen: Optional[DatedEvidence] = newest.get("evidence")
        limit = evidence_age(self.values["evidence_max_age"], run_folder.current().get("look_took"))
        young = seen is not None and 0 <= boot_time() - seen["asked"] <= limit
        return seen if young else None

    def changed(self, keyring: Keyring, change: Callable[[Keyring], Keyring]) -> Keyring:
        """Write what this host's visit changes in the keyring beside that it joins."""
        for tries in reversed(range(TRIES)):
            keyring = self.file.load(keyring["name"])
            after = change(keyring)
            if after is keyring:
                break
            try:
                return self.file.replace(after)
            except UnknownError:
                raise
            except KeyringFileError:
                # Other hosts of the batch do the same at the same moment, each in a process of its own.
                if not tries:
                    raise
        return keyring
