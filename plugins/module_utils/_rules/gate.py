# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: evidence of the whole fleet in, a verdict out. Nothing else opens or closes a step.

`opening` asks `next_step` whether the step is next and `evidence` whether the fleet is proven, and says what the keyring
becomes (`steps`); `closing` is the closing count. Whoever calls them writes the keyring, and then has the hosts visited.
"""

from __future__ import annotations

from typing import List, Mapping, NamedTuple, Optional, Sequence

from .._host.rules.durations import in_words
from .._host.rules.proof import listed
from .._keyring_shapes import Keyring, Soak, Spread
from .._shapes import Evidence
from . import at_rest, cross_proof, membership, next_step, soak, steady, steps, wording
from . import evidence as proofs
from . import keyring as keyrings
from .next_step import Decision
from .survey import Survey

NOTHING_CHANGED = "Nothing was changed: no step was opened, and every host keeps the keys that it has."
CROSS_FIRST = "{phase} is not safe yet: {step} is open, and closes with its cross-proof: run phased.keys.rollout, or phased.keys.{step}. {nothing}"
STOPPED = "No further host is visited. Every host that was proven stays as it is; run phased.keys.{playbook} again when this is fixed."


class PhaseRequest(NamedTuple):
    """What a playbook asks the gate for.

    phase, goal   a phase (or `current`: whatever the keyring is at), and what the whole playbook is to reach
    max_age, new  when a rollout begins anew (seconds; or because it was asked for)
    soak          of the key that is not to sign any more: seconds and source
    new_key       what a prepare would stage: its secret
    nonce         of the step that may open
    checking      check mode: say what would happen
    spread        of a key that comes or goes: seconds and source; None: there is none
    external      who has to confirm promote and retire
    bring_back    the key that has ended and is to be accepted once more, in the place of a new one
    keep_sealed   for how long the secret of a key that is let go of is kept, in seconds
    cross         whether steps close with a cross-proof
    """

    phase: str
    goal: str
    nonce: str = ""
    max_age: float = next_step.MAX_AGE
    new: bool = False
    soak: Optional[Soak] = None
    new_key: Optional[str] = None
    checking: bool = False
    spread: Optional[Spread] = None
    external: Sequence[str] = ()
    keep_sealed: float = 0.0
    bring_back: Optional[str] = None
    cross: bool = False


class Verdict(NamedTuple):
    """What the gate says: `outcome` is refuse, stay, visit, or cross (nobody has to be visited, and a cross-proof closes the step);
    `keyring` the keyring to write (the same object: nothing to write); `text` what a person is told; `visit` the members to visit, in their order."""

    outcome: str
    keyring: Keyring
    text: str
    visit: Sequence[str] = ()


def ask(keyring: Keyring, request: PhaseRequest, now: float) -> Decision:
    """Say whether a phase has anything to do, before the fleet is looked at."""
    if request.phase == "current":
        return Decision("skip" if next_step.spreads_a_leak(keyring) else "resume", "")
    return next_step.decide(keyring, request.phase, request.goal, now, request.max_age, request.new, request.external)


def opening(survey: Survey, request: PhaseRequest) -> Verdict:
    """Open the phase's step if it is next and every member is proven, or go on with one that is open."""
    keyring, now = survey.keyring, survey.conditions.clock
    decision = ask(keyring, request, now)
    if decision.action == "resume":
        return _go_on(survey, request)
    if decision.action == "open" and next_step.opens_unproven(keyring, decision.step):
        return _open(survey, decision.step, request)
    count = survey.count
    if not count.complete and request.checking and request.goal == "rollout" and visitable(survey):
        # The run itself would have visited the others before: the phase `current` says whom.
        return Verdict("stay", keyring, f"{request.phase}: after these visits")
    if not count.complete:
        begins = request.phase == "prepare"
        text = wording.refusal(survey, f"{request.phase} is not safe yet", count.findings, NOTHING_CHANGED, begins)
        return Verdict("refuse", keyring, text)
    if request.cross and cross_proof.needed(keyring):
        name = keyring["step"]["name"]
        return Verdict("refuse", keyring, CROSS_FIRST.format(phase=request.phase, step=name, nothing=NOTHING_CHANGED))
    closed = closed_keyring(survey)
    decision = ask(closed, request, now)
    if decision.action == "open" and request.phase == "retire":
        return _let_go(survey.with_keyring(closed), request)
    short = (
        proofs.spread_findings(survey.evidence, keyrings.in_state(closed, "staged"))
        if request.phase == "promote"
        else {}
    )
    if decision.action == "open" and short:
        head = f"promote: waiting for the spread on {len(short)} of {len(survey.fleet)} hosts"
        return Verdict("stay", closed, "\n".join([head, *wording.table(short)]))
    if decision.action == "open":
        return _open(survey.with_keyring(closed), decision.step, request)
    return Verdict("refuse" if decision.action == "refuse" else "stay", closed, f"{request.phase}: {decision.text}")


def closing(
    survey: Survey,
    proved: Optional[Mapping[str, Evidence]] = None,
    goes_on: bool = False,
    cross: Optional[cross_proof.Said] = None,
) -> Verdict:
    """Count the fleet after the last batch, and close the step if every member is proven.

    `proved` is the evidence of this run's visits: what was restarted since is said. `goes_on` says that the run has phases left. `cross` is
    what came of a cross-proof, where steps close with one.
    """
    keyring, count = survey.keyring, survey.count
    if count.complete:
        crossed = cross if cross is not None and cross_proof.needed(keyring) else None
        if crossed:
            found = cross_proof.findings(survey, crossed)
            if found:
                head = f"{keyring['step']['name']} is not complete by its cross-proof"
                return Verdict("refuse", keyring, wording.refusal(survey, head, found, stopped(keyring)))
            members = cross_proof.taking_part(survey)
            survey = survey.with_keyring(cross_proof.with_probe(keyring, members, crossed.tokens))
        verdict = _finished(survey, goes_on, cross_proof.shown(survey) if crossed else "")
        since = [
            f"  {member}: {what}" for member, what in steady.restarted_since(proved or {}, survey.evidence).items()
        ]
        return verdict._replace(text="\n".join([verdict.text, *since]))
    name = keyring["step"]["name"]
    return Verdict(
        "refuse", keyring, wording.refusal(survey, f"{name} is not complete", count.findings, stopped(keyring))
    )


def reencrypting(survey: Survey, host: Optional[str], word: Optional[str], checking: bool = False) -> Verdict:
    """Have `host` encrypt anew what is at rest, if every member signs with the new key; or take somebody's `word` that it was done with that key."""
    keyring, now = survey.keyring, survey.conditions.clock
    key = keyrings.primary(keyring)["fingerprint"]
    if not at_rest.due(keyring):
        return Verdict("stay", keyring, "reencrypt: no key waits for that")
    wrong = at_rest.why_not_said(keyring, word) if word is not None else None
    if wrong:
        return Verdict("refuse", keyring, f"reencrypt: {wrong}. {NOTHING_CHANGED}")
    if not survey.count.complete:
        text = wording.refusal(survey, "nothing is encrypted anew yet", survey.count.findings, NOTHING_CHANGED)
        return Verdict("refuse", keyring, text)
    what = "; ".join(at_rest.stored(keyring))
    if word is not None:
        after = at_rest.done(keyring, word, "app_keys_reencrypted", now, now)
        return Verdict(
            "stay", after, f"reencrypt: what is at rest ({what}) is encrypted with {word}: app_keys_reencrypted says so"
        )
    begins = f"{wording.counted(survey)}; what is at rest ({what}) {'would be' if checking else 'is'} encrypted with {key} by {host}"
    if checking or host is None:
        return Verdict("stay", keyring, f"reencrypt: {begins}")
    return Verdict("visit", at_rest.began(keyring, host, now), f"reencrypt: {begins}")


def visitable(survey: Survey) -> bool:
    """Whether visits are all that members that are not proven need."""
    return not proofs.not_visitable(survey)


def closed_keyring(survey: Survey) -> Keyring:
    """Return the keyring after a complete count; the same object where nothing changes by it."""
    keyring, count = survey.keyring, survey.count
    counter = keyring["step"]["counter"]
    counted = [keyring["members"][member]["proven"] for member in count.proven if member in keyring["members"]]
    sealed = keyrings.over(keyring, survey.conditions.clock)
    if not keyrings.is_open(keyring) and set(counted) <= {counter} and not (sealed and not count.waived):
        return keyring
    return steps.close_step(keyring, survey.conditions.clock)


def soaked(survey: Survey) -> List[str]:
    """Return the keys that have soaked long enough by the clocks of all hosts too."""
    due = soak.due(survey.keyring, survey.conditions.clock)
    return [key["fingerprint"] for key in due if not proofs.soak_findings(survey.evidence, [key])]


def waited(survey: Survey, phase: str) -> bool:
    """Whether by what was seen all that this phase waits for is over by the clocks of all hosts too; a later look may show it."""
    if phase == "promote":
        return not proofs.spread_findings(survey.evidence, keyrings.in_state(survey.keyring, "staged"))
    return phase != "retire" or len(soaked(survey)) == len(soak.due(survey.keyring, survey.conditions.clock))


def unwritten(keyring: Keyring, after: Keyring) -> str:
    """Say what holds, and what to do, where `after` could not be written in place of `keyring`: a full disk, say."""
    name = keyring["step"]["name"]
    if keyrings.token(after) != keyrings.token(keyring):
        return f"{after['step']['name']} was not opened: no host was visited for it, and every host keeps the keys that it has. Then run again"
    if keyrings.is_open(keyring) and not keyrings.is_open(after):
        playbook = "adopt" if name == "adopt" else "rollout"
        return (
            f"Every member is proven at {name} and stays as it is. Only that could not be written down, so {name} stays open: when that is fixed run "
            f"phased.keys.{playbook}, which counts once more and closes it"
        )
    return "No step was opened or closed, and every host stays as it is. When that is fixed run again"


def stopped(keyring: Keyring) -> str:
    """Say what holds after a stop between batches, and how to go on."""
    return STOPPED.format(playbook="adopt" if keyring["step"]["name"] == "adopt" else "rollout")


def _let_go(survey: Survey, request: PhaseRequest) -> Verdict:
    """Let go of the keys that have soaked on every host; one that has not does not hold up the others."""
    late = proofs.at_rest_findings(survey)
    if late:
        head = f"{request.phase}: {at_rest.FORGOTTEN}, since {len(late)} of {len(survey.fleet)} hosts may have signed with another key after it began"
        forgotten = at_rest.forgotten(survey.keyring, sorted(late), survey.conditions.clock)
        return Verdict("stay", forgotten, "\n".join([head, *wording.table(late)]))
    go = soaked(survey)
    keys = soak.due(survey.keyring, survey.conditions.clock)
    if go:
        step = next_step.retire_or_withdraw([key for key in keys if key["fingerprint"] in go])
        return _open(survey, step, request, go)
    short = proofs.soak_findings(survey.evidence, keys)
    head = f"{request.phase}: waiting for the soak on {len(short)} of {len(survey.fleet)} hosts"
    return Verdict("stay", survey.keyring, "\n".join([head, *wording.table(short)]))


def _open(survey: Survey, step: str, request: PhaseRequest, go: Optional[Sequence[str]] = None) -> Verdict:
    now, evidence = survey.conditions.clock, survey.evidence
    survey = survey.with_keyring(membership.register(survey.keyring, survey.fleet, now))
    opened = survey.with_keyring(
        steps.open_step(
            survey.keyring,
            step,
            now,
            request.nonce,
            request.new_key,
            request.soak,
            go,
            request.spread,
            request.keep_sealed,
            request.bring_back,
        )
    )
    # Where the whole fleet was proven there is none; what takes a rollout back does not ask for that.
    blocked = proofs.not_visitable(opened) or proofs.outdated_keyring(survey)
    visit = proofs.visits(opened)
    if blocked or not visit:
        head = f"{step} is not safe yet" if blocked else f"{step}: no host can be visited"
        text = wording.refusal(survey, head, blocked or survey.count.findings, NOTHING_CHANGED)
        return Verdict("refuse", survey.keyring, text)
    if next_step.takes_back(opened.keyring):
        left = wording.later(set(opened.everybody) - set(visit))
        proven = f"{len(visit)} of {len(opened.everybody)} hosts can be visited now{left}"
    else:
        proven = wording.counted(survey)
    if request.checking:
        fresh = {opened.keyring["step"]["key"]: "a new key"} if step == "prepare" else {}
        head = f"{step} would open: {proven}, and {len(visit)} hosts would be visited"
        then = _then(survey.keyring, step) if request.goal == "rollout" else []
        return _checked(survey.keyring, opened, visit, [head, *wording.plan(opened, visit, fresh), *then])
    keys = keyrings.step_keys(opened.keyring)
    text = (
        f"{step} is open: {proven}; {'keys' if len(keys) > 1 else 'key'} {', '.join(keys)}{_soak_text(opened.keyring)}"
    )
    return Verdict("visit", opened.keyring, "\n".join([text, *wording.beside(evidence)]), visit)


def _go_on(survey: Survey, request: PhaseRequest) -> Verdict:
    """Go on with the open step, or bring members back to a closed one: only visits are needed for that."""
    keyring, count = survey.keyring, survey.count
    if count.complete and request.cross and cross_proof.needed(keyring) and not request.checking:
        text = f"{wording.titled(keyring)}: {wording.counted(survey)}; its cross-proof is to be taken"
        return Verdict("cross", membership.register(keyring, survey.fleet, survey.conditions.clock), text)
    if count.complete:
        return _finished(survey, next_step.goes_on(request.goal, request.phase))
    name = keyring["step"]["name"]
    blocked = proofs.not_visitable(survey)
    visit = proofs.visits(survey)
    if blocked or not visit:
        # The members that are left are not proven, and cannot be visited either. They block nobody but the closing count.
        head = f"{name} cannot go on" if blocked else f"{name} is not complete"
        head = head if keyrings.is_open(keyring) else "nothing new can begin"
        text = wording.refusal(survey, head, blocked or count.findings, NOTHING_CHANGED, begins=True)
        return Verdict("refuse", keyring, text)
    text = f"{wording.titled(keyring)}: {wording.counted(survey)}; {len(count.findings)} to go"
    if request.checking:
        lines = [f"{text}. They would be visited:", *wording.table(count.findings), *wording.plan(survey, visit)]
        return _checked(keyring, survey, visit, lines)
    return Verdict("visit", membership.register(keyring, survey.fleet, survey.conditions.clock), text, visit)


def _checked(keyring: Keyring, would_be: Survey, visit: Sequence[str], lines: Sequence[str]) -> Verdict:
    """Say in check mode what would be visited; a visit that would refuse ends the run there, and so it ends the check.

    The keyring stays as it is; `would_be` is the fleet held against the one with which it would be visited.
    """
    refusing = proofs.refusing(would_be, visit)
    if not refusing:
        return Verdict("stay", keyring, "\n".join(lines))
    where = "the visit" if len(refusing) == 1 else "visits"
    stops = f"The run would stop at {where} of {listed(refusing)}: do first what is said there. {NOTHING_CHANGED}"
    return Verdict("refuse", keyring, "\n".join([*lines, stops]))


def _then(keyring: Keyring, step: str) -> List[str]:
    """Say what the same run would do after a step that would open: nobody is to think that a leaked key waits."""
    signs = keyrings.primary(keyring)
    if step not in ("prepare", "promote"):
        return []
    promote = "promote follows, and then " if step == "prepare" else ""
    if "compromised" in signs["marks"]:
        return [f"{promote}retire lets go of {signs['fingerprint']} at once, without a soak: it is compromised"]
    return [f"{promote}the soak of {signs['fingerprint']} begins; retire lets go of it when that is over"]


def _finished(survey: Survey, goes_on: bool, crossed: str = "") -> Verdict:
    now = survey.conditions.clock
    closed = closed_keyring(survey)
    text = f"{survey.keyring['step']['name']}: {wording.counted(survey)}{crossed}; {next_step.next_text(closed, now, goes_on=goes_on)}"
    return Verdict("stay", closed, "\n".join([text, *wording.beside(survey.evidence)]))


def _soak_text(keyring: Keyring) -> str:
    """Say how long the soak of the key that was to sign until now will be, and who says so."""
    if keyring["step"]["name"] not in ("promote", "rollback"):
        return ""
    retiring = [
        key for key in keyrings.in_state(keyring, "retiring") if key["fingerprint"] in keyring["step"]["signing"]
    ]
    if "compromised" in retiring[0]["marks"]:
        return f"; {retiring[0]['fingerprint']} is compromised and has no soak{at_rest.promised(keyring)}"
    length = f"; the soak will be {in_words(float(retiring[0]['soak']['seconds']))} ({retiring[0]['soak']['source']})"
    return length + at_rest.promised(keyring)
