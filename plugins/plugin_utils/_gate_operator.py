# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator says to the gate beside the playbook: who is gone, who is set aside, what has leaked, and yes to what that costs."""

from __future__ import annotations

import time
from typing import Any

from ansible import errors
from ansible.utils.vars import load_extra_vars

from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import at_rest, emergency, external, gate, membership, steps
from ._gate_action import GateAction, Refused
from ._inventory import FleetError

PATIENCE = 120
CUT_OFF = (
    "{left!r} of the command line would be lost: of -e name=value Ansible takes the value to the first blank. Give a text with blanks as JSON: "
    """-e '{{"app_keys_waive_reason": "disk failed"}}'. Nothing was changed"""
)
HOW_TO_CONFIRM = "give -e app_keys_confirm={key} with the command, or run it at a terminal and type the fingerprint"


class OperatorAction(GateAction):
    """A question that goes by what the operator says."""

    def see_that_nothing_was_cut_off(self) -> None:
        """Refuse a command line of which Ansible has cut off a text: what is left over it keeps under this name, and nobody reads it.

        By the command line itself: a host's facts may hold a variable of that name.
        """
        left = load_extra_vars(self._loader).get("_raw_params")
        if left:
            raise FleetError(CUT_OFF.format(left=left))

    def with_what_is_said(self, keyring: Keyring) -> Keyring:
        """Return the keyring with what the operator says about hosts and keys: who is gone, who is set aside, what has leaked.

        It is said once in a run, and in check mode, which writes nothing, to every phase.
        """
        if not self.first_phase and not self.checking:
            return keyring
        values, now = self.fleet.values, time.time()
        keyring = at_rest.said(keyring, values["settings"], now)
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
        keyring = (
            external.confirm(keyring, values["confirmed"], values["external"], now) if values["confirmed"] else keyring
        )
        self.see_that_the_word_can_be_taken(keyring)
        leaked = values["compromised"]
        if leaked is None:
            return keyring
        marked = steps.mark_compromised(keyring, leaked, now)
        if marked is not keyring:
            self.confirm(leaked, emergency.cost(keyring, leaked, self.goal))
        return marked

    def see_that_the_word_can_be_taken(self, keyring: Keyring) -> None:
        """Refuse app_keys_reencrypted where it says of another key, or too early, what it says; it is taken once the fleet was counted."""
        said, back = self.fleet.values["reencrypted"], self.fleet.values["bring_back"]
        if back is not None and self.goal != "prepare":
            raise FleetError("app_keys_bring_back is for phased.keys.prepare. Nothing was changed")
        if said is None or not self.first_phase:
            return
        if self.goal not in ("rollout", "retire"):
            raise FleetError(
                "app_keys_reencrypted is for phased.keys.rollout and phased.keys.retire. Nothing was changed"
            )
        wrong = at_rest.why_not_said(keyring, said)
        if wrong:
            raise Refused(f"{wrong}. {gate.NOTHING_CHANGED}")

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
