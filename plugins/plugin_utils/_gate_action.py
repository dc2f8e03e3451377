# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every question to the gate is made of: the keyring and the fleet as they are now, and what the run writes down for what follows."""

from __future__ import annotations

import functools
import time
from typing import Any, Dict, Optional, Sequence

from ..module_utils._host.rules.durations import in_words
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import gate
from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules.survey import LEAST_AGE, Survey, evidence_age
from . import _run_folder as run_folder
from ._fleet_action import FleetAction
from ._host_call import boot_time
from ._keyring_store import NotWrittenError

BEAT = 1.0
# What every answer has, so that a playbook may ask for it without a default.
ANSWER: Dict[str, Any] = {"needs_look": False}


class Refused(PhasedKeysError):
    """The gate does not open, and why."""


class GateAction(FleetAction):
    """An action that decides for the whole fleet, once."""

    final: bool  # whether to decide by the evidence that there is; else the answer may be that hosts have to be looked at first
    phase: str
    at: Optional[Keyring] = None  # the keyring as it is now
    seen: Optional[Survey] = None  # the last survey

    @functools.cached_property
    def goal(self) -> str:
        """What the run is to reach: that is said once, as it begins."""
        said = self._task.args if self._task.args.get("do") == "fleet" else run_folder.current()
        return str(said.get("goal", "rollout"))

    @property
    def first_phase(self) -> bool:
        """Whether this is the first phase of the playbook."""
        return self.phase in ("current", self.goal)

    def needs_nonce(self) -> bool:
        """All but what gives the run its nonce."""
        return bool(self._task.args.get("do") != "fleet")

    def load(self) -> Keyring:
        """Return the keyring, and remember it for how far the rollout is."""
        self.at = super().load()
        return self.at

    def survey(self, keyring: Keyring) -> Survey:
        """Return the fleet as it was seen, and remember it likewise."""
        self.seen = super().survey(keyring)
        return self.seen

    def written(self, keyring: Keyring, changed: Keyring) -> Keyring:
        """Write the keyring if it was changed, and return it; in check mode it is only changed for this task."""
        if changed is keyring or self.checking:
            return changed
        try:
            self.at = self.file.replace(changed)
            return self.at
        except NotWrittenError as error:
            raise Refused(f"{error.why}. {gate.unwritten(keyring, changed)}") from None

    def run_has(self, **more: Any) -> None:
        """Write down what the plays, looks and visits that follow go by."""
        run_folder.begin({**run_folder.current(), **more})

    def visits(self, hosts: Sequence[str]) -> Dict[str, Any]:
        """Say who is to be visited, to the plays that follow (the lookup phased.keys.run) and in the answer."""
        self.run_has(visits=list(hosts))
        return {**ANSWER, "visit": bool(hosts)}

    def look_if_needed(self, keyring: Keyring) -> Dict[str, Any]:
        """Ask for a survey unless fresh evidence proves already all that the step needs."""
        survey = self.survey(keyring)
        waited = gate.waited(survey, self.phase)
        return self.asking_for_a_look(keyring) if not survey.count.complete or not waited else ANSWER

    def asking_for_a_look(self, keyring: Keyring) -> Dict[str, Any]:
        """Ask for a survey, and say to it which keys it is to search for."""
        self.run_has(known=keyrings.order(keyring).known, needs_look=True, look_began=boot_time())
        return {**ANSWER, "needs_look": True}

    def see_whether_looked(self) -> None:
        """Write down that the look which was asked for is over, and how long it took: where that is long, what was seen counts for longer."""
        run = run_folder.current()
        if not run.get("needs_look"):
            return
        took = boot_time() - run["look_began"]
        self.run_has(needs_look=False, look_took=took)
        limit = evidence_age(self.fleet.values["evidence_max_age"], took)
        if limit > LEAST_AGE and self.fleet.values["evidence_max_age"] is None:
            self.say(
                f"looking at all {len(self.fleet.members)} hosts took {in_words(took)}, so what was seen counts for {in_words(limit)} "
                "(app_keys_evidence_max_age)"
            )

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
