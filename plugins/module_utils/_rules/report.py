# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that the report of an application's fleet shows, as one dictionary: how it looks is the template's business.

Every text of a host in it is as the host sent it, cut where it is long; whoever shows it escapes it. Keys are fingerprints.
"""

from __future__ import annotations

import re
from typing import Dict, List, Optional, TypedDict

from .._host.rules.durations import in_words, stamp
from .._host.rules.proof import listed
from .._keyring_shapes import JournalEntry, Key, Keyring, Waiver
from . import at_rest, next_step, report_fleet, report_time, soak, spread
from . import keyring as keyrings
from .report_fleet import Matrix, shown
from .report_time import Chart, Run, Station, Visited
from .standing import Standing
from .survey import Survey

RECENT = 12  # entries of the journal that are shown at once
ENTRIES = 300  # and at all
KEYS = 40
SAID = 20_000  # characters of what the person at the terminal was told
COMMAND = re.compile(r"\bphased\.keys\.[a-z_]+")


class Verdict(TypedDict):
    """How it stands, at a glance: `level` is well, going, unwell, failed or unknown."""

    level: str
    mark: str
    title: str
    why: List[str]


class Ahead(TypedDict):
    """What comes next, since or from when, and the commands for it, the first of which is the plain one."""

    what: str
    todo: str
    due: Optional[str]
    over: bool
    commands: List[str]


class KeyRow(TypedDict):
    """A key, without its secret."""

    id: str
    fingerprint: str
    state: str
    note: str
    created: Optional[str]
    since: Optional[str]
    ended: Optional[str]
    marks: List[str]


class Entry(TypedDict):
    """An entry of the journal."""

    at: str
    counter: int
    event: str
    details: str


class Report(TypedDict):
    """The whole report. `said` is what the run ended with where it failed; without a keyring most of it is null or empty."""

    name: str
    at: str
    asked: str
    verdict: Verdict
    said: Optional[str]
    ahead: Optional[Ahead]
    standing: Standing
    signing_age: Optional[str]
    stations: List[Station]
    lives: Optional[Chart]
    visited: Optional[Visited]
    fleet: Optional[Matrix]
    keys: List[KeyRow]
    waivers: List[Waiver]
    journal: List[Entry]
    earlier: List[Entry]
    unshown: int


def report(
    standing: Standing,
    survey: Optional[Survey],
    run: Run,
    max_age: float,
    asked: str,
    failed: Optional[str] = None,
) -> Report:
    """Return what is to be shown.

    survey   what this run has seen of the fleet; None where the keyring could not be read
    max_age  app_keys_max_age, in seconds
    asked    what the run was to do: a playbook's name
    failed   all that the person at the terminal was told, where the run was refused or failed
    """
    found: Report = {
        "name": standing["name"],
        "at": standing["at"],
        "asked": asked,
        "verdict": _verdict(standing, failed),
        "said": _said(failed) if failed else None,
        "ahead": None,
        "standing": standing,
        "signing_age": in_words(standing["key_age"]) if standing["key_age"] is not None else None,
        "stations": [],
        "lives": None,
        "visited": None,
        "fleet": None,
        "keys": [],
        "waivers": [],
        "journal": [],
        "earlier": [],
        "unshown": 0,
    }
    if survey is None:
        return found
    keyring, now = survey.keyring, survey.conditions.clock
    journal = [_entry(entry) for entry in reversed(keyring["journal"][-ENTRIES:])]
    return {
        **found,
        "ahead": _ahead(survey, now, max_age),
        "stations": report_time.stations(keyring, now),
        "lives": report_time.lives(keyring, now),
        "visited": report_time.visited(survey, run),
        "fleet": report_fleet.matrix(survey, standing["looked_at"] is not None),
        "keys": [_key(keyring, key, now) for key in keyrings.in_state(keyring, *keyrings.STATES)[:KEYS]],
        "waivers": keyring["waivers"],
        "journal": journal[:RECENT],
        "earlier": journal[RECENT:],
        "unshown": max(0, len(keyring["journal"]) - ENTRIES),
    }


def _verdict(standing: Standing, failed: Optional[str]) -> Verdict:
    # What comes next is said by itself.
    why = [shown(text) for text in standing["why"] if text != standing["next"]]
    if failed:
        title = f"{standing['phase']}: stopped" if standing["step_open"] else "refused"
        return {"level": "failed", "mark": "\u2715", "title": title.capitalize(), "why": why[:1]}
    if standing["step_open"]:
        return {"level": "going", "mark": "\u25b6", "title": f"{standing['phase'].capitalize()} is open", "why": []}
    if standing["ok"] is None:
        return {"level": "unknown", "mark": "?", "title": "The fleet was not looked at", "why": why}
    if standing["ok"]:
        return {"level": "well", "mark": "\u2713", "title": "All is well", "why": []}
    return {"level": "unwell", "mark": "!", "title": "This needs attention", "why": why}


def _said(text: str) -> str:
    return text if len(text) <= SAID else f"{text[:SAID]}\n[cut]"


def _ahead(survey: Survey, now: float, max_age: float) -> Ahead:
    coming = next_step.upcoming(survey.keyring, now, max_age, survey.evidence.values())
    commands = COMMAND.findall(coming.todo) or (["phased.keys.rollout"] if coming.due is not None else [])
    return {
        "what": shown(coming.what),
        "todo": shown(coming.todo),
        "due": stamp(coming.due) if coming.due is not None else None,
        "over": coming.due is not None and coming.due <= now,
        "commands": commands,
    }


def _key(keyring: Keyring, key: Key, now: float) -> KeyRow:
    over = soak.over_at(key) if key["state"] == "retiring" else None
    note = f"{key['origin']}"
    if key["state"] == "retiring" and "compromised" in key["marks"]:
        note += "; has no soak"
    elif over is not None:
        length = f"soak of {in_words(float(key['soak']['seconds']))} ({shown(key['soak']['source'])})"
        note += f"; {length} is over" if over <= now else f"; {length} until {report_time.moment(stamp(over))}"
    more = [spread.told(key, now), at_rest.told(keyring, key, now)]
    note = "; ".join([note, *(shown(part) for part in more if part)])
    times = key["times"]
    return {
        "id": key["id"],
        "fingerprint": key["fingerprint"],
        "state": key["state"],
        "note": note,
        "created": times.get("created"),
        "since": times.get(key["state"]),
        "ended": times.get("ended"),
        "marks": [mark.replace("_", " ") for mark in key["marks"]],
    }


def _entry(entry: JournalEntry) -> Entry:
    parts: Dict[str, str] = {
        "key": entry.get("key", "") if "lets_go" not in entry else "",
        "lets go of": listed(entry.get("lets_go", [])),
        "members": listed(entry.get("members", [])),
        "waived": listed(entry.get("waived", [])),
        "until": report_time.moment(entry["until"]) if "until" in entry else "",
        "reason": entry.get("reason", ""),
    }
    details = "; ".join(f"{what}: {text}" for what, text in parts.items() if text)
    return {"at": entry["at"], "counter": entry["counter"], "event": shown(entry["event"]), "details": shown(details)}
