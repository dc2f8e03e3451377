# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet as one run has seen it, held against its keyring: who is proven, and what was seen of the others.

Unknown is unsafe: only evidence that is there, of this run, fresh and complete counts. What is worked out of all members is
worked out once.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .._host.rules.durations import in_words
from .._host.rules.order import Order
from .._host.rules.proof import Finding, called_inside, judge
from .._keyring_shapes import Keyring
from .._shapes import DatedEvidence
from . import folders, membership, outsiders
from . import keyring as keyrings

# How old evidence may be where nobody says: so many times what a look at the whole fleet took, and never less or more (seconds).
LOOKS, LEAST_AGE, MOST_AGE = 2.5, 300.0, 3600.0


def evidence_age(given: Optional[float], took: Optional[float]) -> float:
    """Return how old evidence may be (seconds): what is `given` as app_keys_evidence_max_age, else by how long a look at the fleet `took`.

    Before a batch whoever was seen longer than half of it ago is looked at again, so it has to be more than twice as long as a look.
    """
    return given if given is not None else min(max(LOOKS * (took or 0.0), LEAST_AGE), MOST_AGE)


class Conditions(NamedTuple):
    """Under what evidence counts.

    nonce    of this run: evidence with another is not counted
    now      the controller's monotonic time, and `max_age` how old evidence may be (both in seconds)
    absent   says of members without evidence why there is none, and behind ` -> ` what to do where that is known
    clock    the controller's wall clock (epoch), by which waivers and soaks end
    cut_off  the members that Ansible could not reach
    """

    nonce: str
    now: float
    max_age: float
    absent: Mapping[str, str]
    clock: float = math.inf
    cut_off: Collection[str] = ()


class Roster(NamedTuple):
    """Who is who.

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


class Looks:
    """The members by the inventory, and the evidence that a run has of them; no keyring is needed to tell what is in here."""

    def __init__(self, fleet: Sequence[str], evidence: Mapping[str, DatedEvidence], conditions: Conditions) -> None:
        self.fleet = fleet
        self.evidence = evidence
        self.conditions = conditions

    @cached_property
    def sharing(self) -> Dict[str, List[Finding]]:
        """The members that keep their records in one folder."""
        return folders.sharing(self.evidence)

    @cached_property
    def claimed(self) -> Set[Tuple[str, int, int]]:
        """The workers that some member answers for, so that hosts on one machine do not accuse each other."""
        return {called_inside(seen, worker) for seen in self.evidence.values() for worker in seen["workers"]}

    def unusable(self, member: str) -> List[Finding]:
        """Find why a member's evidence cannot be used at all."""
        return unusable(member, self.evidence.get(member), self.conditions)


class Survey:
    """The looks of a run, held against a keyring.

    Both stay as they are. What would be seen with another keyring, after a step has opened say, is another survey (`with_keyring`).
    """

    def __init__(self, keyring: Keyring, looks: Looks) -> None:
        self.keyring = keyring
        self.looks = looks
        self.fleet, self.evidence, self.conditions = looks.fleet, looks.evidence, looks.conditions

    def with_keyring(self, keyring: Keyring) -> Survey:
        """Return what was seen, held against this keyring."""
        return self if keyring is self.keyring else Survey(keyring, self.looks)

    @cached_property
    def order(self) -> Order:
        """What the open step asks of every host."""
        return keyrings.order(self.keyring)

    @cached_property
    def everybody(self) -> List[str]:
        """The members by the inventory and by the keyring together."""
        return sorted(set(self.fleet) | set(self.keyring["members"]))

    @cached_property
    def roster(self) -> Roster:
        """Who is in the inventory and who is set aside, so that a count looks that up and does not search."""
        waived = {waiver["member"] for waiver in membership.open_waivers(self.keyring, self.conditions.clock)}
        over = {
            waiver["member"]: waiver["until"] for waiver in self.keyring["waivers"] if waiver["member"] not in waived
        }
        return Roster(frozenset(self.fleet), waived, over)

    @cached_property
    def count(self) -> Count:
        """The members that are proven at the open step.

        Members that only the keyring knows count too, and are not proven. A waiver stands in for evidence that is not there,
        never for evidence that is.
        """
        ended = outsiders.ended(self.keyring)
        claimed = self.looks.claimed
        proven, findings, aside, noted = [], {}, [], {}
        for member in self.everybody:
            found = self.unknown(member) or self.looks.sharing.get(member, [])
            if found and member in self.roster.waived and member not in self.evidence:
                aside.append(member)
                continue
            if not found:
                seen, harmless = outsiders.apart(self.evidence[member], ended, claimed)
                found = judge(self.keyring, self.order, seen, claimed)
                if harmless:
                    noted[member] = harmless
            if found:
                findings[member] = found
            else:
                proven.append(member)
        idle = [member for member in proven if not self.evidence[member]["workers"]]
        return Count(proven, findings, idle, aside, noted)

    def unknown(self, member: str) -> List[Finding]:
        """Find why nothing is known of a member."""
        if member not in self.roster.fleet:
            return [Finding("is a member by the keyring and not in the inventory", GONE.format(member=member))]
        found = self.looks.unusable(member)
        if member in self.evidence:
            return found
        if member in self.roster.over:
            seen = f"its waiver ran out at {self.roster.over[member]}"
            found.append(Finding(seen, SET_ASIDE.format(member=member) + ANOTHER_REASON))
        elif member in self.conditions.cut_off:
            found = [Finding(finding.seen, f"{finding.advice}; {SET_ASIDE.format(member=member)}") for finding in found]
        return found

    def skippable(self, member: str) -> bool:
        """Whether the others may be visited though nothing is known of this member: it is waived, or the open step does not wait for it.

        Whoever vanished from the inventory is always waited for: the inventory may be the wrong one.
        """
        if member in self.evidence:
            return False
        since = self.keyring["step"]["skippable_since"]
        entry = self.keyring["members"].get(member)
        proven = (entry and entry["proven"]) or 0
        return member in self.roster.waived or (since is not None and member in self.roster.fleet and proven >= since)


def unusable(member: str, evidence: Optional[DatedEvidence], conditions: Conditions) -> List[Finding]:
    """Find why this evidence of a member cannot be used at all."""
    if evidence is None:
        # What was said of it may say what to do too.
        seen, _arrow, todo = conditions.absent.get(member, "was not looked at").partition(" -> ")
        return [Finding(seen, todo or AGAIN)]
    if not conditions.nonce or evidence["nonce"] != conditions.nonce:
        return [Finding("what was seen of it is from another run", AGAIN)]
    age = conditions.now - evidence["asked"]
    if not 0 <= age <= conditions.max_age:
        limit = in_words(conditions.max_age)
        return [Finding(f"the evidence is {in_words(age)} old, and {limit} is the limit", TOO_OLD)]
    if evidence["visit"] is not None:
        return [
            Finding(
                f"a visit of it is still running (pid {evidence['visit']})",
                "wait until it has ended, and run again",
            )
        ]
    return []


AGAIN = "see that Ansible reaches it, then run again on the whole fleet"
TOO_OLD = (
    "run again; if looking at the whole fleet takes longer than half of that, give Ansible more forks, or set app_keys_evidence_max_age to "
    "more than twice as long as it takes"
)
GONE = (
    "put it back into the inventory, for its workers may still be running; if it is gone for good, "
    "release it with -e app_keys_release={member}"
)
# As JSON: of name=value Ansible takes the value to the first blank.
SET_ASIDE = (
    "if it serves no traffic, set it aside with "
    """-e app_keys_waive={member} -e app_keys_waive_for=3d -e '{{"app_keys_waive_reason": "WHY"}}'"""
)
ANOTHER_REASON = "; with another WHY than before, for the same one opens no waiver again"
