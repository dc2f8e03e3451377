# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback phased.keys.rollout shows, as text: the living line and the summary. Plain functions of what is known of a run.

Colours are names of Ansible's settings (`ok`, `changed` ...), each with its piece of text; who writes them looks them up.
"""

from __future__ import annotations

import itertools
import re
import textwrap
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..module_utils._host.rules.durations import in_words
from ..module_utils._rules import progress as rules
from ..module_utils._rules import wording

Piece = Tuple[str, str]  # a text, and its colour; empty for none

ARROW = " -> "  # between what was seen of a host and what to do, in the gate's tables
PLAIN, OK, CHANGED, ERROR, UNREACHABLE, FAINT = "", "ok", "changed", "error", "unreachable", "skip"
UNIT = re.compile(r"(\d) s\b")  # stays on one line
BAR = 16
REFUSED = re.compile(r"Nothing was (changed|written)\b|No further host\b")  # begins the last line of a refusal
NAMED = 8  # so many hosts are named in the summary
WIDTH = 80
VERBS = {
    "open": "asking the gate",
    "batch": "asking the gate",
    "close": "counting the fleet",
    "status": "counting the fleet",
    "fleet": "reading the inventory",
    "reencrypt": "counting the fleet",
    "reencrypted": "asking the gate",
}
# What is done by a module of ours that is no question to the gate.
DOING = {"active_fingerprint": "looking at hosts", "reencrypt": "encrypting anew what is at rest"}


@dataclass
class Run:
    """What is known of one run of a playbook of ours.

    name, goal, members  the application, what the run is to reach, and how many hosts its fleet has
    begun                when it began (seconds; as everything here on one clock)
    latest               what the gate said last of the progress
    counted              the last of these that had a count: proven and total
    proven_then          how many the visits under way had proven when that was counted
    steps                each step that was open in this run, in order, with what the gate counted there last
    """

    begun: float
    goal: str = ""
    name: str = ""
    members: int = 0
    checking: bool = False
    latest: Dict[str, Any] = field(default_factory=dict)
    counted: Dict[str, Any] = field(default_factory=dict)
    proven_then: int = 0
    steps: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    refused: bool = False
    changed: Set[str] = field(default_factory=set)
    failed: Set[str] = field(default_factory=set)
    unreachable: Set[str] = field(default_factory=set)
    doing: str = ""
    looked_at: int = 0
    visits: Optional[Visits] = None
    waits: Mapping[str, Any] = field(default_factory=dict)

    def hear(self, latest: Mapping[str, Any]) -> None:
        """Take in what a gate's result says of the progress."""
        self.latest = dict(latest)
        if latest.get("proven") is None:
            return
        self.counted, self.proven_then = self.latest, self.newly()
        step = str(latest["step"])
        # One that was closed before this run is where the run began, and nothing that it did.
        if latest.get("open") or step in self.steps:
            self.steps[step] = self.latest

    def newly(self) -> int:
        """Return how many hosts the visits under way have proven."""
        return sum(self.visits.done.values()) if self.visits else 0


@dataclass
class Visits:
    """The visits of one step: the sizes of their batches, who is being visited, and who was, with whether that proved the host."""

    sizes: Sequence[int]
    forks: int
    batch: int = 0
    busy: float = 0.0  # seconds in which anybody was visited
    since: Optional[float] = None  # when that began which goes on now
    going: Dict[str, None] = field(default_factory=dict)
    done: Dict[str, bool] = field(default_factory=dict)

    def begin(self, host: str, now: float) -> None:
        """A visit of this host has begun."""
        self.going[host] = None
        self.since = now if self.since is None else self.since

    def end(self, host: str, now: float, proven: Optional[bool]) -> None:
        """It has ended; None for one that waits for something and comes again."""
        self.going.pop(host, None)
        if proven is not None:
            self.done[host] = proven
        if not self.going and self.since is not None:
            self.busy, self.since = self.busy + now - self.since, None

    def left(self, now: float) -> Optional[float]:
        """Return how many seconds the visits will still take, as far as one can know."""
        busy = self.busy + (now - self.since if self.since is not None else 0.0)
        return rules.seconds_left(self.sizes, self.forks, len(self.done), busy)


def clean(text: str) -> str:
    """Return a text on one line that cannot move the cursor, change colours or turn the direction of writing."""
    return "".join(" " if sign in "\n\t" else sign if sign.isprintable() else "?" for sign in text)


def cells(text: str) -> int:
    """Return how many columns a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def cut(pieces: Sequence[Piece], width: int) -> List[Piece]:
    """Return as much as fits into so many columns; what was cut off is marked."""
    if sum(cells(text) for text, _colour in pieces) <= width:
        return list(pieces)
    kept: List[Piece] = []
    left = width - 1
    for text, colour in pieces:
        short = ""
        for sign in text:
            left -= cells(sign)
            if left < 0:
                return [*kept, (short + ">"[:width], colour)]
            short += sign
        kept.append((short, colour))
    return kept


def filled(done: int, total: int, width: int = BAR) -> List[Piece]:
    """Return a bar: full only when all is done, and empty only when nothing is."""
    full = width * done // total if total else 0
    full = max(full, 1) if done else 0
    return [("[", PLAIN), ("#" * full, OK), ("-" * (width - full), FAINT), ("]", PLAIN)]


def living(run: Run, now: float, clock: float, width: int) -> List[Piece]:
    """Return the line at the bottom of a terminal that is so wide; `clock` is the wall clock (epoch)."""
    waits = run.waits
    step = str(run.latest.get("step") or run.goal)
    pieces: List[Piece] = [(clean(step), CHANGED), ("  ", PLAIN)]
    visits = run.visits
    if visits and len(visits.sizes) > 1:
        pieces += [(f"batch {visits.batch} of {len(visits.sizes)}", PLAIN), ("  ", PLAIN)]
    if run.counted and run.counted.get("step") == run.latest.get("step"):
        total = int(run.counted["total"])
        proven = min(total, int(run.counted["proven"]) + run.newly() - run.proven_then)
        pieces += [
            *filled(proven, total, BAR if width >= WIDTH - 1 else BAR // 2),
            (f" {proven}/{total}", PLAIN),
            ("  ", PLAIN),
        ]
    if waits:
        what = str(waits.get("for")) if waits.get("for") in rules.WAITING else "has to run steadily"
        pieces.append((f"{what}: {in_words(float(waits['until']) - clock)} to go", CHANGED))
    elif visits and visits.going:
        left = visits.left(now)
        rest = [(f"  ~{in_words(left)} left", PLAIN)] if left else []
        used = sum(cells(text) for text, _colour in [*pieces, *rest])
        pieces += [(_going(list(visits.going), width - used), PLAIN), *rest]
    elif run.doing:
        pieces.append((run.doing + (f" {run.looked_at}/{run.members}" if run.looked_at else ""), PLAIN))
    while pieces and not pieces[-1][0].strip():
        pieces.pop()
    return cut(pieces, width)


def _going(hosts: Sequence[str], width: int) -> str:
    """Name those who are being visited, as many as fit."""
    for named in range(len(hosts), 0, -1):
        more = f" +{len(hosts) - named}" if named < len(hosts) else ""
        text = clean(", ".join(hosts[:named])) + more
        if cells(text) <= width:
            return text
        if named > NAMED:
            continue
    return clean(hosts[0])


def narrow(text: str, width: int, stamp: int = 0) -> str:
    """Return what the gate or a visit said for a terminal that is so wide: sentences and tables are wrapped where they would be cut anywhere.

    The first `stamp` signs are the time: what does not fit beside it goes on below the text.
    """
    if all(cells(line) <= width for line in text.splitlines()):
        return text
    shown: List[str] = []
    for indented, block in itertools.groupby(text.splitlines(), key=lambda line: line.startswith("  ")):
        rows = list(block)
        shown += _stacked(rows) if indented else rows
    wrapped = "\n".join(
        one
        for number, line in enumerate(shown)
        for one in textwrap.wrap(
            UNIT.sub("\\1\N{NO-BREAK SPACE}s", line),
            width,
            subsequent_indent=" " * (stamp if number == 0 else len(line) - len(line.lstrip()) + 2),
            break_on_hyphens=False,
            drop_whitespace=True,
        )
        or [""]
    )
    return wrapped.replace("\N{NO-BREAK SPACE}", " ")


def _stacked(rows: List[str]) -> List[str]:
    """Return the rows of a table with what is to be done below what was seen, and each of them on one line; what is no table as it is."""
    named = [row for row in rows if row[2:3] != " "]
    arrows = [{place for place in range(wording.SEEN_WIDTH, len(row)) if row.startswith(ARROW, place)} for row in named]
    column = min(set.intersection(*arrows), default=0) if arrows else 0
    if not column:
        return rows
    lines: List[str] = []
    for row in rows:
        seen, todo = row[:column].strip(), row[column + len(ARROW) :].strip()
        if row.startswith(ARROW, column):
            lines += [f"{'    ' if row[2:3] == ' ' else '  '}{seen}", f"    -> {todo}"]
        elif lines:
            lines[-2:] = [f"{lines[-2]} {seen}".rstrip(), f"{lines[-1]} {todo}".rstrip()]
    return lines


def colour_of(said: str, visit: bool) -> str:
    """Return in which colour a text of the gate, or of a `visit`, is shown."""
    last = said.rstrip().rpartition("\n")[2]
    return ERROR if REFUSED.match(last) else CHANGED if visit else PLAIN


def did(done: Mapping[str, Any]) -> str:
    """Say what a visit that failed has done all the same (`did` of its result); empty for nothing."""
    parts = [f"wrote {', '.join(done['written'])}"] if done.get("written") else []
    words = {"restarted": "restarted", "restored": "put the settings of before back", "down": "left it down"}
    parts += [text for name, text in words.items() if done.get(name)]
    return f" ({', '.join(parts)})" if parts else ""


def names(hosts: Collection[str]) -> str:
    """Return hosts with their number; of many the first."""
    some = sorted(hosts)
    more = f" and {len(some) - NAMED} more" if len(some) > NAMED + 1 else ""
    shown = some[:NAMED] if more else some
    return f"{len(some)} {'host' if len(some) == 1 else 'hosts'}: {clean(', '.join(shown))}{more}"


def summary(run: Run, now: float, clean_end: bool, width: int = WIDTH) -> List[Piece]:
    """Return the lines at the end of a run: what happened, to which hosts, how long it took, and what is next."""
    whose = f"{run.name}: " if run.name else ""  # a run that ended before it had read the inventory knows no name
    what = clean(f"{whose}{'check of ' if run.checking else ''}{run.goal}")
    took = in_words(now - run.begun)
    if clean_end:
        head, colour = f"{what} ended well after {took}", OK
    elif run.refused and not run.failed and not run.unreachable:
        head, colour = f"{what} was refused after {took}; why is said above", ERROR
    else:
        head, colour = f"{what} stopped after {took}; why is said above", ERROR
    rows: List[Tuple[str, str]] = []
    for name, one in (run.steps or {str(run.counted["step"]): run.counted} if run.counted else {}).items():
        state = "open" if one.get("open") else "closed"
        rows.append(("step", f"{name} is {state}: {one['proven']} of {one['total']} hosts proven"))
    if run.checking:
        rows.append(("changed", "nothing, for this was a check"))
    elif run.goal != "status":
        rows.append(("changed", names(run.changed) if run.changed else "no host"))
    rows += [("failed", names(run.failed))] * bool(run.failed)
    rows += [("unreachable", names(run.unreachable))] * bool(run.unreachable)
    if run.goal != "status" or not clean_end:  # the status itself ends with what is next
        rows.append(("next", _next(run, clean_end)))
    lines: List[Piece] = [(line, colour) for line in textwrap.wrap(head, width, subsequent_indent="  ")]
    for label, text in rows:
        wrapped = textwrap.wrap(clean(text), width - 15, break_on_hyphens=False)
        for number, line in enumerate(wrapped):
            lines.append((f"  {label if number == 0 else '':<13}{line}", _colour(label)))
    return lines


def _colour(label: str) -> str:
    return {"changed": CHANGED, "failed": ERROR, "unreachable": UNREACHABLE}.get(label, PLAIN)


def _next(run: Run, clean_end: bool) -> str:
    """Say what comes next, and by which command."""
    if not clean_end:
        return f"do what is said above, then run phased.keys.{run.goal} again"
    if run.checking:
        return "run the same without --check"  # with the same -e: without app_keys_new it may be another run
    return str(run.latest.get("next") or f"run phased.keys.{run.goal} again")
