# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import time
from typing import Any, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import proc, processes
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from ansible_collections.phased.keys.plugins.module_utils._host.processes import Process

SLEEP = ["/bin/sleep", "60"]
READY = "import time; print('ready', flush=True); time.sleep(60)"

THREADS = """
import ctypes, os, threading, time
def go_on():
    while "Z" not in open("/proc/self/stat").read().rpartition(")")[2]:
        time.sleep(0.01)
    os.write(1, b"ready\\n")
    time.sleep(60)
threading.Thread(target=go_on).start()
ctypes.CDLL(None).pthread_exit(None)
"""
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


def one(pid: int, **changed: Any) -> Process:
    values = {"parent": 1, "ticks": 1, "started": 0.0, "uid": 0, "gid": 0, "command": "x", "cgroups": (), **changed}
    return Process(pid=pid, **values)


def seen(child: subprocess.Popen[bytes]) -> Process:
    return processes.table()[child.pid]


class TestTable:
    def test_a_process_is_as_it_is(self, start: Any) -> None:
        before = time.time()
        child = start(READY, {"A": "1"}, ["two words", "x"])
        found = seen(child)
        assert found.parent == os.getpid()
        assert before - 1 <= found.started <= time.time() + 1
        assert (found.uid, found.gid) == (os.geteuid(), os.getegid())
        assert found.command == f"{sys.executable} -c {READY} two words x"
        lines = pathlib.Path(f"/proc/{child.pid}/cgroup").read_text().splitlines()
        assert set(found.cgroups) == {line.split(":", 2)[2] for line in lines}
        assert len(set(found.cgroups)) == len(found.cgroups)

    def test_the_identity_lasts(self, start: Any) -> None:
        child = start(READY)
        first, second = seen(child), seen(child)
        assert first.ticks == second.ticks == processes.start_ticks(child.pid)
        assert first.started == pytest.approx(second.started, abs=0.5)

    def test_started_differs_as_ticks_do_when_the_clock_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = processes.table()
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 3600)
        later = processes.table()
        assert later[1].started - own[1].started == pytest.approx(3600, abs=1)
        hertz = os.sysconf("SC_CLK_TCK")
        pid = os.getpid()
        assert later[pid].started - later[1].started == pytest.approx((own[pid].ticks - own[1].ticks) / hertz)

    def test_without_arguments_the_name_stands_in_brackets(self, start: Any, until: Any) -> None:
        child = start([""], {}, executable="/bin/cat", stdin=subprocess.PIPE)
        until(lambda: seen(child).command == "[cat]")
        child.stdin.close()

    @root
    @pytest.mark.parametrize("ids", [(7, 7, 7), (7, 0, 0), (7, 7, 0), (0, 7, 0), (0, 0, 7)])
    @pytest.mark.parametrize("kind", ["u", "g"])
    def test_whose_it_is(self, kind: str, ids: Tuple[int, ...], start: Any) -> None:
        found = seen(start(f"import os; os.setres{kind}id{ids}; " + READY))
        other, got = (found.gids, found.uids) if kind == "u" else (found.uids, found.gids)
        assert (got, set(other)) == ((*ids, ids[1]), {0})  # the file system's follows the effective one
        assert (found.uid if kind == "u" else found.gid) == ids[1]

    def test_who_was_forked_shares_what_its_parent_was_given_until_it_starts_a_program(self, start: Any) -> None:
        child = start("import os, subprocess; os.fork() and subprocess.Popen(['/bin/sleep', '60']); " + READY)
        child.stdout.readline()  # of the second of the two
        table = processes.table()
        first, *others = processes.below(table, child.pid)
        program = next(process for process in others if process.command == "/bin/sleep 60")
        forked = next(process for process in others if process is not program)
        assert (first.forked, forked.forked, program.forked) == (False, True, False)
        assert forked.image == first.image != program.image
        assert first.image and program.image

    def test_what_is_not_asked_for_is_not_there(self, start: Any) -> None:
        child = start(READY)
        bare = processes.table(read=[])[child.pid]
        assert (bare.uid, bare.gid, bare.uids, bare.gids, bare.cgroups) == (-1, -1, (), (), ())
        assert bare.command.startswith("[")
        full = seen(child)
        assert processes.whole(bare) == full._replace(started=pytest.approx(full.started, abs=0.5))
        assert processes.whole(bare._replace(ticks=bare.ticks - 1)) is None
        child.kill()
        child.wait(10)
        assert processes.whole(bare) is None

    def test_of_a_command_line_the_beginning(self, start: Any) -> None:
        child = start(READY, {}, ["x" * 100_000, "needle"])
        assert len(seen(child).command) == proc.LONGEST_COMMAND

    def test_the_boot_clock_is_the_one_by_which_a_start_is_told(self, start: Any) -> None:
        for _round in range(5):
            before = processes.ticks_now()
            child = start(SLEEP)
            found = processes.start_ticks(child.pid)
            assert found is not None
            assert before <= found <= processes.ticks_now()

    @pytest.mark.parametrize(
        "name", ["a) S 1", "(x", "a b\nc", "Z) Z", "\nUid:\t7\t7\t7", "\rUid:\t7\t7", "\x0bUid:\t7\t7"]
    )
    def test_no_name_deceives(self, name: str, start: Any) -> None:
        code = f"import time\nopen('/proc/self/comm', 'w').write({name!r})\nprint('r', flush=True); time.sleep(60)"
        child = start(code)
        found = seen(child)
        assert found.parent == os.getpid()
        assert found.ticks == processes.start_ticks(child.pid)
        assert set(found.uids) == {os.geteuid()}

    def test_the_dead_are_left_out(self, start: Any, until: Any) -> None:
        child = start(READY)
        assert child.pid in processes.table()
        child.kill()
        until(lambda: " Z " in pathlib.Path(f"/proc/{child.pid}/stat").read_text())
        assert child.pid not in processes.table()
        assert processes.start_ticks(child.pid) is None
        child.wait(10)
        assert child.pid not in processes.table()
        assert processes.start_ticks(child.pid) is None

    def test_a_process_whose_main_thread_ended_still_serves(self, start: Any) -> None:
        child = start(THREADS)
        assert child.pid in processes.table()

    def test_kernel_threads_are_left_out(self) -> None:
        found = processes.table()
        assert 1 in found
        assert os.getpid() in found
        assert not [process for process in found.values() if process.command == "[kthreadd]"]
        assert 2 not in found or found[2].command[0] != "["

    def test_processes_that_come_and_go_do_no_harm(self) -> None:
        storm = subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"], start_new_session=True)
        try:
            for _round in range(20):
                assert os.getpid() in processes.table()
        finally:
            storm.kill()
            storm.wait(10)


class TestFamilies:
    TREE = {pid: one(pid, parent=parent) for pid, parent in ((1, 0), (9, 1), (5, 9), (4, 5), (7, 9), (8, 1))}

    def test_below(self) -> None:
        assert [process.pid for process in processes.below(self.TREE, 9)] == [4, 5, 7, 9]
        assert [process.pid for process in processes.below(self.TREE, 8)] == [8]
        assert processes.below(self.TREE, 6) == []

    def test_lineage(self) -> None:
        assert processes.lineage(self.TREE, 4) == [4, 5, 9, 1]
        assert processes.lineage(self.TREE, 6) == [6]

    def test_a_ring_of_stale_parents_ends(self) -> None:
        keyring = {2: one(2, parent=3), 3: one(3, parent=2)}
        assert processes.lineage(keyring, 2) == [2, 3]
        assert [process.pid for process in processes.below(keyring, 2)] == [2, 3]

    def test_a_great_family_takes_no_time(self) -> None:
        line = {pid: one(pid, parent=pid - 1) for pid in range(1, 20_001)}
        wide = {pid: one(pid, parent=1 if pid > 1 else 0) for pid in range(1, 20_001)}
        begun = time.process_time()
        assert len(processes.below(line, 1)) == len(processes.below(wide, 1)) == 20_000
        assert time.process_time() - begun < 1

    def test_real_ones(self, start: Any) -> None:
        code = "import subprocess; subprocess.Popen(['/bin/sleep', '60']); " + READY
        child = start(code)
        table = processes.table()
        family = processes.below(table, child.pid)
        assert [process.command for process in family[1:]] == ["/bin/sleep 60"]
        line = processes.lineage(table, family[1].pid)
        assert line[:3] == [family[1].pid, child.pid, os.getpid()]
        assert line[-1] == 1

    def test_matching(self) -> None:
        table = {3: one(3, command="gunicorn: worker [shop]"), 2: one(2, command="python gunicorn shop")}
        assert [process.pid for process in processes.matching(table, "gunicorn.*shop", [])] == [2, 3]
        assert [process.pid for process in processes.matching(table, "gunicorn.*shop", [2])] == [3]
        assert [process.pid for process in processes.matching(table, "^python", [])] == [2]
        with pytest.raises(Unusable, match="regular expression"):
            processes.matching(table, "(", [])

    def test_a_long_command_line_is_matched_in_no_time(self, start: Any) -> None:
        hostile = "gunicorn " * 14_000  # 126 KB, of which each word begins a search to the end
        child = start(READY, {}, [hostile, "shop"])
        begun = time.process_time()
        table = processes.table()
        assert processes.matching(table, "gunicorn.*gunicorn.*shop", []) == []
        assert child.pid in [process.pid for process in processes.matching(table, "gunicorn.*gunicorn", [])]
        assert time.process_time() - begun < 5

    def test_who_is_called_the_same_is_matched_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        searched = []

        class Expression:
            def search(self, command: str) -> bool:
                searched.append(command)
                return command == "a"

        monkeypatch.setattr(re, "compile", lambda pattern: Expression())
        table = {pid: one(pid, command="ab"[pid % 2]) for pid in range(10)}
        assert [process.pid for process in processes.matching(table, "a", [4])] == [0, 2, 6, 8]
        assert sorted(searched) == ["a", "b"]


class TestCgroups:
    UNIT = "/system.slice/shop.service"

    @pytest.mark.parametrize(
        "cgroups",
        [
            ("/system.slice/shop.service",),
            ("/system.slice/shop.service/workers/a",),  # Delegate=yes
            ("/", "/system.slice/shop.service"),  # version 1 and hybrid
        ],
    )
    def test_inside(self, cgroups: Tuple[str, ...]) -> None:
        table = {1: one(1, cgroups=("/init.scope",)), 5: one(5, cgroups=cgroups)}
        assert [process.pid for process in processes.in_cgroup(table, self.UNIT)] == [5]

    @pytest.mark.parametrize(
        "cgroups",
        [
            (),
            ("/",),
            ("/system.slice",),
            ("/system.slice/shop.service2",),
            ("/system.slice/other.service", "/system.slice"),
            ("/machine.slice/web/system.slice/shop.service",),  # a container's: not this host's unit
        ],
    )
    def test_outside(self, cgroups: Tuple[str, ...]) -> None:
        table = {1: one(1, cgroups=("/", "/init.scope")), 5: one(5, cgroups=cgroups)}
        assert processes.in_cgroup(table, self.UNIT) == []

    @pytest.mark.parametrize("root", ["/machine.slice/web", "/..", "/docker/0123"])
    def test_seen_from_outside_of_the_namespace(self, root: str) -> None:
        table = {1: one(1, cgroups=("/x", root + "/init.scope")), 5: one(5, cgroups=(root + self.UNIT,))}
        assert [process.pid for process in processes.in_cgroup(table, self.UNIT)] == [5]
        assert [process.pid for process in processes.in_cgroup(table, root + self.UNIT)] == [5]

    def test_no_path_is_not_the_root(self) -> None:
        assert processes.in_cgroup(processes.table(), "") == []

    def test_the_root_holds_all(self) -> None:
        table = processes.table()
        assert len(processes.in_cgroup(table, "/")) == len(table)

    @pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\x85", "\u2028", ":", " "])
    def test_nobodys_group_is_called_like_two(self, odd: str, tmp_path: pathlib.Path) -> None:
        # Whoever has a group delegated may call those in it what he likes, but for line feeds.
        folder = tmp_path / "77"
        folder.mkdir()
        for name in ("stat", "status", "cmdline"):
            (folder / name).write_bytes(pathlib.Path(f"/proc/self/{name}").read_bytes())
        (folder / "cgroup").write_text(f"0::/user.slice/x{odd}0::{self.UNIT}\n")
        table = processes.table(str(tmp_path))
        assert table[77].cgroups == (f"/user.slice/x{odd}0::{self.UNIT}",)
        assert processes.in_cgroup(table, self.UNIT) == []

    def test_our_own(self) -> None:
        table = processes.table()
        own = max(table[os.getpid()].cgroups, key=len)
        assert os.getpid() in [process.pid for process in processes.in_cgroup(table, own)]


def test_the_machine_is_the_same_for_all_that_see_the_same() -> None:
    boot, _slash, namespace = processes.machine().partition("/")
    assert boot == processes.boot_id()
    assert len(boot) == 36
    assert os.readlink("/proc/self/ns/pid") == f"pid:[{namespace}]"
