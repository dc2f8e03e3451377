# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's own word: what an answer of one of its workers may look like, and what follows from those that were heard.

An answer is JSON: {"pid": 4711, "signs": "7c1f0a52b6e94d33", "accepts": ["7c1f0a52b6e94d33", "90ab12cd34ef5678"]}. The pid is the one
that the worker itself knows, so in a container that of the container. Each entry of `accepts` is a fingerprint, as is `signs`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .errors import PhasedKeysError
from .fingerprint import PATTERN
from .frameworks import MOST_KEYS

LARGEST = 64 * 1024  # bytes of one answer, with its head
_HIGHEST_PID = 2**22
_STATUS = re.compile(rb"\AHTTP/1\.[01] ([0-9]{3})[ \r]")
_HEADER = re.compile(rb"^(content-length|transfer-encoding):[ \t]*([^\r]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_MOST_SHOWN = 3
SILENT = "it gives no answer in time"

Entry = Dict[str, Any]


class WordError(PhasedKeysError):
    """What came is no answer; the text says why and shows nothing of it."""


class Answer(NamedTuple):
    """What a worker says of itself, by the pid that it knows."""

    pid: int
    signs: str
    accepts: Tuple[str, ...]


def body(raw: bytes, ended: bool) -> Optional[bytes]:
    """Return the body of what an HTTP server has sent so far, None while it is not complete; WordError.

    It was asked in HTTP/1.0, so a body ends with the connection, or earlier where its length is told. (RFC 9112, 6.3)
    """
    if len(raw) > LARGEST:
        raise WordError(f"its answer is longer than {LARGEST >> 10} KiB")
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not end:
        if ended:
            raise WordError(
                "its answer ends before it has begun" if raw else "it closed the connection without an answer"
            )
        return None
    status = _STATUS.match(head + b"\r")
    if status is None:
        raise WordError("its answer is not HTTP")
    code = int(status[1])
    if 300 <= code < 400:
        raise WordError(f"it redirects to another place (status {code}), and nobody goes there")
    if code != 200:
        raise WordError(f"it answers with status {code}")
    fields = {name.lower(): value for name, value in _HEADER.findall(head)}
    if fields.get(b"transfer-encoding", b"identity").lower() != b"identity":
        raise WordError("it answers in pieces (Transfer-Encoding), though it was asked in HTTP/1.0")
    length = fields.get(b"content-length")
    if length is None:
        return rest if ended else None
    if not re.fullmatch(rb"[0-9]{1,9}", length):
        raise WordError("it tells a length that is no number")
    if int(length) > LARGEST:
        raise WordError(f"its answer is longer than {LARGEST >> 10} KiB")
    if len(rest) >= int(length):
        return rest[: int(length)]
    if ended:
        raise WordError("its answer ends before it is complete")
    return None


def answer(said: bytes) -> Answer:
    """Return the answer that a text is; WordError. Fields that nobody asked for are left alone."""
    try:
        value = json.loads(said.decode("utf-8"))
    except (ValueError, RecursionError):
        raise WordError("its answer is not JSON") from None
    if not isinstance(value, Mapping) or not {"pid", "signs", "accepts"} <= set(value):
        raise WordError("its answer is no mapping with pid, signs and accepts")
    pid, signs, accepts = value["pid"], value["signs"], value["accepts"]
    if isinstance(pid, bool) or not isinstance(pid, int) or not 0 < pid <= _HIGHEST_PID:
        raise WordError("its pid is no process's number")
    if not isinstance(accepts, list) or len(accepts) > MOST_KEYS:
        raise WordError(f"what it accepts is no list of at most {MOST_KEYS} fingerprints")
    if not all(isinstance(key, str) and PATTERN.match(key) for key in [signs, *accepts]):
        raise WordError("it names a key that is no fingerprint (16 hexadecimal digits)")
    if signs not in accepts:
        raise WordError("it says that it does not accept what it signs with")
    return Answer(pid, signs, tuple(dict.fromkeys(accepts)))


class Told:
    """What was heard.

    numbers   by each process that is to be proven the pid that it knows itself by
    """

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self._by_number: Dict[int, List[int]] = {}
        for pid, number in numbers.items():
            self._by_number.setdefault(number, []).append(pid)
        self._heard: Dict[int, Answer] = {}
        self._torn: Set[int] = set()
        self._shared: Set[int] = set()
        self.strangers: Set[int] = set()  # pids that answered and are no named process's
        self.trouble = (
            ""  # what went wrong last, if it was no mere silence: a worker may be busy with what it was asked before
        )

    def hear(self, one: Answer) -> None:
        """Take an answer: a pid counts only if it is that of one process that is to be proven."""
        pids = self._by_number.get(one.pid, [])
        if not pids:
            self.strangers.add(one.pid)
        elif len(pids) > 1:
            self._shared.update(pids)
        else:
            (pid,) = pids
            before = self._heard.setdefault(pid, one)
            if (before.signs, set(before.accepts)) != (one.signs, set(one.accepts)):
                self._torn.add(pid)

    def note(self, trouble: str) -> None:
        """Take what went wrong."""
        self.trouble = self.trouble if trouble == SILENT and self.trouble else trouble

    def missing(self, asked: Collection[int]) -> List[int]:
        """Return those that were not heard yet, and may still be."""
        return [pid for pid in asked if pid not in self._heard and pid not in self._shared]

    def forget(self, pid: int) -> None:
        """Leave out a process that has ended meanwhile: whoever has its number now was not heard."""
        self._heard.pop(pid, None)

    def of(self, pid: int) -> Optional[Entry]:
        """Return what a process signs with and accepts by its own word; None where it said nothing that counts."""
        one = self._heard.get(pid)
        if one is None or pid in self._torn:
            return None
        return {"signs": one.signs, "accepts": list(one.accepts), "problem": None}

    def silence(self, pid: int, asked: Collection[int]) -> str:
        """Say why it is not known what a process uses."""
        if pid in self._torn:
            return "tells two kinds of keys in one look"
        heard = sum(self.of(one) is not None for one in asked)
        text = f"did not tell its keys: not proven, {heard} of {len(asked)} workers answered in time"
        if pid in self._shared:
            text += ". A worker of another container has the same pid in there, and answers at the same place"
        if self.strangers:
            shown = ", ".join(str(number) for number in sorted(self.strangers)[:_MOST_SHOWN])
            text += f". An answer names pid {shown}, which is not among app_keys_processes"
        return text + (f". What came last: {self.trouble}" if self.trouble else "")


def voices(parents: Mapping[int, int]) -> List[int]:
    """Return who has to tell its keys: the processes with nobody named below them. A main process serves nobody by itself."""
    above = set(parents.values())
    return [pid for pid in parents if pid not in above]


def by_word(told: Told, parents: Mapping[int, int], asked: Sequence[int]) -> Dict[int, Entry]:
    """Return by pid what the processes use by their own word; a main process that said nothing by that of all below it."""
    found = {pid: entry for pid in parents for entry in [told.of(pid)] if entry}
    for pid in parents:
        if pid not in found:
            below = [one for one in asked if one != pid and pid in _line(one, parents)]
            entries = [told.of(one) for one in below]
            keys = {(entry["signs"], frozenset(entry["accepts"])) if entry else None for entry in entries}
            if len(keys) == 1 and entries[0]:
                found[pid] = entries[0]
    return found


def _line(pid: int, parents: Mapping[int, int]) -> List[int]:
    """Return the named processes above one."""
    line: List[int] = []
    while parents.get(pid) in parents and parents[pid] not in line:
        pid = parents[pid]
        line.append(pid)
    return line
