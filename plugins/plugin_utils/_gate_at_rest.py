# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who encrypts anew what is at rest, when, and what came of it."""

from __future__ import annotations

import time
from typing import Any, Dict

from ..module_utils._host.rules import variables
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import at_rest, gate
from ..module_utils._rules import keyring as keyrings
from . import _run_folder as run_folder
from ._gate_action import ANSWER, GateAction, Refused

CUT_OFF = (
    "what is at rest was not encrypted anew on {host}: {why}. {key} is needed until it is, and every host goes on accepting it. Run "
    "phased.keys.rollout again when that is mended: it is begun anew"
)


class AtRestAction(GateAction):
    """Questions about what is at rest."""

    def encrypts_anew(self, keyring: Keyring) -> bool:
        """Whether this run is to have what is at rest encrypted anew now, or was told that it is."""
        values = self.fleet.values
        return at_rest.due(keyring) and bool(values["reencrypt"] or values["reencrypted"])

    def do_reencrypt(self) -> Dict[str, Any]:
        """Name the host that is to encrypt anew, if every host signs with the new key; or take the operator's word for it."""
        keyring, values = self.load(), self.fleet.values
        self.run_has(reencrypt=None)
        if not self.final:
            asked = self.look_if_needed(keyring)
            if asked["needs_look"]:
                return asked
        how = variables.reencryption(values)
        where = how["host"] if how and values["reencrypted"] is None else None
        verdict = gate.reencrypting(self.survey(keyring), where, values["reencrypted"], self.checking)
        if verdict.outcome == "refuse":
            raise Refused(verdict.text)
        self.written(keyring, verdict.keyring)
        self.say(verdict.text)
        if verdict.outcome == "visit" and how:
            key = keyrings.primary(keyring)["fingerprint"]
            self.run_has(reencrypt={**how, "key": key, "began": time.time()})
        return {**ANSWER, "changed": verdict.keyring is not keyring and not self.checking, "text": verdict.text}

    def do_reencrypted(self) -> Dict[str, Any]:
        """Take in what came of it: shown, or cut off."""
        keyring, asked = self.load(), run_folder.current().get("reencrypt") or {}
        host = str(asked.get("host"))
        said = run_folder.one(self.nonce, run_folder.REENCRYPT, host) or {}
        if not said.get("shown"):
            keys = ", ".join(key["fingerprint"] for key in at_rest.waiting(keyring))
            raise Refused(CUT_OFF.format(host=host, why=said.get("msg") or "it said nothing", key=keys or "no key"))
        changed = at_rest.done(keyring, str(asked["key"]), host, float(asked["began"]), time.time())
        self.written(keyring, changed)
        self.run_has(reencrypt=None)
        text = f"what is at rest is encrypted with {asked['key']}, which {host} has shown ({said.get('user')})"
        self.say(f"reencrypt: {text}")
        return {**ANSWER, "changed": True, "text": text}
