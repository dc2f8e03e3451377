# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be known about real hosts without root and without one of them running."""

from __future__ import annotations

import shlex
import stat
from pathlib import Path

import addresses
import cgroups
import disk
import hosts
import image
import inventory
import machine
import pytest
import yaml
from errors import HostsError

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""
PLACES = [
    inventory.Place("web1", "127.99.1.11", 20001, 20002),
    inventory.Place("web2", "127.99.1.12", 20001, 20002),
]


def test_addresses_follow_each_other_and_never_leave_the_loopback():
    assert addresses.addresses(3, "127.99.1.254") == ["127.99.1.254", "127.99.1.255", "127.99.2.0"]
    for first in ("10.0.0.1", "127.255.255.254"):
        with pytest.raises(HostsError, match="not all in 127.0.0.0/8"):
            addresses.addresses(3, first)


def test_two_ports_of_a_fleet_differ():
    assert addresses.free_port(["127.99.1.11"], without=[20001], ports="20001-20002") == 20002
    with pytest.raises(HostsError, match="no free port"):
        addresses.free_port(["127.99.1.11"], without=[20001], ports="20001-20001")


def test_hosts_are_in_the_unified_hierarchy_and_in_systemds_own_where_there_are_two():
    assert cgroups.trees(HYBRID) == [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")]
    assert cgroups.all_trees(HYBRID) == [*cgroups.trees(HYBRID), Path("/sys/fs/cgroup/cpu")]
    assert cgroups.trees("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == [Path("/sys/fs/cgroup")]
    with pytest.raises(HostsError, match="version 2"):
        cgroups.trees("cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n")


def test_a_hosts_leader_is_process_1_of_the_namespace_below_ours():
    assert cgroups.is_leader("Name:\tsystemd\nNSpid:\t4711\t1\n")
    assert not cgroups.is_leader("Name:\tsh\nNSpid:\t4712\t17\n")
    assert not cgroups.is_leader("Name:\tsystemd\nNSpid:\t1\n")  # the machine's own
    assert not cgroups.is_leader("Name:\tsh\nNSpid:\t4713\t18\t1\n")  # of a container on the host


def test_missing_packages_are_named_once_each(monkeypatch):
    monkeypatch.setattr(machine, "search_path", lambda: "/nowhere")
    assert machine.missing(["ssh", "ssh-keygen", "debootstrap"]) == ["debootstrap", "openssh-client"]


def test_without_apt_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "search_path", lambda: "/nowhere")
    monkeypatch.setattr(machine.shutil, "which", lambda name, path=None: None)
    with pytest.raises(HostsError, match="no apt-get to install it: systemd-container"):
        machine.provide(["systemd-nspawn"])


def test_without_root_the_message_says_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(HostsError, match="need root"):
        machine.provide([])


@pytest.fixture
def limit(tmp_path, monkeypatch):
    limit = tmp_path / "limit"
    limit.write_text("128\n")
    monkeypatch.setattr(machine, "INSTANCES", limit)
    monkeypatch.setattr(machine, "NOTE", tmp_path / "note")
    monkeypatch.setattr(machine, "instances_in_use", lambda: 20)
    return limit


def test_the_limit_of_inotify_is_raised_only_where_it_has_to_be(limit, tmp_path):
    machine.raise_instances(3)
    assert limit.read_text() == "128\n" and not machine.NOTE.exists()
    machine.raise_instances(20)
    assert limit.read_text() == "212"
    machine.restore_instances(others=tmp_path / "gone")
    assert limit.read_text() == "128" and not machine.NOTE.exists()


def test_the_last_fleet_puts_the_limit_back_as_the_first_found_it(limit, tmp_path):
    machine.raise_instances(20)
    machine.raise_instances(40)
    others = tmp_path / "others"
    others.mkdir()
    machine.restore_instances(others)
    assert limit.read_text() == "372"
    others.rmdir()
    machine.restore_instances(others)
    assert limit.read_text() == "128"


def test_a_limit_that_somebody_else_has_changed_since_stays(limit, tmp_path):
    machine.raise_instances(20)
    limit.write_text("4096\n")
    machine.restore_instances(others=tmp_path / "gone")
    assert limit.read_text() == "4096\n" and not machine.NOTE.exists()


def test_the_mirror_is_the_machines_own():
    listed = (
        "Else|main|http://else.example/deb/\nDebian|contrib|http://no.example/\nDebian|main|http://a.example/debian/\n"
    )
    assert image.mirror(listed) == "http://a.example/debian/"
    with pytest.raises(HostsError, match="apt-get update"):
        image.mirror("")


def test_an_image_is_named_by_all_that_it_is_made_of(monkeypatch):
    debian = image.debian_key("bookworm")
    assert debian == image.debian_key("bookworm") != image.debian_key("trixie")
    shop = image.shop_key(debian)
    assert shop == image.shop_key(debian) != image.shop_key("another")
    monkeypatch.setattr(image, "LIBRARIES", image.LIBRARIES[:-1])
    assert image.shop_key(debian) != shop


def test_a_host_is_known_by_address_and_port():
    keys = {"web1": "ssh-ed25519 AAA1", "web2": "ssh-ed25519 AAA2"}
    assert inventory.known_hosts(PLACES, keys) == (
        "[127.99.1.11]:20001 ssh-ed25519 AAA1\n[127.99.1.12]:20001 ssh-ed25519 AAA2\n"
    )


def test_the_inventory_says_how_hosts_are_reached_and_what_the_application_is():
    text = inventory.text(PLACES, Path("/a b/id"), Path("/a b/known"), "ops", {"app_keys_soak": "2s"})
    document = yaml.safe_load(text)
    assert document["fleet"] == {"children": {"shop": None}}
    group = document["shop"]
    assert group["hosts"]["web2"] == {
        "ansible_host": "127.99.1.12", "ansible_port": 20001, "shop_url": "http://127.99.1.12:20002"
    }  # fmt: skip
    assert group["vars"]["ansible_user"] == "ops"
    assert group["vars"]["ansible_become"] is True and group["vars"]["ansible_host_key_checking"] is True
    assert group["vars"]["app_keys_soak"] == "2s"
    arguments = shlex.split(group["vars"]["ansible_ssh_common_args"])
    assert 'UserKnownHostsFile="/a b/known"' in arguments and "StrictHostKeyChecking=yes" in arguments


def test_root_has_no_need_to_become_root():
    document = yaml.safe_load(inventory.text(PLACES, Path("/id"), Path("/known"), "root", {}))
    assert document["shop"]["vars"]["ansible_become"] is False


def test_a_disk_holds_what_makes_the_host_and_only_its_owner_reads_what_is_secret(tmp_path):
    files = disk.files("web1", "127.99.1.11", 20001, 20002, 3, "SECRET_KEY=x\n", "ssh-ed25519 AAA\n")
    disk.write(tmp_path, files, start_shop=True)
    modes = {
        path: stat.S_IMODE((tmp_path / path).stat().st_mode) for path in ("etc", "etc/shop.env", "root/.ssh", "home")
    }
    assert modes == {"etc": 0o755, "etc/shop.env": 0o600, "root/.ssh": 0o700, "home": 0o755}
    assert "ListenAddress 127.99.1.11\n" in (tmp_path / "etc/ssh/sshd_config.d/listen.conf").read_text()
    unit = (tmp_path / "etc/systemd/system/shop.service").read_text()
    assert "--bind 127.99.1.11:20002 --workers 3" in unit and "$" not in unit
    assert (tmp_path / "etc/systemd/system/multi-user.target.wants/shop.service").is_symlink()


def test_two_hosts_are_two_machines():
    one, two = (disk.files(name, "127.99.1.11", 1, 2, 3, "", "") for name in ("web1", "web2"))
    assert one["etc/machine-id"] != two["etc/machine-id"]


def test_what_is_not_a_fleet_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "provide", lambda commands: None)
    (tmp_path / "thesis.txt").write_text("years of work")
    fleet = hosts.Hosts(tmp_path)
    with pytest.raises(HostsError, match="holds no fleet of hosts"):
        fleet.up()
    with pytest.raises(HostsError, match="something else than a fleet"):
        fleet.down(remove=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
