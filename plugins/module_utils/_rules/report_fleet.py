# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as a matrix of hosts and keys, for the report: of a large one, hosts that are alike share a row.

Whoever needs a person comes first, and in full; the bounds below keep the page of thousands of hosts small, whatever they say.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypedDict

from .._host.rules.proof import Finding, inadmissible
from .._keyring_shapes import Key
from .._shapes import DatedEvidence
from . import keyring as keyrings
from .standing import HostFinding
from .survey import Survey

IN_FULL = 30  # a fleet of so many has a row for each host
APART = 60  # of a larger one so many hosts that need a person have one
GROUPS = 40  # of hosts that are alike, beyond which only their state is told
FINDINGS = 6  # of one host
TEXT = 600  # characters of one text
COLUMNS = 6  # keys that have a column of their own

# What a member's standing is called, and what marks it where there is no colour; those that need a person first.
STANDINGS: Dict[str, Tuple[str, str]] = {
    "unproven": ("not proven", "\u2715"),
    "unreachable": ("unreachable", "\u2298"),
    "unseen": ("not looked at", "?"),
    "waived": ("set aside", "\u2016"),
    "waiting": ("to be visited", "\u2026"),
    "idle": ("idle, proven on disk", "\u2713"),
    "proven": ("proven", "\u2713"),
}
NEEDY = ("unproven", "unreachable", "unseen", "waived")
MOMENT = re.compile(r"\b(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)Z")
MARKS = {"signs": "\u25cf", "accepts": "\u25cb", "mixed": "\u25d0", "none": "\u2013", "unknown": "?"}


class Cell(TypedDict):
    """What a host does with a key: `does` is one of MARKS, and `text` says it in words."""

    does: str
    mark: str
    text: str


class Row(TypedDict):
    """One host, or several that are alike: who, how they stand, what runs there, and what they do with the key of each column."""

    hosts: List[str]
    standing: str
    label: str
    mark: str
    workers: str
    cells: List[Cell]


class Said(TypedDict):
    """What was found on hosts: `seen` on the first of them, and what to do for each."""

    hosts: List[str]
    standing: str
    label: str
    mark: str
    findings: List[HostFinding]
    more: int


class Column(TypedDict):
    """A key that hosts sign with or accept, or several; `fingerprints` in the order of the keyring."""

    fingerprints: List[str]
    state: str


class Tally(TypedDict):
    """How many members stand in one way."""

    standing: str
    label: str
    mark: str
    hosts: int


class Matrix(TypedDict):
    """The fleet: `columns` are keys, `rows` hosts, `folded` those that are alike; `found` is what keeps hosts from being proven, and `noted`
    what stands in nobody's way. `known` is false where the run has looked at nobody."""

    known: bool
    columns: List[Column]
    tallies: List[Tally]
    rows: List[Row]
    folded: List[Row]
    found: List[Said]
    noted: List[Said]


class _Holds(NamedTuple):
    """Who signs with a key, and who accepts it: of the workers how many, of the files whether all do."""

    workers: int
    unreadable: int
    sign: int
    accept: int
    file: str


def matrix(survey: Survey, known: bool) -> Matrix:
    """Return the fleet as the survey has it; `known` says whether this run has looked at anybody."""
    columns = _columns(survey)
    count = survey.count
    standings = {member: _standing(survey, member) for member in survey.everybody} if known else {}
    order = list(STANDINGS)
    members = sorted(standings, key=lambda member: (order.index(standings[member]), member not in count.noted))
    rows = [_row(survey, member, standings[member], columns) for member in members]
    if len(rows) > IN_FULL:
        needy = [row for row in rows if row["standing"] in NEEDY or row["hosts"][0] in count.noted][:APART]
    else:
        needy = rows
    alone = {row["hosts"][0] for row in needy}
    wrong = {
        member: count.findings[member] for member in members if standings[member] in NEEDY and member in count.findings
    }
    return {
        "known": known,
        "columns": columns,
        "tallies": _tallies(list(standings.values())),
        "rows": needy,
        "folded": _folded([row for row in rows if row["hosts"][0] not in alone]),
        "found": _said(wrong, standings),
        "noted": _said(count.noted, standings) if known else [],
    }


def shown(text: str) -> str:
    """Return a text as a person reads it: as far as it is shown, and moments without the letters of RFC 3339."""
    text = text if len(text) <= TEXT else f"{text[:TEXT]} [cut]"
    return MOMENT.sub(r"\1 \2 UTC", text)


def _tallies(standings: Sequence[str]) -> List[Tally]:
    counted = [(standing, standings.count(standing)) for standing in STANDINGS]
    return [
        {"standing": standing, "label": STANDINGS[standing][0], "mark": STANDINGS[standing][1], "hosts": number}
        for standing, number in counted
        if number
    ]


def _columns(survey: Survey) -> List[Column]:
    """The keys that are in use, the newest first; of many the oldest share a column, and so do those that no host should hold."""
    using = keyrings.in_state(survey.keyring, "staged", "primary", "retiring", "dropping")
    own = using if len(using) <= COLUMNS else using[: COLUMNS - 1]
    columns: List[Column] = [{"fingerprints": [key["fingerprint"]], "state": key["state"]} for key in own]
    older: List[Key] = using[len(own) :]
    if older:
        columns.append({"fingerprints": [key["fingerprint"] for key in older], "state": "retiring"})
    if any(_strays(survey, seen) for seen in survey.evidence.values()):
        columns.append({"fingerprints": [], "state": "in no use"})
    return columns


def _strays(survey: Survey, seen: DatedEvidence) -> List[str]:
    """The keys that a host holds and that are in no use."""
    used = set(survey.order.may_accept) | set(survey.order.accepts)
    held = [key for holder in (*seen["workers"], *seen["files"]) for key in holder["accepts"]]
    return sorted(set(held) - used)


def _standing(survey: Survey, member: str) -> str:
    """How a member stands, as one of STANDINGS."""
    count = survey.count
    if member in count.waived:
        return "waived"
    if member not in count.findings:
        return "proven" if survey.evidence[member]["workers"] else "idle"
    if member not in survey.evidence:
        return "unreachable" if member in survey.conditions.cut_off else "unseen"
    return "waiting" if _waits(survey, member) else "unproven"


def _waits(survey: Survey, member: str) -> bool:
    """Whether the open step has just not come to this member yet: nothing is wrong with it beside the others."""
    keyring, seen = survey.keyring, survey.evidence[member]
    record = seen["record"]
    return bool(
        keyrings.is_open(keyring)
        and not survey.unknown(member)
        and record
        and record["keyring"] == keyring["id"]
        and record["counter"] < keyring["step"]["counter"]
        and record["state"] == "proven"
        and not inadmissible(survey.order, seen)
    )


def _row(survey: Survey, member: str, standing: str, columns: Sequence[Column]) -> Row:
    label, mark = STANDINGS[standing]
    seen = survey.evidence.get(member)
    workers = ""
    if seen is not None:
        number = len(seen["workers"])
        workers = f"{number} {'worker' if number == 1 else 'workers'}" if number else "nothing runs"
    cells = [_cell(survey, seen, column) for column in columns]
    return {"hosts": [member], "standing": standing, "label": label, "mark": mark, "workers": workers, "cells": cells}


def _cell(survey: Survey, seen: Optional[DatedEvidence], column: Column) -> Cell:
    if seen is None:
        return _told("unknown", "not known")
    if not column["fingerprints"]:
        strays = _strays(survey, seen)
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        return _told("mixed", f"holds {strays[0]}{more}") if strays else _told("none", "none")
    told = [_does(_holds(seen, key)) for key in column["fingerprints"]]
    if len({(cell["does"], cell["text"]) for cell in told}) == 1:
        return told[0]
    accepted = sum(1 for cell in told if cell["does"] in ("signs", "accepts"))
    return _told("mixed", f"accepts {accepted} of {len(told)}")


def _holds(seen: DatedEvidence, key: str) -> _Holds:
    workers, files = seen["workers"], seen["files"]
    does = {_file_does(file["signs"], file["accepts"], key) for file in files if not file["problem"]}
    return _Holds(
        len(workers),
        sum(1 for worker in workers if worker["problem"]),
        sum(1 for worker in workers if worker["signs"] == key),
        sum(1 for worker in workers if key in worker["accepts"]),
        does.pop() if len(does) == 1 else "mixed" if does else "unknown",
    )


def _file_does(signs: Optional[str], accepts: Sequence[str], key: str) -> str:
    return "signs" if signs == key else "accepts" if key in accepts else "none"


WORDS = {"signs": "signs", "accepts": "accepts", "none": "no", "mixed": "not all alike", "unknown": "not readable"}


def _does(holds: _Holds) -> Cell:
    """Say what workers and files do with a key, apart only where they differ."""
    if not holds.workers:
        words = WORDS[holds.file]
        return _told(holds.file, words if holds.file in ("unknown", "mixed") else f"{words}, on disk")
    number = holds.workers
    if holds.unreadable == number:
        does, words = "unknown", "not readable"
    elif holds.sign == number:
        does, words = "signs", "signs"
    elif holds.accept == number and not holds.sign:
        does, words = "accepts", "accepts"
    elif not holds.accept:
        does, words = "none", "no"
    else:
        signing = [f"{holds.sign} of {number} sign"] if holds.sign else []
        accepting = [f"{holds.accept} of {number} accept"] if holds.accept < number else []
        does, words = "mixed", ", ".join([*signing, *accepting])
    if holds.file == does:
        return _told(does, words)
    return _told(does if does == "unknown" else "mixed", f"{words}; file: {WORDS[holds.file]}")


def _told(does: str, text: str) -> Cell:
    return {"does": does, "mark": MARKS[does], "text": text}


def _folded(rows: Sequence[Row]) -> List[Row]:
    """Put hosts that are alike into one row, and, where there are too many kinds, all of one standing."""
    groups: Dict[Tuple[str, ...], List[Row]] = {}
    for row in rows:
        alike = (row["standing"], *(cell["text"] for cell in row["cells"]))
        groups.setdefault(alike, []).append(row)
    kinds = sorted(groups.values(), key=len, reverse=True)
    rest: Dict[str, List[Row]] = {}
    for group in kinds[GROUPS:]:
        rest.setdefault(group[0]["standing"], []).extend(group)
    folded = [_together(group, group[0]["cells"]) for group in kinds[:GROUPS]]
    order = list(STANDINGS)
    folded.sort(key=lambda row: order.index(row["standing"]))
    varies = [_told("mixed", "differs from host to host") for _cell in (rows[0]["cells"] if rows else ())]
    return folded + [_together(group, varies) for group in rest.values()]


def _together(rows: Sequence[Row], cells: List[Cell]) -> Row:
    counts = sorted({row["workers"] for row in rows}, key=lambda text: (len(text), text))
    workers = counts[0] if len(counts) == 1 else f"{counts[0].partition(' ')[0]} to {counts[-1]}"
    first = rows[0]
    return {
        "hosts": [row["hosts"][0] for row in rows],
        "standing": first["standing"],
        "label": first["label"],
        "mark": first["mark"],
        "workers": workers,
        "cells": cells,
    }


def _said(findings: Mapping[str, Sequence[Finding]], standings: Mapping[str, str]) -> List[Said]:
    """Say what was found, host by host; beyond the bound those that need the same are told together, by what is seen on the first."""
    groups: Dict[Tuple[str, ...], List[str]] = {}
    for place, (member, found) in enumerate(findings.items()):
        alike = (
            (member,)
            if place < APART
            else (standings[member], *sorted({one.advice.replace(member, "\0") for one in found}))
        )
        groups.setdefault(alike, []).append(member)
    kinds = list(groups.values())
    rest = [member for group in kinds[APART + GROUPS :] for member in group]
    return [
        _entry(group, findings[group[0]], standings) for group in [*kinds[: APART + GROUPS], *([rest] if rest else [])]
    ]


def _entry(hosts: List[str], found: Sequence[Finding], standings: Mapping[str, str]) -> Said:
    standing = standings[hosts[0]]
    label, mark = STANDINGS[standing]
    told: List[HostFinding] = [
        {"host": hosts[0], "seen": shown(finding.seen), "advice": shown(finding.advice)} for finding in found[:FINDINGS]
    ]
    more = max(0, len(found) - FINDINGS)
    return {"hosts": hosts, "standing": standing, "label": label, "mark": mark, "findings": told, "more": more}
