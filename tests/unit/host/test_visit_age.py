# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Visits of an application that is proven by its age: a real file, real processes, and a restart that is a real one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import processes, visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order, Token

OLD, NEW = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop"
OLD_FP, NEW_FP = fingerprint(OLD), fingerprint(NEW)
# Ends what the pid file names, and starts the application anew with these variables; where `keeps` is, it only says so.
RESTART = """
import os, pathlib, signal, subprocess, sys
folder, *given = sys.argv[1:]
pid = pathlib.Path(folder, "shop.pid")
if not pathlib.Path(folder, "keeps").exists():
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGKILL)
    child = subprocess.Popen(["/bin/sleep", "60"], env=dict(one.split("=", 1) for one in given), start_new_session=True)
    while not open(f"/proc/{child.pid}/cmdline").read():
        pass
    pid.write_text(str(child.pid))
"""
ADMITS = {"may_sign": [OLD_FP, NEW_FP], "known": [OLD_FP, NEW_FP], "leaked": [], "incident": False}
BOTH = {"must_accept": [OLD_FP], "may_accept": [OLD_FP, NEW_FP]}
PREPARE = Order(OLD_FP, [OLD_FP, NEW_FP], **ADMITS, **BOTH)  # type: ignore[arg-type]
PROMOTE = Order(NEW_FP, [NEW_FP, OLD_FP], **ADMITS, must_accept=[OLD_FP, NEW_FP], may_accept=[OLD_FP, NEW_FP])  # type: ignore[arg-type]


class Application:
    """An application that reads its file itself, as far as anybody can see."""

    def __init__(self, shop: Any, *given: str) -> None:
        self.shop = shop
        self.command = [sys.executable, "-c", RESTART, str(shop.folder), *given]
        self.counter = 0

    def pid(self) -> int:
        return int(self.shop.pid_file.read_text())

    def restart(self) -> None:
        subprocess.run(self.command, check=True)

    def visit(self, order: Order, step: str) -> Dict[str, Any]:
        self.counter += 1
        app = self.shop.app(restart_command=self.command, proof="process_age", timeout="0.5s")
        secrets = {OLD_FP: OLD, NEW_FP: NEW}
        request = visit.Request(app, order, Token("ring", self.counter, "n"), step, "nonce", True, [], secrets, True)
        return visit._Visit(request).make()


@pytest.fixture
def application(shop: Any) -> Iterator[Application]:
    shop.write(OLD)
    made = Application(shop)
    yield made
    (shop.folder / "keeps").unlink(missing_ok=True)
    if shop.pid_file.exists() and processes.start_ticks(made.pid()):
        os.kill(made.pid(), 9)


def workers(result: Dict[str, Any]) -> List[Any]:
    return [(worker["signs"], worker["by"]) for worker in result["evidence"]["workers"]]


def test_the_first_visit_notes_the_time_and_restarts_what_no_clock_could_date(application: Application) -> None:
    application.restart()
    first = application.pid()
    steady = Order(OLD_FP, [OLD_FP], **{**ADMITS, **BOTH, "may_accept": [OLD_FP]})  # type: ignore[arg-type]
    result = application.visit(steady, "adopt")
    assert result["proven"], result.get("msg")
    assert (result["did"]["written"], result["did"]["restarted"]) == ([], True)
    assert application.pid() != first
    assert workers(result) == [(OLD_FP, "process_age")]
    record = result["evidence"]["record"]
    assert record["uids"] == [os.geteuid()]
    assert record["stamps"][str(application.shop.env)]["boot"] == processes.boot_id()
    # Now it is dated, and the next visit leaves it alone.
    pid = application.pid()
    again = application.visit(steady, "adopt")
    assert again["proven"] and not again["did"]["restarted"]
    assert application.pid() == pid
    assert again["evidence"]["record"]["stamps"] == record["stamps"]


def test_a_rollout_goes_by_the_boot_clock(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    application.restart()
    for order, step in ((PREPARE, "prepare"), (PROMOTE, "promote")):
        result = application.visit(order, step)
        assert result["proven"], result.get("msg")
        assert workers(result) == [(order.signs, "process_age")]
    # The wall clock steps forward between the write and the look, and the restart replaces nothing.
    (application.shop.folder / "keeps").touch()
    now = time.time
    back = application.visit(PREPARE, "rollback")
    monkeypatch.setattr(time, "time", lambda: now() + 30)
    later = application.visit(PREPARE, "rollback")
    for result in (back, later):
        assert not result["proven"]
        assert f"started before {application.shop.env} was written" in result["msg"]


def test_a_file_that_another_tool_wrote_is_dated_anew(application: Application) -> None:
    application.restart()
    assert application.visit(PREPARE, "prepare")["proven"]
    env = application.shop.env
    env.write_text(env.read_text())
    time.sleep(0.05)
    application.restart()
    pid = application.pid()
    seen = application.shop.look(proof="process_age")
    assert [worker["problem"]["kind"] for worker in seen["workers"]] == ["undated"]
    result = application.visit(PREPARE, "prepare")
    assert result["proven"] and result["did"]["restarted"] and not result["did"]["written"]
    assert application.pid() != pid


def test_what_the_starter_gives_it_counts_and_the_visit_puts_the_file_back(shop: Any) -> None:
    shop.write(OLD)
    application = Application(shop, f"SECRET_KEY={OLD}")
    application.restart()
    try:
        assert application.visit(PREPARE, "prepare")["proven"]
        result = application.visit(PROMOTE, "promote")
        assert not result["proven"] and result["failed"]
        assert f"signs with {OLD_FP} and not with {NEW_FP}" in result["msg"]
        assert ": so its environment says, and app_keys_proof process_age overrules no environment" in result["msg"]
        assert f"SECRET_KEY={OLD}\n" in shop.env.read_text()
        # The settings of before were proven with what was noted when they were put back.
        assert "THE APPLICATION MAY BE DOWN" not in result["msg"]
        assert [worker["problem"] for worker in shop.look(proof="process_age")["workers"]] == [None]
    finally:
        os.kill(application.pid(), 9)


def test_an_idle_host_is_stamped_for_those_who_come_later(application: Application) -> None:
    result = application.visit(PREPARE, "prepare")
    assert result["proven"] and workers(result) == []
    application.restart()
    found = application.shop.look(proof="process_age")["workers"]
    assert [(worker["problem"], worker["signs"]) for worker in found] == [(None, OLD_FP)]
