# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rollout by the application's own word, whose environment shows nothing; and a worker that lies, or gives no answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
from light_fleet import Fleet

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
SERVER = HERE.parent / "unit" / "host" / "word_server.py"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def telling(new_fleet: Any) -> Iterator[Fleet]:
    """A fleet whose workers show no environment and tell their keys."""
    fleet: Fleet = new_fleet()
    fleet.vars.update(app_keys_timeout="12s")
    for host in fleet.hosts:
        port = free_port()
        command = [sys.executable, "-I", "-S", str(HERE / "telling_host.py"), str(host.folder), str(port), str(SERVER)]
        variables: Dict[str, Any] = fleet.host_vars[host.name]
        variables.update(
            app_keys_restart_command=command, app_keys_proof={"http": f"http://127.0.0.1:{port}/phased-keys"}
        )
        restart(fleet, host)
    yield fleet
    for host in fleet.hosts:
        with contextlib.suppress(OSError, ValueError):
            os.killpg(int((host.folder / "pid").read_text()), signal.SIGKILL)


def restart(fleet: Fleet, host: Any) -> None:
    """Start a host's application as a visit would."""
    import subprocess

    subprocess.run(fleet.host_vars[host.name]["app_keys_restart_command"], check=True, timeout=60)


def test_a_whole_rollout_by_the_applications_own_word(telling: Fleet) -> None:
    told = "2 by the application's own word (http)"
    telling.run("adopt").ended(0).says("adopt: 2 of 2 hosts", told)
    telling.run("rollout").ended(0).says("promote: 2 of 2 hosts", told).says("retire: 2 of 2 hosts", told)
    assert sorted(telling.states().values()) == ["primary", "retired"] and telling.key("primary") != telling.old

    # The second worker of one host goes wrong, in one way after the other: nothing begins, and the other host keeps what it has.
    host, other = telling[1], telling[0]
    before = [one.env.read_text() for one in telling.hosts]
    stale = json.dumps({"signs": telling.old, "accepts": [telling.old]})
    liar = json.dumps({"signs": telling.key("primary"), "accepts": [telling.key("primary")], "pid": os.getpid()})
    for says, *seen in (
        (stale, f"signs with {telling.old} and not with"),
        (liar, "not proven, 1 of 2 workers answered in time", f"An answer names pid {os.getpid()}"),
        (
            "redirect",
            "not proven, 1 of 2 workers answered in time",
            "redirects to another place (status 302), and nobody goes there",
        ),
        ("stream", "not proven, 1 of 2 workers answered in time", "longer than 64 KiB"),
    ):
        (host.folder / "second").write_text(says)
        restart(telling, host)
        telling.run("prepare", "-e", "app_keys_new=true").ended(-1).lists(host.name, *seen)
        assert [one.env.read_text() for one in telling.hosts] == before
        assert telling.holds("staged") == {"staged": []}
    assert other.record()["state"] == "proven"
    (host.folder / "second").unlink()
    restart(telling, host)
    telling.run("prepare", "-e", "app_keys_new=true").ended(0).says("prepare: 2 of 2 hosts", told)
