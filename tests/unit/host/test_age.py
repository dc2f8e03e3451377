# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`process_age`: a worker is proven by its age only where nothing better is known, and by no clock that can be set."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import processes, record
from ansible_collections.phased.keys.plugins.module_utils._host.age import Ages
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

OLD, NEW, OTHER = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop", "other-key-abcdefghijklm"
SLEEP = ["/bin/sleep", "60"]
# A master that forks a worker for each line that it is sent, as a pool does on HUP.
MASTER = """
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        time.sleep(60)
    print(pid, flush=True)
"""
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make namespaces")


def by_age(shop: Any, pid: int, **changes: Any) -> Dict[str, Any]:
    return dict(shop.worker(pid, proof="process_age", **changes))


def kind(entry: Dict[str, Any]) -> Any:
    return entry["problem"] and entry["problem"]["kind"]


def proven(entry: Dict[str, Any], *keys: str) -> bool:
    signs, accepts = fingerprint(keys[0]), [fingerprint(key) for key in keys]
    return (entry["problem"], entry["signs"], entry["accepts"], entry["by"]) == (None, signs, accepts, "process_age")


def fork(child: Any) -> int:
    child.stdin.write(b"\n")
    child.stdin.flush()
    return int(child.stdout.readline())


class TestTheBootClock:
    def test_what_started_after_the_file_was_as_it_is_has_read_it(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        shop.note()
        assert proven(by_age(shop, shop.run(SLEEP)), NEW, OLD)

    def test_what_started_before_has_not(self, shop: Any) -> None:
        shop.write(NEW, OLD)
        pid = shop.run(SLEEP)
        shop.note()
        entry = by_age(shop, pid)
        assert kind(entry) == "stale"
        assert entry["problem"]["text"] == f"started before {shop.env} was written"

    def test_in_the_same_tick_is_not_after(self, shop: Any) -> None:
        shop.write(NEW)
        pid = shop.run(SLEEP)
        shop.note()
        kept = json.loads((shop.folder / "state" / "shop.json").read_text())
        stamp = kept["stamps"][str(shop.env)]
        ticks = processes.start_ticks(pid)
        for noted, verdict in ((ticks, "stale"), (ticks - 1, None)):
            shop.note(stamps={str(shop.env): {**stamp, "ticks": noted}})
            assert kind(by_age(shop, pid)) == verdict

    def test_the_wall_clock_proves_nothing(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        pid = shop.run(SLEEP)
        shop.write(NEW)
        shop.note()
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 5)  # all that runs looks five seconds younger than it is
        assert by_age(shop, pid)["started"] > shop.env.stat().st_ctime
        assert kind(by_age(shop, pid)) == "stale"

    def test_and_takes_nothing_away(self, shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        shop.write(NEW)
        shop.note()
        pid = shop.run(SLEEP)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() - 3600)
        assert proven(by_age(shop, pid), NEW)

    def test_what_runs_after_a_reboot_is_younger_than_a_file_that_was_there(self, shop: Any) -> None:
        shop.write(NEW)
        pid = shop.run(SLEEP)
        shop.note()
        stamps = json.loads((shop.folder / "state" / "shop.json").read_text())["stamps"]
        shop.note(stamps={path: {**stamp, "boot": "another", "ticks": 1 << 60} for path, stamp in stamps.items()})
        assert proven(by_age(shop, pid), NEW)

    @pytest.mark.parametrize("rewritten", [True, False])
    def test_nothing_is_known_of_a_file_that_no_visit_saw(self, shop: Any, rewritten: bool) -> None:
        shop.write(NEW)
        if rewritten:
            shop.note()
            shop.env.write_text(shop.env.read_text())
        time.sleep(0.05)
        entry = by_age(shop, shop.run(SLEEP))
        assert kind(entry) == "undated"
        assert str(shop.env) in entry["problem"]["text"]

    def test_but_what_is_older_by_the_wall_clock_is_said_to_be(self, shop: Any) -> None:
        pid = shop.run(SLEEP)
        time.sleep(0.05)
        shop.write(NEW)
        assert kind(by_age(shop, pid)) == "stale"

    def test_of_several_files_it_has_to_be_younger_than_each(self, shop: Any) -> None:
        second = shop.folder / "second"
        shop.write(NEW)
        second.write_text(shop.env.read_text())
        shop.note()
        both = {"env_file": [str(shop.env), str(second)]}
        assert kind(by_age(shop, shop.run(SLEEP), **both)) == "undated"
        second.write_text(f"SECRET_KEY={OLD}\n")
        entry = by_age(shop, shop.run(SLEEP), **both)
        assert entry["problem"] == {"kind": "stale", "text": "its env files do not agree"}

    def test_a_file_that_says_nothing_proves_nothing(self, shop: Any) -> None:
        shop.env.write_text("A=1\n")
        shop.note()
        assert by_age(shop, shop.run(SLEEP))["problem"]["text"].startswith(
            f"nothing is known of its keys: {shop.env}: "
        )

    def test_a_stamp_stays_while_the_file_does(self, shop: Any) -> None:
        from ansible_collections.phased.keys.plugins.module_utils._host import age

        path = str(shop.env)
        assert age.stamps([path], {}) == {}
        shop.write(OLD)
        first = age.stamps([path], {})
        assert age.stamps([path], first) == first
        before = processes.ticks_now()
        shop.write(NEW)
        second = age.stamps([path], first)[path]
        assert second["ticks"] > before
        assert second["boot"] == processes.boot_id()
        assert second["ticks"] < processes.ticks_now()


class TestForks:
    def test_who_was_forked_is_as_old_as_its_parent_named_or_not(self, shop: Any, start: Any) -> None:
        shop.write(NEW)
        master = start(MASTER, {}, stdin=subprocess.PIPE)
        time.sleep(0.03)
        shop.note()
        worker = fork(master)
        shop.pid_file.write_text(str(worker))  # the master is outside, as with a pattern that fits the workers alone
        entry = by_age(shop, worker)
        assert kind(entry) == "stale"
        assert entry["problem"]["text"].startswith(f"runs on what pid {master.pid} was given, which started before")

    def test_of_a_young_parent_it_is_young(self, shop: Any, start: Any) -> None:
        shop.write(NEW)
        shop.note()
        master = start(MASTER, {}, stdin=subprocess.PIPE)
        worker = fork(master)
        shop.pid_file.write_text(str(worker))
        assert proven(by_age(shop, worker), NEW)

    def test_where_the_parent_is_gone_nothing_is_known(self, shop: Any, start: Any) -> None:
        shop.write(NEW)
        shop.note()
        master = start(MASTER, {}, stdin=subprocess.PIPE)
        worker = fork(master)
        os.kill(master.pid, signal.SIGKILL)
        master.wait(10)
        shop.pid_file.write_text(str(worker))
        entry = by_age(shop, worker)
        assert kind(entry) == "ageless"
        assert "forked by a process that is gone" in entry["problem"]["text"]

    def test_where_the_parent_runs_another_program_by_now_too(self, shop: Any, start: Any) -> None:
        shop.write(NEW)
        shop.note()
        # A shell forks, and becomes another program: what it was when it forked is gone.
        parent = start(
            ["/bin/sh", "-c", "(while :; do read -r line; done <&0) & echo $!; exec sleep 60"],
            {},
            stdin=subprocess.PIPE,
        )
        worker = int(parent.stdout.readline())
        for _try in range(200):
            if processes.table()[parent.pid].command == "sleep 60":
                break
            time.sleep(0.01)
        shop.pid_file.write_text(str(worker))
        assert kind(by_age(shop, worker)) == "ageless"

    def test_a_program_counts_by_itself_unless_its_parent_is_named_too(self, shop: Any, start: Any) -> None:
        shop.write(NEW)
        starter = start("import subprocess, sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
                        "print(subprocess.Popen(['/bin/sleep', '60']).pid, flush=True)\nsys.stdin.readline()", {}, stdin=subprocess.PIPE)  # fmt: skip
        time.sleep(0.03)
        shop.note()
        worker = fork(starter)
        shop.pid_file.write_text(str(worker))
        assert proven(by_age(shop, worker), NEW)
        shop.pid_file.write_text(str(starter.pid))
        entry = by_age(shop, worker)
        assert kind(entry) == "stale"
        assert f"pid {starter.pid}" in entry["problem"]["text"]


@root
def test_a_container_is_proven_by_no_age(shop: Any, start: Any) -> None:
    shop.write(NEW)
    shop.note()
    inside = "import os, time; print(os.fork() and 'ready', flush=True); time.sleep(60)"
    outer = start(["unshare", "--pid", "--fork", "--kill-child", "python3", "-c", inside], {"PATH": os.environ["PATH"]})
    outer.stdout.readline()
    shop.pid_file.write_text(str(outer.pid))
    found = {worker["pid"]: worker for worker in shop.look(proof="process_age")["workers"]}
    assert len(found) == 3
    assert proven(found.pop(outer.pid), NEW)
    assert {kind(worker) for worker in found.values()} == {"container"}


class TestAnEnvironmentThatCanBeRead:
    """Young is not "has the keys": what a process was given counts, whatever it may have read."""

    def test_counts_against_its_age(self, shop: Any) -> None:
        # supervisord: environment=SECRET_KEY="<old>", and an application that reads its file without overriding that.
        shop.write(NEW, OLD)
        shop.note()
        entry = by_age(shop, shop.run(SLEEP, {"SECRET_KEY": OLD}))
        assert (entry["signs"], entry["by"], entry["problem"]) == (fingerprint(OLD), "environ", None)

    @pytest.mark.parametrize(
        "given",
        [
            {"SECRET_KEY": NEW},
            {"SECRET_KEY_FALLBACKS": OLD},
            {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD},
            {"ANOTHER": OTHER},
        ],
    )
    def test_that_agrees_leaves_it_to_its_age(self, shop: Any, given: Dict[str, str]) -> None:
        shop.write(NEW, OLD)
        before = shop.run(SLEEP, given)
        shop.note()
        assert kind(by_age(shop, before)) == "stale"
        assert proven(by_age(shop, shop.run(SLEEP, given)), NEW, OLD)

    @pytest.mark.parametrize("fallbacks", ["", OTHER, f"{OLD},{OTHER}"])
    def test_in_what_it_accepts_too(self, shop: Any, fallbacks: str) -> None:
        shop.write(NEW, OLD)
        shop.note()
        entry = by_age(shop, shop.run(SLEEP, {"SECRET_KEY_FALLBACKS": fallbacks}))
        assert entry["by"] == "environ"
        assert entry["accepts"] == [fingerprint(key) for key in [NEW, *filter(None, fallbacks.split(","))]]

    def test_of_a_broken_setting_it_says_so(self, shop: Any) -> None:
        shop.write(NEW)
        shop.note()
        assert kind(by_age(shop, shop.run(SLEEP, {"SECRET_KEY": ""}))) == "empty"

    def test_without_a_file_it_is_all_that_is_known(self, shop: Any) -> None:
        entry = by_age(shop, shop.run(SLEEP, {"SECRET_KEY": OLD}))
        assert (entry["signs"], entry["by"]) == (fingerprint(OLD), "environ")


def test_a_record_of_an_earlier_release_has_no_stamps(shop: Any) -> None:
    shop.write(NEW)
    shop.note()
    path = shop.folder / "state" / "shop.json"
    kept = json.loads(path.read_text())
    del kept["stamps"]
    path.write_text(json.dumps(kept))
    time.sleep(0.05)
    assert kind(by_age(shop, shop.run(SLEEP))) == "undated"
    assert record.load(str(shop.folder / "state"), "shop") == kept


def test_where_no_file_is_named_nothing_can_be_younger_than_it() -> None:
    table = processes.table()
    said = Ages(table, [os.getpid()], {}).read(table[os.getpid()], [])
    assert said == {"signs": None, "accepts": [], "problem": {"kind": "stale", "text": "no env file is named"}}
