# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket may start a service between the first look of a visit and its write: it has read the file of before."""

from __future__ import annotations

import time
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import units, visit

RESTING: Dict[str, Any] = {"workers": [], "units": [{"name": "lazy.service", "active": "inactive"}]}
STALE: Dict[str, Any] = {"workers": ["stale"], "units": [{"name": "lazy.service", "active": "active"}]}
GOOD: Dict[str, Any] = {**STALE, "workers": ["good"]}


def under_way(
    monkeypatch: pytest.MonkeyPatch, looks: List[Dict[str, Any]], restarted: List[Any], service: List[str]
) -> visit._Visit:
    """A visit that found nothing running and has written, and what it will see from now on."""
    found = object.__new__(visit._Visit)
    found.app = {"timeout": 0.5, "settle": 0, "service": service, "restart_command": None, "service_scope": "system"}
    found.before = RESTING
    found.did = {"written": ["/etc/lazy.env"], "restarted": False}
    monkeypatch.setattr(found, "look_again", lambda: looks.pop(0) if len(looks) > 1 else looks[0])
    monkeypatch.setattr(found, "lacking", lambda seen: ["stale"] if "stale" in seen["workers"] else [])
    monkeypatch.setattr(visit, "compared", lambda first, second: second)
    monkeypatch.setattr(units, "restart", lambda names, timeout, scope: restarted.append(names))
    return found


def test_a_service_that_was_started_meanwhile_is_restarted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    restarted: List[Any] = []
    under = under_way(monkeypatch, [STALE, GOOD], restarted, ["lazy.service"])
    assert under.restart_and_prove(False)[0]["workers"] == ["good"]
    assert restarted == [["lazy.service"]] and under.did["restarted"]
    under = under_way(monkeypatch, [STALE], restarted, ["lazy.service"])
    assert under.restart_and_prove(False)[0]["workers"] == ["stale"]
    assert len(restarted) == 2


def test_what_stays_at_rest_is_not_started_and_what_cannot_be_restarted_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    restarted: List[Any] = []
    assert under_way(monkeypatch, [RESTING], restarted, ["lazy.service"]).restart_and_prove(False)[0] == RESTING
    assert under_way(monkeypatch, [STALE], restarted, []).restart_and_prove(False)[0] == STALE
    assert restarted == []


def test_17_a_restart_has_what_is_left_of_the_time_and_a_second_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    given: List[Any] = []
    under = under_way(monkeypatch, [GOOD], [], ["lazy.service", "queue"])
    under.app = {**under.app, "restart_command": "svc -t", "service_scope": "user"}
    monkeypatch.setattr(units, "restart", lambda names, timeout, scope: given.append((names, timeout, scope)))
    monkeypatch.setattr(units, "run", lambda command, timeout: given.append((command, timeout)))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for left, timeout in ((30.0, 30.0), (1.5, 1.5), (0.25, 1.0), (-5.0, 1.0)):
        given.clear()
        under.restart(now + left, STALE)
        assert given == [(["lazy.service", "queue"], timeout, "user"), ("svc -t", timeout)]
    assert under.did["restarted"] and under.begun == now
    # A unit that is stopped is left alone; the command may be about something else, and runs.
    given.clear()
    under.restart(now + 9, RESTING)
    assert given == [(["queue"], 9.0, "user"), ("svc -t", 9.0)]


def test_what_a_command_alone_restarts_is_restarted_when_it_was_started_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: List[Any] = []
    under = under_way(monkeypatch, [STALE, GOOD], [], [])
    under.app = {**under.app, "restart_command": "svc -t"}
    monkeypatch.setattr(units, "run", lambda command, timeout: ran.append(command))
    assert under.restart_and_prove(False)[0]["workers"] == ["good"] and ran == ["svc -t"]


def test_a_look_is_taken_again_after_a_pause_until_nothing_is_wanting_or_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock is stopped: only the pauses move it."""
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    under = under_way(monkeypatch, [STALE, STALE, GOOD], [], [])
    under.app = {**under.app, "settle": 7}
    seen, lacking = under.look_until(200.0, under.lacking)
    assert (seen["workers"], lacking, slept) == (["good"], [], [visit.PAUSE, visit.PAUSE, 7])
    # One look there is in any case, and at the very end of the time no further one.
    for left, looks in ((-5.0, 1), (0.0, 1), (visit.PAUSE, 2)):
        slept.clear()
        now[0] = 100.0
        seen, lacking = under_way(monkeypatch, [STALE], [], []).look_until(100.0 + left, under.lacking)
        assert (seen["workers"], lacking, len(slept)) == (["stale"], ["stale"], looks - 1)
