# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A socket may start a service between the first look of a visit and its write: it has read the file of before."""

from __future__ import annotations

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
