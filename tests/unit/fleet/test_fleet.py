# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process hosts: what they run with, what a restart and a reload do, and that nothing is left of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import envfile
import fleet as fleets
import procs
import pytest
from create import PASSWORD
from host import HERE, Host, HostError

# Of the demo, which shows the same: `make slow`.
pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(tmp_path):
    made = fleets.Fleet(tmp_path / "a fleet")  # a blank, for a checkout may lie in such a folder too
    yield made
    made.down()
    assert procs.marked(procs.FLEET_MARK, made.folder) == []


def environ(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs if pair)


def keys_of_workers(host: Host) -> list[str]:
    return [environ(pid)["SECRET_KEY"] for pid in host.ready()]


def ask(host: Host, path: str, cookie: str = "", form: dict[str, str] | None = None) -> tuple[dict[str, str], str]:
    """Ask the application; return what it says and the session id it sets."""
    line = http.client.HTTPConnection(host.address, host.port, timeout=10)
    headers = {"Cookie": f"sessionid={cookie}", "Content-Type": "application/x-www-form-urlencoded"}
    line.request("GET" if form is None else "POST", path, urlencode(form or {}) or None, headers)
    answer = line.getresponse()
    assert answer.status == 200
    content = json.loads(answer.read())
    given = answer.getheader("Set-Cookie") or ""
    line.close()
    return content, given.partition("sessionid=")[2].partition(";")[0].strip('"')


def test_workers_have_the_env_file_and_nothing_of_the_caller(fleet, monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "1")
    key = "with $ # ' \" \\ and ` in it" + 30 * "x"
    fleet.up(2, 2, key=key, env={"SHOP_NOTE": " blanks around "})
    for host in fleet.hosts:
        assert len(host.ready()) == 2
        for pid in host.ready():
            found = environ(pid)
            assert found["SECRET_KEY"] == key
            assert found["SHOP_NOTE"] == " blanks around "
            assert "OF_THE_CALLER" not in found
        assert ask(host, "/healthz")[0]["ok"] is True
    assert {host.address for host in fleet.hosts} == {"127.99.0.11", "127.99.0.12"}


def test_hup_keeps_the_old_environment_and_a_restart_takes_the_new(fleet):
    fleet.up(1, 2, key="old" * 20)
    host = fleet.hosts[0]
    before = host.ready()
    envfile.assign(host.folder / "env", SECRET_KEY="new" * 20, SECRET_KEY_FALLBACKS="old" * 20)
    fleet.control("reload")
    assert not set(before) & set(host.ready())
    assert keys_of_workers(host) == ["old" * 20] * 2
    fleet.control("restart")
    assert keys_of_workers(host) == ["new" * 20] * 2


def test_no_start_leaves_nothing_running(fleet):
    fleet.up(2, start=False, no_key=True)
    assert procs.marked(procs.FLEET_MARK, fleet.folder) == []
    assert "SECRET_KEY" not in envfile.read(fleet.hosts[0].folder / "env")
    assert "app_keys_env_file" in fleet.inventory.read_text()


def test_an_application_that_cannot_start_is_said_and_ended(fleet):
    fleet.up(1, 1, start=False, no_key=True)
    with pytest.raises(HostError, match="SECRET_KEY"):
        fleet.control("start")
    assert fleet.hosts[0].processes() == []


def test_orphans_of_a_killed_master_are_ended(fleet):
    fleet.up(1, 3)
    host = fleet.hosts[0]
    os.kill(host.master().pid, signal.SIGKILL)
    assert len(host.processes()) >= 1
    host.stop()
    assert host.processes() == []


def test_what_is_down_stays_down(fleet):
    fleet.up(2, 1)
    fleet.down()
    with pytest.raises(HostError, match="taken down"):
        fleet.control("restart")
    assert procs.marked(procs.FLEET_MARK, fleet.folder) == []


def test_down_ends_a_host_that_is_just_being_started(fleet):
    fleet.up(1, 3, start=False)
    late = subprocess.Popen([sys.executable, str(HERE / "host.py"), "start", str(fleet.hosts[0].folder)])
    deadline = time.monotonic() + 20
    while not procs.marked(procs.FLEET_MARK, fleet.folder) and time.monotonic() < deadline:
        time.sleep(0.001)
    fleet.down()
    assert late.wait(20) == 1
    assert procs.marked(procs.FLEET_MARK, fleet.folder) == []


def test_signals_that_the_caller_ignores_or_blocks_are_put_back(fleet):
    fleet.up(1, 1, start=False)
    host = fleet.hosts[0]
    code = (
        "import os, signal, sys\n"
        "for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTSTP):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(HERE / "host.py"), "start", str(host.folder)], check=True, timeout=90
    )
    master = host.master()
    status = dict(line.split(":\t") for line in Path(f"/proc/{master.pid}/status").read_text().splitlines())
    assert int(status["SigBlk"], 16) == 0
    assert not int(status["SigIgn"], 16) & (1 << signal.SIGTSTP - 1)
    assert os.getsid(master.pid) == master.pid
    assert os.readlink(f"/proc/{master.pid}/fd/0") == os.devnull


def test_keeper_ends_the_fleet_when_its_owner_is_killed(fleet):
    with subprocess.Popen(["sleep", "300"]) as owner:
        fleet.up(1, 1, keeper_pid=owner.pid)
        assert len(fleet.hosts[0].ready()) == 1
        owner.kill()
    deadline = time.monotonic() + 30
    while procs.marked(procs.FLEET_MARK, fleet.folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert procs.marked(procs.FLEET_MARK, fleet.folder) == []
    assert (fleet.folder / "closed").exists()


def test_two_fleets_run_side_by_side(fleet, tmp_path):
    fleet.up(1, 1)
    other = fleets.Fleet(tmp_path / "other")
    try:
        other.up(1, 1)
        fleet.down()
        assert len(other.hosts[0].ready()) == 1
    finally:
        other.down(remove=True)
    assert not other.folder.exists()


def test_a_pid_alone_is_never_enough(fleet):
    me = procs.look(os.getpid())
    assert procs.alive(me)
    stranger = me._replace(start=me.start - 1)
    assert not procs.alive(stranger)
    assert not procs.send(stranger, signal.SIGTERM)


def test_fallbacks_are_read_unless_the_variant_ignores_them(fleet):
    fleet.up(2, 1, key="old" * 20)
    first, second = fleet.hosts
    user = {"name": "user1", "password": PASSWORD}
    _said, cookie = ask(first, "/cookie/login", form=user)
    link = ask(first, "/reset/make", form=user)[0]["link"]
    for variant, known in (("0", True), ("1", False)):
        changed = {"SECRET_KEY": "new" * 20, "SECRET_KEY_FALLBACKS": "old" * 20, "SHOP_IGNORE_FALLBACKS": variant}
        envfile.assign(second.folder / "env", **changed)
        fleet.control("restart", ["web2"])
        assert ask(second, "/cookie/me", cookie)[0]["user"] == ("user1" if known else "")
        assert ask(second, link)[0]["valid"] is known


def test_the_remedy_keeps_parallel_requests_and_logs_out_for_good(fleet):
    fleet.up(1, 1, key="old" * 20)
    host = fleet.hosts[0]
    user = {"name": "user2", "password": PASSWORD}
    cookies = {kind: ask(host, f"/{kind}/login", form=user)[1] for kind in ("database", "kept")}
    envfile.assign(host.folder / "env", SECRET_KEY="new" * 20, SECRET_KEY_FALLBACKS="old" * 20)
    fleet.control("restart")
    said = {
        kind: [ask(host, f"/{kind}/me", cookie)[0]["user"] for _number in range(2)] for kind, cookie in cookies.items()
    }
    assert said == {"database": ["user2", ""], "kept": ["user2", "user2"]}
    ask(host, "/kept/logout", cookies["kept"])
    assert ask(host, "/kept/me", cookies["kept"])[0]["user"] == ""


def test_the_remedy_does_no_more_than_it_says():
    """Django's own test runner, on the tests beside the remedy."""
    env = {"PATH": os.defpath, "SECRET_KEY": "x" * 50}
    app = HERE / "app"
    done = subprocess.run(
        [sys.executable, "-B", "manage.py", "test"], cwd=app, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 8 tests" in done.stderr
