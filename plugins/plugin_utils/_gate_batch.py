# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a batch may begin: nothing was lost in those before it, what is known is young enough, and who was restarted first runs steadily."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping

from ..module_utils._host.rules.durations import in_words
from ..module_utils._host.rules.proof import Finding
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import gate, steady, wording
from ..module_utils._rules.evidence import batch_findings, stale
from . import _run_folder as run_folder
from ._gate_action import ANSWER, GateAction, Refused
from ._host_call import boot_time


class BatchAction(GateAction):
    """A question whether a batch may begin."""

    def do_batch(self) -> Dict[str, Any]:
        """Let a batch begin only if nothing was lost in those before it; first say who has to be looked at again."""
        keyring = self.load()
        visits = self.visited(keyring)
        if not self.final:
            batch_began = {"step": keyring["step"]["name"], "began": boot_time()}
            self.run_has(batches=[*run_folder.current().get("batches", []), batch_began])
            # Those whose evidence has grown old, and, once in a step, those who were restarted first: do they run steadily?
            again = [*stale(self.looks()), *self.baked(keyring, visits)]
            if again:
                batch = list(self.task_vars["ansible_play_batch"])
                self.run_has(
                    looks={host: sorted(set(again))[number :: len(batch)] for number, host in enumerate(batch)}
                )
                return self.asking_for_a_look(keyring)
        survey = self.survey(keyring)
        evidence = survey.evidence
        batch = self.task_vars["ansible_play_batch"]
        findings = batch_findings(survey, self.dropped_out(), visits, batch)
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

    def dropped_out(self) -> Dict[str, List[Finding]]:
        """The hosts that have dropped out of the play, with what Ansible said."""
        gone = set(self.task_vars["ansible_play_hosts_all"]) - set(self.task_vars["ansible_play_hosts"])
        return {
            host: [Finding(self.absent(host), "fix it: its visit failed, or Ansible lost the host")]
            for host in sorted(gone)
        }
