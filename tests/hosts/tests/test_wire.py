# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets over real ssh: everything that a keyring can go through, with all that Ansible can tell, and no secret is anywhere
but in the keyring and the env files, on the controller and on the hosts.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import envfile
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from canary import Processes, Search
from playbook_run import Run
from played import Played

pytestmark = pytest.mark.hosts

NAMES = ("web1", "web2")
ROOT: dict[str, Any] = {"ansible_user": "root", "ansible_become": False}
# su has no pipelining: the visit's module, and with it the keys, lie in a file on the host until it has ended.
IN_A_FILE: dict[str, Any] = {
    "ansible_user": "root",
    "ansible_become": True,
    "ansible_become_method": "su",
    "app_keys_allow_key_in_file": True,
}
ENV = "# The shop's settings\nSHOP_DATABASE=/srv/shop/data/shop.sqlite3\nSHOP_LIFE=100\nDJANGO_SETTINGS_MODULE=shop.settings\n"


def awkward() -> str:
    """A key of the characters that Django draws from, the awkward ones at both ends."""
    return "#$&(=)^%" + secrets.token_hex(16) + "!@*-_+$(#"


class Wire:
    """A fleet, its keys, and all that was said."""

    def __init__(self, fleet: Played) -> None:
        self.fleet = fleet
        self.said: dict[str, Run] = {}
        self.commands = b""
        self.keys = {awkward(): "the first"}
        self.settings = {
            "ANSIBLE_PIPELINING": "0",
            "ANSIBLE_LOG_PATH": str(fleet.folder / "ansible.log"),
            "ANSIBLE_GATHERING": "implicit",
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(fleet.folder / "cache"),
            "ANSIBLE_DISPLAY_ARGS_TO_STDOUT": "1",
        }
        for name in NAMES:
            key = envfile.quote(next(iter(self.keys)))
            fleet.sh(name, f"cat > /etc/shop.env <<'END'\n{ENV}SECRET_KEY={key}\nEND\nsystemctl restart shop")

    def disk(self, name: str) -> Path:
        return self.fleet.folder / "hosts" / name / "disk"

    def run(self, what: str, playbook: str, *, struck: bool = False, pipelining: str = "0", **variables: Any) -> Run:
        """Run a playbook with everything said, and note down the keys that are in the keyring now."""
        self.settings["ANSIBLE_PIPELINING"] = pipelining
        if struck:
            path = self.disk("web2") / "etc" / "shop.env"
            run = self.fleet.struck(path, playbook, "-vvvvv", "--diff", env=self.settings, **variables)
        else:
            run = self.fleet.run(playbook, "-vvvvv", "--diff", env=self.settings, **variables).ended(0)
        self.said[what] = run
        for key in self.fleet.keyring()["keys"]:
            if key["secret"]:
                self.keys.setdefault(key["secret"], what)
        return run

    def everything(self) -> None:
        """Take the keyring through all that it can go through."""
        self.run("adopt", "adopt").says(f"with the key {fingerprint(next(iter(self.keys)))}")
        self.run("rollout", "rollout").says("retire: 2 of 2 hosts have let go of")
        self.run("killed as root", "rollout", struck=True, app_keys_new=True, **ROOT)
        self.run("killed as ops", "rollout", struck=True, pipelining="1")
        self.run("finished", "rollout", pipelining="1", **ROOT).says("retire: 2 of 2 hosts have let go of")
        self.run("in a file", "rollout", app_keys_new=True, **IN_A_FILE).says("retire: 2 of 2 hosts have let go of")
        leaked = self.fleet.keyring()["keys"][-1]["fingerprint"]
        self.run("emergency", "rollout", pipelining="1", app_keys_compromised=leaked, app_keys_confirm=leaked).says(
            "retire: 2 of 2"
        )
        self.fleet.keyring_path.unlink()
        self.run("recovered", "adopt", app_keys_recover=True).says("2 of 2 hosts have their record")

    def found(self, search: Search) -> dict[str, Any]:
        """Say in which places secrets are, and where there; the keyring is encrypted, and the env files are theirs."""
        left: dict[str, Any] = {what: search.text(run.text.encode()) for what, run in self.said.items()}
        kept = {self.disk(name) / "etc" / "shop.env" for name in NAMES}
        # All disks are below this folder, with the temporary folders of all users, records and locks.
        left["files"] = search.files(self.fleet.folder, kept)
        for name in NAMES:
            left[f"memory of {name}"] = search.text(
                self.bytes(name, "tar -c --ignore-failed-read /run /dev/shm 2>/dev/null || true")
            )
            journal = self.bytes(name, "journalctl --output=export --all; journalctl --output=cat --all")
            assert b"Invoked with name=shop" in journal
            left[f"journal of {name}"] = search.text(journal)
        return {place: what for place, what in left.items() if what}

    def bytes(self, name: str, script: str) -> bytes:
        """Return what a script prints on a host, whatever bytes those are."""
        return base64.b64decode(self.fleet.sh(name, f"({script}) | base64 -w0"))


@pytest.fixture(scope="module")
def wire(bring_up: Callable[..., Played]) -> Wire:
    wire = Wire(bring_up(2, workers=1))
    with Processes() as processes:
        wire.everything()
    wire.commands = b"\n".join(processes.seen)
    return wire


def test_every_way_was_gone(wire: Wire) -> None:
    # The first key, and a new one each for two rollouts, one in a file, and the emergency.
    assert len(wire.keys) == 5
    assert [key["state"] for key in wire.fleet.keyring()["keys"]] == ["primary"]
    for name in NAMES:
        assert wire.fleet.sh(name, "cat /var/lib/phased.keys/shop.json").count('"proven"') == 1


def test_no_secret_is_to_be_found(wire: Wire) -> None:
    search = Search(list(wire.keys))
    assert wire.found(search) == {}
    assert len(wire.commands) > 10000 and search.text(wire.commands) == []
    assert all(b"SSH: EXEC" in run.text.encode() for run in wire.said.values())
    env_files = {str(wire.disk(name).relative_to(wire.fleet.folder) / "etc" / "shop.env") for name in NAMES}
    assert set(search.files(wire.fleet.folder, set())) == env_files


def test_a_visit_has_no_file_unless_that_is_allowed_and_then_none_is_left(wire: Wire) -> None:
    with_file = {what for what, run in wire.said.items() if "phased_keys.py" in run.text}
    assert with_file == {"in a file"}
    for name in NAMES:
        assert wire.fleet.sh(name, "find / -xdev -name 'phased_keys.py' -o -xdev -name '.phased.keys.*'") == ""


def test_without_pipelining_a_visit_is_refused_unless_that_is_allowed(wire: Wire) -> None:
    su = {**IN_A_FILE, "app_keys_allow_key_in_file": False}
    refused = wire.fleet.run("rollout", app_keys_new=True, **su).ended(-1)
    refused.says("without pipelining they would lie in a temporary file on the host")
    wire.fleet.run("rollback").ended(0)


LEAK: list[dict[str, Any]] = [
    {"debug": {"msg": "it is {{ ('SECRET_KEY=' ~ key) | b64encode }}"}},
    {"set_fact": {"kept": "{{ key }}", "cacheable": True}},
    {"command": {"argv": ["/bin/sh", "-c", "sleep 0.5", "sh", "{{ key }}"]}},
    {"copy": {"content": "{{ key }}", "dest": "{{ item }}", "mode": "0600"},
     "loop": ["/tmp/leak", "/home/ops/.ansible/tmp/leak", "~root/leak", "/var/lib/phased.keys/shop.lock", "/dev/shm/leak"]},
]  # fmt: skip


def test_the_search_finds_what_is_leaked_on_purpose(wire: Wire) -> None:
    fleet, secret = wire.fleet, awkward()
    (fleet.folder / "leak.json").write_text(json.dumps({"key": secret}))
    (fleet.folder / "leak.yml").write_text(json.dumps([{"hosts": "web1", "gather_facts": False, "tasks": LEAK}]))
    with Processes() as processes:
        run = fleet.run(
            str(fleet.folder / "leak.yml"), "-vvv", f"--extra-vars=@{fleet.folder}/leak.json", env=wire.settings
        )
    wire.said = {"leak": run.ended(0)}
    search = Search([secret])
    found = wire.found(search)
    assert set(found) == {"leak", "files", "memory of web1", "journal of web1"}
    paths = set(found["files"])
    disk = "hosts/web1/disk"
    written = {"tmp/leak", "home/ops/.ansible/tmp/leak", "root/leak", "var/lib/phased.keys/shop.lock"}
    assert {f"{disk}/{path}" for path in written} | {"ansible.log", "leak.json"} <= paths
    assert any(path.startswith("cache/") for path in paths)
    assert search.text(b"\n".join(processes.seen))
