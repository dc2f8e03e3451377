# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""As whom an application's check runs, and what it says. (What hostile users try is in tests/hostile/users.)"""

from __future__ import annotations

import os
import pwd
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import app_check, given, processes, run_as, units
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become others")
NOBODY = pwd.getpwnam("nobody")
SECRET = "hunter2-hunter2-hunter2"
SLEEP = ["/bin/sleep", "60"]


def app(path: Optional[Path] = None, **more: Any) -> Dict[str, Any]:
    own = {
        "profile": profile("django"), "env_format": "systemd", "env_file": [str(path)] if path else [], "timeout": 10.0, "service": [],
        "service_scope": "system", "processes": [{"pid_file": "/run/shop.pid"}],
    }  # fmt: skip
    return {**own, **more}


def workers(*pids: int) -> List[Dict[str, Any]]:
    return [{"pid": pid, "ticks": processes.start_ticks(pid)} for pid in pids]


def shown(**fields: Any) -> str:
    """What systemctl shows of a unit."""
    files = fields.pop("EnvironmentFiles", [])
    own = {
        "LoadState": "loaded",
        "ControlGroup": "/system.slice/shop.service",
        "User": "",
        "Group": "",
        "Environment": "",
    }
    lines = [f"{name}={value}" for name, value in {**own, **fields}.items()]
    return "\n".join([*lines, *(f"EnvironmentFiles={path} (ignore_errors=no)" for path in files)]) + "\n"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have systemd show these texts, and these processes be in the control group of every unit."""

    def setup(*texts: str, inside: Tuple[int, ...] = ()) -> List[Any]:
        asked: List[Any] = []

        def systemctl(scope: str, arguments: Any, timeout: float) -> Tuple[int, str, str]:
            asked.append((scope, list(arguments)))
            return 0, "\n".join(texts), ""

        monkeypatch.setattr(units, "systemctl", systemctl)
        monkeypatch.setattr(processes, "in_cgroup", lambda table, path: [table[pid] for pid in inside if pid in table])
        return asked

    return setup


def one(app: Dict[str, Any], *pids: int) -> run_as.Person:
    (person,) = run_as.persons(app, workers(*pids))
    return person


SERVICE = {"service": ["shop"], "processes": [{"unit": "shop.service"}]}


# --- a unit says it --------------------------------------------------------------


def test_what_systemd_is_asked(systemd: Any) -> None:
    asked = systemd(shown(User="nobody"), shown(User="nobody"))
    run_as._units(app(service=["shop", "queue.service"], processes=[{"unit": "shop"}], service_scope="system"))
    (question,) = asked
    assert question[0] == "system" and question[1][-3:] == ["--", "shop.service", "queue.service"]
    assert question[1][1] == "--property=LoadState,ControlGroup,User,Group,Environment,EnvironmentFiles"


def test_a_unit_that_is_not_there_says_nothing_and_an_answer_of_others_is_none(systemd: Any) -> None:
    systemd(shown(LoadState="not-found"))
    assert run_as._units(app(**SERVICE)) == []
    systemd(shown(), shown())
    with pytest.raises(run_as.Refused, match="systemctl does not say as whom shop.service would run"):
        run_as._units(app(**SERVICE))


@root
def test_one_that_does_not_run_is_asked_as_its_user_with_its_own_environment(systemd: Any, tmp_path: Path) -> None:
    for name, text in (("first", "B=2\nC=first\n"), ("second", "C='the second'\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "env").write_text("D=4\nC=ours\n")
    (tmp_path / "env").chmod(0o644)
    files = [str(tmp_path / "first"), str(tmp_path / "sec*"), str(tmp_path / "none")]
    systemd(shown(User="nobody", Environment='A=1 "B=two \\"words\\"" PATH=/srv/bin', EnvironmentFiles=files))
    person = one(app(tmp_path / "env", **SERVICE))
    assert (person.uid, person.gid, person.folder) == (NOBODY.pw_uid, NOBODY.pw_gid, "/")
    assert person.environment == {
        "PATH": "/srv/bin", "LANG": "C.UTF-8", "HOME": NOBODY.pw_dir, "USER": "nobody", "LOGNAME": "nobody",
        "A": "1", "B": "2", "C": "ours", "D": "4",
    }  # fmt: skip
    assert one(app(**SERVICE)).environment["C"] == "the second"


@root
@pytest.mark.parametrize(
    ("user", "group", "ids"),
    [
        ("65534", "", (65534, NOBODY.pw_gid)), ("nobody", "daemon", (65534, 1)), ("nobody", "7", (65534, 7)),
        ("no-such-user", "", None), ("nobody", "no-such-group", None), ("4242", "", None),
    ],
)  # fmt: skip
def test_user_and_group_by_name_and_number(user: str, group: str, ids: Optional[Tuple[int, int]], systemd: Any) -> None:
    systemd(shown(User=user, Group=group))
    if ids is None:
        with pytest.raises(run_as.Refused, match=f"shop.service runs as {user} .*start it"):
            one(app(**SERVICE))
    else:
        assert one(app(**SERVICE))[:2] == ids


@root
@pytest.mark.parametrize("user", ["", "root", "0"])
def test_one_of_roots_that_does_not_run_may_become_anybody(user: str, systemd: Any) -> None:
    systemd(shown(User=user))
    with pytest.raises(run_as.Refused, match="shop.service does not run, and would begin as root.*start it.*trust"):
        one(app(**SERVICE))


@root
def test_one_of_roots_whose_processes_are_all_roots_is_asked_as_root_with_the_units_own_alone(
    systemd: Any, start: Any, tmp_path: Path
) -> None:
    (tmp_path / "unit.env").write_text("FROM=unit\n")
    (tmp_path / "env").write_text("FROM=env\n")
    child = start(SLEEP, {"PATH": "/evil", "PYTHONPATH": "/evil"})
    systemd(shown(EnvironmentFiles=[str(tmp_path / "unit.env")]), inside=(child.pid,))
    person = one(app(tmp_path / "env", **SERVICE), child.pid)
    assert person[:3] == (0, 0, [])
    assert person.environment == {"PATH": run_as.PATH, "LANG": "C.UTF-8", "FROM": "unit", **as_root()}
    os.chown(tmp_path / "unit.env", NOBODY.pw_uid, 0)
    with pytest.raises(run_as.Refused, match=r"unit.env is nobody's, and says nothing to what runs as root"):
        one(app(**SERVICE), child.pid)


def as_root() -> Dict[str, str]:
    user = pwd.getpwuid(0)
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}


@root
def test_one_of_roots_whose_workers_are_a_users_is_asked_as_that_user(systemd: Any, start: Any) -> None:
    master, worker = (
        start(SLEEP),
        start(SLEEP, {"MARK": "its", "PATH": "/usr/bin"}, user=NOBODY.pw_uid, group=NOBODY.pw_gid, cwd="/usr"),
    )
    systemd(shown(), inside=(master.pid, worker.pid))
    person = one(app(**SERVICE), master.pid, worker.pid)
    assert (person.uid, person.environment["MARK"], person.folder, person.why) == (
        65534,
        "its",
        "/usr",
        f"pid {worker.pid}",
    )
    # Whatever else is said to be a worker: the unit says who the application is.
    other = start(SLEEP, {"MARK": "other"}, user=4242, group=4242)
    assert one(app(**SERVICE), other.pid, worker.pid, master.pid).environment["MARK"] == "its"


@root
def test_several_users_are_all_asked_up_to_a_bound(systemd: Any, start: Any) -> None:
    pids = [start(SLEEP, {"PATH": "/usr/bin"}, user=uid, group=uid).pid for uid in (4001, 4002, 4002, 4003, 4004)]
    systemd()
    assert sorted(person.uid for person in run_as.persons(app(), workers(*pids[:3]))) == [4001, 4002]
    answer = app_check.run(app(), "test $(id -u) != 4002 || { echo not mine; exit 1; }", workers(*pids[:3]))
    assert answer == {"ok": False, "text": f"as uid 4002 (pid {pids[1]}): not mine"}
    assert app_check.run(app(), "true", workers(*pids)) == {"ok": True, "text": "exit status 0"}
    more = start(SLEEP, {"PATH": "/usr/bin"}, user=4005, group=4005).pid
    with pytest.raises(run_as.Refused, match="the workers are of 5 users"):
        run_as.persons(app(), workers(*pids, more))


# --- no unit ---------------------------------------------------------------------


@root
def test_roots_workers_count_by_a_pid_file_and_not_by_a_command_line(start: Any, tmp_path: Path) -> None:
    child = start(SLEEP, {"PYTHONPATH": "/evil"})
    (tmp_path / "env").write_text("FROM=env\n")
    person = one(app(tmp_path / "env"), child.pid)
    assert person.environment == {"PATH": run_as.PATH, "LANG": "C.UTF-8", "FROM": "env", **as_root()}
    with pytest.raises(run_as.Refused, match="a command line, which anybody may give a program"):
        one(app(tmp_path / "env", processes=[{"pid_file": "/x"}, {"pattern": "x"}]), child.pid)
    os.chown(tmp_path / "env", NOBODY.pw_uid, 0)
    with pytest.raises(run_as.Refused, match="env is nobody's"):
        one(app(tmp_path / "env"), child.pid)


@root
def test_where_nothing_runs_nobody_is_to_be_asked(start: Any) -> None:
    again = workers(start(SLEEP).pid)
    again[0]["ticks"] += 1  # another process has the pid by now
    for seen in ([], again):
        with pytest.raises(run_as.Refused, match="nothing runs, and no unit says as whom"):
            run_as.persons(app(), seen)


@root
def test_a_worker_that_hides_its_environment_is_asked_with_what_its_files_say(
    start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("FROM=env\n")
    child = start(SLEEP, user=NOBODY.pw_uid, group=NOBODY.pw_gid)

    def hidden(process: Any) -> Any:
        raise given.EnvironmentUnknown("overwritten", "setproctitle")

    monkeypatch.setattr(given, "environment", hidden)
    person = one(app(tmp_path / "env"), child.pid)
    assert (person.uid, person.environment["FROM"], person.environment["PATH"]) == (65534, "env", run_as.PATH)


@root
def test_somebody_who_is_not_root_asks_what_is_his_own(
    start: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, roots = start(SLEEP, {"MARK": "ours"}, user=NOBODY.pw_uid, group=NOBODY.pw_gid), start(SLEEP)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    assert one(app(), roots.pid, ours.pid).environment["MARK"] == "ours"
    with pytest.raises(run_as.Refused, match=f"pid {roots.pid} is not nobody's: run with become"):
        one(app(), roots.pid)
    (tmp_path / "env").write_text("FROM=env\n")
    assert one(app(tmp_path / "env")).environment["FROM"] == "env"
    os.chown(tmp_path / "env", 4242, 0)
    with pytest.raises(run_as.Refused, match="env is uid 4242's, and says nothing to what runs as nobody"):
        one(app(tmp_path / "env"))


# --- the check -------------------------------------------------------------------


def ask(check: Any, monkeypatch: pytest.MonkeyPatch, timeout: float = 10.0, **environment: str) -> Dict[str, Any]:
    person = run_as.Person(os.geteuid(), os.getegid(), [], {"PATH": "/usr/bin:/bin", **environment}, "/usr", "us")
    monkeypatch.setattr(run_as, "persons", lambda app, workers: [person])
    return app_check.run(app(timeout=timeout), check, [])


@pytest.mark.parametrize(
    ("check", "ok", "text"),
    [
        ("true", True, "exit status 0"),
        ("echo one; echo two; exit 3", False, "two"),
        (["/bin/sh", "-c", "exit 4"], False, "exit status 4"),
        ("pwd", True, "/usr"),
        (
            'echo "$SECRET_KEY" | grep -q . && test "$SECRET_KEY_FALLBACKS" = "$PHASED_KEYS_FALLBACK"',
            True,
            "exit status 0",
        ),
        ('echo "it is $PASSWORD, $SECRET_KEY"', True, "it is ***, ***"),
        ("printf 'no line end'", True, "no line end"),
        ("exec >&- 2>&-; sleep 0.2; exit 5", False, "exit status 5"),
        ("sleep 30 & echo left", True, "left"),
        (
            ["/no/such/program"],
            False,
            "the check could not be started: [Errno 2] No such file or directory: '/no/such/program'",
        ),
    ],
)
def test_what_a_check_says(check: Any, ok: bool, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    assert ask(check, monkeypatch, PASSWORD=SECRET) == {"ok": ok, "text": text}
    assert time.monotonic() - begun < 8


FORMS = {
    "laravel": ("APP_KEY", r"base64:[A-Za-z0-9+/]{43}="), "airflow": ("PHASED_KEYS_FALLBACK", r"[A-Za-z0-9_-]{43}="),
    "jupyterhub": ("PHASED_KEYS_PRIMARY", r"[0-9a-f]{64}"), "rails": ("SECRET_KEY_BASE", r"[0-9a-f]{128}"),
}  # fmt: skip


@pytest.mark.parametrize("framework", FORMS)
def test_the_throw_away_keys_have_the_form_of_the_profile(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, form = FORMS[framework]
    person = run_as.Person(os.geteuid(), os.getegid(), [], {"PATH": "/usr/bin:/bin"}, "/", "us")
    monkeypatch.setattr(run_as, "persons", lambda app, workers: [person])
    of_framework = {**app(), "profile": frameworks.profile(framework)}
    answer = app_check.run(of_framework, f'printf %s "${name}" | grep -Eqx "{form}"', [])
    assert answer["ok"]


def test_a_password_is_not_shown_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = ask('i=0; while [ $i -lt 3000 ]; do printf "$PASSWORD"; i=$((i+1)); done', monkeypatch, PASSWORD=SECRET)
    assert answer == {"ok": True, "text": "exit status 0"}
    long = ask("printf 'x%.0s' $(seq 2000)", monkeypatch)["text"]
    assert long == "x" * 500


def test_one_that_does_not_end_is_ended_with_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    marked = f"sleep 47.{os.getpid()}"
    assert ask(f"{marked} & {marked}", monkeypatch, timeout=0.3) == {
        "ok": False,
        "text": "the check did not end within 0 s",
    }
    assert not [one for one in processes.table().values() if one.command == marked]


def test_a_refusal_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(app: Any, workers: Any) -> Any:
        raise run_as.Refused("why not")

    monkeypatch.setattr(run_as, "persons", refused)
    assert app_check.run(app(), "true", []) == {"ok": False, "text": "it was not run: why not"}


@pytest.mark.parametrize("failing", ["prctl", "capabilities"])
@root
def test_a_check_that_would_keep_rights_is_not_run(
    failing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if failing == "prctl":
        monkeypatch.setattr(app_check, "_NO_NEW_PRIVS", 9999)
    else:
        monkeypatch.setattr(app_check, "_powerful", lambda: True)
    person = run_as.Person(65534, 65534, [], {"PATH": "/usr/bin:/bin"}, "/", "us")
    monkeypatch.setattr(run_as, "persons", lambda app, workers: [person])
    answer = app_check.run(app(), f"touch {tmp_path}/ran", [])
    assert answer == {"ok": False, "text": "the rights of root cannot be given up for those of nobody here"}
    assert not (tmp_path / "ran").exists()


def test_of_several_workers_the_one_that_has_no_one_user_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    root = run_as.Person(0, 0, [], {}, "/", "")
    people = {1: root, os.getpid(): None}
    monkeypatch.setattr(run_as, "_of_process", lambda _app, process: people[process.pid])
    table = processes.table()
    with pytest.raises(run_as.Refused, match=f"^pid {os.getpid()} has the rights of several users, or has ended: "):
        run_as._of_processes(app(), [table[pid] for pid in people])
