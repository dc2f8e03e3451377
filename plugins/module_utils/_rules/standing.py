# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application's fleet stands, as one dictionary for machines: the status without its sentences.

`ok` is true where nobody has anything to do: every member was looked at and is proven at the step, no step is open, nothing that
was begun waits for a person (a staged key, a soak that is over, a key that has leaked and is still accepted), no waiver has
run out, and the run itself did not fail. A rollout that is due by app_keys_max_age is no harm: `due_at` says so, and `ok` does not.
What a run did not look at it does not know: that is null, never what was seen before.
"""

from __future__ import annotations

from typing import List, Mapping, Optional, Sequence, TypedDict

from .._host.rules.durations import epoch, stamp
from .._host.rules.proof import Finding, listed
from .._keyring_shapes import Keyring
from . import keyring as keyrings
from . import membership, next_step
from .survey import Survey

NO_PHASE = "none"  # there is no keyring, or none that can be read


class HostFinding(TypedDict):
    """What was seen of a host, and what to do."""

    host: str
    seen: str
    advice: str


class Aside(TypedDict):
    """A member that is set aside: somebody asserts that it serves no traffic."""

    host: str
    until: str
    reason: str


class Standing(TypedDict):
    """How a fleet stands. Moments are texts as the keyring writes them (UTC, RFC 3339); null is not known, or nothing.

    name            the application
    ok              whether all is well; null where nothing is known to be amiss and the fleet was not looked at
    why             what is not well, a sentence each with what to do
    phase           the last step by its name: adopt, prepare, promote, retire, rollback or withdraw; none without a keyring
    step_open       whether that step is still open
    due_at          since when, or from when on, the next step or rollout is to be done
    next            what comes next, and what to do for it
    members         how many members there are by inventory and keyring together
    members_proven  how many of them are proven at the step
    unproven        the findings of the others, each by itself
    noted           what is to be known of a host and stands in nobody's way
    waived          who is set aside now
    signing         the fingerprint of the key that signs
    accepted        the fingerprints of all keys that hosts are to accept
    key_age         how many seconds ago the key that signs was made or adopted
    last_rollout    when a retire closed last
    looked_at       since when what is said of hosts is known: the earliest of this run's looks at them
    at              when this was written
    """

    name: str
    ok: Optional[bool]
    why: List[str]
    phase: str
    step_open: Optional[bool]
    due_at: Optional[str]
    next: Optional[str]
    members: int
    members_proven: Optional[int]
    unproven: Optional[List[HostFinding]]
    noted: Optional[List[HostFinding]]
    waived: List[Aside]
    signing: Optional[str]
    accepted: List[str]
    key_age: Optional[int]
    last_rollout: Optional[str]
    looked_at: Optional[str]
    at: str


def standing(
    survey: Survey,
    looked: Optional[float],
    max_age: float,
    hindrance: Optional[str] = None,
    failed: Optional[str] = None,
) -> Standing:
    """Return how a fleet stands.

    looked     the moment (epoch) of the earliest look of this run at a member; None where it looked at nobody
    max_age    app_keys_max_age, in seconds
    hindrance  why no step opens on this inventory
    failed     what the run ended with, if it failed
    """
    keyring, count, now = survey.keyring, survey.count, survey.conditions.clock
    known = looked is not None
    seen = survey.evidence.values()
    coming = next_step.upcoming(keyring, now, max_age, seen)
    why = [text for text in (failed, hindrance) if text] + _amiss(survey, coming, known)
    created = keyrings.primary(keyring)["times"].get("created")
    return {
        "name": keyring["name"],
        "ok": False if why else True if known else None,
        "why": why,
        "phase": keyring["step"]["name"],
        "step_open": keyrings.is_open(keyring),
        "due_at": stamp(coming.due) if coming.due is not None else None,
        "next": next_step.next_text(keyring, now, max_age, fleet=seen),
        "members": len(survey.everybody),
        "members_proven": len(count.proven) if known else None,
        "unproven": _by_host(count.findings) if known else None,
        "noted": _by_host(count.noted) if known else None,
        "waived": [
            {"host": waiver["member"], "until": waiver["until"], "reason": waiver["reason"]}
            for waiver in membership.open_waivers(keyring, now)
        ],
        "signing": keyrings.primary(keyring)["fingerprint"],
        "accepted": survey.order.accepts,
        "key_age": max(0, int(now - epoch(created))) if created else None,
        "last_rollout": _last_rollout(keyring),
        "looked_at": stamp(looked) if looked is not None else None,
        "at": stamp(now),
    }


def without_a_keyring(name: str, fleet: Sequence[str], now: float, failed: str) -> Standing:
    """Return how a fleet stands of which nothing is known, for its keyring could not be read; `failed` says why."""
    return {
        "name": name, "ok": False, "why": [failed], "phase": NO_PHASE, "step_open": None, "due_at": None, "next": None,
        "members": len(fleet), "members_proven": None, "unproven": None, "noted": None, "waived": [], "signing": None,
        "accepted": [], "key_age": None, "last_rollout": None, "looked_at": None, "at": stamp(now),
    }  # fmt: skip


def _amiss(survey: Survey, coming: next_step.Upcoming, known: bool) -> List[str]:
    """Say what is not well, by the keyring and by what was seen."""
    keyring, count, now = survey.keyring, survey.count, survey.conditions.clock
    found = []
    if known and not count.complete:
        who = f" ({listed(sorted(count.findings))})" if count.findings else ""
        found.append(
            f"{len(count.proven)} of {len(survey.everybody)} members are proven: do what is said of each of the others{who}"
        )
    for member, until in sorted(survey.roster.over.items()):
        # One that answers is counted like any other, and the next run ends its waiver.
        if member not in count.proven:
            found.append(f"the waiver of {member} ran out at {until}: bring it back, or release it")
    if coming.due is not None and coming.due <= now and not coming.begins:
        found.append(f"{coming.what}: {coming.todo}")
    for key in keyrings.in_state(keyring, "primary", "retiring", "dropping"):
        # What comes next may be said of this very key; of a staged one it is.
        if "compromised" in key["marks"] and key["fingerprint"] not in coming.what:
            found.append(f"{key['fingerprint']} is compromised and still {key['state']}: run phased.keys.rollout")
    return found


def _by_host(findings: Mapping[str, Sequence[Finding]]) -> List[HostFinding]:
    return [
        {"host": host, "seen": finding.seen, "advice": finding.advice}
        for host, found in sorted(findings.items())
        for finding in found
    ]


def _last_rollout(keyring: Keyring) -> Optional[str]:
    """Return when a retire was closed last; a closed step is counted again when members join, and that is not its end."""
    closed = [entry for entry in keyring["journal"] if entry["event"].startswith("retire closed")]
    return next((entry["at"] for entry in closed if entry["counter"] == closed[-1]["counter"]), None)
