# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cross-proof as the gate takes it: who is asked what, what came of it, and what the balancer's application says."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Dict, Union
from urllib.parse import urlsplit

from ..module_utils._host import loopback
from ..module_utils._host.crossing import NO_VERDICT
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import cross_proof, gate, wording
from ..module_utils._rules.cross_proof import Question, Said
from ..module_utils._rules.gate import Verdict
from . import _run_folder as run_folder
from ._gate_action import ANSWER, GateAction, Refused

KINDS = (run_folder.TOKEN, run_folder.QUESTIONS, run_folder.VERDICTS)
ONE = 5.0  # seconds for an answer of the balancer's


class CrossAction(GateAction):
    """Questions about a cross-proof."""

    @property
    def crossing(self) -> bool:
        """Whether steps close with a cross-proof."""
        return self.fleet.values["cross_proof"] is not None

    def begin_cross(self, verdict: Verdict) -> None:
        """Say to the plays that follow whether they take a cross-proof; what an earlier one brought is of no use to it."""
        takes = verdict.outcome in ("visit", "cross") and self.crossing and not self.checking
        takes = takes and cross_proof.needed(verdict.keyring)
        self.run_has(cross=takes)
        self.forget_tokens()

    def forget_tokens(self) -> None:
        """Take away what hosts made and said: that of the step before proves nothing of the next."""
        for member in self.fleet.members if self.crossing else ():
            for kind in KINDS:
                run_folder.forget(self.nonce, kind, member)

    def do_cross(self) -> Dict[str, Any]:
        """Say to every host which tokens it is to verify."""
        survey = self.survey(self.load())
        members = cross_proof.taking_part(survey)
        for member, questions in cross_proof.questions(survey.keyring, members, self.tokens()).items():
            run_folder.keep(self.nonce, run_folder.QUESTIONS, member, {"asked": [list(one) for one in questions]})
        return ANSWER

    def tokens(self) -> Dict[str, Any]:
        """Return what each host made, or a mapping with the trouble that it made nothing."""
        said = {member: run_folder.one(self.nonce, run_folder.TOKEN, member) or {} for member in self.fleet.members}
        return {member: one.get("token", one) for member, one in said.items() if one}

    def crossed(self) -> Said:
        """Return what came of the cross-proof."""
        said = {member: run_folder.one(self.nonce, run_folder.VERDICTS, member) or {} for member in self.fleet.members}
        return Said(
            self.tokens(),
            {member: [Question(*question) for question in one.get("asked", [])] for member, one in said.items()},
            {member: one.get("verdicts", []) for member, one in said.items()},
        )

    def see_through(self, keyring: Keyring, said: Said) -> None:
        """Ask through the balancer too, where that was asked for; Refused where it says otherwise than it has to."""
        url = (self.fleet.values["cross_proof"] or {}).get("through")
        survey = self.survey(keyring)
        if not url or not survey.count.complete or not cross_proof.needed(keyring):
            return
        asked = cross_proof.through(keyring, cross_proof.taking_part(survey), said.tokens)
        findings = cross_proof.through_findings(asked, [verdict(url, question.token) for question in asked])
        if findings:
            head = f"{keyring['step']['name']} is not complete by its cross-proof"
            raise Refused(wording.refusal(survey, head, findings, gate.stopped(keyring)))


def verdict(url: str, token: str, seconds: float = ONE) -> str:
    """Return what the application says of a token at a URL: verified, refused, or what it said in place of a verdict."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)

    def dial(limit: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout=limit)
        if parts.scheme != "https":
            return connection
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)

    page = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return said_verdict(loopback.exchange(dial, page, parts.netloc, f"{token}\n".encode("ascii"), seconds))


def said_verdict(said: Union[bytes, str]) -> str:
    """Return an answer as a verdict, or why it is none."""
    if isinstance(said, str):
        return said
    text = said.decode("utf-8", "replace").strip("\r\n")
    return text if text in (cross_proof.VERIFIED, cross_proof.REFUSED) else NO_VERDICT
