# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the folders of hosts tell: two that keep their records in one place, and env files that have a second name."""

from __future__ import annotations

from typing import Dict, List, Mapping

from .._host.rules.proof import Finding
from .._shapes import EnvFile, Evidence

OWN_STATE = "give each of them an app_keys_state_dir of its own; if they are one host under two names, take one out of the inventory"


def sharing(evidence: Mapping[str, Evidence]) -> Dict[str, List[Finding]]:
    """Find the members that keep their records in one folder: each would take the other's visits for its own."""
    places: Dict[str, List[str]] = {}
    for member, seen in evidence.items():
        if seen.get("state"):
            places.setdefault(seen["state"], []).append(member)
    findings = {}
    for members in places.values():
        for member in members:
            others = ", ".join(other for other in members if other != member)
            if others:
                findings[member] = [
                    Finding(f"keeps its record in the same folder, on the same machine, as {others}", OWN_STATE)
                ]
    return findings


def second_names(seen: Evidence) -> List[Finding]:
    """Find env files of a host that have, or had when they were written, another name: what is replaced under one stays under the other."""
    found = [_has(file) for file in seen["files"] if file.get("links", 1) > 1]
    for path, inode in ((seen["record"].get("linked") if seen["record"] else None) or {}).items():
        found.append(
            Finding(
                f"{path} had a second name (hard link) when it was written, and under that one the previous keys still are",
                f"find / -xdev -inum {inode} lists it, on the disk of {path}: remove it",
            )
        )
    return found


def adoptable(seen: Evidence) -> List[Finding]:
    """Find env files of a host that have to have one name before their keys are adopted."""
    return [_has(file) for file in seen["files"] if file.get("links", 1) > 1]


def _has(file: EnvFile) -> Finding:
    path = file["path"]
    return Finding(
        f"{path} has {file['links']} names (hard links): what is replaced under one stays under the others",
        f"find / -xdev -samefile {path} names them: remove the others, or make it a file of its own (cp -p {path} {path}.new; mv {path}.new {path})",
    )
