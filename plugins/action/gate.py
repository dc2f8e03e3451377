# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: counts the evidence of the whole fleet, and is the only thing that opens a step."""

from __future__ import annotations

import secrets
import time
from typing import Any, Dict, List

from ..module_utils.rules import evidence as proofs
from ..module_utils.rules import ring as rings
from ..module_utils.rules import steps, variables, wording
from ..module_utils.rules.durations import words
from ..module_utils.rules.evidence import Count, Finding
from ..module_utils.rules.ring import Ring
from ..plugin_utils.action import VISIT
from ..plugin_utils.fleet import FleetError
from ..plugin_utils.fleet_action import FleetAction
from ..plugin_utils.new_key import new_key

NOTHING_CHANGED = "Nothing was changed: no step was opened, and every host keeps the keys that it has."
STOPPED = "No further host is visited. Every host that was proven stays as it is; run phased.keys.rollout again when this is mended."
COUNTDOWN = 5.0


class Refused(Exception):
    """The gate does not open, and why."""


class ActionModule(FleetAction):
    """Decide for the whole fleet, once."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Do what `do` says."""
        do = self._task.args.get("do")
        self.step: str = self._task.args.get("step", "current")
        self.goal: str = self._task.args.get("goal", "rollout")
        operation = getattr(self, f"do_{do}", None)
        if operation is None:
            raise FleetError(f"do is {do!r}; it is one of fleet, ask, open, batch, count, close and status")
        try:
            answer: Dict[str, Any] = operation()
        except Refused as refused:
            return {"failed": True, "msg": str(refused)}
        except rings.RingError as error:
            return {"failed": True, "msg": f"{self.step}: {error}. {NOTHING_CHANGED}"}
        return answer

    def needs_nonce(self) -> bool:
        """All but what gives the run its nonce."""
        return bool(self._task.args.get("do") != "fleet")

    def do_fleet(self) -> Dict[str, Any]:
        """Say which hosts the fleet is; the nonce is that of every look that this run takes."""
        playing = set(self.task_vars["ansible_play_hosts_all"])
        if not playing & set(self.fleet.members):
            raise FleetError(
                f"--limit leaves out all {len(self.fleet.members)} members of {self.fleet.name}: the gate counts the whole fleet"
            )
        # A run that finds a rollout in flight finishes that one, and app_keys_new does not start another in its wake.
        begin = True
        if self.file.exists() or self.goal != "adopt":
            begin = steps.at_rest(self.load())
        return {
            "name": self.fleet.name,
            "members": self.fleet.members,
            "serial": self.fleet.values["serial"],
            "begin": begin,
            "keyring": self.file.path,
            "nonce": secrets.token_hex(8),
        }

    def do_ask(self) -> Dict[str, Any]:
        """Say whether a phase has anything to do, waiting for a short soak, and whether the fleet has to be looked at."""
        if self.checking and self.goal == "adopt" and not self.file.exists():
            return {"go": False, "look": False, "known": [], "text": "the keyring that adopt would write is not there"}
        ring = self.load()
        if self.step == "current":
            return self.look(ring)
        values = self.fleet.values
        while True:
            now = time.time()
            decision = steps.decide(ring, self.step, self.goal, now, values["max_age"], self.new())
            due = steps.next_due(ring)
            if (
                decision.do != "wait"
                or due is None
                or self.goal != "rollout"
                or due - now > values["wait"]
                or self.checking
            ):
                break
            self.say(f"{self.step}: waiting for the soak, {words(due - now)} to go")
            time.sleep(min(COUNTDOWN, max(0.0, due - now)) + 0.01)
        if decision.do == "refuse":
            raise Refused(f"{self.step} is not possible: {decision.text}. {NOTHING_CHANGED}")
        if decision.do in ("skip", "wait"):
            self.say(f"{self.step}: {decision.text}")
            return {"go": False, "look": False, "known": [], "text": decision.text}
        return self.look(ring)

    def new(self) -> bool:
        """Whether a new rollout was asked for, in a run that found none in flight."""
        return bool(self.fleet.values["new"] and self._task.args.get("begin", True))

    def do_count(self) -> Dict[str, Any]:
        """Say whether the fleet has to be looked at before the closing count."""
        return self.look(self.load())

    def look(self, ring: Ring) -> Dict[str, Any]:
        """Ask for a survey unless fresh evidence proves already all that the step needs."""
        proven = self.count(ring).complete and not self.soaking(ring)
        return {"go": True, "look": not proven, "known": rings.order(ring).known}

    def do_open(self) -> Dict[str, Any]:
        """Open the step if every member is proven, or go on with one that is open."""
        ring = self.load()
        count = self.count(ring)
        if self.step in ("current", ring["step"]["name"]) and (
            self.step == "current" or ring["step"]["closed"] is None
        ):
            return self.resume(ring, count)
        headline = f"{self.step} is not safe yet"
        if not count.complete:
            raise Refused(wording.refusal(ring, headline, count, count.findings, NOTHING_CHANGED))
        now = time.time()
        closed = ring if ring["step"]["closed"] else steps.close_step(ring, now)
        values = self.fleet.values
        decision = steps.decide(closed, self.step, self.goal, now, values["max_age"], self.new())
        short = self.soaking(closed)
        if short:
            text = "\n".join(
                [
                    f"{self.step}: waiting for the soak on {len(short)} of {len(self.fleet.members)} hosts",
                    *wording.table(short),
                ]
            )
            return self.stay(text)
        if decision.do != "open":
            if closed is not ring and not self.checking:
                self.file.replace(closed)
            return self.stay(f"{self.step}: {decision.text}")
        opened = self.opened(closed, now)
        if self.checking:
            return self.stay(
                f"{self.step} would open: {wording.counted(ring, count)}, and {len(self.fleet.members)} hosts would be visited"
            )
        opened = self.file.replace(opened)
        self.say(
            f"{self.step} is open: {wording.counted(ring, count)}; key {opened['step']['key']}{self.soak_text(opened)}"
        )
        return {"changed": True, "go": True, "members": self.visits(opened)}

    def resume(self, ring: Ring, count: Count) -> Dict[str, Any]:
        """Go on with the open step, or bring members back to a closed one: only visits are needed for that."""
        name = ring["step"]["name"]
        blocked = proofs.not_visitable(ring, self.fleet.members, self.evidence(), self.survey())
        if blocked:
            raise Refused(wording.refusal(ring, f"{name} cannot go on", count, blocked, NOTHING_CHANGED))
        if count.complete:
            self.finish(ring, count)
            return {"go": False, "text": "nothing to do"}
        text = f"{name}: {wording.counted(ring, count)}; {len(count.findings)} to go"
        if self.checking:
            return self.stay("\n".join([f"{text}. They would be visited:", *wording.table(count.findings)]))
        joining = steps.register(ring, self.fleet.members, time.time())
        if joining is not ring:
            self.file.replace(joining)
        self.say(text)
        return {"go": True, "members": self.visits(ring)}

    def visits(self, ring: Ring) -> List[str]:
        """The members in the order in which they are visited."""
        return proofs.visiting_order(ring, self.fleet.members, self.evidence())

    def do_batch(self) -> Dict[str, Any]:
        """Let a batch begin only if nothing was lost in those before it; first say whose evidence has grown old."""
        ring = self.load()
        stale = proofs.stale(self.fleet.members, self.evidence(), self.survey())
        if stale and not self._task.args.get("final", True):
            batch = list(self.task_vars["ansible_play_batch"])
            shares = {host: stale[number :: len(batch)] for number, host in enumerate(batch)}
            return {"look": True, "stale": shares, "known": rings.order(ring).known}
        visited = [member for member in self.fleet.members if self.visited_at(member) == ring["step"]["counter"]]
        findings = proofs.batch_findings(
            ring,
            self.fleet.members,
            self.evidence(),
            self.survey(),
            self.lost(),
            visited,
            self.task_vars["ansible_play_batch"],
        )
        if findings:
            raise Refused(
                wording.refusal(ring, f"{ring['step']['name']} stops here", self.count(ring), findings, STOPPED)
            )
        return {"look": False, "stale": {}}

    def visited_at(self, member: str) -> Any:
        """The counter of the step at which this run visited a member last; None where it did not."""
        seen = self.result_of(member, VISIT).get("evidence") or {}
        return (seen.get("record") or {}).get("counter")

    def do_close(self) -> Dict[str, Any]:
        """Count the fleet after the last batch, and close the step if all are proven."""
        ring = self.load()
        count = self.count(ring)
        if not count.complete:
            raise Refused(
                wording.refusal(ring, f"{ring['step']['name']} is not complete", count, count.findings, STOPPED)
            )
        return {"changed": self.finish(ring, count)}

    def do_status(self) -> Dict[str, Any]:
        """Say who signs with what, who accepts what, and what is next."""
        ring = self.load()
        count = self.count(ring)
        text = wording.status(ring, count, self.evidence(), time.time())
        self.say(text)
        return {"status": text, "proven": count.proven, "keyring": rings.public(ring)}

    def finish(self, ring: Ring, count: Count) -> bool:
        """Close the step after a complete count, once."""
        counter = ring["step"]["counter"]
        done = ring["step"]["closed"] is not None and all(
            member["proven"] == counter for member in ring["members"].values()
        )
        name = ring["step"]["name"]
        if not done and not self.checking:
            ring = self.file.replace(steps.close_step(ring, time.time()))
        self.say(f"{name}: {wording.counted(ring, count)}; {steps.next_text(ring, time.time())}")
        return not done and not self.checking

    def opened(self, ring: Ring, now: float) -> Ring:
        """Return the keyring with the step open, with what this step needs."""
        profile = variables.profile_of(self.fleet.values)
        key, soak = None, None
        if self.step == "prepare":
            key = {"id": steps.next_id(ring), "secret": new_key(profile.key)}
        if self.step in ("prepare", "promote"):
            # Asked for at prepare already: nobody should find out in the middle.
            soak = steps.soak_of(self.fleet.values["soak"], self.fleet.values["framework"], profile.soak)
        ring = steps.register(ring, self.fleet.members, now)
        return steps.open_step(ring, self.step, now, secrets.token_hex(8), key, soak)

    def soaking(self, ring: Ring) -> Dict[str, List[Finding]]:
        """The members on whose own clocks a key that is due has not soaked long enough."""
        return proofs.soak_findings(self.evidence(), steps.due(ring, time.time())) if self.step == "retire" else {}

    def soak_text(self, ring: Ring) -> str:
        """Say how long the soak will be, and who says so."""
        if ring["step"]["name"] != "promote":
            return ""
        soak = next(key["soak"] for key in ring["keys"] if key["fingerprint"] == ring["step"]["before"])
        return f"; the soak will be {words(float(soak['seconds']))} ({soak['source']})"

    def lost(self) -> Dict[str, List[Finding]]:
        """The hosts that have dropped out of the play, with what Ansible said."""
        gone = set(self.task_vars["ansible_play_hosts_all"]) - set(self.task_vars["ansible_play_hosts"])
        return {
            host: [Finding(self.absent(host), "mend it: its visit failed, or Ansible lost the host")]
            for host in sorted(gone)
        }

    def stay(self, text: str) -> Dict[str, Any]:
        """Say something and open nothing."""
        self.say(text)
        return {"go": False, "text": text}
