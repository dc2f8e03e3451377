# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a fleet can be taken over as it stands, and with which keys."""

from __future__ import annotations

from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .._host.rules import proof
from .._host.rules.durations import stamp
from .._host.rules.proof import Finding, is_claimed, outsiders, place, process_findings, source_findings
from .._host.rules.remedies import PROBLEMS
from .._keyring_shapes import Keyring
from .._shapes import AppCheck, DatedEvidence, EnvFile, Evidence, Keeper, Worker
from . import folders
from . import keyring as keyrings
from .survey import Looks

# So many steps the keyring that was lost may have opened that no host has seen: a step, and one that takes it back.
UNSEEN = 2
CHECK = (
    "app_keys_app_check is not set: nothing proves that the application verifies what a fallback signed, and one that does not would "
    "log everybody out at promote. For Django set it to {python: PATH, manage: PATH of manage.py}; for another application to a command "
    "that exits with 0 when it does (it is given throw-away keys in the settings, and in PHASED_KEYS_PRIMARY and PHASED_KEYS_FALLBACK); "
    "or to trust, if you know it"
)
UNWRITABLE = (
    "no rollout could carry it: give the application another key by hand, and let it accept this one beside it if it can; then run "
    "phased.keys.adopt again"
)


class Adoption(NamedTuple):
    """What a keyring would begin with, in fingerprints. Where there are `findings` it cannot begin.

    accepts    what every host is to accept, the key that is to sign first; empty: a fresh key
    gone       what some hosts still accept, and none is to accept any more
    signing    what workers sign with now; all workers accept all of these
    partly_accepted  what some workers do not accept yet
    source     a member whose env file holds all of them
    leaked     what the keyring that was lost had marked as compromised
    keyring, counter   of that keyring, and the last step that it can have opened; else None and 0
    """

    accepts: Sequence[str] = ()
    source: Optional[str] = None
    findings: Mapping[str, Sequence[Finding]] = {}
    gone: Sequence[str] = ()
    signing: Sequence[str] = ()
    partly_accepted: Sequence[str] = ()
    leaked: Sequence[str] = ()
    keyring: Optional[str] = None
    counter: int = 0


Holders = Dict[str, List[Union[EnvFile, Worker, Keeper]]]


def judge(looks: Looks, recover: bool = False) -> Adoption:
    """Say what the fleet's keyring would begin with, or host by host why there can be none.

    The fleet may be in the middle of somebody's rotation: it is taken over where it stands if every worker accepts every
    key that another one signs with. With `recover` the fleet has been rolled with a keyring that is lost.
    """
    fleet, evidence = looks.fleet, looks.evidence
    if not fleet:
        return Adoption(findings={"(nobody)": [Finding("the fleet has no hosts", "give the inventory with -i")]})
    findings: Dict[str, List[Finding]] = {}
    for member in fleet:
        found = looks.unusable(member) or looks.sharing.get(member, [])
        found = found or _records(evidence[member], recover) + _trouble(evidence[member], looks.claimed)
        if found:
            findings[member] = found
    findings = findings or (_keyrings(fleet, evidence) if recover else {})
    if findings:
        return Adoption(findings=findings)
    holders: Holders = {member: _holders(evidence[member]) for member in fleet}
    start = _lost_keyring(evidence) if recover else Adoption()
    everything = [holder for held in holders.values() for holder in held]
    if not everything:
        return start
    signing = _signing(holders)
    findings = _refused(holders, signing)
    if findings:
        return Adoption(findings=findings)
    last = max((seen["record"]["counter"] for seen in evidence.values() if seen["record"]), default=0)
    signs = _signs(holders, evidence, last)
    held = {key for holder in everything for key in holder["accepts"]}
    gone = _gone(holders, evidence, last) - signing if recover else set()
    accepts = [signs, *sorted(held - gone - {signs})]
    partly_accepted = {key for key in accepts if any(key not in holder["accepts"] for holder in everything)}
    source = next((member for member in fleet if _file_holds(evidence[member], held)), None)
    if source is None:
        todo = f"give one host all of {', '.join(sorted(held))} to accept, then run phased.keys.adopt again"
        return Adoption(findings={member: [_says(held_here, todo)] for member, held_here in holders.items()})
    return start._replace(
        accepts=accepts,
        source=source,
        gone=sorted(gone),
        signing=sorted(signing),
        partly_accepted=sorted(partly_accepted),
    )


def recovering(keyring: Keyring) -> bool:
    """Whether this keyring is one that a recovery began and did not finish: the same command goes on with it, and makes no other."""
    return (
        keyring["step"]["name"] == "adopt"
        and keyrings.is_open(keyring)
        and keyrings.primary(keyring)["origin"] == "recovered"
    )


def taken_over(adoption: Adoption) -> str:
    """Say in what state the fleet is taken over; nothing where all hosts do the same already."""
    parts = []
    if len(adoption.signing) > 1:
        others = ", ".join(key for key in adoption.signing if key != adoption.accepts[0])
        parts.append(f"some hosts sign with {others}, and will sign with {adoption.accepts[0]}")
    if adoption.partly_accepted:
        parts.append(f"some hosts do not accept {', '.join(adoption.partly_accepted)} yet, and will")
    if adoption.gone:
        parts.append(f"some hosts still accept {', '.join(adoption.gone)}, and will not any more")
    return "; ".join(parts)


def check_findings(fleet: Sequence[str], checks: Mapping[str, Optional[AppCheck]]) -> Dict[str, List[Finding]]:
    """Find the members on which the application does not verify what a fallback signed."""
    findings = {}
    for member in fleet:
        check = checks.get(member)
        if not check or not check["ok"]:
            said = check["text"] if check else "the check was not run"
            findings[member] = [
                Finding(
                    f"the application check failed: {said}", "correct the application's settings, or app_keys_app_check"
                )
            ]
    return findings


def _records(evidence: Evidence, recover: bool) -> List[Finding]:
    record = evidence["record"]
    if record is None or recover:
        return []
    return [
        Finding(
            f"was rolled with the keyring {record['keyring']}, last at {stamp(record['at'])}",
            "use that keyring: set app_keys_keyring to its path, or put it back from a backup; if it is lost, give -e app_keys_recover=true",
        )
    ]


def _trouble(evidence: Evidence, claimed: Set[Tuple[str, int, int]]) -> List[Finding]:
    """What keeps one host from being adopted, whatever keys it holds."""
    found = process_findings(evidence) + source_findings(evidence)
    for holder in proof.holders(evidence):
        problem = holder["problem"]
        # The visits of adopt note the time and restart it: until then its age cannot be proven, and nothing speaks against it.
        if problem and problem["kind"] != "undated" and (problem["kind"] != "absent" or evidence["workers"]):
            found.append(
                Finding(f"{place(holder)}: {problem['text']}", PROBLEMS.get(problem["kind"], "fix it, and run again"))
            )
    found += folders.adoptable(evidence)
    found += [
        Finding(f"{file['path']}: the key {key} {why.partition(' -> ')[0]}", why.partition(" -> ")[2] or UNWRITABLE)
        for file in evidence["files"]
        for key, why in (file.get("unusable") or {}).items()
    ]
    others = [other for other in evidence["others"] if not is_claimed(evidence, other, claimed)]
    return found + outsiders(evidence, others, "a restart")


def _keyrings(fleet: Sequence[str], evidence: Mapping[str, DatedEvidence]) -> Dict[str, List[Finding]]:
    """Find out that there is not just one keyring that could be recovered."""
    records = {member: evidence[member]["record"] for member in fleet}
    keyrings = sorted({record["keyring"] for record in records.values() if record})
    if len(keyrings) == 1:
        return {}
    if not keyrings:
        todo = "run phased.keys.adopt without app_keys_recover"
        return {member: [Finding("has no record of any keyring", todo)] for member in fleet}
    todo = "hosts of several fleets cannot be one: choose those of one keyring with app_keys_hosts"
    return {
        member: [Finding(f"was rolled with the keyring {record['keyring']}", todo)]
        for member, record in records.items()
        if record
    }


def _lost_keyring(evidence: Mapping[str, DatedEvidence]) -> Adoption:
    """The keyring that was lost, as far as the records tell."""
    records = [seen["record"] for seen in evidence.values() if seen["record"]]
    return Adoption(
        keyring=records[0]["keyring"],
        counter=max(record["counter"] for record in records) + UNSEEN,
        leaked=sorted({key for record in records for key in record.get("leaked", [])}),
    )


def _holders(evidence: Evidence) -> List[Union[EnvFile, Worker, Keeper]]:
    """The env files and workers of a host that hold keys."""
    return [holder for holder in proof.holders(evidence) if not holder["problem"]]


def _signing(holders: Holders) -> Set[str]:
    """The keys that something signs with."""
    return {holder["signs"] for held in holders.values() for holder in held if holder["signs"]}


def _refused(holders: Holders, signing: Set[str]) -> Dict[str, List[Finding]]:
    """Find the hosts that refuse what another one signs."""
    findings: Dict[str, List[Finding]] = {}
    signers = {
        key: next(member for member in holders for holder in holders[member] if holder["signs"] == key)
        for key in signing
    }
    for member, held in holders.items():
        found: Dict[str, Finding] = {}
        for holder in held:
            where = place(holder) if "pid" not in holder or holder.get("called") else f"pid {holder['pid']}"
            for key in sorted(signing - set(holder["accepts"])):
                seen = (
                    f"{where} signs with {holder['signs']} and does not accept {key}, with which {signers[key]} signs"
                )
                found.setdefault(
                    key, Finding(seen, f"let it accept {key} too, restart it, then run phased.keys.adopt again")
                )
        if found:
            findings[member] = list(found.values())
    return findings


def _signs(holders: Holders, evidence: Mapping[str, DatedEvidence], last: int) -> str:
    """The key that is to sign: that of the last step where a record tells, else that of most hosts, else that of the newest env file."""

    def rank(key: str) -> Tuple[bool, int, float]:
        members = [member for member, held in holders.items() if any(holder["signs"] == key for holder in held)]
        latest = any(_at(evidence[member], last) and holders[member][0]["signs"] == key for member in members)
        written = [
            file["identity"]["changed"]
            for member in members
            for file in evidence[member]["files"]
            if file["signs"] == key and file["identity"]
        ]
        return latest, len(members), max(written, default=0.0)

    return max(sorted(_signing(holders)), key=rank)


def _gone(holders: Holders, evidence: Mapping[str, DatedEvidence], last: int) -> Set[str]:
    """The keys that the lost keyring was letting go of: not accepted where the last step was proven."""
    done = [member for member in holders if _at(evidence[member], last, ("retire", "withdraw"))]
    if not done:
        return set()
    kept = {key for member in done for holder in holders[member] for key in holder["accepts"]}
    return {key for held in holders.values() for holder in held for key in holder["accepts"]} - kept


def _at(evidence: Evidence, counter: int, steps: Sequence[str] = ()) -> bool:
    """Whether a host was proven at this step, and that is one of these, if any are given."""
    record = evidence["record"]
    proven = record is not None and record["counter"] == counter and record["state"] == "proven"
    return proven and (not steps or (record is not None and record["step"] in steps))


def _file_holds(evidence: Evidence, keys: Set[str]) -> bool:
    """Whether the env files of a host hold all these keys."""
    return keys <= {key for file in evidence["files"] for key in file["accepts"]}


def _says(held: Sequence[Union[EnvFile, Worker, Keeper]], todo: str) -> Finding:
    kinds = sorted({(holder["signs"], tuple(sorted(set(holder["accepts"]) - {holder["signs"]}))) for holder in held})
    parts = [f"signs with {signs}" + (f" and accepts {', '.join(others)}" if others else "") for signs, others in kinds]
    return Finding("; ".join(parts) or "has no key, and nothing runs", todo)
