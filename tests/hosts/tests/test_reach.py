# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each common way to reach a host works, or is refused in words that say what must hold. One rollout takes them all."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from canary import Processes
from played import Played

pytestmark = pytest.mark.hosts

PASSWORD = "only for this test, and on loopback"
# A kind of connection that Ansible has no pipelining for.
PIPELESS = """
from ansible.plugins.connection.ssh import DOCUMENTATION, Connection as Ssh

class Connection(Ssh):
    has_pipelining = False
"""
JUMP = """
Host jump
  HostName {jump.address}
  Port {jump.ssh_port}
Host {target.address}
  ProxyJump jump
Host *
  User ops
  IdentityFile "{ssh}/id"
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile "{ssh}/known_hosts"
  StrictHostKeyChecking yes
"""


@pytest.fixture(scope="module")
def fleet(bring_up: Callable[..., Played]) -> Played:
    """Two hosts, of which web1 is the jump host of web2, and a user who has to give a password to become root."""
    fleet = bring_up(2, workers=1)
    for name in ("web1", "web2"):
        fleet.sh(name, f"useradd -m deploy; echo 'deploy:{PASSWORD}' | chpasswd; echo 'deploy ALL=(ALL) ALL' > /etc/sudoers.d/deploy; "
                       "cp -r /home/ops/.ssh /home/deploy; chown -R deploy: /home/deploy")  # fmt: skip
    web1, web2 = fleet.hosts.places
    jump = JUMP.format(jump=web1, target=web2, ssh=fleet.folder / "ssh")
    (fleet.folder / "ssh" / "jump").write_text(jump)
    (fleet.folder / "ssh" / "no-jump").write_text(jump.replace(f"Port {web1.ssh_port}", "Port 9"))
    plugins = fleet.folder / "connection"
    plugins.mkdir()
    (plugins / "pipeless.py").write_text(PIPELESS)
    return fleet


def through(fleet: Played, config: str) -> dict[str, Any]:
    # A connection that is kept open by an earlier run would do without the jump.
    return {"ansible_ssh_common_args": f"-F {fleet.folder}/ssh/{config} -o ControlPath=none"}


def test_a_plain_user_cannot_begin(fleet: Played) -> None:
    refused = fleet.run("adopt", ansible_become=False).ended(-1)
    refused.lists("web2", "ops may not do this (Permission denied). Run with become (-b)")
    assert not fleet.keyring_path.exists()


def test_a_jump_host(fleet: Played) -> None:
    with Processes() as processes:
        fleet.run("adopt", **through(fleet, "jump")).ended(0).says("adopt: 2 of 2 hosts have their record")
    place = fleet.hosts.places[1]
    assert any(f"-W\0[{place.address}]:{place.ssh_port}\0jump".encode() in command for command in processes.seen)


def test_a_jump_host_that_is_down(fleet: Played) -> None:
    refused = fleet.run("prepare", **through(fleet, "no-jump")).ended(-1)
    refused.says("prepare is not safe yet: ", "1 of 2 hosts").lists(
        "web2", "unreachable (ssh: connect to host", "9: Connection refused)"
    )


def test_a_plain_user_cannot_go_on(fleet: Played) -> None:
    before = fleet.keyring()
    for playbook, code in (("status", 0), ("prepare", -1)):
        told = fleet.run(playbook, ansible_become=False).ended(code)
        told.lists("web2", "ops may not do this (Permission denied). Run with become (-b)")
    assert fleet.keyring() == before


def test_sudo_with_a_password(fleet: Played) -> None:
    who = {"ansible_user": "deploy"}
    fleet.run("prepare", **who).ended(-1).says("Missing sudo password")
    fleet.run("prepare", **who, ansible_become_password="another").ended(-1).says("Incorrect sudo password")
    fleet.run("prepare", **who, ansible_become_password=PASSWORD).ended(0).says("prepare: 2 of 2 hosts accept")


def test_ways_without_pipelining(fleet: Played) -> None:
    plugins = {"ANSIBLE_CONNECTION_PLUGINS": str(fleet.folder / "connection")}
    ways: list[tuple[dict[str, Any], dict[str, str], str]] = [
        ({"ansible_connection": "pipeless"}, plugins, "The connection pipeless has none with become sudo: use one that has it"),
        ({"ansible_become_method": "su", "ansible_user": "root", "ansible_become": True}, {}, "no pipelining with su: become with sudo"),
        ({}, {"ANSIBLE_KEEP_REMOTE_FILES": "1"}, "ANSIBLE_KEEP_REMOTE_FILES turns pipelining off: unset it"),
    ]  # fmt: skip
    before = [fleet.sh(name, "md5sum /etc/shop.env") for name in ("web1", "web2")]
    for variables, env, advice in ways:
        refused = fleet.run("promote", env=env, **variables).ended(-1)
        refused.says(
            "without pipelining they would lie in a temporary file", advice, "or set app_keys_allow_key_in_file"
        )
    assert [fleet.sh(name, "md5sum /etc/shop.env") for name in ("web1", "web2")] == before
    fleet.sh("web1", "rm -r ~root/.ansible /home/ops/.ansible")


def test_root_without_become(fleet: Played) -> None:
    fleet.run("promote", ansible_user="root", ansible_become=False).ended(0).says("promote: 2 of 2 hosts sign with")


def test_su_where_a_key_may_lie_in_a_file_for_a_moment(fleet: Played) -> None:
    su = {"ansible_become_method": "su", "ansible_user": "root", "ansible_become": True}
    fleet.run("rollout", **su, app_keys_allow_key_in_file=True).ended(0).says("retire: 2 of 2 hosts have let go of")
    left = json.loads(
        fleet.sh(
            "web1",
            "python3 -c 'import os, json; print(json.dumps(os.listdir(os.path.expanduser(\"~root/.ansible/tmp\"))))'",
        )
    )
    assert left == []
    assert [key["state"] for key in fleet.keyring()["keys"]] == ["retired", "primary"]
