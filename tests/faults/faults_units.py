# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service does not do what it is told: it fails, dies, is slow, hangs, is masked, or somebody else holds its keys."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import envfile
from faults import GOES_ON, REFUSED, STEPS, fault
from field import BATCH, Field
from host_seen import ENV, UNIT, Host
from runs import until

SCRIPT = "/usr/local/sbin/fault"
WITH_NEW_KEYS = '[ "$SECRET_KEY:$SECRET_KEY_FALLBACKS" != "$(cat /run/good)" ]'
ENDLESS = 8_000_000  # seconds, and what a process of ours is known by


@contextlib.contextmanager
def unit(host: Host, when: str, script: str, *lines: str) -> Iterator[None]:
    """Let the unit run a script as root, `when` ExecStartPre or ExecStartPost, and put all back afterwards.

    /run/good holds the keys of now, so that a script can tell the new ones.
    """
    values = envfile.parse(host.sh(f"cat {ENV}"))
    host.path("/run/good").write_text(f"{values['SECRET_KEY']}:{values.get('SECRET_KEY_FALLBACKS', '')}")
    host.path(SCRIPT).write_text(script + "\n")
    host.drop_in(f"{when}=+/bin/sh {SCRIPT}", *lines)
    try:
        yield
    finally:
        host.drop_in()
        host.sh(f"rm -f {SCRIPT} /run/good; systemctl reset-failed shop.service || true")
        if host.sh("systemctl is-active shop.service || true") != "active":
            host.sh("systemctl restart shop.service")


def endless(host: Host) -> list[int]:
    """Return our own endless processes of the unit, by the machine's numbers."""
    return host.running(str(ENDLESS))


@fault("service fails to start with the new file", REFUSED, STEPS, ["prepare", "promote", "retire"])
def fails_to_start(field: Field) -> str:
    before = field.web2.keys()
    with unit(field.web2, "ExecStartPre", f"if {WITH_NEW_KEYS}; then echo no >> /run/refused; exit 1; fi"):
        run = field.run().refuses(
            "web2", "systemctl restart shop.service", "exit code 1", "systemctl status shop.service"
        )
        run.says("the previous settings were restored, and the application runs with them")
        assert field.web2.sh("cat /run/refused; rm /run/refused").startswith("no")
        field.struck("the unit's ExecStartPre noted that it refused the new keys")
        assert field.web2.keys() == before
    return "web2 went back to the previous settings"


@fault("service starts and dies after seconds with the new file", REFUSED, STEPS, ["promote"])
def dies_after_seconds(field: Field) -> str:
    script = f"if {WITH_NEW_KEYS}; then (sleep 1.5; kill -9 $MAINPID && echo died >> /run/died) & fi"
    with unit(field.web2, "ExecStartPost", script):
        run = field.run("-e", "app_keys_settle=3s", "-e", "app_keys_timeout=12s").refuses("web2", "shop.service")
        run.says("the previous settings were restored", "run again")
        assert "died" in field.web2.sh("cat /run/died; rm /run/died")
        field.struck("the unit's main process was killed 1.5 s after each start with the new keys")
    return "web2 went back to the previous settings"


@fault("service starts slowly", GOES_ON, STEPS, ["prepare"])
def starts_slowly(field: Field) -> str:
    with unit(field.web2, "ExecStartPre", "sleep 5; echo slow >> /run/slow"):
        run = field.run().ended(0)
        assert "slow" in field.web2.sh("cat /run/slow; rm /run/slow") and run.seconds > 5
        field.struck("ExecStartPre slept for 5 s")
    return "the visit waited for it"


@fault("service starts more slowly than app_keys_timeout", REFUSED, STEPS, ["retire"])
def starts_too_slowly(field: Field) -> str:
    with unit(field.web2, "ExecStartPre", "sleep 9; echo slow >> /run/slow"):
        field.run("-e", "app_keys_timeout=5s").refuses(
            "web2", "not finished after", "app_keys_timeout", "THE APPLICATION MAY BE DOWN"
        )
        until(lambda: field.web2.sh("cat /run/slow || true"), "a slow start")
        field.struck("ExecStartPre slept for 9 s, and app_keys_timeout was 5 s")
        until(lambda: field.web2.sh("systemctl is-active shop.service || true") == "active", "the slow start")
    return "the run stopped there and said so"


@fault("service hangs in stop", GOES_ON, STEPS, ["retire"])
def hangs_in_stop(field: Field) -> str:
    script = f"trap '' TERM; sleep {ENDLESS} &"
    with unit(field.web2, "ExecStartPost", script, "KillMode=control-group", "TimeoutStopSec=4"):
        field.web2.sh("systemctl restart shop.service")
        (hanging,) = until(lambda: endless(field.web2), "the process that hangs")
        field.run().ended(0)
        said = field.web2.sh("journalctl --boot --output cat --unit shop.service")
        assert not Path(f"/proc/{hanging}").exists() and "timed out" in said
        field.struck("the journal says that the stop timed out")
        # And once more without it, or the next stop hangs too.
        field.web2.drop_in("TimeoutStopSec=1")
        field.web2.sh("systemctl restart shop.service")
    return "the visit waited until systemd killed it"


@fault("unit is masked", REFUSED, STEPS, ["prepare"])
def masked(field: Field) -> str:
    host = field.web2
    host.sh(f"mv {UNIT} /var/lib/shop.service; ln -s /dev/null {UNIT}; systemctl daemon-reload")
    try:
        assert host.sh("systemctl show --property=LoadState --value shop.service") == "masked"
        field.struck("systemd said LoadState=masked")
        field.run().refuses("web2", "shop.service", "masked", "systemctl unmask")
    finally:
        host.sh(f"rm {UNIT}; mv /var/lib/shop.service {UNIT}; systemctl daemon-reload")
    return "the previous settings stayed"


@fault("unit is missing", REFUSED, STEPS, ["promote"])
def missing(field: Field) -> str:
    host = field.web2
    host.sh(f"mv {UNIT} /var/lib/shop.service; systemctl stop shop.service; systemctl daemon-reload")
    try:
        assert host.sh("systemctl show --property=LoadState --value shop.service") in ("not-found", "bad-setting")
        field.struck("systemd said that there is no such unit")
        field.run().refuses("web2", "shop.service", "app_keys_service", "Nothing was changed")
    finally:
        host.sh(f"mv /var/lib/shop.service {UNIT}; systemctl daemon-reload; systemctl start shop.service")
    return "no step was opened"


@fault("a worker drains with the old keys, for less than app_keys_timeout", GOES_ON, STEPS, ["promote"])
def drains(field: Field) -> str:
    host = field.web2
    with unit(host, "ExecStartPost", f"sleep {ENDLESS} &", "KillMode=process"):
        host.sh("systemctl restart shop.service")
        (old,) = until(lambda: endless(host), "the process that drains")
        run = field.start()
        field.visiting(host, run, written=True)
        try:
            run.process.wait(4)
        except subprocess.TimeoutExpired:
            assert old in endless(host)
            field.struck("a process of the unit outlived the restart by 4 s with the keys of before")
        os.kill(old, signal.SIGKILL)
        run.wait().ended(0)
        for pid in endless(host):
            os.kill(pid, signal.SIGKILL)
    return "the visit waited for its end"


@fault("a worker drains with the old keys, for longer than app_keys_timeout", REFUSED, STEPS, ["prepare", "retire"])
def drains_for_long(field: Field) -> str:
    with unit(field.web2, "ExecStartPost", f"if [ -e /run/drain ]; then sleep {ENDLESS} & fi", "KillMode=process"):
        (old,) = _draining(field.web2)
        inside = field.web2.inside(old)
        run = field.run("-e", "app_keys_timeout=5s")
        assert old in endless(field.web2)
        run.refuses("web2", f"pid {inside}", "accept", "run again")
        field.struck("the run names the pid of a process that was there before and after")
        os.kill(old, signal.SIGKILL)
    return "the run stopped there"


def _draining(host: Host) -> list[int]:
    """Give the unit one process that no restart ends, and that the next start does not make again."""
    host.sh("touch /run/drain; systemctl restart shop.service; rm /run/drain")
    found: list[int] = until(lambda: endless(host), "the process that drains")
    return found


@fault("a queue worker on the same env file, outside the named processes", REFUSED, STEPS, ["promote"])
def outside(field: Field) -> str:
    host = field.web2
    with queue([host]):
        inside = host.sh("systemctl show --property=MainPID --value queue.service")
        field.run().refuses("web2", f"pid {inside}", "is not among app_keys_processes", "name it in app_keys_processes")
        assert host.sh("systemctl show --property=MainPID --value queue.service") == inside
        field.struck("the worker ran before and after, and the run names its pid")
    return "no step was opened"


@fault("a second unit on the same env file that nobody restarts", REFUSED, STEPS, ["prepare"])
def second_unit(field: Field) -> str:
    named = "{app_keys_processes: [{unit: shop.service}, {unit: queue.service}]"
    with queue(field.members):
        inside = field.web1.sh("systemctl show --property=MainPID --value queue.service")
        field.run("-e", f"{named}, app_keys_timeout: 5s}}").refuses(
            "web1", f"pid {inside}", "does not accept", "run again"
        )
        assert field.web1.sh("systemctl show --property=MainPID --value queue.service") == inside
        field.struck("the worker of queue.service was the same before and after, and the run names its pid")
        field.run("-e", f"{named}, app_keys_service: [shop.service, queue.service]}}").ended(0)
    return "finished as soon as app_keys_service named both units"


@contextlib.contextmanager
def queue(hosts: list[Host]) -> Iterator[None]:
    """A unit with a queue worker that is given the same env file."""
    path = "/etc/systemd/system/queue.service"
    for host in hosts:
        text = f"[Service]\nUser=shop\nEnvironmentFile={ENV}\nExecStart=/bin/sleep {ENDLESS}\n"
        host.path(path).write_text(text)
        host.sh("systemctl daemon-reload; systemctl start queue.service")
    try:
        yield
    finally:
        for host in hosts:
            host.sh(f"systemctl stop queue.service; rm {path}; systemctl daemon-reload")


@fault("unit in a restart loop", REFUSED, STEPS, ["retire"])
def restart_loop(field: Field) -> str:
    host = field.web2
    with unit(host, "ExecStartPre", "exit 1", "RestartSec=3"):
        host.sh("systemctl restart --no-block shop.service")
        until(lambda: int(host.sh("systemctl show --property=NRestarts --value shop.service")) > 0, "the loop")
        field.struck("systemd had counted restarts, and said `activating`")
        field.run().refuses(
            "web2", "shop.service is activating (auto-restart)", "systemctl status shop.service", "Nothing was changed"
        )
        assert host.sh("systemctl is-active shop.service || true") == "activating"
    return "no step was opened"


@fault("a worker dies after the proof", GOES_ON, STEPS, ["prepare"])
def worker_dies(field: Field) -> str:
    run = field.start(stops=[f"{BATCH}#2"])
    run.reached()
    before = set(field.web1.pids())
    os.kill(max(before), signal.SIGKILL)
    until(lambda: set(field.web1.pids()) - before, "another worker")
    field.struck("another worker had come in place of the one that was killed")
    run.go()
    run.wait().ended(0)
    return "its successor has the same keys"


@fault("all workers die after the proof", REFUSED, ["prepare"], ["prepare"])
def workers_die(field: Field) -> str:
    run = field.start(stops=[f"{BATCH}#2"])
    run.reached()
    field.web1.sh("systemctl stop shop.service")
    assert not field.web1.pids()
    field.struck("the unit had no process")
    run.go()
    run.wait()
    field.run(playbook="promote").refuses(
        "web1", "no worker runs, and at the last visit there were 3", "start the application", "Nothing was changed"
    )
    field.web1.sh("systemctl start shop.service")
    return "the next step did not open"


ZEROES = """
import ctypes, time
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
begin, end = int(fields[47]), int(fields[48])
ctypes.memset(begin, 0, end - begin)
open("/run/zeroed", "w").write(str(end - begin))
time.sleep({endless})
"""


@fault("a process of the unit overwrites its environment", REFUSED, STEPS, ["promote"])
def overwritten(field: Field) -> str:
    host = field.web2
    host.path("/usr/local/sbin/zeroes.py").write_text(ZEROES.format(endless=ENDLESS))
    with unit(host, "ExecStartPost", "/usr/bin/python3 /usr/local/sbin/zeroes.py &"):
        host.sh("systemctl restart shop.service")
        until(lambda: host.sh("cat /run/zeroed || true"), "zeroes")
        pid = host.inside(host.running("zeroes.py")[0])
        assert not host.sh(f"tr -d '\\0' < /proc/{pid}/environ")
        field.struck("/proc/PID/environ of the process was all zeroes")
        field.run().refuses("web2", f"pid {pid}", "overwritten", "app_keys_proof: process_age", "Nothing was changed")
    host.sh("rm -f /usr/local/sbin/zeroes.py /run/zeroed; systemctl restart shop.service")
    return "no step was opened"
