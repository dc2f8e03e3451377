# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What encrypts anew on a host, and what shows it: as whom, with which keys, and what is told of it."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers, files, record
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

NEW, OLD = "base64:bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LW5ldyE=", "base64:b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZCE="
PASSWORD = "hunter2-hunter2"
SLEEP = ["/bin/sleep", "60"]
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become others")


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What it does to signals is undone after it."""
    numbers = (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def asked(
    shop: Any, command: Any, shows: Any = "true", check: bool = False, key: str = NEW, **more: Any
) -> Dict[str, Any]:
    """Have it done with the keys NEW and OLD."""
    given = {
        "name": "shop", "env_file": [str(shop.env)], "processes": {"pid_file": str(shop.pid_file)}, "settle": "0s",
        "timeout": "1s", "state_dir": str(shop.folder / "state"), "restart_command": "true", "host": "web1", "within": "5s",
        "command": command, "shows": shows, "key": fingerprint(key), **more,
    }  # fmt: skip
    return answers.answer("reencrypt", given, check)


@pytest.fixture
def runs(shop: Any) -> Any:
    """A host whose application runs, with a password in its environment."""
    shop.write(NEW, OLD)
    # Of a process of root's nothing is taken, and of a user's nothing else.
    shop.env.write_text(f"{shop.env.read_text()}DATABASE={PASSWORD}\n")
    shop.run(SLEEP, {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD, "DATABASE": PASSWORD, "PATH": os.environ["PATH"]})
    return shop


def test_19_the_command_has_all_keys_and_the_proof_the_one_that_signs_alone(runs: Any) -> None:
    says = 'printf "%s|%s|%s" "$SECRET_KEY" "$SECRET_KEY_FALLBACKS" "$DATABASE" >'
    answer = asked(runs, f"{says} {runs.folder}/command", f"{says} {runs.folder}/proof")
    assert answer["shown"] is True and not answer.get("failed"), answer
    assert (runs.folder / "command").read_text() == f"{NEW}|{OLD}|{PASSWORD}"
    assert (runs.folder / "proof").read_text() == f"{NEW}||{PASSWORD}"


@pytest.mark.parametrize("which", ["run", "proof"])
def test_19_what_fails_is_told_by_its_last_line_without_a_key_or_a_password(runs: Any, which: str) -> None:
    bare = f"{NEW.partition(':')[2]} {OLD.partition(':')[2]}"
    fails = f"echo first; echo row 5: {NEW} {OLD} {bare} {PASSWORD} is lost; exit 3"
    marked = f"touch {runs.folder}/proved"
    answer = asked(runs, fails, marked) if which == "run" else asked(runs, "true", fails)
    assert answer["failed"] and "shown" not in answer
    assert answer["msg"].startswith(f"app_keys_reencrypt.{which}, as ")
    assert answer["msg"].endswith("row 5: *** *** *** *** *** is lost")
    assert not (runs.folder / "proved").exists(), "there is nothing to show"


def test_19_a_file_that_signs_with_another_key_runs_nothing(runs: Any) -> None:
    answer = asked(runs, f"touch {runs.folder}/done", key=OLD)
    assert answer["failed"] and f"signs with {fingerprint(NEW)}, not with {fingerprint(OLD)}" in answer["msg"]
    runs.env.write_text("SECRET_KEY=\n")
    assert "SECRET_KEY is empty" in asked(runs, f"touch {runs.folder}/done")["msg"]
    assert not (runs.folder / "done").exists()


def test_19_one_at_a_time_and_none_in_check_mode(runs: Any) -> None:
    marks = f"touch {runs.folder}/done"
    assert asked(runs, marks, check=True) == {"changed": False}
    with files.Lock(record.lock_path(str(runs.folder / "state"), "shop")):
        answer = asked(runs, marks, timeout="0.1s")
    assert answer["failed"] and "still under way: run again when it has ended" in answer["msg"]
    assert not (runs.folder / "done").exists()


def test_19_what_takes_too_long_is_ended_with_all_that_it_started(runs: Any) -> None:
    answer = asked(runs, f"sleep 61.5 & echo $! > {runs.folder}/pid; wait", within="0.5s")
    assert answer["failed"] and answer["msg"].endswith("it did not end within 0 s")
    line = Path(f"/proc/{(runs.folder / 'pid').read_text().strip()}/cmdline")
    assert not line.exists() or not line.read_bytes(), "it has ended, be it reaped or not"


def test_19_where_nobody_says_as_whom_it_is_left_to_a_person(shop: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("who is not root asks an application of his own")
    shop.write(NEW, OLD)
    answer = asked(shop, "true")
    assert answer["failed"] and answer["msg"].startswith("it was not run: nothing runs")
    assert answer["msg"].endswith("or do it by hand and say so with app_keys_reencrypted")


@root
def test_19_it_runs_as_the_users_of_the_workers_and_without_any_right_of_roots(shop: Any) -> None:
    nobody = pwd.getpwnam("nobody")
    shop.write(NEW, OLD)
    shop.run(SLEEP, {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD, "PATH": os.environ["PATH"]}, user=nobody.pw_uid)
    answer = asked(shop, 'echo "$(id -u) $(grep CapEff /proc/self/status)"; exit 1')
    assert (
        f"{nobody.pw_uid} CapEff:\t0000000000000000" in answer["msg"]
        or f"{nobody.pw_uid} CapEff: 0000000000000000" in answer["msg"]
    )
