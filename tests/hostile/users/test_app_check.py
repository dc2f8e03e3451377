# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's process that looks like the application's: whatever it was given, root does not run it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import processes, run_as
from attacker import OLD, USER, link, look, put

NAME = "gunicorn: hostile"
PATTERN = [{"pattern": "^gunicorn: hostile"}]
# Says who it is, on one line.
WHO = "echo uid=$(id -u) mark=$MARK $(grep -E '^(Uid|Gid|Groups|NoNewPrivs|CapEff|CapPrm|CapAmb)' /proc/self/status | tr -s '\\t \\n' ' ')"
SLEEPS = "import time; print('x', flush=True); time.sleep(60)"


@pytest.fixture
def env(place: Path) -> Path:
    return put(place / "root/env", f"SECRET_KEY={OLD}\n", 0, 0o600)


@pytest.fixture
def evil(place: Path) -> Path:
    """A folder of the user's with code that marks who ran it, in front of everything else."""
    evil = place / "home/evil"
    evil.mkdir()
    code = f"import os\nopen({str(place / 'home')!r} + '/ran-as-%d' % os.geteuid(), 'w').close()\n"
    put(evil / "sitecustomize.py", code, USER, 0o644)
    return evil


def given(evil: Path, **more: str) -> Dict[str, str]:
    return {
        "PATH": f"{evil}:/usr/bin:/bin",
        "PYTHONPATH": str(evil),
        "MARK": "evil",
        "ENV": str(evil / "x"),
        "SECRET_KEY": OLD,
        **more,
    }


def ran_as(place: Path) -> List[str]:
    return sorted(path.name for path in (place / "home").glob("ran-as-*"))


def check(place: Path, env: Path, command: Any, **more: Any) -> Dict[str, Any]:
    found = look(place, env, **{"processes": PATTERN, "app_check": command, **more})
    # A look that believes nothing of a host asks nothing there either.
    return dict(found["app_check"]) if "app_check" in found else {"ok": False, "text": found["msg"]}


def until(so: Any) -> None:
    end = time.monotonic() + 10
    while not so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def uids(pid: int) -> List[str]:
    lines = Path(f"/proc/{pid}/status").read_text().split("\n")
    return next(line.split()[1:] for line in lines if line.startswith("Uid:"))


def asking(user: Any, evil: Path) -> Any:
    """Start su, which waits for a password with the user's real id and root's effective one."""
    program = shutil.which("su")
    if not program or not os.stat(program).st_mode & 0o4000:
        pytest.skip("no setuid su here")
    child = user([NAME, "root"], executable=program, env=given(evil))
    until(lambda: uids(child.pid)[:2] == [str(USER), "0"])
    return child


def raised(user: Any, place: Path, evil: Path) -> Any:
    """Start a setuid program that has made all of its ids root's."""
    program = place / "root/raised"
    place.joinpath("root").chmod(0o755)
    shutil.copy(os.path.realpath("/usr/bin/python3"), program)
    program.chmod(0o4755)
    code = "import os, time; os.setresuid(0, 0, 0); os.setresgid(0, 0, 0); print('x', flush=True); time.sleep(60)"
    child = user([NAME, "-I", "-S", "-c", code], executable=str(program), env=given(evil))
    if not child.stdout.readline() or uids(child.pid) != ["0"] * 4:
        pytest.skip("setuid programs are not allowed in the folder of the tests")
    return child


@pytest.mark.parametrize("how", [asking, raised])
@pytest.mark.parametrize("source", ["pattern", "pid file"])
def test_nothing_that_a_setuid_program_was_given_runs_as_root(
    how: Any, source: str, place: Path, env: Path, evil: Path, user: Any
) -> None:
    child = how(user, evil) if how is asking else how(user, place, evil)
    places: List[Dict[str, str]] = PATTERN
    if source == "pid file":
        places = [{"pid_file": str(put(place / "home/pid", f"{child.pid}\n", USER))}]
    answer = check(place, env, [sys.executable, "-c", "print('well')"], processes=places)
    assert ran_as(place) == []
    assert "evil" not in check(place, env, WHO, processes=places)["text"]
    if source == "pattern":
        assert not answer["ok"] and ("a command line" in answer["text"] or "rights of several users" in answer["text"])


def test_the_users_own_process_has_the_check_run_as_that_user_and_without_any_right_more(
    place: Path, env: Path, evil: Path, user: Any
) -> None:
    user([NAME, "-c", SLEEPS], executable="/usr/bin/python3", env=given(evil), extra_groups=[4, 27]).stdout.readline()
    answer = check(place, env, WHO)
    assert answer["ok"], answer
    ids = " ".join([str(USER)] * 4)
    assert answer["text"].startswith(f"uid={USER} mark=evil Uid: {ids} Gid: {ids} Groups: {USER} ")
    assert "NoNewPrivs: 1" in answer["text"]
    assert [int(word, 16) for word in answer["text"].split() if len(word) == 16] == [0, 0, 0]
    assert ran_as(place) == [f"ran-as-{USER}"]


def test_no_setuid_program_helps_the_check(place: Path, env: Path, evil: Path, user: Any) -> None:
    program = place / "root/id"
    shutil.copy(os.path.realpath(str(shutil.which("id"))), program)
    program.chmod(0o4755)
    place.joinpath("root").chmod(0o755)
    user([NAME, "-c", SLEEPS], executable="/usr/bin/python3", env=given(evil)).stdout.readline()
    answer = check(place, env, [str(program), "-u"])
    assert answer == {"ok": True, "text": str(USER)}


def test_a_command_in_the_users_folder_is_not_run_as_anybody_else(
    place: Path, env: Path, evil: Path, user: Any
) -> None:
    put(place / "home/check", "#!/bin/sh\nid -u > ran; id -u\n", USER, 0o755)
    child = user([NAME, "-c", SLEEPS], executable="/usr/bin/python3", env=given(evil), cwd=str(place / "home"))
    child.stdout.readline()
    assert check(place, env, ["./check"]) == {"ok": True, "text": str(USER)}
    (place / "home/ran").unlink()
    os.chdir("/")
    assert not check(place, env, ["./check"], processes=[{"pattern": "no such process anywhere"}])["ok"]
    assert not (place / "home/ran").exists()


@pytest.mark.parametrize("owner", [USER, 0])
def test_where_nothing_runs_the_owner_of_the_env_file_is_nobody_to_ask(owner: int, place: Path, evil: Path) -> None:
    folder = "root" if owner == 0 else "home"
    env = put(place / folder / "its.env", f"SECRET_KEY={OLD}\nPYTHONPATH={evil}\n", owner)
    answer = check(place, env, [sys.executable, "-c", "pass"], processes=[{"pattern": "no such process anywhere"}])
    assert not answer["ok"] and "app_keys_service" in answer["text"] and "trust" in answer["text"]
    assert ran_as(place) == []


def test_a_link_to_the_name_of_a_process_says_nothing(place: Path, evil: Path, user: Any) -> None:
    """That file is root's where the process is a setuid program, and its text the user's choice."""
    child = asking(user, evil)
    env = link(place / "home/.env", f"/proc/{child.pid}/comm")
    answer = look(place, env, app_check=WHO)
    assert not answer["app_check"]["ok"] and "uid=" not in answer["app_check"]["text"]


def test_a_check_that_prints_without_end_is_ended_and_holds_nothing(
    place: Path, env: Path, evil: Path, user: Any
) -> None:
    user([NAME, "-c", SLEEPS], executable="/usr/bin/python3", env=given(evil)).stdout.readline()
    before = peak()
    begun = time.monotonic()
    answer = check(place, env, ["/bin/sh", "-c", "yes evil & yes; yes"], timeout="1s")
    assert answer == {"ok": False, "text": "the check did not end within 1 s"}
    assert time.monotonic() - begun < 8
    assert peak() - before < 32 * 1024
    assert not [one for one in processes.table().values() if one.command.startswith("yes")]


def peak() -> int:
    """The most memory that this process has had, in KB."""
    return next(
        int(line.split()[1]) for line in Path("/proc/self/status").read_text().split("\n") if line.startswith("VmHWM")
    )


def test_a_process_does_not_name_its_own_ids(user: Any) -> None:
    code = r"import ctypes, time; ctypes.CDLL(None).prctl(15, b'\rUid:\t0\t0\t0\t0', 0, 0, 0); print('x', flush=True); time.sleep(60)"
    child = user(code)
    folder = os.open(f"/proc/{child.pid}", os.O_RDONLY)
    try:
        assert run_as.ids_of(folder) == (USER, USER)
    finally:
        os.close(folder)
