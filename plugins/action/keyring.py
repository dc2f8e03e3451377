# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts an application's keyring with the key that the fleet has."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, Dict, List, Mapping, Sequence

from ..module_utils._host.arguments import APPLICATION
from ..module_utils._host.reveal import PAD_LENGTH, unseal
from ..module_utils._host.rules import variables
from ..module_utils._host.rules.durations import stamp
from ..module_utils._host.rules.fingerprint import fingerprint
from ..module_utils._host.rules.proof import Finding
from ..module_utils._host.rules.shipped import PROFILES
from ..module_utils._keyring_shapes import Keyring, Soak
from ..module_utils._rules import adoption, limits, next_step, packages, soak, steps, wording
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules.adoption import Adoption
from ..plugin_utils import _moving as moving
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils import _stores as stores
from ..plugin_utils._fleet_action import FleetAction
from ..plugin_utils._host_call import GRACE, AskingAction
from ..plugin_utils._inventory import FleetError, Inventory, keyring_path, read
from ..plugin_utils._new_key import new_key

UNWRITTEN = "Nothing was written."


class ActionModule(FleetAction, AskingAction):
    """Start the keyring."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Do what `state` says."""
        state = self._task.args.get("state")
        if state == "moved":
            return self.moved()
        if state == "rekeyed":
            return self.rekeyed()
        if state not in ("planned", "adopted"):
            raise FleetError(
                f"state is {state!r}; it is planned, adopted, moved or rekeyed (phased.keys.keyring_info reads the keyring)"
            )
        self.see_whole(adopting=not self.file.exists())
        here = task_vars["inventory_hostname"]
        if self.file.exists():
            self.leave(telling=state == "planned")
            return {"adoptable": False, "source": here}
        plan = adoption.judge(self.looks(), self.fleet.values["recover"])
        judged = self.packages()
        findings = self.not_ready(plan) or judged.findings
        if findings:
            total = len(self.fleet.members)
            head = (
                f"the keys of {self.fleet.name} cannot be adopted: {total - len(findings)} of {total} hosts are ready"
            )
            return {"failed": True, "msg": "\n".join([head, *wording.table(findings), UNWRITTEN])}
        length = self.soak()
        if state == "planned":
            framework = self.fleet.values["framework"]
            for warning in [*packages.told(framework, PROFILES[framework]), *judged.warnings]:
                self.say(f"adopt: {warning}")
            return {"adoptable": True, "source": plan.source or here}
        return self.begin(plan, judged.allowed, length, task_vars)

    def leave(self, telling: bool) -> None:
        """Leave a keyring that is there as it is, `telling` so; FleetError where another one was asked for."""
        keyring = self.load()
        if self.fleet.values["recover"] and not adoption.recovering(keyring):
            raise FleetError(
                f"there is a keyring, {self.file.path}, and it is never overwritten. If it is a copy or a backup, move it away first; if it is "
                f"the fleet's, go on without app_keys_recover. {UNWRITTEN}"
            )
        if telling:
            # A step that is open is finished by this very run.
            following = next_step.next_text(keyring, time.time(), goes_on=keyrings.is_open(keyring))
            self.say(f"adopt: there is a keyring already, {self.file.path}, and it is never overwritten; {following}")

    def not_ready(self, plan: Adoption) -> Mapping[str, Sequence[Finding]]:
        """Find the members that stand in the way: by their keys, and where none does, by what their applications verify."""
        if plan.findings or self.app_check() == "trust":
            return plan.findings
        looks = self.said[run_folder.LOOK]
        checks = {member: looks.get(member, {}).get("app_check") for member in self.fleet.members}
        return adoption.check_findings(self.fleet.members, checks)

    def begin(self, plan: Adoption, allowed: Sequence[str], length: Soak, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Write the keyring, with the packages that the operator `allowed`, and say with what it begins; in check mode only say it."""
        what = f"the key {plan.accepts[0]}" if plan.accepts else "a first key"
        taken = adoption.taken_over(plan)
        then = f"; {taken}" if taken else ""
        if self.checking:
            self.say(
                f"adopt: a keyring would be written to {self.file.path}, with {what}{then}; whether a key is weak is seen when it is read"
            )
            return {}
        keyring = self.file.create(steps.beside(self.first(plan, length, task_vars), allowed, time.time()))
        self.say(
            f"adopt: {self.file.path} is written, with {what}: {keyrings.primary(keyring)['fingerprint']} signs on {len(keyring['members'])} hosts{then}"
        )
        full = limits.why_no_place(keyring)
        if full:
            self.say(f"adopt: the first rollout has to wait: {full}")
        weak = [key["fingerprint"] for key in keyring["keys"] if "weak" in key["marks"]]
        if weak:
            self.say(f"adopt: {', '.join(weak)} is too weak to stay: roll it at once with phased.keys.rollout")
        return {"changed": True}

    def needs_nonce(self) -> bool:
        """To move or seal a keyring asks no host, and belongs to no run."""
        return self._task.args.get("state") not in ("moved", "rekeyed")

    def moved(self) -> Dict[str, Any]:
        """Move the keyring to where `app_keys_copy_to` says."""
        given = self.fleet.values["copy_to"]
        if given is None:
            raise FleetError(
                "app_keys_copy_to is not given: it says where the keyring is to be, a path or a URL (docs/stores.md). Nothing was changed"
            )
        other = stores.store_for(keyring_path({"keyring": given}, self.fleet.name, self.task_vars), self._loader)
        if self.checking:
            other.exists()
            self.say(f"keyring_copy: the keyring would be moved from {self.file.path} to {other.path}")
            return {}
        changed = False
        for said in moving.moved(self.file, other, self.fleet.name):
            changed = True
            self.say(f"keyring_copy: {said}")
        if not changed:
            self.say(f"keyring_copy: the keyring has moved to {other.path} already")
        return {"changed": changed}

    def rekeyed(self) -> Dict[str, Any]:
        """Seal the keyring with the vault secret that `app_keys_rekey_to` names."""
        label = self.fleet.values["rekey_to"]
        if label is None:
            raise FleetError(
                "app_keys_rekey_to is not given: it is the label of the new vault secret, with --vault-id OLD@FILE --vault-id NEW@FILE. Nothing was "
                "changed"
            )
        self.load()
        if self.checking:
            self.say(f"keyring_rekey: {self.file.path} would be sealed with the vault secret {label}")
            return {}
        changed = moving.rekeyed(self.file, label, list(self._loader._vault.secrets or []))
        what = "is sealed" if changed else "was sealed before"
        self.say(f"keyring_rekey: {self.file.path} {what} with the vault secret {label}")
        return {"changed": changed}

    def after(self, result: Dict[str, Any], said: str) -> None:
        """Tell others of a refusal; of a keyring that was written the gate tells."""
        if result.get("failed") and not self.checking and self.needs_nonce():
            self.put_out(result, said)

    def app_check(self) -> str:
        """Return how it is known that the application reads its fallbacks."""
        said = {repr(values["app_check"]) for values in self.by_host().values()}
        if said == {repr("trust")}:
            return "trust"
        if repr(None) in said:
            raise FleetError(f"{adoption.CHECK}. {UNWRITTEN}")
        return "checked"

    def packages(self) -> packages.Judgement:
        """Return what the packages of the fleet say against rolling its key."""
        looks, values = self.said[run_folder.LOOK], self.fleet.values
        seen = {member: looks.get(member, {}).get("packages") for member in self.fleet.members}
        return packages.judge(PROFILES[values["framework"]], self.fleet.members, seen, values["allow_packages"])

    def by_host(self) -> Dict[str, Dict[str, Any]]:
        """Return every member's variables."""
        inventory = Inventory(self.task_vars, self._templar)
        return {host: read(inventory.of(host), host) for host in self.fleet.members}

    def soak(self) -> Soak:
        """Return the soak of keys that the fleet accepts besides; without one a first rollout would stop in the middle."""
        values = self.fleet.values
        try:
            return soak.length(values["soak"], values["framework"], variables.profile_of(values).soak)
        except keyrings.KeyringError as error:
            raise FleetError(f"{error}. {UNWRITTEN}") from None

    def first(self, plan: Adoption, length: Soak, task_vars: Dict[str, Any]) -> Keyring:
        """Return the keyring that is to be written."""
        values = self.fleet.values
        if plan.accepts:
            keys = self.fetch([*plan.accepts, *plan.gone], str(plan.source), task_vars)
        else:
            keys = [new_key(variables.profile_of(values).key)]
        weak = [f"{fingerprint(key)}: {keyrings.weakness(key)}" for key in keys if keyrings.weakness(key)]
        if weak and not values["allow_weak"]:
            raise FleetError(
                f"the fleet's key is too weak: {'; '.join(weak)}. {UNWRITTEN} To adopt it all the same, give -e app_keys_allow_weak=true "
                "and roll at once"
            )
        accepted = max(1, len(plan.accepts))
        return steps.adopt(
            name=self.fleet.name,
            # A keyring that is recovered is the one that was lost, a step later: its hosts go on from there.
            keyring_id=plan.keyring or secrets.token_hex(8),
            nonce=secrets.token_hex(8),
            start=steps.Start(
                secrets=keys[:accepted],
                gone=keys[accepted:],
                signing=plan.signing,
                partly_accepted=plan.partly_accepted,
                origin="generated" if not plan.accepts else "recovered" if plan.keyring else "adopted",
                leaked=plan.leaked,
                counter=plan.counter + 1,
            ),
            fleet=self.fleet.members,
            application={"framework": values["framework"], "settings": values["settings"]},
            soak=length,
            app_check={"how": self.app_check(), "at": stamp(time.time())},
            now=time.time(),
        )

    def fetch(self, fingerprints: List[str], source: str, task_vars: Dict[str, Any]) -> List[str]:
        """Bring the keys from a member that holds them, sealed with a pad that is in no result."""
        raw = Inventory(task_vars, self._templar).of(source)
        values = read(raw, source)
        arguments = {name: raw[variables.PREFIX + name] for name in APPLICATION if variables.PREFIX + name in raw}
        pad = base64.b64encode(secrets.token_bytes(PAD_LENGTH)).decode()
        self.may_carry_keys(in_file=values["allow_key_in_file"])
        answer = self.ask(
            "active_fingerprint",
            {**arguments, "reveal": fingerprints, "reveal_pad": pad},
            task_vars,
            values["timeout"] + values["settle"] + GRACE,
            keys=True,
        )
        if "revealed" not in answer:
            raise FleetError(
                f"{source}: the key could not be read: {answer.get('msg', 'the module did not answer')}. {UNWRITTEN}"
            )
        keys = unseal(str(answer["revealed"]), pad)
        if [fingerprint(key) for key in keys] != fingerprints:
            raise FleetError(f"{source} sent other keys than it showed. {UNWRITTEN}")
        return keys
