# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cross-proof: what the application on one host made, the application on the next one verifies, around the fleet; and what a key that was let
go of made is refused (revocation that is shown).

A token is hostile data: it is what a host said. It is handed to another host's application as data, by no way that could be anything else,
and nothing of ours acts on it.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Dict, List, Literal, Mapping, NamedTuple, Sequence, Union

from .._host.rules.proof import Finding, listed
from .._keyring_shapes import Keyring
from . import keyring as keyrings
from .survey import Survey

# Steps that close only with a cross-proof, where it is asked for. What takes a rollout back is held up by nothing of the kind.
STEPS = ("prepare", "promote", "retire")
TOKEN = re.compile(r"\A[!-~]{1,4096}\Z")
VERIFIED, REFUSED = "verified", "refused"
BALANCER = "the balancer"
MOST_THROUGH = 20
Verdict = Literal["verified", "refused"]


class Question(NamedTuple):
    """What a host is asked to verify: a token, by whom or of which key it was made, and what the verdict has to be."""

    token: str
    of: str
    expects: Verdict
    fresh: bool


class Said(NamedTuple):
    """What came of it.

    tokens    by member what it made, or a mapping of one entry, `trouble`: why it made none
    asked     by member the questions that it was asked
    verdicts  by member its answers, in their order: verified, refused, or anything else for what it said in place of a verdict
    """

    tokens: Mapping[str, Union[str, Mapping[str, str]]]
    asked: Mapping[str, Sequence[Question]]
    verdicts: Mapping[str, Sequence[str]]


def needed(keyring: Keyring) -> bool:
    """Whether the open step closes with a cross-proof."""
    return keyrings.is_open(keyring) and keyring["step"]["name"] in STEPS


def taking_part(survey: Survey) -> List[str]:
    """Return the members on which the application runs: nobody else can make or verify anything.

    Not whether they are proven: a step closes only when all are, and until then one may look otherwise for a moment, where the command of
    another host runs on the same machine and holds keys.
    """
    return sorted(member for member, seen in survey.evidence.items() if member in survey.everybody and seen["workers"])


def ring(members: Sequence[str]) -> Dict[str, str]:
    """Return by member whose token it verifies: that of the one before it, and of the last one the first."""
    return {member: members[place - 1] for place, member in enumerate(members)}


def questions(keyring: Keyring, members: Sequence[str], tokens: Mapping[str, Any]) -> Dict[str, List[Question]]:
    """Return what each member is asked: the token of the one before it, and those that were taken of keys before they stopped signing."""
    kept = probes(keyring)
    found = {}
    for member, signer in ring(members).items():
        token = tokens.get(signer)
        fresh = [Question(token, signer, "verified", True)] if usable(token) and isinstance(token, str) else []
        found[member] = [*fresh, *kept]
    return found


def probes(keyring: Keyring) -> List[Question]:
    """Return the tokens that were kept with keys: of those that hosts are to accept, and of those that they are to accept no longer."""
    accepted = [key for key in keyrings.in_state(keyring, "retiring") if key.get("probe")]
    gone = [key for key in keyrings.in_state(keyring, "dropping") if key.get("probe")]
    return [
        *(Question(str(key.get("probe")), key["fingerprint"], "verified", False) for key in accepted),
        *(Question(str(key.get("probe")), key["fingerprint"], "refused", False) for key in gone),
    ]


def through(keyring: Keyring, members: Sequence[str], tokens: Mapping[str, Any]) -> List[Question]:
    """Return what is asked through the balancer, where nobody knows which host answers: what hosts made, and each kept token several times."""
    fresh = [
        Question(str(tokens[member]), member, "verified", True) for member in members if usable(tokens.get(member))
    ]
    times = min(MOST_THROUGH, 2 * len(members))
    return [*fresh[:MOST_THROUGH], *(question for question in probes(keyring) for _time in range(times))]


def through_findings(asked: Sequence[Question], verdicts: Sequence[str]) -> Dict[str, List[Finding]]:
    """Find what went wrong there: each thing once."""
    wrong = [judged(question, verdict) for question, verdict in zip(asked, verdicts) if verdict != question.expects]
    return {BALANCER: list(dict.fromkeys(wrong))} if wrong else {}


def usable(token: object) -> bool:
    """Whether something can be a token: printable, of one line, and not long."""
    return isinstance(token, str) and bool(TOKEN.match(token))


def findings(survey: Survey, said: Said) -> Dict[str, List[Finding]]:
    """Find what keeps the open step from being closed by the cross-proof."""
    members = taking_part(survey)
    wanted = questions(survey.keyring, members, said.tokens)
    found: Dict[str, List[Finding]] = {}
    for member in members:
        if not usable(said.tokens.get(member)):
            found.setdefault(member, []).append(Finding(f"made no token: {_trouble(said.tokens.get(member))}", SIGN))
        if list(said.asked.get(member, [])) != wanted[member]:
            found.setdefault(member, []).append(Finding("was not asked to verify the tokens of the others", AGAIN))
            continue
        verdicts = list(said.verdicts.get(member, []))
        for number, question in enumerate(wanted[member]):
            verdict = verdicts[number] if number < len(verdicts) else "it said nothing"
            if verdict != question.expects:
                found.setdefault(member, []).append(judged(question, verdict))
    return found


def judged(question: Question, verdict: str) -> Finding:
    """Say what is wrong with a verdict that is not what it has to be."""
    what = f"a token that {question.of} made" if question.fresh else f"a token that {question.of} signed"
    if verdict == REFUSED and question.fresh:
        return Finding(f"refuses {what} just now", APART)
    if verdict == REFUSED:
        return Finding(f"refuses {what} before promote, and has to accept that key", APART)
    if verdict == VERIFIED:
        return Finding(f"still verifies {what}, a key that is to be accepted no longer", STILL)
    return Finding(f"gives no verdict on {what}: {verdict}", VERIFY)


def with_probe(keyring: Keyring, members: Sequence[str], tokens: Mapping[str, Any]) -> Keyring:
    """Return the keyring with a token of the key that signs before promote opens, so that its end can be shown when that has come.

    The same keyring where it has one. `tokens` were verified around the fleet.
    """
    signs = keyrings.primary(keyring)
    made = [str(tokens[member]) for member in members if usable(tokens.get(member))]
    if keyring["step"]["name"] != "prepare" or signs.get("probe") or not made:
        return keyring
    changed = copy.deepcopy(keyring)
    keyrings.primary(changed)["probe"] = made[0]
    return changed


def shown(survey: Survey) -> str:
    """Say what a cross-proof without findings has shown; nothing where the step takes none."""
    keyring, members = survey.keyring, taking_part(survey)
    if keyring["step"]["name"] not in STEPS:
        return ""
    if not members:
        return "; no cross-proof, for nothing runs"
    others = "what another host's application made" if len(members) > 1 else "what its own application made"
    text = f"; cross-proof: {len(members)} of {len(members)} verify {others}"
    dropping = keyrings.in_state(keyring, "dropping")
    refused = [key["fingerprint"] for key in dropping if key.get("probe")]
    unshown = [key["fingerprint"] for key in dropping if not key.get("probe")]
    text += f", and all refuse what {listed(refused)} signed" if refused else ""
    return text + (
        f"; that {listed(unshown)} is refused was not shown: no token of it was taken before promote" if unshown else ""
    )


def _trouble(token: Any) -> str:
    if isinstance(token, Mapping):
        return str(token.get("trouble") or NOTHING)
    return NOTHING if token is None else "what it made is not one line of at most 4096 printable characters"


NOTHING = "it was not asked, or said nothing"
AGAIN = "run phased.keys.rollout again: the cross-proof is taken anew"
SIGN = "see that app_keys_cross_proof.sign works on that host, as the application's user"
VERIFY = "see that app_keys_cross_proof.verify works on that host, and says verified or refused"
APART = (
    "the application does not use the keys that it was given, or does not use them as another host does: look at its settings on both, and whether "
    "sign and verify use the same salt, and no age"
)
STILL = (
    "something of the application there still has that key: look for the setting in its code and its settings files, and for workers that no proof "
    "has seen; then restart it, and run again"
)
