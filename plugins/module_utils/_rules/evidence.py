# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a survey of the fleet lets a run do next: whom it may visit, in which order, and whether a batch may begin."""

from __future__ import annotations

from typing import Any, Collection, Dict, List, Mapping, Sequence, Tuple

from .._host.rules import visit
from .._host.rules.proof import Finding, inadmissible, judge, outdated
from .._keyring_shapes import Key
from .._shapes import DatedEvidence
from . import at_rest, membership, outsiders, soak, spread
from .survey import Looks, Survey


def not_visitable(survey: Survey) -> Dict[str, List[Finding]]:
    """Find the members that a visit could not fix: no step goes on while there is one that is not skippable."""
    findings = {}
    for member in survey.everybody:
        found = survey.unknown(member) or survey.looks.sharing.get(member)
        found = found or outdated(survey.keyring, survey.evidence[member]["record"])
        if found and not survey.skippable(member):
            findings[member] = found
    return findings


def outdated_keyring(survey: Survey) -> Dict[str, List[Finding]]:
    """Find the members that have seen more than this keyring knows, or another keyring."""
    found = {member: outdated(survey.keyring, seen["record"]) for member, seen in survey.evidence.items()}
    return {member: findings for member, findings in found.items() if findings}


def batch_findings(
    survey: Survey, dropped_out: Mapping[str, List[Finding]], visited: Collection[str], batch: Collection[str]
) -> Dict[str, List[Finding]]:
    """Find what keeps the next batch from beginning.

    A member that was `visited` in this run has to be proven still. The others have to be admissible still, but for those that
    this `batch` mends: while there are such, it is made of them alone. `dropped_out` are hosts that dropped out of the play. Where a
    rollout is taken back, a host on which the application was down before and after its visit holds up nobody: it serves nothing.
    """
    asked, evidence = survey.order, survey.evidence
    visited, batch = frozenset(visited), frozenset(batch)
    findings: Dict[str, List[Finding]] = {}
    mending = bool(batch) and all(member in evidence and inadmissible(asked, evidence[member]) for member in batch)
    for member in sorted({*survey.everybody, *dropped_out}):
        if survey.skippable(member) and (member not in dropped_out or member in survey.conditions.cut_off):
            continue
        found = list(dropped_out.get(member, ())) or survey.unknown(member)
        if not found:
            seen = evidence[member]
            if asked.incident and not seen["workers"] and not inadmissible(asked, seen):
                continue
            if member in visited:
                # Processes outside are left to the closing count: those of another host on this machine may just be restarting.
                found = judge(survey.keyring, asked, outsiders.without(seen), set())
            else:
                found = outdated(survey.keyring, seen["record"]) or (
                    [] if mending or member in batch else inadmissible(asked, seen)
                )
        if found:
            findings[member] = found
    return findings


def visits(survey: Survey) -> List[str]:
    """Return the members that are to be visited now, in their order: those that can be reached and are not proven yet."""
    unproven = survey.count.findings
    return [member for member in visiting_order(survey) if member in unproven and member in survey.evidence]


def visiting_order(survey: Survey) -> List[str]:
    """Return the fleet in the order of its visits: first those that are not safe beside the others, then the first member.

    The first member decides between two steps that were opened at once from two copies of a keyring: it takes the one that
    reaches it first, and whoever comes second stops there. So it is visited alone (see `batch_sizes`).
    """
    asked, evidence = survey.order, survey.evidence
    first = membership.first_member(survey.keyring)

    def place(member: str) -> Tuple[bool, bool]:
        return not (member in evidence and inadmissible(asked, evidence[member])), member != first

    return sorted(survey.fleet, key=place)


def batch_sizes(serial: Sequence[Any]) -> List[Any]:
    """Return the batches of `app_keys_serial`, of which the first is one host."""
    return list(serial) if str(serial[0]) == "1" else [1, *serial]


def refusing(survey: Survey, hosts: Sequence[str]) -> List[str]:
    """Return those of these hosts whose visit at the open step would refuse, by what was seen of them."""
    return [
        host
        for host in hosts
        if host in survey.evidence and visit.plan(survey.order, survey.evidence[host], converge=True).refuse
    ]


def stale(looks: Looks) -> List[str]:
    """Return the members whose evidence is of this run and will soon be too old: more than half of its time is over."""
    limits = looks.conditions
    mine = {member: seen for member, seen in looks.evidence.items() if seen["nonce"] == limits.nonce}
    return [
        member for member in looks.fleet if member in mine and limits.now - mine[member]["asked"] > limits.max_age / 2
    ]


def soak_findings(evidence: Mapping[str, DatedEvidence], keys: Sequence[Key]) -> Dict[str, List[Finding]]:
    """Find the members on which a key that is due by the controller's clock has not soaked long enough."""
    found: Dict[str, List[Finding]] = {}
    for member, seen in evidence.items():
        short = [text for text in (soak.shortfall(seen, key) for key in keys) if text]
        if short:
            found[member] = [Finding(text, "wait, and run again") for text in short]
    return found


def at_rest_findings(survey: Survey) -> Dict[str, List[Finding]]:
    """Find the members that may have stored something with a key that is to go after what is at rest was encrypted anew."""
    keys = soak.due(survey.keyring, survey.conditions.clock)
    found: Dict[str, List[Finding]] = {}
    for member, seen in survey.evidence.items():
        age = max(0.0, survey.conditions.now - seen["asked"])
        texts = [at_rest.shortfall(survey.keyring, seen, key, survey.conditions.clock, age) for key in keys]
        late = [Finding(text, "run phased.keys.rollout again: it is done once more") for text in texts if text]
        if late:
            found[member] = late
    return found


def spread_findings(evidence: Mapping[str, DatedEvidence], keys: Sequence[Key]) -> Dict[str, List[Finding]]:
    """Find the members on which a staged key has not been accepted for long enough by their own clock."""
    found: Dict[str, List[Finding]] = {}
    for member, seen in evidence.items():
        short = [text for text in (spread.shortfall(seen, key) for key in keys) if text]
        if short:
            found[member] = [Finding(text, "wait, and run again") for text in short]
    return found
