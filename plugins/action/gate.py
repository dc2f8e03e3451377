# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: brings the evidence of the whole fleet to the rules, and writes what they say into the keyring."""

from __future__ import annotations

import functools
import os
import secrets
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible import errors
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.vars import load_extra_vars

from ..module_utils._host.rules import variables
from ..module_utils._host.rules.durations import in_words
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._host.rules.proof import Finding
from ..module_utils._rules import (
    emergency,
    gate,
    membership,
    next_step,
    progress,
    slices,
    soak,
    steady,
    steps,
    thrown_away,
    wording,
)
from ..module_utils._rules import evidence as proofs
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules.gate import PhaseRequest, Verdict
from ..module_utils._rules.survey import Survey
from ..module_utils._shapes import Keyring
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._fleet_action import FleetAction
from ..plugin_utils._host_call import boot_time
from ..plugin_utils._inventory import FleetError
from ..plugin_utils._keyring_store import NotWrittenError
from ..plugin_utils._new_key import new_key

COUNTDOWN = 5.0
BEAT = 1.0
PATIENCE = 120
# What a playbook may ask of every answer.
ANSWER: Dict[str, Any] = {"needs_look": False}
CUT_OFF = (
    "{left!r} of the command line would be lost: of -e name=value Ansible takes the value to the first blank. Give a text with blanks as JSON: "
    """-e '{{"app_keys_waive_reason": "disk failed"}}'. Nothing was changed"""
)
HOW_TO_CONFIRM = "give -e app_keys_confirm={key} with the command, or run it at a terminal and type the fingerprint"


class Refused(PhasedKeysError):
    """The gate does not open, and why."""


class ActionModule(FleetAction):
    """Decide for the whole fleet, once."""

    at: Optional[Keyring] = None  # the keyring as it is now
    seen: Optional[Survey] = None  # the last survey

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Do what `do` says."""
        do = self._task.args.get("do")
        self.final = boolean(self._task.args.get("final", True))
        self.phase: str = self._task.args.get("step", "current")
        operation = getattr(self, f"do_{do}", None)
        if operation is None:
            raise FleetError(f"do is {do!r}; it is one of fleet, open, batch, close and status")
        if do != "status" and (do, self.goal) != ("fleet", "status"):
            self.see_whole(adopting=self.goal == "adopt" and not self.file.exists())
        if do != "fleet":
            self.run_has(needs_look=False)
        try:
            answer = dict(operation())
        except Refused as refused:
            answer = {"failed": True, "msg": str(refused)}
        except keyrings.KeyringError as error:
            answer = {"failed": True, "msg": f"{self.phase}: {error}. {gate.NOTHING_CHANGED}"}
        if self.at is not None:
            # As long as hosts have to be looked at first, what was seen says nothing of the fleet.
            seen = None if answer.get("needs_look") else self.seen
            so_far = progress.so_far(self.at, seen, self.phase, time.time())
            # Not into the result of a refusal, which Ansible prints: nobody scrolls through that to find what was refused.
            self.run_has(progress=so_far)
            answer.update({} if answer.get("failed") else {"progress": so_far})
        return answer

    @functools.cached_property
    def goal(self) -> str:
        """What the run is to reach: that is said once, as it begins."""
        said = self._task.args if self._task.args.get("do") == "fleet" else run_folder.current()
        return str(said.get("goal", "rollout"))

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

    def load(self) -> Keyring:
        """Return the keyring, and remember it for how far the rollout is."""
        self.at = super().load()
        return self.at

    def survey(self, keyring: Keyring) -> Survey:
        """Return the fleet as it was seen, and remember it likewise."""
        self.seen = super().survey(keyring)
        return self.seen

    def needs_nonce(self) -> bool:
        """All but what gives the run its nonce."""
        return bool(self._task.args.get("do") != "fleet")

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
            "serial": proofs.batch_sizes(self.fleet.values["serial"]),
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

    def see_that_nothing_was_cut_off(self) -> None:
        """Refuse a command line of which Ansible has cut off a text: what is left over it keeps under this name, and nobody reads it.

        By the command line itself: a host's facts may hold a variable of that name.
        """
        left = load_extra_vars(self._loader).get("_raw_params")
        if left:
            raise FleetError(CUT_OFF.format(left=left))

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
            moment = soak.next_due(keyring)
            left = moment - now if moment is not None else 0.0
            if decision.action != "wait" or self.goal != "rollout" or left > self.fleet.values["wait"] or self.checking:
                break
            text = f"{self.phase}: {progress.SOAKING}{in_words(left)} to go"
            self.wait("soak", text, min(COUNTDOWN, max(0.0, left)) + 0.01, until=now + left)
        if decision.action == "refuse":
            raise Refused(f"{self.phase} is not possible: {decision.text}. {gate.NOTHING_CHANGED}")
        if decision.action in ("skip", "wait"):
            if decision.text:
                self.say(f"{self.phase}: {decision.text}")
            return {**self.visits(()), "text": decision.text}
        asked = self.look(keyring)
        return asked if asked["needs_look"] else self.opened(keyring)

    @property
    def first_phase(self) -> bool:
        """Whether this is the first phase of the playbook."""
        return self.phase in ("current", self.goal)

    def with_what_is_said(self, keyring: Keyring) -> Keyring:
        """Return the keyring with what the operator says about hosts and keys: who is gone, who is set aside, what has leaked.

        It is said once in a run, and in check mode, which writes nothing, to every phase.
        """
        if not self.first_phase and not self.checking:
            return keyring
        values, now = self.fleet.values, time.time()
        keyring = membership.release(keyring, values["release"], self.fleet.members, now)
        if values["waive"]:
            if values["waive_reason"] is None or values["waive_for"] is None:
                raise FleetError(
                    f"app_keys_waive asserts that {', '.join(values['waive'])} serve no traffic: say why with app_keys_waive_reason, and until "
                    "when with app_keys_waive_for (a duration, like 3d)"
                )
            joining = [host for host in values["waive"] if host in self.fleet.members]
            keyring = membership.register(keyring, joining, now)
            keyring = membership.waive(keyring, values["waive"], values["waive_reason"], values["waive_for"], now)
        leaked = values["compromised"]
        if leaked is None:
            return keyring
        marked = steps.mark_compromised(keyring, leaked, now)
        if marked is not keyring:
            self.confirm(leaked, emergency.cost(keyring, leaked, self.goal))
        return marked

    def written(self, keyring: Keyring, changed: Keyring) -> Keyring:
        """Write the keyring if it was changed, and return it; in check mode it is only changed for this task."""
        if changed is keyring or self.checking:
            return changed
        try:
            self.at = self.file.replace(changed)
            return self.at
        except NotWrittenError as error:
            raise Refused(f"{error.why}. {gate.unwritten(keyring, changed)}") from None

    def confirm(self, leaked: str, cost: str) -> None:
        """Say what an emergency costs, and go on only if it is confirmed: without a terminal the answer is no."""
        if self.checking and (self.final or not self.first_phase):
            return
        self.say(cost)
        confirmed = self.fleet.values["confirm"]
        if self.checking or confirmed == leaked:
            return
        if confirmed is not None:
            raise Refused(
                f"app_keys_confirm is {confirmed}, and app_keys_compromised is {leaked}. {gate.NOTHING_CHANGED}"
            )
        if not self.typed(leaked):
            raise Refused(f"{leaked} was not confirmed: {HOW_TO_CONFIRM.format(key=leaked)}. {gate.NOTHING_CHANGED}")

    def typed(self, leaked: str) -> bool:
        """Ask at the terminal, and return whether the fingerprint was typed, and sent before the time was over."""
        # Not without an end: AWX and its like have a terminal, and nobody at it.
        question = f"Type {leaked} to roll it without a soak, or anything else to leave it ({PATIENCE} seconds): "
        end = time.monotonic() + PATIENCE
        try:
            typed: Any = self._display.prompt_until(question, seconds=PATIENCE)
        except (errors.AnsiblePromptInterrupt, errors.AnsiblePromptNoninteractive):
            return False
        # When the time is over, what was typed so far comes back as if Enter had been pressed.
        in_time = time.monotonic() < end
        return in_time and isinstance(typed, bytes) and typed.decode(errors="replace").strip() == leaked

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
        )

    def look(self, keyring: Keyring) -> Dict[str, Any]:
        """Ask for a survey unless fresh evidence proves already all that the step needs."""
        survey = self.survey(keyring)
        soaked = self.phase != "retire" or len(gate.soaked(survey)) == len(soak.due(keyring, survey.conditions.clock))
        return self.asking_for_a_look(keyring) if not survey.count.complete or not soaked else ANSWER

    def asking_for_a_look(self, keyring: Keyring) -> Dict[str, Any]:
        """Ask for a survey, and say to it which keys it is to search for."""
        self.run_has(known=keyrings.order(keyring).known, needs_look=True)
        return {**ANSWER, "needs_look": True}

    def run_has(self, **more: Any) -> None:
        """Write down what the plays, looks and visits that follow go by."""
        run_folder.begin({**run_folder.current(), **more})

    def opened(self, keyring: Keyring) -> Dict[str, Any]:
        """Open the step by the evidence that there is."""
        keyring = self.end_answered_waivers(keyring)
        request = self.request(opening=True)
        return self.carry_out(keyring, gate.opening(self.survey(keyring), request))

    def end_answered_waivers(self, keyring: Keyring) -> Keyring:
        """End the waivers of hosts that answer, whatever the gate will say."""
        return self.written(keyring, membership.end_waivers(keyring, self.evidence(), time.time()))

    def do_batch(self) -> Dict[str, Any]:
        """Let a batch begin only if nothing was lost in those before it; first say who has to be looked at again."""
        keyring = self.load()
        visits = self.visited(keyring)
        if not self.final:
            batch_began = {"step": keyring["step"]["name"], "began": boot_time()}
            self.run_has(batches=[*run_folder.current().get("batches", []), batch_began])
            # Those whose evidence has grown old, and, once in a step, those who were restarted first: do they run steadily?
            stale = [*proofs.stale(self.looks()), *self.baked(keyring, visits)]
            if stale:
                batch = list(self.task_vars["ansible_play_batch"])
                self.run_has(
                    looks={host: sorted(set(stale))[number :: len(batch)] for number, host in enumerate(batch)}
                )
                return self.asking_for_a_look(keyring)
        survey = self.survey(keyring)
        evidence = survey.evidence
        batch = self.task_vars["ansible_play_batch"]
        findings = proofs.batch_findings(survey, self.dropped_out(), visits, batch)
        for member, visit in visits.items():
            # A host that was down before its visit and after it may block nobody; it is asked all the same whether it runs steadily.
            if visit.get("proven") and member in evidence:
                findings.setdefault(member, steady.unsteady(visit["evidence"], evidence[member]))
        findings = {member: found for member, found in findings.items() if found}
        if findings:
            raise Refused(
                wording.refusal(survey, f"{keyring['step']['name']} stops here", findings, gate.stopped(keyring))
            )
        self.run_has(looks={})
        return ANSWER

    def baked(self, keyring: Keyring, visits: Mapping[str, Any]) -> List[str]:
        """Wait, once in a step, for as long as the hosts that were restarted first have to run steadily, and return them."""
        counter, run = keyring["step"]["counter"], run_folder.current()
        pause = steady.pause(visits, self.fleet.values["bake"])
        if run.get("baked") == counter or not pause.seconds:
            return []
        self.run_has(baked=counter)
        left = pause.seconds - (boot_time() - max(visit["asked"] for visit in visits.values()))
        if left > 0:
            text = f"{keyring['step']['name']}: {', '.join(sorted(visits))} has to run steadily first: looked at again in {in_words(left)} ({pause.why})"
            self.wait("bake", text, left, until=time.time() + left)
        return sorted(visits)

    def wait(self, what: str, text: str, seconds: float, until: float) -> None:
        """Say that it is waited, and sleep; what is waited for and until when (epoch) is written down before.

        Every second an empty text is shown, which nobody sees: it is the moment at which a living line can count down.
        """
        self.run_has(waits={"for": what, "until": until})
        self.say(text)
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(BEAT, left))
            self._display.display("", screen_only=True, newline=False)
        self.run_has(waits=None)

    def visited(self, keyring: Keyring) -> Dict[str, Dict[str, Any]]:
        """Return what came of the visits of this run at the open step, by member."""
        return {
            member: self.said[run_folder.VISIT][member]
            for member in self.fleet.members
            if self.visited_at(member) == keyring["step"]["counter"]
        }

    def visited_at(self, member: str) -> Any:
        """The counter of the step at which this run visited a member last; None where it did not."""
        seen = self.said[run_folder.VISIT].get(member, {}).get("evidence") or {}
        return (seen.get("record") or {}).get("counter")

    def do_close(self) -> Dict[str, Any]:
        """Count the fleet after the last batch, and close the step if all are proven; first say whether that takes another look."""
        keyring = self.load()
        if not self.final:
            asked = self.look(keyring)
            if asked["needs_look"]:
                return asked
        keyring = self.end_answered_waivers(keyring)
        proved = {member: visit["evidence"] for member, visit in self.visited(keyring).items() if visit.get("proven")}
        goes_on = next_step.goes_on(self.goal, self.phase)
        return self.carry_out(keyring, gate.closing(self.survey(keyring), proved, goes_on))

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

    def visits(self, hosts: Sequence[str]) -> Dict[str, Any]:
        """Say who is to be visited, to the plays that follow (the lookup phased.keys.run) and in the answer."""
        self.run_has(visits=list(hosts))
        return {**ANSWER, "visit": bool(hosts)}

    def dropped_out(self) -> Dict[str, List[Finding]]:
        """The hosts that have dropped out of the play, with what Ansible said."""
        gone = set(self.task_vars["ansible_play_hosts_all"]) - set(self.task_vars["ansible_play_hosts"])
        return {
            host: [Finding(self.absent(host), "fix it: its visit failed, or Ansible lost the host")]
            for host in sorted(gone)
        }
