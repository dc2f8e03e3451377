# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rollout in time, for the report: its steps, the life of each key, and the batches and visits of this run.

Places on a time line are percent of its width, so that it is drawn without measuring anything.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypedDict, cast

from .._host.rules.durations import epoch, in_words, stamp
from .._keyring_shapes import JournalEntry, Key, Keyring
from . import keyring as keyrings
from . import soak
from .survey import Survey

SINGLY = 16  # so many visits have a line each; of more there is one for a batch
BATCHES = 60
LIVES = 8  # keys with a line of their own
TICKS = 8
MINUTE, HOUR, DAY = 60, 3600, 86400
# How far apart the marks of a time line may lie, in seconds.
GRID = (
    *(1, 2, 5, 10, 30),
    *(MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    *(HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR),
    *(DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 91 * DAY, 365 * DAY, 3650 * DAY),
)
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# What follows a step, until the rollout is over.
THEN = {
    "adopt": (),
    "prepare": ("promote", "soak", "retire"),
    "promote": ("soak", "retire"),
    "retire": (),
    "rollback": ("soak", "withdraw"),
    "withdraw": (),
}
LIFE = ("staged", "primary", "retiring", "dropping", "retired", "withdrawn")
ENDED = {"proven": "\u2713", "failed": "\u2715"}
CALLED = {"staged": "accepted", "primary": "signs", "retiring": "accepted", "dropping": "let go of", "soak": "soak"}


class Station(TypedDict):
    """A step of the rollout, or its soak: `state` is done, now, over or ahead, `percent` how much of a soak is over."""

    name: str
    state: str
    opened: Optional[str]
    closed: Optional[str]
    text: str
    percent: Optional[int]


class Tick(TypedDict):
    """A mark of a time line."""

    left: float
    text: str


class Bar(TypedDict):
    """A stretch of a time line: `kind` says how it is drawn, `text` what it is."""

    kind: str
    text: str
    left: float
    width: float


class Line(TypedDict):
    """A line of a time line."""

    name: str
    note: str
    bars: List[Bar]


class Chart(TypedDict):
    """A time line: `now` is where the page was written, `begins` and `ends` the moments at its ends."""

    begins: str
    ends: str
    now: Optional[float]
    ticks: List[Tick]
    lines: List[Line]


class Visited(TypedDict):
    """The visits of this run: `hosts` in `batches`, which are said where there are too many for a line each."""

    hosts: int
    batches: int
    chart: Chart


class Run(NamedTuple):
    """What a run did.

    visits   what came of its last visit of each host: `evidence.asked` is when it began, `asked` when it ended
    batches  when each batch began, and at which step: `began` and `step`
    Moments of both are in the controller's seconds since its boot, as are those of evidence.
    """

    visits: Mapping[str, Mapping[str, Any]]
    batches: Sequence[Mapping[str, Any]]


class Span(NamedTuple):
    """The two ends of a time line (epoch)."""

    begin: float
    end: float

    def place(self, moment: float) -> float:
        """Return where a moment is, in percent."""
        return round(100 * min(1.0, max(0.0, (moment - self.begin) / (self.end - self.begin))), 2)

    def stretch(self, kind: str, text: str, begin: float, end: float) -> Optional[Bar]:
        """Return what is to be drawn of a stretch; None where nothing of it is here."""
        if end < self.begin or begin > self.end:
            return None
        left = self.place(begin)
        return {"kind": kind, "text": text, "left": left, "width": round(self.place(end) - left, 2)}


def stations(keyring: Keyring, now: float) -> List[Station]:
    """Return the steps of the last rollout in their order, with what is ahead of it."""
    found: List[Station] = []
    entries = keyring["journal"]
    for entry in entries[_begins(entries) :]:
        name = _opens(entry)
        if name:
            found.append(_station(name, entry["at"], _closed(entries, entry["counter"], name), now))
    step = keyring["step"]
    if not found or found[-1]["name"] != step["name"]:
        # The journal was cut, or begins in the middle.
        found = [_station(step["name"], step["opened"], step["closed"], now)]
    ahead = [_ahead(name) for name in THEN[step["name"]]]
    soaking = _soak(keyring, now)
    if soaking and [station["name"] for station in ahead[:1]] == ["soak"]:
        ahead[0] = soaking
    elif step["name"] in ("retire", "withdraw") and [one for one in found[:-1] if "soak" in THEN[one["name"]][:1]]:
        # It opened as the soak was over; a key that never signed had none.
        over = {"state": "done", "opened": found[-2]["closed"], "closed": found[-1]["opened"], "text": "over"}
        found.insert(-1, cast(Station, {**_ahead("soak"), **over}))
    return found + ahead


def lives(keyring: Keyring, now: float) -> Chart:
    """Return the life of each key that was in use since the last rollout began, the newest first."""
    entries = keyring["journal"]
    begin = epoch(entries[_begins(entries)]["at"]) if entries else epoch(keyring["step"]["opened"])
    soaking = [key for key in keyrings.in_state(keyring, "retiring") if "soaking" in key["times"]]
    ends = [over for over in map(soak.over_at, soaking) if over is not None]
    begin = min([begin, *(epoch(key["times"]["soaking"]) for key in soaking)])
    end = max([now, begin + MINUTE, *ends])
    span = Span(begin - 0.1 * (end - begin), end + 0.02 * (end - begin))
    keys = keyrings.in_state(keyring, *keyrings.STATES)
    lines = [line for line in (_life(key, span, now) for key in keys) if line["bars"]]
    return _chart(span, now, lines[:LIVES])


def visited(survey: Survey, run: Run) -> Optional[Visited]:
    """Return what this run visited; None where it visited nobody."""
    away = survey.conditions.clock - survey.conditions.now
    visits = [
        (float(said["evidence"]["asked"]) + away, float(said["asked"]) + away, host, said)
        for host, said in run.visits.items()
        if said.get("evidence") and "did" in said
    ]
    if not visits:
        return None
    visits.sort(key=lambda visit: visit[:3])
    began = [(float(batch["began"]) + away, str(batch["step"])) for batch in run.batches] or [(visits[0][0], "visit")]
    first = min(visits[0][0], began[0][0])
    end = max(visit[1] for visit in visits)
    room = 0.01 * max(1.0, end - first)
    span = Span(first - room, max(end, first + 1.0) + room)
    groups: Dict[str, List[Tuple[float, float, str, Mapping[str, Any]]]] = {}
    for visit in visits:
        groups.setdefault(_batch_of(visit[0], began), []).append(visit)
    if len(visits) <= SINGLY:
        lines = [_visit(span, batch, visit) for batch, group in groups.items() for visit in group]
    else:
        lines = [_batch(span, batch, group) for batch, group in groups.items()][-BATCHES:]
    return {"hosts": len(visits), "batches": len(groups), "chart": _chart(span, None, lines)}


def moment(text: str) -> str:
    """Return a moment that `stamp` wrote as a person reads it, in UTC."""
    return f"{text[:10]} {text[11:19]}"


def _opens(entry: JournalEntry) -> str:
    """Return the step that an entry of the journal opened; empty for none."""
    if entry["event"].startswith("begun "):
        return "adopt"
    name, _space, rest = entry["event"].partition(" ")
    return name if rest == "opened" and name in THEN else ""


def _begins(entries: Sequence[JournalEntry]) -> int:
    """Return which entry of the journal began the last rollout, or the keyring."""
    starts = [place for place, entry in enumerate(entries) if _opens(entry) in ("adopt", "prepare")]
    return starts[-1] if starts else 0


def _closed(entries: Sequence[JournalEntry], counter: int, name: str) -> Optional[str]:
    """Return when a step was closed first: it is counted again when members join."""
    closed = (
        entry["at"] for entry in entries if entry["counter"] == counter and entry["event"].startswith(f"{name} closed")
    )
    return next(closed, None)


def _station(name: str, opened: str, closed: Optional[str], now: float) -> Station:
    if closed is None:
        text = f"open for {in_words(max(0.0, now - epoch(opened)))}"
    else:
        text = f"took {in_words(epoch(closed) - epoch(opened))}"
    state = "now" if closed is None else "done"
    return {"name": name, "state": state, "opened": opened, "closed": closed, "text": text, "percent": None}


def _ahead(name: str) -> Station:
    return {"name": name, "state": "ahead", "opened": None, "closed": None, "text": "to come", "percent": None}


def _soak(keyring: Keyring, now: float) -> Optional[Station]:
    """Return the soak of the key that has to wait longest; None where none has begun."""
    keys = [
        (over, key)
        for key in keyrings.in_state(keyring, "retiring")
        for over in [soak.over_at(key)]
        if over is not None
    ]
    if not keys:
        return None
    over, key = max(keys, key=lambda pair: pair[0])
    begun = key["times"]["soaking"]
    if "compromised" in key["marks"]:
        return {
            "name": "soak",
            "state": "done",
            "opened": begun,
            "closed": begun,
            "text": "none: the key has leaked",
            "percent": None,
        }
    length = float(key["soak"]["seconds"])
    if over <= now:
        return {"name": "soak", "state": "done", "opened": begun, "closed": stamp(over), "text": "over", "percent": 100}
    percent = int(100 * max(0.0, now - epoch(begun)) / length)
    text = f"{in_words(over - now)} of {in_words(length)} to go"
    return {
        "name": "soak",
        "state": "now",
        "opened": begun,
        "closed": stamp(over),
        "text": text,
        "percent": min(99, percent),
    }


def _life(key: Key, span: Span, now: float) -> Line:
    times = sorted((epoch(at), LIFE.index(state), state) for state, at in key["times"].items() if state in LIFE)
    bars = []
    for place, (begin, _order, state) in enumerate(times):
        if state in ("retired", "withdrawn"):
            break
        end = times[place + 1][0] if place + 1 < len(times) else now
        soaks = state == "retiring" and key["state"] == "retiring" and "soaking" in key["times"]
        if soaks:
            begun = epoch(key["times"]["soaking"])
            bars.append(span.stretch("retiring", CALLED["retiring"], begin, begun))
            bars.append(span.stretch("soak", CALLED["soak"], begun, max(soak.over_at(key) or begun, begun, now)))
        else:
            bars.append(span.stretch(state, CALLED[state], begin, max(begin, end)))
    marks = f", {', '.join(key['marks'])}" if key["marks"] else ""
    return {"name": key["fingerprint"], "note": f"{key['state']}{marks}", "bars": [one for one in bars if one]}


def _batch_of(visit: float, began: Sequence[Tuple[float, str]]) -> str:
    """Return what the batch of a visit is called: the step, and which of its batches in this run it is."""
    last = max(1, sum(1 for moment, _step in began if moment <= visit))
    step = began[last - 1][1]
    return f"{step}, batch {[name for _moment, name in began[:last]].count(step)}"


def _visit(span: Span, batch: str, visit: Tuple[float, float, str, Mapping[str, Any]]) -> Line:
    begin, end, host, said = visit
    kind = "proven" if said.get("proven") else "failed"
    words = "proven" if said.get("proven") else "not proven"
    took = float(said["did"]["took"])
    text = f"{words} in {took:g} s" if took else words
    drawn = span.stretch(kind, ENDED[kind], begin, end)
    return {"name": host, "note": f"{batch}: {text}", "bars": [drawn] if drawn else []}


def _batch(span: Span, batch: str, group: Sequence[Tuple[float, float, str, Mapping[str, Any]]]) -> Line:
    begin, end = group[0][0], max(visit[1] for visit in group)
    proven = sum(1 for visit in group if visit[3].get("proven"))
    longest = max(float(visit[3]["did"]["took"]) for visit in group)
    kind = "proven" if proven == len(group) else "failed"
    drawn = span.stretch(kind, ENDED[kind], begin, end)
    note = f"{proven} of {len(group)} {'host' if len(group) == 1 else 'hosts'} proven, the slowest in {longest:g} s"
    return {"name": batch, "note": note, "bars": [drawn] if drawn else []}


def _chart(span: Span, now: Optional[float], lines: List[Line]) -> Chart:
    length = span.end - span.begin
    apart = next((one for one in GRID if length / one <= TICKS), GRID[-1])
    first = int(span.begin // apart + 1) * apart
    marks = range(first, int(span.end) + 1, apart)
    ticks: List[Tick] = [{"left": span.place(mark), "text": _tick(stamp(mark), apart)} for mark in marks]
    place = span.place(now) if now is not None else None
    return {"begins": stamp(span.begin), "ends": stamp(span.end), "now": place, "ticks": ticks, "lines": lines}


def _tick(at: str, apart: int) -> str:
    """Return a mark's moment, as exactly as the marks lie apart."""
    day = f"{int(at[8:10])} {MONTHS[int(at[5:7]) - 1]}"
    if apart >= 365 * DAY:
        return at[:4]
    if apart >= DAY:
        return day
    return at[11:19] if apart < MINUTE else day if at[11:16] == "00:00" else at[11:16]
