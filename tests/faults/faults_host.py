# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host loses its power: process 1 is killed with -9 at a moment that is seen, and the host boots again later."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from faults import ALL, REFUSED, STEPS, fault
from field import Field
from host_seen import ENV, Host
from runs import Run

ATTEMPTS = 5
# inotify(7); 0x100 is IN_CREATE.
KILLER = """
import ctypes, os, signal, sys
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # on a busy machine it would come too late
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(0)
group = open(sys.argv[3], "w")
assert libc.inotify_add_watch(watch, os.fsencode(sys.argv[1]), 0x100) >= 0
while b".phased.keys." not in os.read(watch, 4096):
    pass
# All of the host at once, as the kernel does it where process 1 ends; that alone would take until it is its turn to run.
group.write("1")
group.flush()
try:
    os.kill(int(sys.argv[2]), signal.SIGKILL)
except ProcessLookupError:
    pass
"""


@fault("host killed (process 1, -9) in the middle of a write, then booted", REFUSED, STEPS, ["prepare", "promote"])
def killed_in_a_write(field: Field) -> str:
    host = field.web2
    folder = field.hosts.folder / "hosts" / host.name / "disk" / "etc" / "shop"
    # A file that takes a while to be written.
    host.sh(f"yes '# {'-' * 90}' | head -n 6000 >> {ENV}")
    try:
        return _until_it_strikes(field, host, folder)
    finally:
        host.sh(f"sed -i '/^# -*$/d' {ENV}")


def _until_it_strikes(field: Field, host: Host, folder: Path) -> str:
    for _attempt in range(ATTEMPTS):
        before = host.sh(f"cat {ENV}")
        run = field.start()
        _kill_at_the_first_byte(host, run)
        run.wait().refuses("web2", "UNREACHABLE", "see that Ansible reaches web2", "run phased.keys.rollout again")
        # The host is down: its disk is looked at from below.
        left = [path.name for path in folder.iterdir() if path.name.startswith(".phased.keys.")]
        struck = bool(left) and (folder / "env").read_text().strip() == before
        host.boot()
        if struck:
            field.struck("half a temporary file lay beside the env file, which was as before")
            return "the half-written file was cleared away"
        assert field.finish() <= 2
        field.to(field.phase)
    raise AssertionError("the kill was always too late")


def _kill_at_the_first_byte(host: Host, run: Run) -> None:
    """Kill the host as soon as a visit makes its temporary file beside the env file.

    From a process of its own: the load's thread would let it wait for milliseconds.
    """
    group = host.group.paths[0] / "cgroup.kill"
    killer = subprocess.Popen([sys.executable, "-c", KILLER, str(host.path("/etc/shop")), str(host.leader), str(group)])
    try:
        while killer.poll() is None:
            assert run.code is None, run.text
            time.sleep(0.05)
    finally:
        killer.kill()
        killer.wait()
    assert killer.returncode == 0
    host.group.end()


@fault("host killed (process 1, -9) in the middle of a restart, then booted", REFUSED, ALL, ["promote", "retire"])
def killed_in_a_restart(field: Field) -> str:
    run = field.start()
    field.visiting(field.web2, run, written=True)
    field.web2.crash()
    assert not field.web2.group.pids()
    run.wait().refuses("web2", "UNREACHABLE", "see that Ansible reaches web2", "run phased.keys.rollout again")
    field.web2.boot()
    assert field.web2.record()["state"] == "visiting"
    field.struck("no process of web2 was left, and its record said `visiting` after it had booted")
    return "it booted with the new file"


@fault("host down for a whole run, then booted", REFUSED, ALL, ["rollback"])
def down_for_a_run(field: Field) -> str:
    field.web3.crash()
    run = field.run()
    run.refuses("web3", "unreachable", "see that Ansible reaches it")
    assert not field.web3.group.pids()
    field.struck("no process of web3 was left")
    field.web3.boot()
    if field.phase == "rollback":
        assert field.keyring()["step"]["name"] == "rollback"
        return "the rollback went on without it"
    return "no step was opened"
