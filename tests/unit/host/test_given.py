# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process was given when its program was started, whatever it did to that since."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
import tracemalloc
from typing import Any, Iterator, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import given, proc, processes
from ansible_collections.phased.keys.plugins.module_utils._host.processes import EnvironmentUnknown, Process

KEY = "a-key-abcdefghijklmnop"
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


def seen(child: subprocess.Popen[bytes]) -> Process:
    return processes.table()[child.pid]


def tell(process: Process) -> str:
    with pytest.raises(EnvironmentUnknown) as caught:
        processes.environment(process)
    assert str(process.pid) in str(caught.value)
    return caught.value.kind


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
        assert list(given.settings([process], ["A"])) == [(process, {"A": "1"})]

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
        assert given._judged(7, b"", 2, (100, 102, 102, 102)) == b""
        with pytest.raises(EnvironmentUnknown, match="overwritten"):
            given._judged(7, b"", 2, (100, 102, 140, 140))

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
        read = given.read

        def slow(folder: int, name: str, most: int) -> bytes:
            content = read(folder, name, most)
            if name == "environ":
                child.kill()
                child.wait(10)
            return content

        monkeypatch.setattr(given, "read", slow)
        assert tell(process) == "gone"

    def test_between_two_programs(self, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        # execve makes the new memory before it knows where the environment is: 0 for a moment.
        process = seen(start(SLEEP, {"A": "1"}))
        real, looks = proc.stat_of, []

        def early(folder: int) -> Any:
            looks.append(folder)
            stat = real(folder)
            return stat._replace(areas=(0, 0, 0, 0)) if len(looks) <= 4 else stat

        monkeypatch.setattr(proc, "stat_of", early)
        assert processes.environment(process) == {"A": "1"}
        assert len(looks) > 4

    def test_another_program_begins_while_it_is_read(self, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        # An environment of the one must not be judged by the borders of the other.
        process = seen(start(SLEEP, {"A": "1"}))
        real, looks = proc.stat_of, []

        def other(folder: int) -> Any:
            looks.append(folder)
            stat = real(folder)
            return stat._replace(areas=(1, 9, 9, 12)) if len(looks) == 1 else stat

        monkeypatch.setattr(proc, "stat_of", other)
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


@pytest.mark.parametrize("title", ["(sd-pam)", "conmon"])
def test_who_overwrote_it_is_a_worker_whatever_it_calls_itself(title: str, shop: Any) -> None:
    code = TITLE.replace("import ctypes", f"open('/proc/self/comm', 'w').write({title!r}); import ctypes", 1)
    shop.write(KEY)
    shop.run(
        "import os, sys\nif os.fork(): " + READY + f"\nsys.argv = ['', {title!r}, '1']\n" + code, {"SECRET_KEY": KEY}
    )
    for _try in range(200):
        seen = shop.look()
        if any(worker["problem"] for worker in seen["workers"]):
            break
        time.sleep(0.02)
    assert [worker["problem"]["kind"] for worker in seen["workers"] if worker["problem"]] == ["overwritten"]


# PR_SET_MM_MAP needs no privilege: the environment is as much memory as one likes, of which nothing has to be there.
MOVED = """
import ctypes, mmap, sys, time
libc = ctypes.CDLL(None)
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
fields = [0, 0, 0, *open("/proc/self/stat").read().rpartition(")")[2].split()]
now = [int(fields[number]) for number in (26, 27, 45, 46, 47)] + [libc.sbrk(0)] + [int(fields[number]) for number in (28, 48, 49)]
size = int(sys.argv[1])
area = mmap.mmap(-1, size)
area[:5] = b"A=1\\0B"
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
names = "start_code end_code start_data end_data start_brk brk start_stack arg_start arg_end env_start env_end auxv".split()
class Map(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in names] + [("auxv_size", ctypes.c_uint32), ("exe_fd", ctypes.c_uint32)]
map = Map(*now, start, start + size, 0, 0, 0xFFFFFFFF)
print(libc.prctl(35, ctypes.c_ulong(14), ctypes.byref(map), ctypes.c_ulong(ctypes.sizeof(map)), ctypes.c_ulong(0)), flush=True)
time.sleep(60)
"""


class TestWhatIsTooMuch:
    """Nothing that a user's process shows costs whoever looks at it more than a moment, and a little memory."""

    @pytest.fixture(autouse=True)
    def quick(self) -> Iterator[None]:
        yield
        tracemalloc.stop()

    def test_an_environment_that_was_moved_over_sparse_memory(self, start: Any) -> None:
        process = seen(start(MOVED, {"SECRET_KEY": "k"}, [str(1 << 28)]))
        if process.areas[3] - process.areas[2] != 1 << 28:
            pytest.skip("this kernel has no PR_SET_MM_MAP")
        tracemalloc.start()
        begun = time.process_time()
        with pytest.raises(EnvironmentUnknown, match="shows 268435456 bytes") as caught:
            processes.environment(process)
        assert caught.value.kind == "overwritten"
        assert list(given.may_hold([process], ["SECRET_KEY"])) == [process]
        assert isinstance(dict(given.settings([process], ["SECRET_KEY"]))[process], EnvironmentUnknown)
        assert time.process_time() - begun < 1
        assert tracemalloc.get_traced_memory()[1] < 3 * given.LARGEST

    def test_as_much_as_a_program_can_be_given_is_read(self, start: Any) -> None:
        # A quarter of the stack's limit of 8 MiB; one variable has 128 KiB at most.
        values = {f"N{number}": "x" * 120_000 for number in range(15)}
        process = seen(start(SLEEP, {**values, "SECRET_KEY": "k"}))
        assert processes.environment(process) == {**values, "SECRET_KEY": "k"}
        assert dict(given.settings([process], ["SECRET_KEY", "ABSENT"])) == {process: {"SECRET_KEY": "k"}}

    def test_many_large_ones_are_not_held_all_at_once(self, start: Any) -> None:
        values = {f"N{number}": "x" * 120_000 for number in range(10)}
        children = [start(SLEEP, {**values, "SECRET_KEY": "k"}) for _number in range(8)]
        table = processes.table()
        tracemalloc.start()
        found = list(
            given.settings(given.may_hold([table[child.pid] for child in children], ["SECRET_KEY"]), ["SECRET_KEY"])
        )
        assert [values for _process, values in found] == [{"SECRET_KEY": "k"}] * 8
        assert tracemalloc.get_traced_memory()[1] < 4 * 1_200_000

    def test_processes_without_a_main_thread_are_waited_for_together(self, start: Any) -> None:
        children = [start(THREADS) for _number in range(12)]
        table = processes.table()
        begun = time.process_time()
        found = dict(given.settings([table[child.pid] for child in children], ["A"]))
        assert time.process_time() - begun < 1
        assert {str(error) for error in found.values()} == {
            f"pid {child.pid} shows no environment: its main thread has ended" for child in children
        }


class TestSettings:
    def test_only_what_is_asked_for_and_by_its_whole_name(self, start: Any) -> None:
        values = {"KEY": "1", "MY_KEY": "2", "KEYS": "3", "OTHER": "KEY=4", "ODD": "\udcff"}
        process = seen(start(SLEEP, values))
        assert list(given.settings([process], ["KEY", "ODD", "NONE"])) == [(process, {"KEY": "1", "ODD": "\udcff"})]

    @pytest.mark.parametrize(
        ("values", "may"), [({"KEY": "1"}, True), ({"MY_KEY": "1"}, True), ({"A": "KEY"}, False), ({}, True)]
    )
    def test_who_is_worth_a_closer_look(self, values: Any, may: bool, start: Any) -> None:
        # Who was given nothing at all looks like one that is between two programs.
        process = seen(start(SLEEP, values))
        assert list(given.may_hold([process], ["KEY"])) == [process] * may

    @pytest.mark.parametrize("size", [-1, 1, 0])
    def test_who_shows_less_or_more_than_it_should_is(self, size: int, start: Any) -> None:
        process = seen(start(SLEEP, {"A": "1"}))
        areas = (*process.areas[:3], process.areas[3] + size)
        assert list(given.may_hold([process._replace(areas=areas)], ["KEY"])) == [process._replace(areas=areas)] * bool(
            size
        )


def test_who_shows_nothing_for_long_is_asked_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: List[int] = []
    monkeypatch.setattr(given, "_TRIES", 3)
    monkeypatch.setattr(given, "_PAUSE", 0)
    monkeypatch.setattr(given, "_given", lambda process, _proc: asked.append(process.pid))
    wanted = [processes.table()[pid] for pid in (os.getpid(), os.getppid())]
    told = {process.pid: str(found) for process, found in given._all_given(wanted, "/proc")}
    assert asked == [os.getpid(), os.getppid()] * 3
    assert told == {pid: f"pid {pid} shows no environment: its main thread has ended" for pid in asked}
