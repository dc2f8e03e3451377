# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways to a host: connection plugins without pipelining, sudo that wants a terminal, a Python that has to be found."""

from __future__ import annotations

import json
import sys
from typing import Callable

import pytest
from light_fleet import Fleet

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
# A connection plugin as people write them: no option of its own, and none that is called pipelining.
PLAIN = '''
DOCUMENTATION = """
name: plain
short_description: runs everything here
description: runs everything here
author: nobody
options: {}
"""
import shutil
import subprocess

from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    transport = "plain"
    has_pipelining = False

    def _connect(self):
        self._connected = True
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        assert in_data is None, "nothing can be piped"
        done = subprocess.run(["/bin/sh", "-c", cmd], capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path, out_path):
        shutil.copy(in_path, out_path)

    def fetch_file(self, in_path, out_path):
        shutil.copy(in_path, out_path)

    def close(self):
        self._connected = False
'''


def plain(fleet: Fleet) -> Fleet:
    """Reach a fleet through that plugin."""
    folder = fleet.folder / "connection_plugins"
    folder.mkdir()
    (folder / "plain.py").write_text(PLAIN)
    (fleet.folder / "ansible.cfg").write_text(f"[defaults]\nconnection_plugins = {folder}\n")
    fleet.vars["ansible_connection"] = "plain"
    return fleet


def test_a_connection_plugin_without_an_option_for_pipelining_is_one_that_has_none(after: After) -> None:
    fleet = plain(after("adopt"))
    fleet.run("status").ended(0).says("web2", "signs")
    before = fleet.unchanged()
    fleet.open("prepare")
    run = fleet.visit().ended(2).says("without pipelining they would lie in a temporary file on the host")
    run.says("The connection plain has none")
    assert fleet.unchanged()[1] == before[1]
    fleet.vars["app_keys_allow_key_in_file"] = True
    assert set(fleet.visit().ended(0).recap("changed").values()) == {1}
    # And nothing of it stays.
    assert not list((fleet.folder / "tmp").rglob("phased_keys.py"))


REQUIRETTY = """case " $* " in *" -tt "*) ;; *" -I -S "*)
  cat >/dev/null; echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1;; esac
"""


def test_a_sudo_that_wants_a_terminal_can_be_looked_through(after: After) -> None:
    fleet = after("adopt")
    fleet.over_ssh()
    ssh = fleet.folder / "ssh"
    ssh.write_text(ssh.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{REQUIRETTY}"))
    fleet.run("status").ended(0).says("web1", "signs").says("web2", "signs")
    fleet.open("prepare")
    before = fleet.unchanged()
    # A visit carries keys: it says what sudo said.
    fleet.visit().ended(2).says("you must have a tty to run sudo")
    assert fleet.unchanged() == before


@pytest.mark.parametrize("interpreter", [None, "auto", "auto_silent"])
def test_the_hosts_python_is_found_as_ansible_finds_it(after: After, interpreter: str) -> None:
    fleet = after("prepare")
    fleet.over_ssh()
    del fleet.vars["ansible_python_interpreter"]
    if interpreter:
        fleet.vars["ansible_python_interpreter"] = interpreter
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(fleet.folder / "cache")}
    (fleet.folder / "bin").mkdir()
    (fleet.folder / "bin" / "python3").symlink_to(sys.executable)
    cache["PATH"] = f"{fleet.folder / 'bin'}:/usr/bin:/bin"
    fleet.run("promote", **cache).ended(0).says("promote: 2 of 2 hosts sign with")
    # It is the one thing that is kept of a host's answer, where Ansible itself keeps it.
    facts = "".join(path.read_text() for path in (fleet.folder / "cache").iterdir())
    assert "discovered_interpreter_python" in facts and "app_keys" not in facts and "evidence" not in facts


def test_a_result_is_small_and_the_evidence_is_there_for_who_asks(after: After) -> None:
    fleet = after("adopt")
    look = [{"name": "Look", "phased.keys.active_fingerprint": {}, "register": "looked"}]
    show = [{"name": "Show", "ansible.builtin.debug": {"msg": "{{ looked | to_json }}"}}]
    playbook = fleet.folder / "look.yml"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [*look, *show]}]))
    run = fleet.run(str(playbook)).ended(0).says(fleet.old)
    assert "evidence" not in run.text and "invocation" not in run.text
    fleet.run(str(playbook), "-vv").ended(0).says("evidence", "workers")
