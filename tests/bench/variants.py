# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured side by side: each variant is a command of Ansible on the same hosts.

a      phased.keys.rollout, three phases in one command
b      the playbook that is written by hand (byhand/)
c      the floor: as many visits as (a) made, in the same batches, with a module that does nothing
c_raw  the same without a module: the command `true`
d      one ad-hoc ping of the fleet
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import measuring
import procs
from process_hosts import HERE, Hosts

CHECKOUT = HERE.parents[1]
RAW = {"cmd": "true", "executable": "{{ ansible_shell_executable }}"}  # into the host, as modules go
NOTHING: dict[str, dict[str, Any]] = {"c": {"ansible.builtin.ping": {}}, "c_raw": {"ansible.builtin.raw": RAW}}


class Bench:
    """Hosts, and the runs of the variants on them."""

    def __init__(self, hosts: Hosts, sockets: Path, forks: int = 10) -> None:
        self.hosts = hosts
        self.folder = hosts.folder
        self.forks = forks
        self.visits: list[dict[str, Any]] = []
        self._environment = environment(self.folder, sockets)

    def ansible(self, program: str, *arguments: str) -> dict[str, Any]:
        """Run a program of Ansible and return what it used."""
        given = ["-i", str(self.hosts.inventory), "-f", str(self.forks), "--vault-password-file"]
        command = [str(Path(sys.executable).parent / program), *given, str(self.hosts.vault_password), *arguments]
        return measuring.run(command, self._environment, self.folder, self.folder / "log", self.hosts.ssh)

    def playbook(self, name: str, *arguments: str) -> dict[str, Any]:
        """Run a playbook of the collection."""
        return self.ansible("ansible-playbook", f"phased.keys.{name}", *arguments)

    def measure(self, variant: str) -> dict[str, Any]:
        """Run one variant."""
        used: dict[str, Any] = getattr(self, f"_{variant}")()
        return used

    def _a(self) -> dict[str, Any]:
        before = self.hosts.settings()
        used = self.playbook("rollout", "-e", "app_keys_new=true")
        self.visits = [play for play in used["plays"] if play["contacts"]]
        after = self.hosts.settings()
        if len(after) != 1 or after & before or not all(fallbacks in ("", "''") for _key, fallbacks in after):
            raise measuring.RunError("the rollout did not come to its end on every host")
        return used

    def _b(self) -> dict[str, Any]:
        keys = self.hosts.next_keys()
        return self.ansible("ansible-playbook", str(HERE / "byhand" / "rollout.yml"), "-e", f"@{keys}")

    def _c(self) -> dict[str, Any]:
        return self.floor("c")

    def _c_raw(self) -> dict[str, Any]:
        return self.floor("c_raw")

    def _d(self) -> dict[str, Any]:
        return self.ansible("ansible", "shop", "-m", "ansible.builtin.ping")

    def floor(self, variant: str) -> dict[str, Any]:
        """Visit the hosts as often as the last run of (a) did."""
        path = self.folder / f"{variant}.yml"
        path.write_text(json.dumps(floor_plays(self.visits, len(self.hosts.names), NOTHING[variant]), indent=1))
        used = self.ansible("ansible-playbook", str(path))
        wanted = sum(play["contacts"] for play in self.visits)
        if used["contacts"] != wanted:
            raise measuring.RunError(f"the floor made {used['contacts']} visits, and the rollout {wanted}")
        return used


def floor_plays(visits: list[dict[str, Any]], hosts: int, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a play for each play that visited hosts: the same batches, and as many visits."""
    plays = []
    for play in visits:
        tasks = [{"name": "Do nothing", **task}] * math.ceil(play["contacts"] / hosts)
        batches = {"serial": play["serial"]} if play["serial"] else {}
        plays.append({"name": play["name"], "hosts": "shop", "gather_facts": False, **batches, "tasks": tasks})
    return plays


def environment(folder: Path, sockets: Path) -> dict[str, str]:
    """Return an environment in which Ansible finds this checkout's collection and writes nothing outside."""
    link = folder / "collections" / "ansible_collections" / "phased" / "keys"
    if not link.is_symlink():
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
    for name in ("tmp", "home"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "ansible.cfg").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    own = {
        "ANSIBLE_CONFIG": folder / "ansible.cfg",
        "ANSIBLE_HOME": folder / "home",
        "ANSIBLE_LOCAL_TEMP": folder / "tmp",
        "ANSIBLE_REMOTE_TEMP": folder / "tmp",
        "ANSIBLE_COLLECTIONS_PATH": folder / "collections",
        "ANSIBLE_CALLBACK_PLUGINS": HERE / "callback",
        "ANSIBLE_CALLBACKS_ENABLED": "usage",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",  # for the ad-hoc command too
        "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        # Compiled once, by adopt, and not in the checkout.
        "PYTHONPYCACHEPREFIX": folder / "bytecode",
        "LC_ALL": "C.UTF-8",
        "HOME": folder / "home",
        "TMPDIR": folder / "tmp",
        procs.FLEET_MARK: folder,
    }
    return {**kept, **{name: str(value) for name, value in own.items()}}
