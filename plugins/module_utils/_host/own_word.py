# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's own word: its workers are asked until every one of them was heard, or the time is over.

What they say is held against /proc: a pid counts only while it is the process that was there before it was asked.
"""

from __future__ import annotations

import time
from typing import Any, Collection, List, Mapping, Sequence, Union

from . import processes
from .processes import Process
from .rules import proofs, word

MOST = 32  # questions at once
WITHIN = 6.0  # seconds for all of them in one look
_PAUSE = 0.02
_FRUITLESS = 3  # rounds without one answer that can be read: then nobody is there who would give one


def heard(ask: proofs.Asking, named: Mapping[int, Process], asked: Collection[int], within: float) -> word.Told:
    """Ask until all that are `asked` (pids of `named`) were heard, for at most `within` seconds; return what was said."""
    told = word.Told({pid: number(pid) for pid in named})
    end = time.monotonic() + within
    fruitless, at_once = 0, 1
    while told.missing(asked) and fruitless < _FRUITLESS:
        left = end - time.monotonic()
        if left <= 0:
            break
        before = len(told.missing(asked))
        readable = _hear(told, ask(min(max(before, at_once), MOST), left))
        fruitless = 0 if readable else fruitless + 1
        if len(told.missing(asked)) == before:
            at_once *= 2
            time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))
    for pid, process in named.items():
        if processes.start_ticks(pid) != process.ticks:
            told.forget(pid)
    return told


def strangers(told: word.Told, named: Mapping[int, Process]) -> List[int]:
    """Return the processes that live, are none of the named ones nor started by one, and by whose pid somebody answered."""
    if not told.strangers:
        return []
    table = processes.table(read=())
    outside = [pid for pid in table if pid not in named and number(pid) in told.strangers]
    return [pid for pid in outside if not set(processes.lineage(table, pid)) & named.keys()]


def number(pid: int) -> int:
    """Return the pid by which a process knows itself."""
    inside = processes.inner(pid)
    return int(inside["pid"]) if inside else pid


def from_command(
    app: Mapping[str, Any], command: Union[str, List[str]], workers: Sequence[Mapping[str, Any]], sends: bytes
) -> proofs.Asking:
    """Return what runs a command as each user of the application: one that prints the answer of a worker, or of several, one a line.

    On its stdin is what this `sends`.
    """
    from . import app_check, run_as

    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)

    def ask(_number: int, seconds: float) -> List[Union[bytes, str]]:
        said: List[Union[bytes, str]] = []
        try:
            people = run_as.persons(app, workers)
        except run_as.Refused as error:
            # What would do instead of the application's check would not do here.
            return [f"the command was not run: {str(error).replace(f', {run_as.INSTEAD}', '')}"]
        for person in people:
            said += app_check.lines(argv, person, min(seconds, app["timeout"]), word.LARGEST, sends)
        return said

    return ask


def _hear(told: word.Told, said: Sequence[Union[bytes, str]]) -> bool:
    """Take what was said, and return whether any of it was an answer."""
    readable = False
    for one in said:
        try:
            if isinstance(one, str):
                raise word.WordError(one)
            told.hear(word.answer(one))
            readable = True
        except word.WordError as error:
            told.note(str(error))
    return readable
