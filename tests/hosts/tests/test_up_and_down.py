# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hosts come up, are reached, crash and boot again, and nothing of them is left, whoever was killed meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cgroups
import hosts as real
import machine
import pytest
from errors import HostsError

pytestmark = pytest.mark.hosts

SCRIPT = Path(real.__file__)
TOO_LONG = 120
# Podman is there for people who have it; nothing is installed for this.
PODMAN = pytest.param("podman", marks=pytest.mark.skipif(not shutil.which("podman"), reason="no podman here"))
BACKENDS = ["unshare", "nspawn", PODMAN]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a fleet, of which nothing may be left on the machine afterwards."""
    limit, others = machine.INSTANCES.read_text(), machine.NOTE.exists()
    folder = tmp_path / "a fleet"
    yield folder
    real.Hosts(folder).down()
    assert left_of(folder) == []
    # With fleets of somebody else around it is theirs as well.
    assert others or machine.NOTE.exists() or machine.INSTANCES.read_text() == limit


def left_of(folder: Path) -> list[str]:
    """Return what there still is of a fleet: looked for in ways of our own, and not by what the script wrote down."""
    group = f"/{cgroups.PARENT}/{cgroups.name_of(folder)}"
    found = [str(path) for path in Path("/sys/fs/cgroup").rglob(group.lstrip("/"))]
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end between two looks.
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and (process / "exe").exists():
                if group in (process / "cgroup").read_text():
                    found.append(f"process {process.name} in the group")
                if os.fsencode(folder) in (process / "cmdline").read_bytes() + (process / "environ").read_bytes():
                    found.append(f"process {process.name} of the folder")
                if str(folder).replace(" ", "\\040") in (process / "mountinfo").read_text():
                    found.append(f"mount of process {process.name}")
    return found


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ansible(hosts: real.Hosts, *arguments: str) -> str:
    command = [Path(sys.executable).with_name("ansible"), "-i", hosts.inventory, "shop", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_hosts_come_up_crash_boot_again_and_go(folder: Path, backend: str) -> None:
    hosts = real.Hosts(folder).up(3, 2, backend, keeper_pid=os.getpid())
    for place in hosts.places:
        with urllib.request.urlopen(f"http://{place.address}:{place.app_port}/healthz", timeout=10) as answer:
            assert answer.status == 200
    assert ansible(hosts, "-m", "ansible.builtin.ping").count("SUCCESS") == 3
    seen = ansible(hosts, "-m", "ansible.builtin.shell", "-a", "id -un; ps -C systemd -o pid= | head -1; hostname")
    for place in hosts.places:
        assert f"root\n      1\n{place.name}\n" in seen  # the plain user became root, and systemd is process 1
    assert ansible(hosts, "-m", "ansible.builtin.shell", "-a", "ps -o user= -C python | sort -u").count("shop\n") == 3

    # What was written to a disk and synced is there after a crash, and the crash was one.
    ansible(hosts, "-l", "web2", "-m", "ansible.builtin.shell", "-a", "echo kept > /var/kept; sync; touch /run/gone")
    before = hosts.group.child("web2").leader()
    hosts.kill("web2")
    assert before is not None and not Path(f"/proc/{before}/exe").exists()
    assert not hosts.group.child("web2").pids()
    hosts.boot("web2")
    assert "kept" in ansible(hosts, "-l", "web2", "-m", "ansible.builtin.command", "-a", "cat /var/kept")
    ansible(hosts, "-l", "web2", "-m", "ansible.builtin.shell", "-a", "! test -e /run/gone")
    assert ansible(hosts, "-m", "ansible.builtin.ping").count("SUCCESS") == 3

    assert len(left_of(folder)) > 3  # the search finds what there is
    hosts.down(remove=True)
    assert not folder.exists()


MOMENTS = {
    "before anything": lambda hosts: (hosts.folder / "hosts.lock").exists(),
    "while the disks are made": lambda hosts: (hosts.folder / "fleet.json").exists(),
    "while the hosts start": lambda hosts: hosts.group.child("web1").leader() is not None,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_killed_up_has_left_is_cleared_by_the_next(folder: Path, moment: str) -> None:
    command = [sys.executable, SCRIPT, "up", "--dir", folder, "--hosts", "2"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: MOMENTS[moment](real.Hosts(folder)))
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and not (folder / "up").exists()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=TOO_LONG)
    refused = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TOO_LONG)
    assert refused.returncode == 1 and "take it down first" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_up_that_is_asked_to_end_takes_away_what_it_has_started(folder: Path, number: signal.Signals) -> None:
    # What runs in the background of a shell, as these tests may, has been told to ignore an interrupt.
    up = subprocess.Popen(
        [sys.executable, SCRIPT, "up", "--dir", folder], stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: real.Hosts(folder).group.child("web1").leader() is not None)
    up.send_signal(number)
    assert up.wait(TOO_LONG) != 0
    assert left_of(folder) == []


def test_a_host_that_does_not_come_up_is_named_with_what_it_said(folder: Path) -> None:
    hosts = real.Hosts(folder).up(2, 1, keeper_pid=os.getpid())
    hosts.kill("web2")
    init = folder / "hosts/web2/disk/usr/lib/systemd/systemd"
    init.parent.mkdir(parents=True)
    init.write_text("#!/bin/sh\necho the disk is broken >&2\n")
    init.chmod(0o755)
    with pytest.raises(HostsError, match="web2 ended at once:\nthe disk is broken"):
        hosts.boot("web2")


def test_a_keeper_ends_the_fleet_of_one_who_was_killed(folder: Path) -> None:
    owner = subprocess.Popen(["sleep", "1000"])
    hosts = real.Hosts(folder).up(1, 1, keeper_pid=owner.pid)
    assert hosts.group.exists()
    owner.kill()
    owner.wait()
    wait_for(lambda: not hosts.group.exists())


def test_down_wins_over_an_up_that_is_at_work(folder: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, SCRIPT, "up", "--dir", folder, "--hosts", "2"], stderr=subprocess.PIPE, text=True
    )
    wait_for((folder / "fleet.json").exists)
    subprocess.run([sys.executable, SCRIPT, "down", "--dir", folder], check=True, timeout=TOO_LONG)
    assert up.wait(TOO_LONG) == 1
