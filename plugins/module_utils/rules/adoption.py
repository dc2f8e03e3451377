# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a fleet can be taken over as it stands, and with which keys."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .durations import stamp
from .evidence import PROBLEMS, Evidence, Finding, Survey, claimed_workers, outsider, process_findings, usable

MEND = "make the hosts agree, then run phased.keys.adopt again"
CHECK = (
    "app_keys_app_check is not set: nothing proves that the application verifies what a fallback signed, and one that does not would "
    "log everybody out at promote. For Django set it to {python: PATH, manage: PATH of manage.py}; for another application to a command "
    "that exits with 0 when it does (it is given throw-away keys in the settings, and in PHASED_KEYS_PRIMARY and PHASED_KEYS_FALLBACK); "
    "or to trust, if you know it"
)


class Adoption(NamedTuple):
    """What a keyring would begin with: `fingerprints` of the keys (the signing one first; none: a fresh one), and a
    member that holds them. Where there are `findings` it cannot be."""

    fingerprints: List[str]
    source: Optional[str]
    findings: Dict[str, List[Finding]]


def judge(fleet: Sequence[str], evidence: Mapping[str, Evidence], survey: Survey) -> Adoption:
    """Say what the fleet's keyring would begin with, or host by host why there can be none."""
    if not fleet:
        return Adoption([], None, {"(nobody)": [Finding("the fleet has no hosts", "give the inventory with -i")]})
    findings: Dict[str, List[Finding]] = {}
    held: Dict[str, List[Tuple[str, Tuple[str, ...]]]] = {}
    claimed = claimed_workers(evidence)
    for member in fleet:
        found = usable(member, evidence.get(member), survey)
        if not found:
            held[member], found = _held(evidence[member], claimed)
        if found:
            findings[member] = found
    if findings:
        return Adoption([], None, findings)
    kinds = {keys for kind in held.values() for keys in kind}
    if len(kinds) > 1:
        return Adoption([], None, {member: [_says(kind)] for member, kind in held.items()})
    if not kinds:
        return Adoption([], None, {})
    signs, accepts = kinds.pop()
    source = next(member for member, kind in held.items() if kind)
    return Adoption([signs, *(key for key in accepts if key != signs)], source, {})


def check_findings(fleet: Sequence[str], checks: Mapping[str, Any]) -> Dict[str, List[Finding]]:
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


def _held(
    evidence: Evidence, claimed: Set[Tuple[str, int, int]]
) -> Tuple[List[Tuple[str, Tuple[str, ...]]], List[Finding]]:
    """What the workers and files of one host hold, and what keeps it from being adopted."""
    found: List[Finding] = []
    record = evidence["record"]
    if record is not None:
        found.append(
            Finding(
                f"was rolled with the keyring {record['ring']}, last at {stamp(record['at'])}",
                "use that keyring: set app_keys_keyring to its path, or put it back from a backup",
            )
        )
    found += process_findings(evidence)
    held = set()
    for holder in [*evidence["files"], *evidence["workers"]]:
        where = holder.get("path") or f"pid {holder['pid']}"
        if not holder["problem"]:
            held.add((holder["signs"], tuple(sorted(holder["accepts"]))))
        elif holder["problem"]["kind"] != "absent" or evidence["workers"]:
            found.append(
                Finding(
                    f"{where}: {holder['problem']['text']}",
                    PROBLEMS.get(holder["problem"]["kind"], "mend it, and run again"),
                )
            )
    found += [
        outsider(other, "a restart")
        for other in evidence["others"]
        if (evidence["machine"], other["pid"], other["ticks"]) not in claimed
    ]
    return sorted(held), found


def _says(kind: Sequence[Tuple[str, Tuple[str, ...]]]) -> Finding:
    parts = [
        f"signs with {signs}"
        + (f" and accepts {', '.join(key for key in accepts if key != signs)}" if len(accepts) > 1 else "")
        for signs, accepts in kind
    ]
    return Finding("; ".join(parts) or "has no key, and nothing runs", MEND)
