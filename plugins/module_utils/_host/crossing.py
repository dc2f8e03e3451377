# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This host's part of a cross-proof: the application makes a token, and says of tokens that others made whether it verifies them.

A token is what another host said: it goes to the application's command on stdin, or as the body of a POST, and nowhere else.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import processes, sight
from .rules import proofs

MOST = 64  # tokens that are verified in one call
_TOKEN = re.compile(r"\A[!-~]{1,4096}\Z")
VERDICTS = ("verified", "refused")
NO_TOKEN = "what it made is not one line of at most 4096 printable characters"
NO_VERDICT = "it says neither verified nor refused"
OVER = "there was no time left to ask it"


def run(app: Mapping[str, Any], cross: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Return `token`, or the `trouble` that there is none; and, for the `tokens` that are to be verified, the `verdicts` in their order."""
    end = time.monotonic() + app["timeout"]
    if "sign" in cross:
        token, trouble = _said(app, cross["sign"], workers, None, end)
        if token is not None and _TOKEN.match(token):
            return {"token": token}
        return {"trouble": trouble or NO_TOKEN}
    verdicts: List[str] = []
    for token in cross["tokens"][:MOST]:
        said, trouble = _said(app, cross["verify"], workers, f"{token}\n".encode("ascii", "replace"), end)
        verdicts.append(said if said in VERDICTS else trouble or NO_VERDICT)
    return {"verdicts": verdicts}


def _said(
    app: Mapping[str, Any],
    way: Mapping[str, Any],
    workers: Sequence[Mapping[str, Any]],
    sends: Optional[bytes],
    end: float,
) -> Tuple[Optional[str], str]:
    """Return the one line that the application says, or None and why there is none."""
    table = processes.table()
    running = {worker["pid"]: worker["ticks"] for worker in workers}
    named = {pid: process for pid, process in table.items() if running.get(pid) == process.ticks}
    asks = proofs.named(proofs.name_of(way)).asks
    if asks is None:
        return None, "nothing can be asked in that way"
    left = end - time.monotonic()
    if left <= 0:
        return None, OVER
    said = asks(sight.Keys(app, table, named, {}, [], sends), way)(1, left)
    first = said[0] if said else "it said nothing"
    if isinstance(first, str):
        return None, first
    return first.decode("utf-8", "replace").strip("\r\n"), ""
