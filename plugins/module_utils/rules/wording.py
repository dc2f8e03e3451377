# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a count of the fleet is said to a person: the refusal and the status."""

from __future__ import annotations

import textwrap
from typing import Any, Dict, List, Mapping, Sequence

from . import ring as rings
from . import soak
from .durations import stamp, words
from .evidence import Count, Finding
from .ring import Ring
from .steps import next_text, over_at

SEEN_WIDTH = 52
DO_WIDTH = 52

DOES = {
    "adopt": "have their record and hold the keys of the keyring",
    "prepare": "accept {key} in every worker",
    "promote": "sign with {key} in every worker",
    "retire": "have let go of {key} in every worker",
    "rollback": "sign with {key} in every worker",
    "withdraw": "have let go of {key} in every worker",
}


def counted(ring: Ring, count: Count) -> str:
    """Say how many members do what the open step asks."""
    step = ring["step"]
    total = len(count.proven) + len(count.findings)
    does = DOES[step["name"]].format(key=step["key"])
    idle = f" ({len(count.idle)} of them on disk alone: nothing runs there)" if count.idle else ""
    return f"{len(count.proven)} of {total} {'host' if total == 1 else 'hosts'} {does}{idle}"


def refusal(ring: Ring, headline: str, count: Count, findings: Mapping[str, Sequence[Finding]], tail: str) -> str:
    """Return the whole refusal: what is refused, the count, each member in the way with what was seen and what to do."""
    return "\n".join([f"{headline}: {counted(ring, count)}", *table(findings), tail])


def table(findings: Mapping[str, Sequence[Finding]]) -> List[str]:
    """Return findings as lines in three columns: the member, what was seen, what to do."""
    width = max((len(member) for member in findings), default=0)
    lines = []
    for member, found in findings.items():
        name = member
        for finding in found:
            seen = textwrap.wrap(finding.seen, SEEN_WIDTH, break_on_hyphens=False)
            todo = textwrap.wrap(finding.do, DO_WIDTH, break_on_hyphens=False)
            for row in range(max(len(seen), len(todo))):
                left = seen[row] if row < len(seen) else ""
                arrow = "->" if row == 0 else "  "
                right = todo[row] if row < len(todo) else ""
                lines.append(f"  {name:<{width}}  {left:<{SEEN_WIDTH}} {arrow} {right}".rstrip())
                name = ""
    return lines


def status(ring: Ring, count: Count, evidence: Mapping[str, Mapping[str, Any]], now: float) -> str:
    """Return the state of the fleet: the keys, who signs with what and accepts what, and what is next."""
    step = ring["step"]
    state = f"open since {step['opened']}" if step["closed"] is None else f"closed at {step['closed']}"
    lines = [f"{ring['name']}: {step['name']} {state}; {counted(ring, count)}", "", "keys"]
    lines += [
        f"  {key['id']:<4} {key['fingerprint']}  {_key_state(key, now)}" for key in rings.in_state(ring, *rings.STATES)
    ]
    lines += ["", "hosts"]
    width = max((len(member) for member in evidence), default=0)
    lines += [f"  {member:<{width}}  {_host_state(seen)}" for member, seen in sorted(evidence.items())]
    if count.findings:
        lines += ["", f"not proven: {len(count.findings)}", *table(count.findings)]
    return "\n".join([*lines, "", f"next: {next_text(ring, now)}"])


def _key_state(key: Mapping[str, Any], now: float) -> str:
    over = over_at(key) if key["state"] == "retiring" else None
    if over is None:
        return str(key["state"])
    length = f"soak {words(float(key['soak']['seconds']))}, {key['soak']['source']}"
    return (
        f"retiring until {stamp(over)}, {words(over - now)} to go ({length})"
        if over > now
        else f"retiring, soak over ({length})"
    )


def _host_state(seen: Mapping[str, Any]) -> str:
    groups: Dict[str, int] = {}
    for worker in seen["workers"]:
        groups[_holds(worker)] = groups.get(_holds(worker), 0) + 1
    workers = "; ".join(f"{number} {'worker' if number == 1 else 'workers'}: {text}" for text, number in groups.items())
    files = "; ".join(f"{file['path']}: {_holds(file)}" for file in seen["files"])
    broken = soak.clock(seen).reason
    return "; ".join(text for text in (workers or "nothing runs", files, broken) if text)


def _holds(holder: Mapping[str, Any]) -> str:
    if holder["problem"]:
        return str(holder["problem"]["text"])
    others = [key for key in holder["accepts"] if key != holder["signs"]]
    return f"signs {holder['signs']}" + (f", accepts {' '.join(others)}" if others else "")
