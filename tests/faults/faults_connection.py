# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to a host that do not close, and that let a look pass and no key."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from pathlib import Path

from faults import ALL, REFUSED, STEPS, fault
from field import Field
from inventory import ssh_arguments

SUDOERS = "/etc/sudoers.d/zz-fault"


@fault("ssh connection that hangs in the middle of a visit without closing", REFUSED, ALL, ["promote"])
def hangs(field: Field) -> str:
    host = field.web2
    run = field.start("-e", "app_keys_timeout=5s")
    field.visiting(host, run, written=True)
    stopped = host.sessions()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        run.wait().refuses(
            "web2", "UNREACHABLE", "the connection hangs: no answer within", "what it does now is unknown",
            "the visit may still run there", "see that Ansible reaches web2, and run phased.keys.rollout again",
        )  # fmt: skip
        assert stopped and set(stopped) <= set(host.sessions()), "the connection was closed"
        field.struck("sshd's processes for the connection were there before and after, stopped by SIGSTOP")
        assert host.record()["state"] == "proven"
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return "the visit ended by itself, and the run stopped there after app_keys_timeout and half a minute"


@fault("sudo wants a terminal (requiretty)", REFUSED, STEPS, ["retire"])
def requiretty(field: Field) -> str:
    host = field.web2
    host.path(SUDOERS).write_text("Defaults requiretty\n")
    host.path(SUDOERS).chmod(0o440)
    try:
        assert "tty" in host.sh("setsid su ops -c 'sudo -n true' 2>&1 < /dev/null || true")
        status = field.run(playbook="status").ended(0)
        assert "must have a tty" not in status.text
        run = field.run().refuses("web2", "must have a tty to run sudo")
        field.struck("sudo said `you must have a tty to run sudo`, by hand and in the visit")
        assert host.record()["counter"] < field.keyring()["step"]["counter"] and run.code
    finally:
        host.path(SUDOERS).unlink()
    return "the look went the ordinary way, the key did not"


@fault("connection plugin of one's own that knows no pipelining", REFUSED, ALL, ["prepare"])
def no_pipelining(field: Field) -> str:
    ssh = field.hosts.folder / "ssh"
    env = {
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).resolve().parent / "connection"),
        "PLAIN_SSH": shlex.join(["-i", str(ssh / "id"), *ssh_arguments(ssh / "known_hosts")]),
    }
    given = ("-e", json.dumps({"ansible_connection": "plain_ssh"}))
    # A look carries no key.
    status = field.run(*given, playbook="status", env=env).ended(0)
    assert "pipelining" not in status.text
    run = field.run(*given, env=env).refuses(
        "web1", "without pipelining they would lie in a temporary file on the host",
        "The connection plain_ssh has none", "or set app_keys_allow_key_in_file",
    )  # fmt: skip
    assert "No config definition exists" not in run.text
    field.struck("the plugin has no option of that name, and the looks went through it")
    return "the look went through it, the key did not"
