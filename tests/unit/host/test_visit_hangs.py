# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit of which some part hangs: each part has an end, and what is true then is said."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files, limit, record, visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.visit import MAY_BE_DOWN
from visited import NEW, OLD, PREPARE, SECRET, Host, holds, plain

BACK = "the previous settings were restored, and the application runs with them"


def hanging(monkeypatch: Any, module: Any, name: str, when: Callable[..., bool]) -> None:
    real = getattr(module, name)

    def hangs(*arguments: Any, **options: Any) -> Any:
        if when(*arguments, **options):
            time.sleep(15)
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, hangs)


@pytest.fixture
def short(host: Host, monkeypatch: Any) -> Host:
    """A proven host, the visits of which have little time."""
    host.proven(OLD)
    host.variables.update(timeout="0.3s", settle="0.05s")
    monkeypatch.setattr(limit, "MARGIN", 1.0)
    return host


def test_17_a_first_look_that_hangs_is_cut_off_before_anything_was_done(short: Host, monkeypatch: Any) -> None:
    lock = record.lock_path(str(short.state), "shop")
    for check in (True, False):
        hanging(monkeypatch, visit, "look", lambda *_all: True)
        began = time.monotonic()
        with pytest.raises(limit.Over, match="look"):
            short.visit(PREPARE, check=check)
        assert time.monotonic() - began < 10 and files.holder(lock) is None
    assert SECRET[NEW] not in short.env.read_text() and short.record()["state"] == "proven"


def test_17_a_write_that_hangs_is_cut_off_and_nothing_was_changed(short: Host, monkeypatch: Any) -> None:
    hanging(monkeypatch, files.Place, "replace", lambda place, *_more, **_options: place.path == str(short.env))
    answer = short.visit(PREPARE)
    told = "the change and its proof took longer than 1.35 s, and was cut off (in visit.replace). "
    assert plain(answer["msg"]).startswith(told)
    assert "the env file was not changed" in answer["msg"] and short.record()["state"] == "unproven"
    assert files.holder(record.lock_path(str(short.state), "shop")) is None


def test_17_a_look_that_hangs_after_the_write_has_the_settings_of_before_put_back(
    short: Host, monkeypatch: Any
) -> None:
    looks: List[int] = []
    hanging(monkeypatch, visit, "look_once", lambda *_all: looks.append(1) or len(looks) == 1)
    answer = short.visit(PREPARE)
    assert "the change and its proof took longer than 1.35 s" in answer["msg"] and BACK in answer["msg"]
    assert holds(answer) == [[OLD]] * 4 and short.record()["state"] == "unproven"


def test_17_a_way_back_that_hangs_too_ends_and_says_what_is_true(short: Host, monkeypatch: Any) -> None:
    looks: List[int] = []
    hanging(monkeypatch, visit, "look_once", lambda *_all: looks.append(1) or len(looks) <= 2)
    answer = short.visit(PREPARE)
    assert "could not be restored either (the way back took longer than 1.35 s" in answer["msg"]
    assert f"workers run with {OLD}, accepting {OLD}" in answer["msg"] and short.record()["state"] == "unproven"


def test_17_a_host_on_which_every_look_hangs_ends_too(short: Host, monkeypatch: Any) -> None:
    began = time.monotonic()
    hanging(monkeypatch, visit, "look_once", lambda *_all: True)
    answer = short.visit(PREPARE)
    assert time.monotonic() - began < 15
    assert "the host cannot be looked at: the host's record and a last look took longer" in answer["msg"]
    assert f"what runs is not known: {MAY_BE_DOWN}" in answer["msg"] and answer["did"]["down"]
    assert SECRET[NEW] not in short.env.read_text() and short.record()["state"] == "unproven"
    assert files.holder(record.lock_path(str(short.state), "shop")) is None


@pytest.mark.parametrize("state", ["visiting", "proven"])
def test_17_a_record_that_hangs_is_cut_off(short: Host, monkeypatch: Any, state: str) -> None:
    hanging(monkeypatch, record, "save", lambda *told: told[4] == state)
    if state == "proven":
        with pytest.raises(limit.Over, match="writing the host's record took longer"):
            short.visit(PREPARE)
    else:
        answer = short.visit(PREPARE)
        assert "the change and its proof took longer" in answer["msg"] and SECRET[NEW] not in short.env.read_text()


def test_17_an_env_file_that_hangs_when_it_is_read_is_cut_off(short: Host, monkeypatch: Any) -> None:
    reads: Dict[str, int] = {}

    def second(place: files.Place, *_more: Any) -> bool:
        reads[place.path] = reads.get(place.path, 0) + 1
        return place.path == str(short.env) and reads[place.path] == 2

    hanging(monkeypatch, files.Place, "text", second)
    with pytest.raises(limit.Over, match="reading the env file took longer"):
        short.visit(PREPARE)
    assert SECRET[NEW] not in short.env.read_text()
