# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a fleet is proven: which members do what the open step asks, and what was seen of the others.

Unknown is unsafe: only evidence that is there, of this survey, fresh and complete counts.
"""

from __future__ import annotations

import math
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from . import folders, members, outsiders, soak
from . import ring as rings
from .durations import words
from .proof import Evidence, Finding, inadmissible, judge, late
from .ring import Ring


class Survey(NamedTuple):
    """One look at the fleet.

    nonce    of this run: evidence with another is not counted
    now      the controller's monotonic time, and `max_age` how old evidence may be (both in seconds)
    absent   says of members without evidence why there is none, and behind ` -> ` what to do where that is known
    clock    the controller's wall clock (epoch), by which waivers end
    cut_off  the members that Ansible could not reach
    """

    nonce: str
    now: float
    max_age: float
    absent: Mapping[str, str]
    clock: float = math.inf
    cut_off: Collection[str] = ()


class Standing(NamedTuple):
    """Who is who, worked out once for all members of a count.

    fleet   the members by the inventory
    waived  the members that are set aside now
    over    the members whose waiver has run out, with the moment
    """

    fleet: Collection[str]
    waived: Collection[str]
    over: Mapping[str, str]


class Count(NamedTuple):
    """The members that are proven, those of them on which nothing runs, the findings of all others, and who is set aside.

    `noted` is what a person should know of a member and what stands in nobody's way.
    """

    proven: List[str]
    findings: Dict[str, List[Finding]]
    idle: Sequence[str] = ()
    waived: Sequence[str] = ()
    noted: Mapping[str, List[Finding]] = {}

    @property
    def complete(self) -> bool:
        """Whether the proven members are the fleet, but for those that are waived; a fleet of no hosts is not."""
        return bool(self.proven) and not self.findings


def count(ring: Ring, fleet: Sequence[str], evidence: Mapping[str, Evidence], survey: Survey) -> Count:
    """Count the members that are proven at the open step.

    `fleet` is what the inventory says; members that only the keyring knows count too, and are not proven. A waiver
    stands in for evidence that is not there, never for evidence that is.
    """
    asked = rings.order(ring)
    claimed = claimed_workers(evidence)
    who = standing(ring, fleet, survey)
    over = outsiders.ended(ring)
    proven, findings, aside, noted = [], {}, [], {}
    shared = folders.sharing(evidence)
    for member in everybody(ring, fleet):
        found = unknown_state(member, who, evidence, survey) or shared.get(member, [])
        if found and member in who.waived and member not in evidence:
            aside.append(member)
            continue
        if not found:
            seen, harmless = outsiders.apart(evidence[member], over, claimed)
            found = judge(ring, asked, seen, claimed)
            if harmless:
                noted[member] = harmless
        if found:
            findings[member] = found
        else:
            proven.append(member)
    return Count(proven, findings, [member for member in proven if not evidence[member]["workers"]], aside, noted)


def not_visitable(
    ring: Ring, fleet: Sequence[str], evidence: Mapping[str, Evidence], survey: Survey
) -> Dict[str, List[Finding]]:
    """Find the members that a visit could not mend: no step goes on while there is one that is not excused."""
    findings = {}
    who = standing(ring, fleet, survey)
    shared = folders.sharing(evidence)
    for member in everybody(ring, fleet):
        found = unknown_state(member, who, evidence, survey) or shared.get(member) or late(ring, evidence[member])
        if found and not excused(ring, member, who, evidence):
            findings[member] = found
    return findings


def ahead(ring: Ring, evidence: Mapping[str, Evidence]) -> Dict[str, List[Finding]]:
    """Find the members that have seen more than this keyring knows, or another keyring."""
    found = {member: late(ring, seen) for member, seen in evidence.items()}
    return {member: findings for member, findings in found.items() if findings}


def everybody(ring: Ring, fleet: Collection[str]) -> List[str]:
    """Return the members by the inventory and by the keyring together."""
    return sorted(set(fleet) | set(ring["members"]))


def standing(ring: Ring, fleet: Collection[str], survey: Survey) -> Standing:
    """Say who is in the inventory and who is set aside, so that a count looks that up and does not search."""
    waived = {waiver["member"] for waiver in members.open_waivers(ring, survey.clock)}
    over = {waiver["member"]: waiver["until"] for waiver in ring["waivers"] if waiver["member"] not in waived}
    return Standing(frozenset(fleet), waived, over)


def unknown_state(member: str, who: Standing, evidence: Mapping[str, Evidence], survey: Survey) -> List[Finding]:
    """Find why nothing is known of a member."""
    if member not in who.fleet:
        return [Finding("is a member by the keyring and not in the inventory", GONE.format(member=member))]
    found = usable(member, evidence.get(member), survey)
    if member in evidence:
        return found
    if member in who.over:
        found.append(Finding(f"its waiver ran out at {who.over[member]}", SET_ASIDE.format(member=member)))
    elif member in survey.cut_off:
        found = [Finding(finding.seen, f"{finding.do}; {SET_ASIDE.format(member=member)}") for finding in found]
    return found


def excused(ring: Ring, member: str, who: Standing, evidence: Mapping[str, Evidence]) -> bool:
    """Whether the others may be visited though nothing is known of this member: it is waived, or the open step excuses it.

    Somebody who vanished from the inventory is never excused by the step: the inventory may be the wrong one.
    """
    if member in evidence:
        return False
    since = ring["step"]["excuses"]
    proven = ring["members"].get(member, {}).get("proven") or 0
    return member in who.waived or (since is not None and member in who.fleet and proven >= since)


def batch_findings(
    ring: Ring,
    fleet: Sequence[str],
    evidence: Mapping[str, Evidence],
    survey: Survey,
    lost: Mapping[str, List[Finding]],
    visited: Collection[str],
    batch: Collection[str],
) -> Dict[str, List[Finding]]:
    """Find what keeps the next batch from beginning.

    A member that was `visited` in this run has to be proven still. The others have to be admissible still, but for those that
    this `batch` mends: while there are such, it is made of them alone. `lost` are hosts that dropped out of the play. Where a
    rollout is taken back, a host on which the application was down before and after its visit holds up nobody: it serves nothing.
    """
    asked = rings.order(ring)
    who = standing(ring, fleet, survey)
    visited, batch = frozenset(visited), frozenset(batch)
    findings: Dict[str, List[Finding]] = {}
    mending = bool(batch) and all(member in evidence and inadmissible(asked, evidence[member]) for member in batch)
    for member in everybody(ring, [*fleet, *lost]):
        if excused(ring, member, who, evidence) and (member not in lost or member in survey.cut_off):
            continue
        found = list(lost.get(member, ())) or unknown_state(member, who, evidence, survey)
        if not found:
            seen = evidence[member]
            if asked.urgent and not seen["workers"] and not inadmissible(asked, seen):
                continue
            if member in visited:
                # Processes outside are left to the closing count: those of another host on this machine may just be restarting.
                found = judge(ring, asked, {**seen, "others": []}, set())
            else:
                found = late(ring, seen) or ([] if mending or member in batch else inadmissible(asked, seen))
        if found:
            findings[member] = found
    return findings


def visits(ring: Ring, fleet: Sequence[str], evidence: Mapping[str, Evidence], survey: Survey) -> List[str]:
    """Return the members that are to be visited now, in their order: those that can be reached and are not proven yet."""
    unproven = count(ring, fleet, evidence, survey).findings
    return [member for member in visiting_order(ring, fleet, evidence) if member in unproven and member in evidence]


def visiting_order(ring: Ring, fleet: Sequence[str], evidence: Mapping[str, Evidence]) -> List[str]:
    """Return the fleet in the order of its visits: first those that are not safe beside the others, then the first member.

    The first member decides between two steps that were opened at once from two copies of a keyring: it takes the one that
    reaches it first, and whoever comes second stops there. So it is visited alone (see `batch_sizes`).
    """
    asked = rings.order(ring)
    first = members.first_member(ring)

    def place(member: str) -> Tuple[bool, bool]:
        return not (member in evidence and inadmissible(asked, evidence[member])), member != first

    return sorted(fleet, key=place)


def batch_sizes(serial: Sequence[Any]) -> List[Any]:
    """Return the batches of `app_keys_serial`, of which the first is one host."""
    return list(serial) if str(serial[0]) == "1" else [1, *serial]


def usable(member: str, evidence: Optional[Evidence], survey: Survey) -> List[Finding]:
    """Find why a member's evidence cannot be used at all."""
    if evidence is None:
        # The text may say behind an arrow what to do, too.
        seen, _arrow, todo = survey.absent.get(member, "was not looked at").partition(" -> ")
        return [Finding(seen, todo or AGAIN)]
    if not survey.nonce or evidence["nonce"] != survey.nonce:
        return [Finding("what was seen of it is from another run", AGAIN)]
    age = survey.now - evidence["asked"]
    if not 0 <= age <= survey.max_age:
        limit = words(survey.max_age)
        return [Finding(f"the evidence is {words(age)} old, and {limit} is the limit", TOO_OLD)]
    if evidence["visit"] is not None:
        return [
            Finding(
                f"a visit of this host is still running (pid {evidence['visit']})",
                "wait until it has ended, and run again",
            )
        ]
    return []


def stale(fleet: Sequence[str], evidence: Mapping[str, Evidence], survey: Survey) -> List[str]:
    """Return the members whose evidence is of this survey and will soon be too old: more than half of its time is over."""
    mine = {member: seen for member, seen in evidence.items() if seen["nonce"] == survey.nonce}
    return [member for member in fleet if member in mine and survey.now - mine[member]["asked"] > survey.max_age / 2]


def soak_findings(evidence: Mapping[str, Evidence], keys: Sequence[Mapping[str, Any]]) -> Dict[str, List[Finding]]:
    """Find the members on which a key that is due by the controller's clock has not soaked long enough."""
    found: Dict[str, List[Finding]] = {}
    for member, seen in evidence.items():
        short = [text for text in (soak.shortfall(seen, key) for key in keys) if text]
        if short:
            found[member] = [Finding(text, "wait, and run again") for text in short]
    return found


def claimed_workers(evidence: Mapping[str, Evidence]) -> Set[Tuple[str, int, int]]:
    """The workers that some member answers for, so that hosts on one machine do not accuse each other."""
    return {
        (seen["machine"], worker["pid"], worker["ticks"]) for seen in evidence.values() for worker in seen["workers"]
    }


AGAIN = "see that Ansible reaches it, then run again on the whole fleet"
TOO_OLD = (
    "run again; if looking at the whole fleet takes longer than that, give Ansible more forks, or set app_keys_evidence_max_age to more "
    "than twice as long as it takes"
)
GONE = (
    "put it back into the inventory, for its workers may still be running; if it is gone for good, "
    "release it with -e app_keys_release={member}"
)
SET_ASIDE = (
    "if it serves no traffic, set it aside with -e app_keys_waive={member}, app_keys_waive_reason and app_keys_waive_for, with a reason that "
    "was not given before"
)
