# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 17: every look and every visit ends by itself."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import time
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers, files, limit, processes, record, survey
from ansible_collections.phased.keys.plugins.module_utils._host.limit import Over
from visited import OLD, Host, plain


def test_what_is_done_in_time_is_left_alone() -> None:
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    try:
        with limit.within(5, "nothing"):
            assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGALRM, before)


def slow_pattern() -> None:
    re.search("(a+)+b", "a" * 40)


def full_pipe() -> None:
    _out, into = os.pipe()
    while True:
        os.write(into, b"x" * 65536)


@pytest.mark.parametrize(
    "hangs", [lambda: time.sleep(60), slow_pattern, full_pipe, lambda: [0 for _round in iter(int, 1)]]
)
def test_whatever_hangs_is_cut_off(hangs: Any) -> None:
    began = time.monotonic()
    with pytest.raises(Over, match=r"it took longer than 0\.2 s, and was cut off"), limit.within(0.2, "it"):
        hangs()
    assert time.monotonic() - began < 5
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_nobody_on_the_way_up_takes_it_for_an_error_of_his_own() -> None:
    with pytest.raises(Over), limit.within(0.1, "it"):
        try:
            time.sleep(60)
        except Exception:  # noqa: B902
            pytest.fail("taken for one")


def test_clearing_up_has_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "GRACE", 0.3)
    cleared = []
    with pytest.raises(Over), limit.within(0.1, "it"):
        try:
            time.sleep(60)
        finally:
            time.sleep(0.2)
            cleared.append(1)
    assert cleared
    began = time.monotonic()
    with pytest.raises(Over), limit.within(0.1, "it"):
        try:
            time.sleep(60)
        finally:
            time.sleep(60)
    assert time.monotonic() - began < 5


def test_it_says_where_it_was(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = str(tmp_path / "lock")
    monkeypatch.setattr(files, "_LOCK_PAUSE", 60)
    with files.Lock(lock), pytest.raises(Over) as caught, limit.within(1, "it"):
        files.Lock(lock, wait=60).__enter__()
    assert plain(str(caught.value)) == "it took longer than 1 s, and was cut off (in files.__enter__)"


# --- looks -----------------------------------------------------------------------


def look(host: Host, **more: Any) -> Dict[str, Any]:
    """Take a look as the module does."""
    host.variables["restart_command"] = None
    given = {
        "nonce": "n",
        "known": [],
        "expect": None,
        "app_check": None,
        "packages": None,
        "crossing": None,
        "reveal": None,
        "reveal_pad": None,
    }
    return answers.answer("active_fingerprint", {**host.variables, **given, **more}, False)


@pytest.fixture
def short(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.variables.update(timeout="0.4s", settle="0.05s")
    monkeypatch.setattr(limit, "MARGIN", 1.0)


@pytest.mark.usefixtures("short")
def test_17_a_look_that_hangs_fails_in_words(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write(OLD)
    assert look(host)["evidence"]["files"][0]["signs"] == OLD
    monkeypatch.setattr(processes, "table", lambda **_all: time.sleep(60))
    began = time.monotonic()
    answer = look(host)
    assert {**answer, "msg": plain(answer["msg"])} == {
        "failed": True, "msg": "the look at this host took longer than 1.45 s, and was cut off (in look._find)",
    }  # fmt: skip
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("asked", [{"expect": {"signs": "0" * 16}}, {"app_check": "sleep 60"}], ids=["expect", "check"])
def test_17_what_else_is_asked_of_a_look_has_time_of_its_own(host: Host, elsewhere: Any, asked: Dict[str, Any]) -> None:
    host.goes(OLD)
    lock = record.lock_path(str(host.state), "shop")
    elsewhere("import sys, time\nwith files.Lock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(60)", lock)
    answer = look(host, **asked)
    assert "cut off" not in answer.get("msg", "") and answer["evidence"]["workers"]
    if "expect" in asked:
        assert "not as expected after 0 s" in answer["msg"]
    else:
        assert answer["app_check"] == {"ok": False, "text": "the check did not end within 0 s"}


@pytest.mark.usefixtures("short")
def test_17_a_visit_that_is_under_way_is_waited_for_and_then_said(host: Host, elsewhere: Any) -> None:
    host.goes(OLD)
    lock = record.lock_path(str(host.state), "shop")
    other = elsewhere(
        "import sys, time\nwith files.Lock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(60)", lock
    )
    began = time.monotonic()
    assert look(host)["evidence"]["visit"] == other.pid
    assert 0.4 <= time.monotonic() - began < 5
    other.kill()
    other.wait()
    began = time.monotonic()
    assert look(host)["evidence"]["visit"] is None
    assert survey.PAUSE < 1


def test_17_a_visit_that_ends_is_not_waited_for_any_longer(host: Host, elsewhere: Any) -> None:
    host.goes(OLD)
    host.variables["timeout"] = "60s"
    lock = record.lock_path(str(host.state), "shop")
    elsewhere("import sys, time\nwith files.Lock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(0.4)", lock)
    began = time.monotonic()
    assert look(host)["evidence"]["visit"] is None
    assert time.monotonic() - began < 10
