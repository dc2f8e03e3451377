# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the named processes and those beside them hold, however they are made."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import time
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import helpers, processes, workers
from ansible_collections.phased.keys.plugins.module_utils._host.processes import Process
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile

OURS, OTHER = "our-key-abcdefghijklmnop", "another-key-abcdefghijkl"


@pytest.mark.parametrize(
    "values, found",
    [
        ({"SECRET_KEY": OURS}, True),
        ({"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": "a,"}, True),
        ({"SECRET_KEY_FALLBACKS": f"{OTHER},{OURS}"}, True),
        ({"SECRET_KEY": OTHER, "SECRET_KEY_FALLBACKS": OTHER}, False),
        ({"SECRET_KEY": "", "SECRET_KEY_FALLBACKS": ""}, False),
        ({"ANOTHER_SETTING": OURS}, False),
    ],
)
def test_a_held_key_is_found_however_malformed_the_list_is(values: Dict[str, str], found: bool) -> None:
    held = [fingerprint(OURS)]
    assert workers.any_keys(profile("django"), values, held) == (held if found else [])


@pytest.mark.parametrize(
    "command, called",
    [
        ("/usr/bin/python3 /srv/shop/worker.py --password=hunter2", "python3 /srv/shop/worker.py"),
        ("celery -b amqp://user:hunter2@rabbit/", "celery"),
        ("python -c print('hunter2')", "python"),
    ],
)
def test_a_process_is_called_without_arguments_that_may_be_secrets(command: str, called: str) -> None:
    assert workers.called(Process(1, 0, 1, 1.0, 0, 0, command, ())) == called


SLEEP = ["/bin/sleep", "60"]
READY = "import time; print('ready', flush=True); time.sleep(60)"
PYTHON = os.path.basename(sys.executable)
NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


class TestOthers:
    """A process outside the named ones that holds a key is found by every key that is known here."""

    @pytest.mark.parametrize("where", ["env file", "worker", "keyring"])
    def test_with_a_key_that_is_only_in(self, where: str, shop: Any, start: Any) -> None:
        key = {"env file": "the-file-abcdefghijklmn", "worker": "the-worker-abcdefghijklmn", "keyring": OTHER}[where]
        shop.write("the-file-abcdefghijklmn")
        shop.run(SLEEP, {"SECRET_KEY": "the-worker-abcdefghijklmn"})
        other = start(SLEEP, {"SECRET_KEY": "nobody-knows-this-abcd", "SECRET_KEY_FALLBACKS": f"x,{key}"})
        stranger = start(SLEEP, {"SECRET_KEY": "nobody-knows-this-abcd"})
        found = {entry["pid"]: entry for entry in shop.look(known=[fingerprint(OTHER)])["others"]}
        assert found[other.pid]["holds"] == [fingerprint(key)]
        assert found[other.pid]["signs"] == fingerprint(key)
        assert found[other.pid]["command"] == "sleep"
        assert stranger.pid not in found

    @root
    @pytest.mark.parametrize("ids, uids", [((7, 7, 7), [7]), ((7, 0, 0), [0, 7]), ((0, 0, 7), [0, 7])])
    def test_with_whose_it_is(self, ids: Any, uids: List[int], shop: Any, start: Any) -> None:
        shop.write(OURS)
        other = start(f"import os; os.setresuid{ids}; " + READY, {"SECRET_KEY": OURS})
        pid = shop.run(f"import os; os.setresuid{ids}; " + READY, {"SECRET_KEY": OURS})
        seen = shop.look()
        assert [entry["uids"] for entry in seen["others"] if entry["pid"] == other.pid] == [uids]
        assert [entry["uids"] for entry in seen["workers"] if entry["pid"] == pid] == [uids]

    def test_with_all_the_keys_that_it_holds(self, shop: Any, start: Any) -> None:
        shop.write(OURS)
        other = start(SLEEP, {"SECRET_KEY": OTHER, "SECRET_KEY_FALLBACKS": f"x,{OURS},{OTHER}"})
        found = [entry for entry in shop.look(known=[fingerprint(OTHER)])["others"] if entry["pid"] == other.pid]
        assert [entry["holds"] for entry in found] == [[fingerprint(OTHER), fingerprint(OURS)]]

    def test_of_many_that_are_alike_some(self, shop: Any, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(workers, "MOST_ALIKE", 2)
        for _number in range(4):
            start(SLEEP, {"SECRET_KEY": OURS})
        start(SLEEP, {"SECRET_KEY": OTHER})
        table = processes.table()
        found = workers.others(table, {}, profile("django"), [fingerprint(OURS), fingerprint(OTHER)])
        ours = [entry["more"] for entry in found if entry["signs"] == fingerprint(OURS)]
        assert ours == [0, 2]
        assert [entry["more"] for entry in found if entry["signs"] == fingerprint(OTHER)] == [0]

    def test_who_cannot_be_read_is_not_ours_by_name(self, shop: Any, start: Any) -> None:
        shop.write(OURS)
        gone = start(SLEEP, {"SECRET_KEY": OURS})
        table = processes.table()
        gone.kill()
        gone.wait(10)
        assert workers.others(table, {}, profile("django"), [fingerprint(OURS)]) == []


class TestLongLists:
    """What anybody can put into our settings is looked through in milliseconds, and a key that can sign is found all the same."""

    @pytest.mark.parametrize(
        "text",
        [
            "," * 60_000 + OURS,
            OURS + "," * 60_000,
            "," * 60_000 + OURS + "," * 60_000,
            ",".join([OURS, *map(str, range(20_000))]),
            ",".join([*map(str, range(20_000)), OURS]),
        ],
    )
    @pytest.mark.parametrize("name", ["SECRET_KEY", "SECRET_KEY_FALLBACKS"])
    def test_of_others(self, name: str, text: str) -> None:
        begun = time.process_time()
        for _round in range(5):
            assert workers.any_keys(profile("django"), {name: text}, [fingerprint(OURS)]) == [fingerprint(OURS)]
        assert time.process_time() - begun < 0.5

    def test_a_text_that_no_program_can_be_given(self) -> None:
        begun = time.process_time()
        text = f"{OURS}," + "," * 6_000_000
        assert workers.any_keys(profile("django"), {"SECRET_KEY": text}, [fingerprint(OURS)]) == [fingerprint(OURS)]
        assert time.process_time() - begun < 0.5

    @pytest.mark.parametrize("separator", [",", "json"])
    def test_of_a_worker(self, separator: str) -> None:
        keys = [f"key-number-{number}" for number in range(5000)]
        listed = json.dumps(keys) if separator == "json" else ",".join(keys)
        form = profile("django", {"separator": separator})
        begun = time.process_time()
        found = workers.in_fingerprints(form, {"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": listed})
        assert found["problem"] == {
            "kind": "not_a_list", "text": "SECRET_KEY_FALLBACKS lists 5001 keys, and at most 256 are looked through",
        }  # fmt: skip
        found = workers.in_fingerprints(form, {"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": "[" * 100_000})
        assert found["problem"] is not None or separator == ","
        assert time.process_time() - begun < 0.5

    def test_what_is_no_text_is_no_list(self) -> None:
        form = profile("django", {"separator": "json"})
        found = workers.in_fingerprints(form, {"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": '["\\ud800"]'})
        assert found["problem"]["kind"] == "not_a_list"
        found = workers.in_fingerprints(form, {"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": '["\udcff"]'})
        assert found["problem"] is None


class TestDoubt:
    """A named process that lives is never left out."""

    def put_back(self, shop: Any) -> None:
        then = time.time() - 600
        os.utime(shop.pid_file, (then, then))

    def test_who_may_be_another_by_now_is_a_worker_that_is_not_proven(self, shop: Any) -> None:
        shop.write(OURS)
        pid = shop.run(SLEEP)
        self.put_back(shop)
        for proof in ("environ", "process_age"):
            worker = shop.worker(pid, proof=proof)
            assert worker["problem"]["kind"] == "doubtful"
            assert f"{shop.pid_file} names pid {pid}, which started" in worker["problem"]["text"]

    def test_who_is_named_by_something_else_too_is_not_doubted(self, shop: Any, until: Any) -> None:
        shop.write(OURS)
        pid = shop.run(["/bin/sleep", "59.75"])
        self.put_back(shop)
        until(lambda: processes.table()[pid].command == "/bin/sleep 59.75")
        places = [{"pid_file": str(shop.pid_file)}, {"pattern": "^/bin/sleep 59[.]75$"}]
        for order in (places, places[::-1]):
            assert shop.worker(pid, processes=order)["problem"]["kind"] == "absent"

    def test_who_holds_our_settings_is_the_one(self, shop: Any) -> None:
        # The clock was set after the boot.
        shop.write(OURS)
        pid = shop.run(SLEEP, {"SECRET_KEY": OURS})
        self.put_back(shop)
        worker = shop.worker(pid)
        assert (worker["problem"], worker["signs"]) == (None, fingerprint(OURS))
        assert shop.worker(pid, proof="process_age")["problem"]["kind"] in ("undated", "stale")


# In place of the unit's group: one process that is named, and what it starts.
PARENT = """
import os, subprocess, sys
for line in sys.argv[1:]:
    child = subprocess.Popen(line.split(), env={}) if line[0] != "@" else subprocess.Popen(line[1:].split())
    while not open(f"/proc/{child.pid}/cmdline").read():
        pass  # its program begins a moment before it has a name
"""


class TestHelpers:
    """Who was given nothing can sign with no key of the environment; who only says so is not believed."""

    def called(self, seen: Dict[str, Any]) -> List[str]:
        return sorted(worker["command"] for worker in seen["workers"])

    def test_one_that_was_given_an_empty_environment(self, shop: Any) -> None:
        shop.write(OURS)
        shop.run(PARENT + READY, {"SECRET_KEY": OURS}, "/bin/sleep 60", "@/bin/sleep 60")
        assert self.called(shop.look()) == [PYTHON, "sleep"]

    def test_is_one_only_beside_others_that_hold_keys(self, shop: Any) -> None:
        shop.write(OURS)
        shop.run(PARENT + READY, {"PATH": "/bin"}, "/bin/sleep 60")
        seen = shop.look()
        assert self.called(seen) == [PYTHON, "sleep"]
        assert {worker["problem"]["kind"] for worker in seen["workers"]} == {"absent"}

    @pytest.mark.parametrize("environment", ["{'A': '1'}", "{'SECRET_KEY': ''}"])
    def test_one_that_was_given_another_is_none(self, environment: str, shop: Any) -> None:
        shop.write(OURS)
        shop.run(PARENT.replace("env={}", f"env={environment}") + READY, {"SECRET_KEY": OURS}, "/bin/sleep 60")
        assert self.called(shop.look()) == [PYTHON, "sleep"]

    def test_one_that_moved_it_is_none(self, shop: Any) -> None:
        areas = (100, 108, 108, 108)
        process = processes.table()[os.getpid()]
        assert not helpers.given_nothing(process._replace(areas=areas))
        assert not helpers.given_nothing(process)
        assert not helpers.given_nothing(process._replace(areas=(0, 0, 0, 0)))

    def test_by_a_pattern_it_was_named_itself(self, shop: Any, start: Any, until: Any) -> None:
        shop.write(OURS)
        with_key = start(["/bin/sleep", "59.25"], {"SECRET_KEY": OURS})
        without = start(["/bin/sleep", "59.25"], {})
        until(lambda: processes.table()[without.pid].command == "/bin/sleep 59.25")
        seen = shop.look(processes={"pattern": "^/bin/sleep 59[.]25$"})
        assert {worker["pid"] for worker in seen["workers"]} == {with_key.pid, without.pid}

    @root
    @pytest.mark.parametrize(
        "owner, mode, name, other",
        [
            (0, 0o755, "conmon", True),
            (NOBODY, 0o755, "conmon", False),
            (0, 0o775, "conmon", False),
            (0, 0o755, "worker", False),
        ],
    )
    def test_a_container_engines_own_is_told_by_its_program(
        self, owner: int, mode: int, name: str, other: bool, shop: Any, tmp_path: pathlib.Path
    ) -> None:
        program = tmp_path / name
        shutil.copy("/bin/sleep", program)
        os.chown(program, owner, 7)
        program.chmod(mode)
        shop.write(OURS)
        parent = PARENT.replace("env={}", "env={'PATH': '/bin'}")
        shop.run(parent + READY, {"SECRET_KEY": OURS}, f"{program} 60")
        assert self.called(shop.look()) == sorted([PYTHON] + [name] * (not other))
        # And by itself it is all that there is.
        shop.run([str(program), "60"], {})
        assert self.called(shop.look()) == [name]

    @root
    @pytest.mark.parametrize("how, other", [("updated", True), ("moved", False), ("has another name", False)])
    def test_by_the_program_that_has_that_name(self, how: str, other: bool, shop: Any, tmp_path: pathlib.Path) -> None:
        program = tmp_path / "conmon"
        shutil.copy("/bin/sleep", program)
        shop.write(OURS)
        parent = PARENT.replace("env={}", "env={'PATH': '/bin'}")
        shop.run(parent + READY, {"SECRET_KEY": OURS}, f"{program} 60")
        if how == "has another name":
            os.link(program, tmp_path / "another")
        if how == "moved":
            program.rename(tmp_path / "another")
        else:
            program.unlink()
            shutil.copy("/bin/sleep", program)
        assert self.called(shop.look()) == ["conmon"] * (not other) + [PYTHON]

    def test_the_managers_fork_is_told_by_its_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = {
            1: "/usr/lib/systemd/systemd",
            7: "/usr/lib/systemd/systemd",
            8: "/usr/lib/systemd/systemd-executor",
            9: "/bin/x",
        }
        monkeypatch.setattr(helpers, "_program", lambda pid, proc: programs.get(pid))
        process = processes.table()[os.getpid()]
        told = {pid: helpers.runs_for_others(process._replace(pid=pid, forked=True)) for pid in (7, 8, 9, 10)}
        assert told == {7: True, 8: True, 9: False, 10: False}
        assert not helpers.runs_for_others(process._replace(pid=7, forked=False))
        # In a container the application itself may be the first process.
        programs.update({1: "/bin/x"})
        assert not helpers.runs_for_others(process._replace(pid=9, forked=True))


@pytest.mark.parametrize(
    ("given_key", "filed", "wrong"),
    [
        ("abc", "abc#def", True), ("abc", "abc def", True), ("'abc'", "abc", True), ('"abc"', "abc", True), ("abc # x", "abc", True),
        ("a\\bc", "abc", True), ("abc", "abc", False), ("abc", "xyz", False), ("new", "old", False),
    ],
)  # fmt: skip
def test_a_key_that_is_a_cut_or_quoted_form_of_the_files_key_means_that_the_format_is_wrong(
    given_key: str, filed: str, wrong: bool
) -> None:
    of = frameworks.profile("django")
    assert workers.misread(of, {"SECRET_KEY": given_key}, {"SECRET_KEY": filed}) is wrong
    assert workers.misread(of, {}, {"SECRET_KEY": filed}) is False
