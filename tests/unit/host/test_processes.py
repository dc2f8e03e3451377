# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
from typing import Any, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils.host import processes
from ansible_collections.phased.keys.plugins.module_utils.host.processes import EnvironmentUnknown, Process

SLEEP = ["/bin/sleep", "60"]
READY = "import time; print('ready', flush=True); time.sleep(60)"

# What setproctitle(3) does: the title over arguments and environment, and the rest cleared.
TITLE = """
import ctypes, os, sys, time
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
arg_start, arg_end, env_start, env_end = (int(field) for field in fields[45:49])
title = sys.argv[1].encode() * int(sys.argv[2])  # repeated here, for the arguments are to be short
if title.startswith(b"env:"):  # the environment alone
    arg_start, title = env_start, title[4:]
ctypes.memset(arg_start, 0, env_end - arg_start)
ctypes.memmove(arg_start, title, min(len(title), env_end - arg_start - 1))
print("ready", flush=True)
time.sleep(60)
"""
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


def tell(process: Process) -> str:
    with pytest.raises(EnvironmentUnknown) as caught:
        processes.environment(process)
    assert str(process.pid) in str(caught.value)
    return caught.value.kind


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

    @pytest.mark.parametrize("name", ["a) S 1", "(x", "a b\nc", "Z) Z"])
    def test_no_name_deceives(self, name: str, start: Any) -> None:
        code = f"import time\nopen('/proc/self/comm', 'w').write({name!r})\nprint('r', flush=True); time.sleep(60)"
        child = start(code)
        found = seen(child)
        assert found.parent == os.getpid()
        assert found.ticks == processes.start_ticks(child.pid)

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


class TestEnvironment:
    def test_as_given_not_as_changed_since(self, start: Any) -> None:
        child = start("import os; os.environ['A'] = 'new'; " + READY, {"A": "old=er", "E": "", "U": "\udcff ü\n"})
        assert processes.environment(seen(child)) == {"A": "old=er", "E": "", "U": "\udcff ü\n"}

    def test_the_first_of_two_counts(self, tmp_path: pathlib.Path, start: Any) -> None:
        # Neither Python nor a shell lets one give a name twice.
        code = """
import ctypes
argv = (ctypes.c_char_p * 3)(b"sleep", b"60", None)
envp = (ctypes.c_char_p * 5)(b"A=1", b"A=2", b"=x", b"odd", None)
print("ready", flush=True)
ctypes.CDLL(None).execve(b"/bin/sleep", argv, envp)
"""
        child = start(code)
        for _try in range(100):
            process = seen(child)
            if process.command == "sleep 60":
                break
            time.sleep(0.02)
        assert processes.environment(process) == {"A": "1"}

    def test_larger_than_a_page(self, start: Any) -> None:
        given = {f"N{number}": "x" * 1000 for number in range(200)}
        assert processes.environment(seen(start(SLEEP, given))) == given

    def test_an_empty_environment_is_one(self, start: Any) -> None:
        assert processes.environment(seen(start(SLEEP, {}))) == {}

    @pytest.mark.parametrize(
        ("title", "times"),
        [
            ("short", 1),
            ("x", 2000),
            ("a title that is longer than the arguments were ", 40),
            ("SECRET_KEY=fake ", 120),  # what runs over into the environment looks like a variable
            ("env:", 1),
            ("env:only words", 1),
        ],
    )
    def test_setproctitle(self, title: str, times: int, start: Any) -> None:
        child = start(TITLE, {"SECRET_KEY": "k" * 3000}, [title, str(times)])
        assert tell(seen(child)) == "overwritten"

    def test_a_title_within_the_arguments_that_leaves_the_environment(self, start: Any) -> None:
        child = start(
            TITLE.replace("env_end - arg_start)", "env_start - arg_start)", 1), {"SECRET_KEY": "k"}, ["short", "1"]
        )
        found = seen(child)
        assert found.command == "short"
        assert processes.environment(found) == {"SECRET_KEY": "k"}

    @root
    def test_an_environment_that_was_moved_away(self, start: Any) -> None:
        # PR_SET_MM_ENV_START (needs CAP_SYS_RESOURCE): nothing is left to read, though something was given.
        code = """
import ctypes, time
end = int(open("/proc/self/stat").read().rpartition(")")[2].split()[48])
zero = ctypes.c_ulong(0)
print(ctypes.CDLL(None).prctl(35, ctypes.c_ulong(10), ctypes.c_ulong(end), zero, zero), flush=True)
time.sleep(60)
"""
        child = start(code, {"SECRET_KEY": "k"})
        if pathlib.Path(f"/proc/{child.pid}/environ").read_bytes():
            pytest.skip("PR_SET_MM is not allowed here")
        assert tell(seen(child)) == "overwritten"

    def test_borders_with_nothing_between(self) -> None:
        # The same without the capability: at execve the environment begins where the arguments end.
        assert processes._decoded(7, b"", b"a\0", (100, 102, 102, 102)) == {}
        with pytest.raises(EnvironmentUnknown, match="overwritten"):
            processes._decoded(7, b"", b"a\0", (100, 102, 140, 140))

    def test_gone(self, start: Any, until: Any) -> None:
        child = start(READY)
        process = seen(child)
        child.kill()
        until(lambda: " Z " in pathlib.Path(f"/proc/{child.pid}/stat").read_text())
        assert tell(process) == "gone"  # a zombie
        child.wait(10)
        assert tell(process) == "gone"

    def test_another_process_with_its_pid(self, start: Any) -> None:
        process = seen(start(SLEEP, {"A": "1"}))
        assert tell(process._replace(ticks=process.ticks - 1)) == "gone"

    def test_ended_while_it_was_read(self, start: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        child = start(READY)
        process = seen(child)
        read = processes._read

        def slow(folder: int, name: str) -> bytes:
            content = read(folder, name)
            if name == "environ":
                child.kill()
                child.wait(10)
            return content

        monkeypatch.setattr(processes, "_read", slow)
        assert tell(process) == "gone"

    def test_between_two_programs(self, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        # execve makes the new memory before it knows where the environment is: 0 for a moment.
        process = seen(start(SLEEP, {"A": "1"}))
        real, looks = processes._stat, []

        def early(folder: int) -> Any:
            looks.append(folder)
            stat = real(folder)
            return stat._replace(areas=(0, 0, 0, 0)) if len(looks) <= 4 else stat

        monkeypatch.setattr(processes, "_stat", early)
        assert processes.environment(process) == {"A": "1"}
        assert len(looks) > 4

    def test_another_program_begins_while_it_is_read(self, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        # An environment of the one must not be judged by the borders of the other.
        process = seen(start(SLEEP, {"A": "1"}))
        real, looks = processes._stat, []

        def other(folder: int) -> Any:
            looks.append(folder)
            stat = real(folder)
            return stat._replace(areas=(1, 9, 9, 12)) if len(looks) == 1 else stat

        monkeypatch.setattr(processes, "_stat", other)
        assert processes.environment(process) == {"A": "1"}
        assert len(looks) == 4

    def test_a_process_whose_main_thread_ended(self, start: Any) -> None:
        assert tell(seen(start(THREADS))) == "unreadable"

    @root
    def test_of_another_user(self, start: Any) -> None:
        process = seen(start(SLEEP, {"A": "1"}))
        child = os.fork()
        if not child:
            status = 3
            try:
                os.setgid(65534)
                os.setuid(65534)
                found = processes.table()[process.pid]  # seen, but not into
                try:
                    processes.environment(found)
                except EnvironmentUnknown as error:
                    status = 0 if error.kind == "unreadable" else 2
            finally:
                os._exit(status)
        assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 0


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
        ring = {2: one(2, parent=3), 3: one(3, parent=2)}
        assert processes.lineage(ring, 2) == [2, 3]
        assert [process.pid for process in processes.below(ring, 2)] == [2, 3]

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
        with pytest.raises(ValueError, match="regular expression"):
            processes.matching(table, "(", [])


class TestPidFile:
    @pytest.fixture
    def path(self, tmp_path: pathlib.Path) -> pathlib.Path:
        return tmp_path / "shop.pid"

    @pytest.mark.parametrize("form", ["{}", "{}\n", " {} \n", "{}\n/var/lib/postgresql\n5432\n"])
    def test_the_process_and_its_children(self, form: str, path: pathlib.Path, start: Any) -> None:
        child = start("import subprocess; subprocess.Popen(['/bin/sleep', '60']); " + READY)
        path.write_text(form.format(child.pid))
        table = processes.table()
        found = processes.from_pid_file(table, str(path))
        assert found == processes.below(table, child.pid)
        assert len(found) == 2

    def test_absent(self, path: pathlib.Path) -> None:
        assert processes.from_pid_file(processes.table(), str(path)) == []

    def test_not_running(self, path: pathlib.Path, start: Any) -> None:
        child = start(READY)
        path.write_text(str(child.pid))
        child.kill()
        assert child.wait(10)
        assert processes.from_pid_file(processes.table(), str(path)) == []

    @pytest.mark.parametrize(("ago", "is_it"), [(1.0, True), (50.0, True), (70.0, False), (86400.0, False)])
    def test_a_pid_that_came_round_again(self, ago: float, is_it: bool, path: pathlib.Path, start: Any) -> None:
        child = start(READY)
        path.write_text(str(child.pid))
        table = processes.table()
        written = table[child.pid].started - ago
        os.utime(path, (written, written))
        assert [process.pid for process in processes.from_pid_file(table, str(path))] == [child.pid] * is_it

    @pytest.mark.parametrize("content", ["", "\n", "x", "-1", "0", "12x", "1.5", "\n12", "9" * 20, "12 13"])
    def test_no_pid(self, content: str, path: pathlib.Path) -> None:
        path.write_text(content)
        if content.strip() == "12":
            assert processes.from_pid_file({}, str(path)) == []
            return
        with pytest.raises(ValueError, match="should hold a pid") as caught:
            processes.from_pid_file(processes.table(), str(path))
        assert str(path) in str(caught.value)


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

    def test_our_own(self) -> None:
        table = processes.table()
        own = max(table[os.getpid()].cgroups, key=len)
        assert os.getpid() in [process.pid for process in processes.in_cgroup(table, own)]


def test_the_machine_is_the_same_for_all_that_see_the_same() -> None:
    boot, _slash, namespace = processes.machine().partition("/")
    assert boot == processes.boot_id()
    assert len(boot) == 36
    assert os.readlink("/proc/self/ns/pid") == f"pid:[{namespace}]"
