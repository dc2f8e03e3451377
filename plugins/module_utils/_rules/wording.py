# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a count of the fleet is said to a person: the refusal, the plan and the status."""

from __future__ import annotations

import textwrap
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from .._host.rules import visit
from .._host.rules.durations import in_words, stamp
from .._host.rules.history import clock
from .._host.rules.order import Order
from .._host.rules.proof import Finding, listed
from .._host.rules.proofs import PROOFS
from .._keyring_shapes import Key, KeyringCore
from .._shapes import DatedEvidence, EnvFile, Evidence, Worker
from . import at_rest, folders, membership, soak, spread
from . import evidence as proofs
from . import keyring as keyrings
from .next_step import next_text
from .survey import Survey

SEEN_WIDTH = 52
DO_WIDTH = 52
NOTED = 3  # so much is said in a sentence
OVERRULES = "see that the endpoint tells what the application really uses; take our settings out of what starts it, so that the two agree"

DOES = {
    "adopt": "have their record and hold the keys of the keyring",
    "prepare": "accept {key} in every worker",
    "promote": "sign with {key} in every worker",
    "retire": "have let go of {key} in every worker",
    "rollback": "sign with {key} in every worker",
    "withdraw": "have let go of {key} in every worker",
}


def titled(keyring: KeyringCore) -> str:
    """Say of which step a count is; of one that is closed, that nobody is at it any more."""
    step = keyring["step"]
    return step["name"] if keyrings.is_open(keyring) else f"after {step['name']}, which closed at {step['closed']}"


def counted(survey: Survey) -> str:
    """Say how many members do what the open step asks, and what else is to be known of them."""
    return _proven(survey) + _noted(survey)


def _proven(survey: Survey) -> str:
    keyring, count = survey.keyring, survey.count
    step = keyring["step"]
    total = len(count.proven) + len(count.findings) + len(count.waived)
    does = DOES[step["name"]].format(key=", ".join(keyrings.step_keys(keyring)))
    if step["name"] == "adopt" and keyrings.let_go(keyring):
        does += f", and have let go of {', '.join(keyrings.let_go(keyring))}"
    idle = f" ({len(count.idle)} of them on disk alone: nothing runs there)" if count.idle else ""
    text = f"{len(count.proven)} of {total} {'host' if total == 1 else 'hosts'} {does}{idle}{_by(survey)}"
    waivers = {waiver["member"]: waiver for waiver in keyring["waivers"]}
    for member in count.waived:
        text += f"; {member} is set aside until {waivers[member]['until']}, asserted to serve no traffic ({waivers[member]['reason']})"
    return text


def _by(survey: Survey) -> str:
    """Say by which kinds of proof, where it is another than what the workers were given."""
    kinds: Dict[str, int] = {}
    for member in survey.count.proven:
        workers = survey.evidence[member]["workers"] if member in survey.evidence else []
        for kind in {worker.get("by", "") for worker in workers}:
            kinds[kind] = kinds.get(kind, 0) + 1
    unusual = {kind: number for kind, number in sorted(kinds.items()) if kind in PROOFS and PROOFS[kind].called}
    parts = [f"{number} by {PROOFS[kind].called} ({kind})" for kind, number in unusual.items()]
    return f"; proven {', '.join(parts)}" if parts else ""


def overruling(evidence: Mapping[str, DatedEvidence]) -> Dict[str, List[Finding]]:
    """Say of which workers the own word overrules what their environment says; see rule 16."""
    found: Dict[str, List[Finding]] = {}
    for member, seen in sorted(evidence.items()):
        pids = [str(worker["pid"]) for worker in seen["workers"] if worker.get("overrules")]
        if pids:
            what = f"{'pid' if len(pids) == 1 else 'pids'} {listed(pids)}: the environment says otherwise than its own word, which overrules it"
            found[member] = [Finding(what, OVERRULES)]
    return found


def _noted(survey: Survey) -> str:
    """Say what is to be known and stands in nobody's way; `status` has all of it."""
    noted = survey.count.noted
    parts = [f"{names}: {finding.seen} ({finding.advice})" for names, found in together(noted) for finding in found]
    more = f", and {len(parts) - NOTED} more" if len(parts) > NOTED else ""
    return f"; noted: {'; '.join(parts[:NOTED])}{more}" if parts else ""


def later(hosts: Collection[str]) -> str:
    """Say which hosts are left out for now."""
    return f"; left out, and to be visited by a later run: {', '.join(sorted(hosts))}" if hosts else ""


def refusal(
    survey: Survey, headline: str, findings: Mapping[str, Sequence[Finding]], tail: str, begins: bool = False
) -> str:
    """Return the whole refusal: what is refused, the count, each member in the way with what was seen and what to do.

    `begins` says that what is refused begins something new: the count is that of a step which is over, and that is said.
    """
    of = f"{titled(survey.keyring)}, " if begins and not keyrings.is_open(survey.keyring) else ""
    return "\n".join([f"{headline}: {of}{counted(survey)}", *table(findings), tail])


def table(findings: Mapping[str, Sequence[Finding]]) -> List[str]:
    """Return findings as lines in three columns: the member, what was seen, what to do."""
    rows = together(findings)
    width = max((len(names) for names, _found in rows), default=0)
    lines = []
    for name, found in rows:
        for finding in found:
            seen = textwrap.wrap(finding.seen, SEEN_WIDTH, break_on_hyphens=False)
            todo = textwrap.wrap(finding.advice, DO_WIDTH, break_on_hyphens=False)
            for row in range(max(len(seen), len(todo))):
                left = seen[row] if row < len(seen) else ""
                arrow = "->" if row == 0 else "  "
                right = todo[row] if row < len(todo) else ""
                lines.append(f"  {name:<{width}}  {left:<{SEEN_WIDTH}} {arrow} {right}".rstrip())
                name = ""
    return lines


def together(findings: Mapping[str, Sequence[Finding]]) -> List[Tuple[str, List[Finding]]]:
    """Return findings with the names of those that they are of: what several members on one machine see alike once for all of them."""
    seen_by: Dict[Finding, List[str]] = {}
    for member, found in findings.items():
        for finding in found:
            if finding.machine:
                seen_by.setdefault(finding, []).append(member)
    rows: Dict[Tuple[str, ...], List[Finding]] = {}
    for member, found in findings.items():
        for finding in found:
            members = tuple(seen_by.get(finding, [member]))
            if members[0] == member:
                rows.setdefault(members, []).append(finding)
    return [(listed(names), found) for names, found in rows.items()]


def visited(host: str, answer: Mapping[str, Any], checking: bool = False) -> str:
    """Say what a visit did on a host, or would do (`checking`); nothing where the host needed nothing, or was left alone.

    `answer` is what `env_keys` returns of a host that did not fail.
    """
    did, seen = answer["did"], answer["evidence"]
    # On one line, whatever the host has sent: what begins a line here is ours.
    note = " ".join(str(answer.get("msg") or "").split())
    parts = []
    if did["written"]:
        number = len(did["written"])
        parts.append(f"{'would write' if checking else 'wrote'} {number} {'file' if number == 1 else 'files'}")
    if did["restarted"]:
        parts.append(f"{'would restart' if checking else 'restarted'} {seen['restart'] or 'the application'}")
    if answer["proven"] and not checking and answer["needed"]:
        parts.append(_proof(len(seen["workers"]), did["took"]))
    return f"{host}: {'. '.join(text for text in (', '.join(parts), note) if text)}" if parts or note else ""


def _proof(workers: int, took: float) -> str:
    """Say by what a visit has proven its host, and `took` how many seconds that took from the restart; 0 where nothing was restarted."""
    if not workers:
        return "proven by its file alone, for nothing runs"
    return f"{workers} {'worker' if workers == 1 else 'workers'} proven" + (f" in {took:g} s" if took else "")


def beside(evidence: Mapping[str, DatedEvidence]) -> List[str]:
    """Say as lines what keeps nobody from being proven, and has to be cleared away; nothing where there is nothing."""
    found = {member: folders.second_names(seen) for member, seen in sorted(evidence.items())}
    lines = table({member: findings for member, findings in found.items() if findings})
    overruled = table(overruling(evidence))
    return [
        *(["to be removed, for old keys are still in it", *lines] if lines else []),
        *(["proven by the application's own word alone", *overruled] if overruled else []),
    ]


def plan(survey: Survey, hosts: Sequence[str], names: Optional[Mapping[str, str]] = None) -> List[str]:
    """Say line by line what a visit of the open step would change on each of these hosts; `names` stand for fingerprints."""
    asked, evidence = survey.order, survey.evidence
    width = max((len(host) for host in hosts), default=0)
    return [f"  {host:<{width}}  {change(asked, evidence[host], names or {})}" for host in hosts if host in evidence]


def change(asked: Order, seen: Evidence, names: Mapping[str, str]) -> str:
    """Say what a visit would change on one host."""
    todo = visit.plan(asked, seen, converge=True)
    if todo.refuse:
        return f"would refuse: {todo.refuse}"
    parts = []
    for file in seen["files"]:
        if not todo.write or (not file["problem"] and asked.wants(file["signs"], file["accepts"])):
            continue
        steps = [f"signs with {_named(asked.signs, names)} instead of {file['signs'] or 'none'}"] * (
            file["signs"] != asked.signs
        )
        gained = [key for key in asked.accepts if key not in file["accepts"]]
        dropped = [key for key in file["accepts"] if key not in asked.accepts]
        steps += [f"accepts {_named(key, names)}" for key in gained]
        steps += [f"accepts {key} no longer" for key in dropped]
        parts.append(f"write {file['path']}: {', '.join(steps)}")
    if todo.restart:
        parts.append(f"restart {seen['restart']}")
    return "; ".join(parts) or "nothing to change"


def status(survey: Survey, max_age: Optional[float] = None) -> str:
    """Return the state of the fleet: the keys, who signs with what and accepts what, what would change, and what is next."""
    keyring, count, evidence, now = survey.keyring, survey.count, survey.evidence, survey.conditions.clock
    step = keyring["step"]
    state = f"open since {step['opened']}" if keyrings.is_open(keyring) else f"closed at {step['closed']}"
    lines = [f"{keyring['name']}: {step['name']} {state}; {_proven(survey)}", "", "keys"]
    lines += [
        f"  {key['id']:<4} {key['fingerprint']}  {'; '.join(_of_key(keyring, key, now))}"
        for key in keyrings.in_state(keyring, *keyrings.STATES)
    ]
    lines += ["", "hosts"]
    width = max((len(member) for member in evidence), default=0)
    lines += [f"  {member:<{width}}  {_host_state(seen)}" for member, seen in sorted(evidence.items())]
    if count.noted:
        lines += ["", "noted, and blocking nothing", *table(count.noted)]
    if count.findings:
        lines += ["", f"not proven: {len(count.findings)}", *table(count.findings)]
        unproven = [member for member in count.findings if member in evidence]
        lines += [
            "",
            f"what phased.keys.rollout would change for {step['name']}",
            *plan(survey, unproven),
        ] * bool(unproven)
    # The clock of the controller is one thing, when each host may have signed with the key last another: retire asks both.
    short = proofs.soak_findings(evidence, soak.due(keyring, now))
    lines += ["", "retire waits for the soak on these hosts", *table(short)] * bool(short)
    left = beside(evidence)
    lines += ["", *left] * bool(left)
    aside = {waiver["member"] for waiver in membership.open_waivers(keyring, now)}
    waivers = [
        f"  {waiver['member']}  until {waiver['until']}{'' if waiver['member'] in aside else ' (over)'}: {waiver['reason']}"
        for waiver in keyring["waivers"]
    ]
    lines += ["", "set aside, asserted to serve no traffic", *waivers] * bool(waivers)
    return "\n".join([*lines, "", f"next: {next_text(keyring, now, max_age, fleet=evidence.values())}"])


def _named(key: str, names: Mapping[str, str]) -> str:
    return names.get(key, key)


def _of_key(keyring: KeyringCore, key: Key, now: float) -> List[str]:
    """Say all that is to be known of a key."""
    parts = [_key_state(key, now), spread.told(key, now), at_rest.told(keyring, key, now)]
    return [part for part in parts if part]


def _key_state(key: Key, now: float) -> str:
    over = soak.over_at(key) if key["state"] == "retiring" else None
    marks = f" ({', '.join(key['marks'])})" if key["marks"] else ""
    if over is None:
        return f"{key['state']}{marks}"
    if "compromised" in key["marks"]:
        return f"retiring, without a soak{marks}"
    length = f"soak {in_words(float(key['soak']['seconds']))}, {key['soak']['source']}"
    length += f"; {', '.join(key['marks'])}" if key["marks"] else ""
    return (
        f"retiring until {stamp(over)}, {in_words(over - now)} to go ({length})"
        if over > now
        else f"retiring, soak over ({length})"
    )


def _host_state(seen: Evidence) -> str:
    groups: Dict[str, int] = {}
    for worker in seen["workers"]:
        groups[_holds(worker)] = groups.get(_holds(worker), 0) + 1
    workers = "; ".join(f"{number} {'worker' if number == 1 else 'workers'}: {text}" for text, number in groups.items())
    files = "; ".join(f"{file['path']}: {_holds(file)}" for file in seen["files"])
    broken = clock(seen).reason
    return "; ".join(text for text in (workers or "nothing runs", files, broken) if text)


def _holds(holder: Union[EnvFile, Worker]) -> str:
    if holder["problem"]:
        return str(holder["problem"]["text"])
    others = [key for key in holder["accepts"] if key != holder["signs"]]
    return f"signs {holder['signs']}" + (f", accepts {' '.join(others)}" if others else "")
