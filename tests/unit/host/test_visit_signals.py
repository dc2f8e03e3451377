# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit outlives whoever started it: it is deaf to signals until it has ended, and what it starts is not."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
from typing import Any, Dict

import pytest
from visited import NEW, OLD, PREPARE, SECRET, Host

CODE = """
import json, sys
sys.path.append(sys.argv[2])
from visited import PREPARE, Host
import pathlib
host = Host(pathlib.Path(sys.argv[1]))
print(flush=True)
print(json.dumps(host.visit(PREPARE)), flush=True)
"""
HERE = str(pathlib.Path(__file__).resolve().parent)
DEAF = (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", DEAF, ids=lambda number: number.name)
def test_8_a_visit_that_has_begun_ends_by_itself(host: Host, elsewhere: Any, number: signal.Signals) -> None:
    host.proven(OLD)
    host.then("echo begun > begun; sleep 0.3")
    child = elsewhere(CODE, str(host.folder), HERE)
    host.until((host.folder / "begun").exists)
    os.kill(child.pid, number)
    answer: Dict[str, Any] = json.loads(child.stdout.read())
    assert child.wait(10) == 0
    assert answer["proven"] and SECRET[NEW] in host.env.read_text()
    assert host.record()["state"] == "proven"


def test_8_what_a_visit_restarts_is_not_deaf(host: Host) -> None:
    host.proven(OLD)
    assert host.visit(PREPARE)["proven"]
    assert all(signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN) for number in DEAF)
    for pid in host.pids():
        masks = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        ignored = int(masks["SigIgn"], 16) | int(masks["SigBlk"], 16)
        # A shell itself has what it starts in the background ignore SIGINT.
        assert [number for number in DEAF if ignored >> (number - 1) & 1] in ([], [signal.SIGINT])


def test_8_a_look_does_nothing_about_signals(host: Host) -> None:
    host.proven(OLD)
    for number in DEAF:
        signal.signal(number, signal.SIG_DFL)
    host.visit(PREPARE, check=True)
    assert {signal.getsignal(number) for number in DEAF} == {signal.SIG_DFL}
    assert sys.version_info >= (3, 8)
