# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes outside app_keys_processes that hold one of our keys: which of them are in the way.

Every key that is in use is, whoever holds it. One that has ended is no secret worth keeping any more, and anybody who ever knew it can
start a process that holds it: under a uid that no worker has it is reported and stops nobody.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Set, Tuple

from .._host.rules.proof import Finding, is_claimed, outsiders
from .._keyring_shapes import Keyring
from .._shapes import Evidence, Outsider
from . import keyring as keyrings


class Apart(NamedTuple):
    """The evidence of a member without the outsiders that block nothing, and what is reported of those."""

    evidence: Evidence
    noted: List[Finding]


def ended(keyring: Keyring) -> Set[str]:
    """Return the keys that are used nowhere any more."""
    return {key["fingerprint"] for key in keyrings.in_state(keyring, *keyrings.ENDED)}


def apart(evidence: Evidence, over: Set[str], claimed: Set[Tuple[str, int, int]]) -> Apart:
    """Set those outsiders apart that hold nothing but keys that are `over`, under uids of which not all are a worker's.

    `claimed` are the workers that some member answers for: of those nothing is said.
    """
    workers = _uids(evidence)
    others: List[Outsider] = []
    harmless: Dict[str, List[Outsider]] = {}
    for other in evidence["others"]:
        if not _harmless(other, over, workers):
            others.append(other)
        elif not is_claimed(evidence, other, claimed):
            harmless.setdefault(_listed(other), []).append(other)
    noted = [
        found._replace(seen=f"{found.seen}; uid {uids}, and that key has ended", advice=IGNORED)
        for uids, alike in harmless.items()
        for found in outsiders(evidence, alike, "")
    ]
    return Apart(_with(evidence, others), noted)


def without(evidence: Evidence) -> Evidence:
    """Return the evidence of a member without any outsider."""
    return _with(evidence, [])


def _with(evidence: Evidence, others: List[Outsider]) -> Evidence:
    changed = evidence.copy()
    changed["others"] = others
    return changed


def _uids(evidence: Evidence) -> Set[int]:
    """Return whose the workers are now, and were at the last proof; nothing where that is not known."""
    uids: Set[int] = set((evidence["record"].get("uids") if evidence["record"] else ()) or ())
    for worker in evidence["workers"]:
        uids |= set(worker.get("uids") or ())
    return uids


def _harmless(other: Outsider, over: Set[str], workers: Set[int]) -> bool:
    held = set(other.get("holds") or ([other["signs"]] if other["signs"] else []))
    uids = set(other.get("uids") or ())
    return bool(held and workers and uids) and held <= over and not uids <= workers


def _listed(other: Outsider) -> str:
    return ", ".join(str(uid) for uid in other["uids"])


IGNORED = "it blocks nothing; find out who runs it, and end it"
