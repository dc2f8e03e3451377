# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: brings the evidence of the whole fleet to the rules, and writes what they say into the keyring."""

from __future__ import annotations

import os
import secrets
import time
from typing import Any, Dict

from ansible.module_utils.parsing.convert_bool import boolean

from ..module_utils._host.arguments import APPLICATION
from ..module_utils._host.rules import variables
from ..module_utils._host.rules.durations import in_words
from ..module_utils._host.rules.proofs import PODS, PROOFS
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import (
    at_rest,
    gate,
    membership,
    next_step,
    progress,
    slices,
    soak,
    spread,
    thrown_away,
    wording,
)
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules.evidence import batch_sizes
from ..module_utils._rules.gate import PhaseRequest, Verdict
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._gate_action import ANSWER, Refused
from ..plugin_utils._gate_at_rest import AtRestAction
from ..plugin_utils._gate_batch import BatchAction
from ..plugin_utils._gate_cross import CrossAction
from ..plugin_utils._gate_operator import OperatorAction
from ..plugin_utils._inventory import PREFIX, FleetError, Inventory
from ..plugin_utils._new_key import new_key

COUNTDOWN = 5.0


class ActionModule(OperatorAction, BatchAction, CrossAction, AtRestAction):
    """Decide for the whole fleet, once."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Do what `do` says."""
        do = self._task.args.get("do")
        self.final = boolean(self._task.args.get("final", True))
        self.phase: str = self._task.args.get("step", "current")
        operation = getattr(self, f"do_{do}", None)
        if operation is None:
            raise FleetError(
                f"do is {do!r}; it is one of fleet, open, batch, cross, close, reencrypt, reencrypted and status"
            )
        if do != "status" and (do, self.goal) != ("fleet", "status"):
            self.see_whole(adopting=self.goal == "adopt" and not self.file.exists())
        if do != "fleet":
            self.see_whether_looked()
        try:
            answer = dict(operation())
        except Refused as refused:
            answer = {"failed": True, "msg": str(refused)}
        except keyrings.KeyringError as error:
            answer = {"failed": True, "msg": f"{self.phase}: {error}. {gate.NOTHING_CHANGED}"}
        if self.at is not None:
            self.run_has(at_rest=self.encrypts_anew(self.at))
            # As long as hosts have to be looked at first, what was seen says nothing of the fleet.
            seen = None if answer.get("needs_look") else self.seen
            so_far = progress.so_far(self.at, seen, self.phase, time.time())
            # Not into the result of a refusal, which Ansible prints: nobody scrolls through that to find what was refused.
            self.run_has(progress=so_far)
            answer.update({} if answer.get("failed") else {"progress": so_far})
        return answer

    def after(self, result: Dict[str, Any], said: str) -> None:
        """Tell others what was decided or refused; in check mode only status does. A status that is strict fails where not all is well."""
        do = self._task.args.get("do")
        decided = do != "fleet" and not result.get("needs_look")
        if not (decided or result.get("failed")) or (self.checking and self.goal != "status"):
            return
        unwritten = self.put_out(result, said)
        if do == "status" and self.fleet.values["strict"] and not result.get("failed"):
            why = [*result["why"], *unwritten]
            if why:
                result.update(
                    failed=True, msg=f"{self.fleet.name} is not well, and app_keys_strict is true: {'; '.join(why)}"
                )

    def do_fleet(self) -> Dict[str, Any]:
        """Say which hosts the fleet is; the nonce is that of every look that this run takes."""
        self.see_that_nothing_was_cut_off()
        playing = set(self.task_vars["ansible_play_hosts_all"])
        if not playing & set(self.fleet.members):
            raise FleetError(
                f"--limit leaves out all {len(self.fleet.members)} members of {self.fleet.name}: the gate counts the whole fleet"
            )
        may_begin = True
        if self.goal == "adopt" and not self.file.exists():
            self.file.ready()
            self.see_kept()
        else:
            keyring = self.load()
            # A run that finds a rollout in flight finishes that one, and app_keys_new does not start another in its wake.
            may_begin = next_step.may_begin(keyring, self.fleet.values["wait"], time.time())
        run = {
            "name": self.fleet.name,
            "goal": self.goal,
            "members": self.fleet.members,
            "visits": [],
            "serial": batch_sizes(self.fleet.values["serial"]),
            "may_begin": may_begin,
            "keyring": self.file.path,
            "nonce": secrets.token_hex(8),
        }
        run_folder.begin(run)
        self.keep_fleet(str(run["nonce"]), self.fleet)
        # Not the members: of thousands that would be most of what a person sees.
        return {"name": run["name"], "nonce": run["nonce"]}

    def see_kept(self) -> None:
        """Refuse a first keyring, or warn of one, that would lie where things are thrown away."""
        if self.file.local is None or self.fleet.values["keyring_kept"]:
            return
        awx = any(f"{prefix}_job_id" in self.task_vars for prefix in ("awx", "tower"))
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
                mounts = thrown_away.mounts(file.read())
        except OSError:
            mounts = []
        found = thrown_away.concern(os.path.realpath(self.file.local), awx, os.environ, mounts)
        if found and found.certain:
            raise FleetError(f"{found.text}. Nothing was changed")
        if found:
            self._display.warning(found.text)

    def do_open(self) -> Dict[str, Any]:
        """Open the step if every member is proven, or go on with one that is open; asked first, say whether that takes a look."""
        if not self.final:
            return self.open_if_seen()
        return self.opened(self.with_what_is_said(self.load()) if self.checking else self.load())

    def open_if_seen(self) -> Dict[str, Any]:
        """Open the step of a phase that has anything to do, after waiting for a short soak, unless the fleet has to be looked at first."""
        if self.checking and self.goal == "adopt" and not self.file.exists():
            return {**self.visits(()), "text": "the keyring that adopt would write is not there"}
        keyring = self.load()
        keyring = self.written(keyring, self.with_what_is_said(keyring))
        while True:
            now = time.time()
            decision = gate.ask(keyring, self.request(), now)
            if decision.action != "wait" or decision.until is None or self.goal != "rollout" or self.checking:
                break
            left = decision.until - now
            if left > self.fleet.values["wait"]:
                break
            text = f"{self.phase}: {progress.WAITING[decision.waits]}{in_words(left)} to go"
            self.wait(decision.waits, text, min(COUNTDOWN, max(0.0, left)) + 0.01, until=now + left)
        if decision.action == "refuse":
            raise Refused(f"{self.phase} is not possible: {decision.text}. {gate.NOTHING_CHANGED}")
        if decision.action in ("skip", "wait"):
            if decision.text:
                self.say(f"{self.phase}: {decision.text}")
            return {**self.visits(()), "text": decision.text}
        asked = self.look_if_needed(keyring)
        return asked if asked["needs_look"] else self.opened(keyring)

    def request(self, *, opening: bool = False) -> PhaseRequest:
        """Return what this phase asks of the rules."""
        values = self.fleet.values
        profile = variables.profile_of(values)
        length, fresh = None, None
        if opening and self.phase in ("prepare", "promote", "rollback"):
            # Asked for at prepare already: nobody should find out in the middle.
            length = soak.length(values["soak"], values["framework"], profile.soak)
            fresh = new_key(profile.key) if self.phase == "prepare" else None
        return PhaseRequest(
            phase=self.phase,
            goal=self.goal,
            nonce=secrets.token_hex(8),
            max_age=values["max_age"],
            # A new rollout was asked for, in a run that found none in flight.
            new=bool(values["new"] and run_folder.current().get("may_begin", True)),
            soak=length,
            new_key=fresh,
            checking=self.checking,
            spread=spread.length(values["spread"], values["framework"], profile.spread),
            external=values["external"],
            keep_sealed=at_rest.keep_sealed(values["keep_sealed"], bool(profile.at_rest)),
            bring_back=values["bring_back"] if self.phase == "prepare" else None,
            cross=self.crossing,
        )

    def opened(self, keyring: Keyring) -> Dict[str, Any]:
        """Open the step by the evidence that there is."""
        keyring = self.end_answered_waivers(keyring)
        request = self.request(opening=True)
        return self.carry_out(keyring, gate.opening(self.survey(keyring), request))

    def end_answered_waivers(self, keyring: Keyring) -> Keyring:
        """End the waivers of hosts that answer, whatever the gate will say."""
        return self.written(keyring, membership.end_waivers(keyring, self.evidence(), time.time()))

    def do_close(self) -> Dict[str, Any]:
        """Count the fleet after the last batch, and close the step if all are proven; first say whether that takes another look."""
        keyring = self.load()
        if not self.final:
            asked = self.look_if_needed(keyring)
            if asked["needs_look"]:
                return asked
        keyring = self.end_answered_waivers(keyring)
        proved = {member: visit["evidence"] for member, visit in self.visited(keyring).items() if visit.get("proven")}
        goes_on = next_step.goes_on(self.goal, self.phase)
        said = self.crossed() if self.crossing and not self.checking else None
        if said:
            self.see_through(keyring, said)
        answer = self.carry_out(keyring, gate.closing(self.survey(keyring), proved, goes_on, said))
        if not self.checking:
            self.tidy()
        return answer

    def tidy(self) -> None:
        """Have what is kept of keys that have ended taken away from where visits leave that for the closing count."""
        pods = [
            member
            for member, seen in self.evidence().items()
            if seen["proof"] in PROOFS and PROOFS[seen["proof"]].reads == PODS
        ]
        if not pods or self.at is None:
            return
        from ..plugin_utils._workload import call

        ended = [key["fingerprint"] for key in keyrings.in_state(self.at, *keyrings.ENDED)]
        inventory = Inventory(self.task_vars, self._templar)
        for member in pods:
            raw = inventory.of(member)
            given = {name: raw[f"{PREFIX}{name}"] for name in APPLICATION if f"{PREFIX}{name}" in raw}
            problem = call.tidy(given, ended) if "workload" in given else None
            if problem:
                self._display.warning(f"{member}: what it keeps of keys that have ended was not deleted: {problem}")

    def do_status(self) -> Dict[str, Any]:
        """Say who signs with what, who accepts what, and what is next."""
        keyring = self.load()
        if not self.final:
            return self.asking_for_a_look(keyring)
        survey = self.survey(keyring)
        text = wording.status(survey, self.fleet.values["max_age"])
        part = slices.why_not_whole(len(self.fleet.members), self.fleet.values["min_members"])
        text += f"\nno step opens: {part}" if part else ""
        self.say(text)
        shown = {"status": text, "proven": survey.count.proven, "keyring": keyrings.public(keyring)}
        return {**ANSWER, **self.standing(survey), **shown}

    def carry_out(self, keyring: Keyring, verdict: Verdict) -> Dict[str, Any]:
        """Write the keyring as the gate says, then tell."""
        if verdict.outcome == "refuse":
            raise Refused(verdict.text)
        self.begin_cross(verdict)
        changed = verdict.keyring is not keyring and not self.checking
        self.written(keyring, verdict.keyring)
        # A rollout that finds the fleet as it should be says so once, in the phase that is next.
        if changed or self.checking or self.goal != "rollout" or self.phase != "current" or verdict.outcome == "visit":
            self.say(verdict.text)
        return {
            **self.visits(verdict.visit if verdict.outcome == "visit" else ()),
            "changed": changed,
            "text": verdict.text,
        }
