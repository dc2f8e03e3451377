# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the unit is not what ran before: pools that shrink, helpers, a main process alone, a crash loop, a restart that is none."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from faults import GOES_ON, REFUSED, STEPS, fault
from faults_units import ENDLESS, WITH_NEW_KEYS, endless, unit
from field import BATCH, PROCESSES, Field
from host_seen import ENV, Host
from runs import until


def main_process(host: Host) -> int:
    """Return the unit's main process, by the machine's number."""
    inside = int(host.sh("systemctl show --property=MainPID --value shop.service"))
    (found,) = [pid for pid in host.pids() if host.inside(pid) == inside]
    return found


def resize(host: Host, number: signal.Signals, processes: int) -> None:
    """Send gunicorn's main process this signal until the unit has so many processes."""
    main = main_process(host)
    while len(host.pids()) != processes:
        before = len(host.pids())
        os.kill(main, number)
        until(lambda before=before: len(host.pids()) != before, "another number of workers")


def starts(host: Host) -> int:
    """Return how often systemd has started the application."""
    return int(host.sh("journalctl --boot --output cat --unit shop.service | grep -c '^Started' || true"))


@fault("pool of workers that shrinks in its visit, and after it", GOES_ON, STEPS, ["promote"])
def pool_shrinks(field: Field) -> str:
    resize(field.web2, signal.SIGTTIN, PROCESSES + 2)
    before = starts(field.web2)
    run = field.start(stops=[f"{BATCH}#2"])
    run.reached()
    resize(field.web1, signal.SIGTTOU, PROCESSES - 1)
    run.go()
    run.wait().ended(0)
    assert len(field.web1.pids()) == PROCESSES - 1 and len(field.web2.pids()) == PROCESSES
    field.struck("web2 had 4 workers before its visit and 2 after it, and web1 lost one of 2 after its visit")
    assert starts(field.web2) == before + 1, "its visit restarted it more than once"
    resize(field.web1, signal.SIGTTIN, PROCESSES)
    return "one run did it, with one restart a host"


@fault("main process that runs on without a worker", REFUSED, STEPS, ["retire"])
def main_process_alone(field: Field) -> str:
    host, main = field.web2, main_process(field.web2)
    inside, before = host.inside(main), field.keyring()["step"]["counter"]
    os.kill(main, signal.SIGSTOP)
    try:
        for pid in set(host.pids()) - {main}:
            os.kill(pid, signal.SIGKILL)
        until(lambda: host.pids() == [main], "the end of its workers")
        run = field.run().refuses("web2", f"no worker runs below pid {inside}", "in two looks", "why it starts none")
        run.says("Nothing was changed")
        assert host.pids() == [main] and field.keyring()["step"]["counter"] == before
        field.struck("the unit had one process before and after, the main process, which was stopped by SIGSTOP")
    finally:
        os.kill(main, signal.SIGCONT)
    until(lambda: len(host.pids()) == PROCESSES, "its workers")
    return "no step was opened"


@fault("helpers in the unit that were given no environment, and (sd-pam)", GOES_ON, STEPS, ["prepare"])
def helpers(field: Field) -> str:
    host = field.web2
    host.sh("printf '%s required pam_permit.so\n' auth account session > /etc/pam.d/shop")
    with unit(host, "ExecStartPost", f"env -i /bin/sleep {ENDLESS} &", "PAMName=shop"):
        host.sh("systemctl restart shop.service")
        until(lambda: endless(host) and host.running("(sd-pam)"), "the helpers")
        field.run().ended(0)
        (helper,) = endless(host)
        assert not Path(f"/proc/{helper}/environ").read_bytes() and host.running("(sd-pam)")
        field.struck("the unit had (sd-pam), and a process whose /proc/PID/environ was empty")
    host.sh("rm /etc/pam.d/shop; systemctl restart shop.service")
    return "they were not taken for workers"


@fault("crash loop that is slower than app_keys_settle", REFUSED, STEPS, ["promote"])
def slow_crash_loop(field: Field) -> str:
    # From outside of the unit: what is in it would be one more process of the application.
    dies = 'systemd-run --quiet --no-block /bin/sh -c "sleep 3; kill -9 $MAINPID && echo died >> /run/died"'
    with unit(field.web1, "ExecStartPost", f"if {WITH_NEW_KEYS}; then {dies}; fi"):
        run = field.run("-e", "app_keys_bake=6s")
        assert "died" in field.web1.sh("cat /run/died; rm /run/died")
        field.struck("the unit's main process was killed 3 s after each start with the new keys")
        run.refuses("web1", "systemd restarted shop.service", "since its visit", "journalctl -u", "run again")
        counter = field.keyring()["step"]["counter"]
        seen = [host.record()["counter"] == counter for host in field.members]
        assert seen == [True, False, False], seen
    return "the run stopped after the first batch"


@fault("restart command that is not there, and one that restarts nothing", REFUSED, STEPS, ["retire"])
def no_restart(field: Field) -> str:
    for command, said in (
        ("/usr/local/sbin/gone", ["/usr/local/sbin/gone", "the old workers run on with"]),
        ("/bin/true", ["the restart replaced no process: pid", "correct app_keys_service or app_keys_restart_command"]),
    ):
        before = field.web1.pids()
        given = {"app_keys_restart_command": command, "app_keys_service": [], "app_keys_timeout": "3s"}
        run = field.run("-e", json.dumps({**given, "app_keys_processes": [{"unit": "shop.service"}]}))
        run.refuses("web1", *said, "run again")
        assert "MAY BE DOWN" not in run.text and field.web1.pids() == before
        field.struck("the processes of web1 were the same before and after")
    return "both were named, and the application was not called down"


@fault("restart command that prints the env file and fails", REFUSED, STEPS, ["promote"])
def restart_that_tells(field: Field) -> str:
    mark = "/run/restart-told"
    command = f"sh -c 'cat {ENV} && touch {mark} && exit 3'"
    given = {"app_keys_restart_command": command, "app_keys_service": [], "app_keys_timeout": "3s"}
    run = field.run("-e", json.dumps({**given, "app_keys_processes": [{"unit": "shop.service"}]}))
    # What was seen and what to do, in the message of a visit that failed.
    run.refuses("web1", "the restart command: exit code 3", "SECRET_KEY=", "fix what is named here, and run again")
    secrets = [key["secret"] for key in field.keyring()["keys"] if key["secret"]]
    assert len(secrets) == 2 and not [secret for secret in secrets if secret in run.text], "a key was printed"
    field.web1.sh(f"rm {mark}")
    field.struck("the command had printed the whole file, and left its mark on web1")
    return "its output was shown with the keys masked"
