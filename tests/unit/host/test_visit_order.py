# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a visit does in which order: the lock, the token, the file, the restart."""

from __future__ import annotations

import os
import time
from typing import Any, Callable, List

from ansible_collections.phased.keys.plugins.module_utils._host import files, record, units, visit
from visited import NEW, OLD, PREPARE, SECRET, Host


def seen_by(monkeypatch: Any, module: Any, name: str, look: Callable[[], Any]) -> List[Any]:
    """What is true each time when a function is about to be called."""
    real, found = getattr(module, name), []

    def spied(*arguments: Any, **options: Any) -> Any:
        found.append(look())
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, spied)
    return found


def test_4_the_token_is_on_the_host_before_the_file_is(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    # The record itself is written by the same function: the second call is the one for the file. The one after it notes since
    # when the file is as it is, and the last one the proof.
    found = seen_by(monkeypatch, files.Place, "replace", lambda: (host.record(), SECRET[NEW] in host.env.read_text()))
    assert host.visit(PREPARE)["proven"]
    states = [(seen["state"], seen["counter"], new) for seen, new in found]
    assert states == [("proven", 2, False), ("visiting", 3, False), ("visiting", 3, True), ("visiting", 3, True)]
    assert (found[1][0]["signs"], found[1][0]["workers"], found[1][0]["pools"]) == (OLD, 3, [1])


def test_16_since_when_the_file_is_as_it_is_stands_in_the_record_before_each_restart(
    host: Host, monkeypatch: Any
) -> None:
    host.proven(OLD)
    stamps = seen_by(
        monkeypatch, units, "run", lambda: (host.record()["stamps"][str(host.env)], files.identity(str(host.env)))
    )
    host.then("exit 3")
    assert host.visit(PREPARE)["failed"]
    (first, new), (second, back) = stamps
    assert first["identity"] == new and second["identity"] == back != new and first["ticks"] < second["ticks"]


def test_8_the_host_is_locked_from_before_the_look_until_all_is_said(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    lock = record.lock_path(str(host.state), "shop")
    looks = seen_by(monkeypatch, visit, "look", lambda: files.holder(lock))
    restarts = seen_by(monkeypatch, units, "run", lambda: files.holder(lock))
    notes = seen_by(monkeypatch, record, "save", lambda: files.holder(lock))
    host.then("exit 3")
    assert host.visit(PREPARE)["failed"]
    assert set(looks + restarts + notes) == {os.getpid()} and len(restarts) == 2
    # Of the token, of the file before each of the two restarts, and of the end.
    assert len(notes) == 4
    assert files.holder(lock) is None


def test_8_a_visit_waits_for_another_and_then_says_who_has_the_lock(host: Host, elsewhere: Any) -> None:
    host.proven(OLD)
    host.variables["timeout"] = "0.4s"
    lock = record.lock_path(str(host.state), "shop")
    other = elsewhere(
        "import sys, time\nwith files.Lock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(60)", lock
    )
    began, before = time.monotonic(), host.record()
    answer = host.visit(PREPARE)
    assert 0.4 <= time.monotonic() - began < 10
    assert answer["failed"] and not answer["changed"]
    assert answer["msg"].startswith(f"pid {other.pid} has held {lock} since ") and answer["msg"].endswith(
        visit.IN_FLIGHT
    )
    assert host.record() == before
    # A check changes nothing, and waits for nobody.
    assert host.visit(PREPARE, check=True)["changed"]


def test_8_a_visit_goes_on_when_the_other_has_ended(host: Host, elsewhere: Any) -> None:
    host.proven(OLD)
    lock = record.lock_path(str(host.state), "shop")
    elsewhere("import sys, time\nwith files.Lock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(0.6)", lock)
    assert host.visit(PREPARE)["proven"]
