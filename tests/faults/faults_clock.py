# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks: the module's Python says another time, for a host's own clock cannot be set apart from the machine's.

What a visit and a look take for the time is wrong by an hour then; files, processes and systemd keep the machine's time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from faults import GOES_ON, fault
from field import Field
from host_seen import Host

PYTHON = "/usr/local/bin/python-of-another-time"
# A program on stdin comes with options that keep Python from importing anything of its own accord (plugin_utils/_program.py).
WRAPPER = """#!/bin/sh
cd /usr/local/lib/another-time
case "$*" in
*" -") exec /usr/bin/python3 -I -S -c 'exec(open("sitecustomize.py").read()); import sys; exec(sys.stdin.read())' ;;
*) PYTHONPATH=. exec /usr/bin/python3 "$@" ;;
esac
"""
# Python imports this by itself, before anything else.
SITE = """
import time
try:
    offset = float(open("/etc/another-time").read())
    right = time.time
    time.time = lambda: right() + offset
except OSError:
    pass
"""


@contextlib.contextmanager
def clocks(field: Field) -> Iterator[None]:
    """Give every host the interpreter, and the right time afterwards."""
    for host in field.members:
        host.sh("mkdir -p /usr/local/lib/another-time")
        host.path("/usr/local/lib/another-time/sitecustomize.py").write_text(SITE)
        host.path(PYTHON).write_text(WRAPPER)
        host.sh(f"chmod 755 {PYTHON}")
    field.write_inventory([host.name for host in field.members], ansible_python_interpreter=PYTHON)
    try:
        yield
    finally:
        for host in field.members:
            host.sh("rm -f /etc/another-time")
        field.write_inventory([host.name for host in field.members])


def set_clock(host: Host, offset: str) -> str:
    """Set a host's clock off by that much; return what shows it."""
    host.path("/etc/another-time").write_text(offset)
    off = float(host.sh(f"{PYTHON} -c 'import time; print(time.time())'")) - time.time()
    assert abs(off - int(offset)) < 30, off
    return f"the host's Python said {'an hour later' if off > 0 else 'an hour earlier'} than the controller's"


@fault("clock of a host an hour ahead", GOES_ON, ["prepare"])
def outdated_keyring(field: Field) -> str:
    return _whole_rollout(field, "+3600")


@fault("clock of a host an hour behind", GOES_ON, ["prepare"])
def behind(field: Field) -> str:
    return _whole_rollout(field, "-3600")


def _whole_rollout(field: Field, offset: str) -> str:
    with clocks(field):
        field.struck(set_clock(field.web2, offset))
        field.run("-e", "app_keys_new=true", playbook="rollout").ended(0)
        field.phase = "retire"
    return "a whole rollout in one run, soak included"


@fault("clock of a host jumps an hour ahead during the soak", "the soak is not cheated", ["promote"])
def jumps_ahead(field: Field) -> str:
    with clocks(field):
        field.run().ended(0)
        field.struck(set_clock(field.web2, "+3600"))
        field.run(playbook="retire").ended(0).says("waiting for the soak")
        assert field.keyring()["step"]["name"] == "promote"
    return "retire waited for the controller's clock"


@fault("clock of a host jumps an hour back during the soak", "the soak is not cheated", ["promote"])
def jumps_back(field: Field) -> str:
    with clocks(field):
        field.run().ended(0)
        field.struck(set_clock(field.web2, "-3600"))
        field.until_soaked("retire")
        field.run(playbook="retire").ended(0).says("waiting for the soak on 1 of 3 hosts", "web2")
        assert field.keyring()["step"]["name"] == "promote"
    return "retire waited for the host's clock"
