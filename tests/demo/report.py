# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo shows while it runs, and at its end."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections import Counter
from typing import Any

from load import MAIN, PARALLEL, REMEDIED, Load

COLUMNS = ["requests", "lost sessions", "refused links", "connection errors", "seconds"]
ENOUGH = 10_000  # answered requests in the phased half
MANY = 0.05  # of the naive half's requests have to be lost, or the load is not able to notice a loss

STAMPED = re.compile(r"\d\d:\d\d:\d\d ")  # a line of phased.keys.rollout; the demo has a clock of its own


class Progress:
    """One line that refreshes itself on a terminal; elsewhere a plain line every few seconds."""

    def __init__(self) -> None:
        self.load: Load | None = None
        self.title = ""
        self.task = ""
        self._terminal = sys.stdout.isatty()
        self._began = time.monotonic()
        self._shown = 0.0

    def say(self, text: str) -> None:
        """Print a line that stays."""
        print(f"{self._clear()}{self._clock()}  {text}", flush=True)

    def line(self, text: str) -> None:
        """Take one line of ansible-playbook's output: what the rollout says of itself stays, what else runs is shown meanwhile."""
        if text.startswith(("PLAY [", "TASK [", "RUNNING HANDLER [")):
            self.task = text.partition("[")[2].rpartition("]")[0]
        elif STAMPED.match(text):
            self.task = ""
            self.say(f"    {STAMPED.sub('', text)}")

    def tick(self) -> None:
        """Refresh, not more often than is worth it."""
        now = time.monotonic()
        if self.load is None or now - self._shown < (0.2 if self._terminal else 5):
            return
        self._shown = now
        lost = self.load.total("lost_sessions") + self.load.total("refused_links")
        parallel = sum(self.load.total("lost_sessions", group) for group in (PARALLEL, REMEDIED))
        text = (
            f"{self._clock()}  {self.title} / {self.load.phase}: {self.load.total('requests')} requests, {lost} lost, "
            f"{self.load.total('errors')} connection errors, {parallel} lost in parallel  {self.task}"
        )
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(self._clear() + text[:width], end="", flush=True)
        else:
            print(text, flush=True)

    def done(self) -> None:
        """Leave the refreshing line."""
        print(self._clear(), end="", flush=True)

    def _clear(self) -> str:
        return "\r\033[K" if self._terminal else ""

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"


def figures(counter: Counter, seconds: float | None = None) -> dict[str, Any]:
    """Return one row of counters in the form of result.json."""
    row: dict[str, Any] = {
        "requests": counter["requests"],
        "lost": counter["lost_sessions"] + counter["refused_links"],
        "lost_sessions": counter["lost_sessions"],
        "refused_links": counter["refused_links"],
        "errors": counter["errors"],
        "server_errors": counter["server_errors"],
        "crossings": counter["crossings"],
        "expired": counter["expired"],
    }
    if seconds is not None:
        row["seconds"] = round(seconds, 1)
    return row


def half(load: Load, phases: list[tuple[str, float]]) -> dict[str, Any]:
    """Return one half of result.json: totals, phases, and the parallel clients apart. Other phases do not count."""
    counts = load.counts()
    names = [name for name, _seconds in phases]

    def total(group: str) -> Counter:
        return sum((counts.get((group, name), Counter()) for name in dict.fromkeys(names)), Counter())

    spent: Counter = Counter()
    for name, seconds in phases:
        spent[name] += seconds
    return {
        **figures(total(MAIN), sum(spent.values())),
        "phases": {name: figures(counts.get((MAIN, name), Counter()), spent[name]) for name in dict.fromkeys(names)},
        PARALLEL: figures(total(PARALLEL)),
        REMEDIED: figures(total(REMEDIED)),
        "unusual": dict(load.unusual.most_common(10)),
    }


def table(result: dict[str, Any]) -> str:
    """Return the table that the demo ends with."""
    rows = [["", *COLUMNS]]
    for name in ("naive", "phased"):
        if name not in result:
            continue
        rows.append([name, *_cells(result[name])])
        rows += [[f"  {phase}", *_cells(row)] for phase, row in result[name]["phases"].items()]
        rows.append(["  parallel requests", *_cells(result[name][PARALLEL])])
        rows.append(["  the same, remedied", *_cells(result[name][REMEDIED])])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def _cells(row: dict[str, Any]) -> list[str]:
    cells = [str(row[name]) for name in ("requests", "lost_sessions", "refused_links", "errors")]
    return [*cells, f"{row['seconds']:.1f}" if "seconds" in row else ""]


def crossed(result: dict[str, Any]) -> str:
    """Return a sentence on how often it mattered: what one key signed was shown to a host that signs with the other."""
    if "phased" not in result:
        return ""
    phased = result["phased"]
    late = phased["phases"].get("soak", {}).get("crossings", 0)
    return (
        f"phased: {phased['crossings']} requests showed what one key had signed to a host that signs with the other; "
        f"{late} of them were the first use after promote\n"
    )


def complaints(result: dict[str, Any]) -> list[str]:
    """Return why the demo has failed; nothing where it has shown what it promises."""
    found = []
    naive, phased = result.get("naive"), result.get("phased")
    for name, rotation in (("naive", naive), ("phased", phased)):
        if rotation is None or result["drain"] == "no":
            continue
        errors = sum(row["errors"] for row in (rotation, rotation[PARALLEL], rotation[REMEDIED]))
        if errors:
            found.append(f"{name}: {errors} connection errors, though every host was drained before its restart")
    if naive is not None and naive["lost"] <= MANY * max(naive["requests"], 1):
        found.append(f"naive lost only {naive['lost']} of {naive['requests']} requests: the load notices too little")
    if phased is not None:
        if phased["lost"]:
            found.append(f"the phased rotation lost {phased['lost']} of {phased['requests']} requests")
        if phased["requests"] < ENOUGH:
            found.append(f"the phased rotation saw {phased['requests']} requests; {ENOUGH} are needed")
        if phased[REMEDIED]["lost"]:
            found.append(f"{phased[REMEDIED]['lost']} parallel requests were lost in spite of the remedy")
        if not phased["phases"].get("soak", {}).get("crossings"):
            found.append("nothing signed with the old key was first used in the soak: the load notices too little")
    return found
