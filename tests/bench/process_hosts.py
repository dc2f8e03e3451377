# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the bench: a folder each, processes that nobody else's host sees, and the shop twice.

A host has process numbers and a /proc of its own, as a real one has: were they all in one, every look at a host would see the
keys of all others. Whatever Ansible runs on the host enters through the script `sh` in its folder, which the inventory
names as its shell. The shop is one process that sleeps (restart.sh); one is for phased.keys, and one for the playbook by hand.
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from loopback_sshd import Sshd

HERE = Path(__file__).resolve().parent
# The one place for addresses: the health endpoint has the first, the hosts those that follow.
FIRST_ADDRESS = os.environ.get("PHASED_BENCH_ADDRESS", "127.88.0.1")
OURS, BY_HAND = "phased", "byhand"
ENV = "# The shop's settings, read by the service manager.\nDEBUG=off\nGREETING='hello world'\n"
ROOT = os.geteuid() == 0
# The host ends with the bench, even if that is killed. An ordinary user needs a user namespace for the others.
START = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    *([] if ROOT else ["--user", "--map-current-user"]),
]
START += ["--pid", "--fork", "--kill-child", "--mount-proc", "sh", str(HERE / "init.sh")]
ENTER = "--mount --pid" if ROOT else "--user --preserve-credentials --mount --pid"

# Who is inside already stays there: the module `shell` runs it on the host once more.
SHELL = """\
#!/bin/sh
[ -n "$PHASED_BENCH_INSIDE" ] && exec /bin/sh "$@"
export PHASED_BENCH_INSIDE=yes
exec nsenter --target {pid} {how} -- /bin/sh "$@"
"""


class HostError(Exception):
    """A host that does not come up."""


def host_addresses(count: int) -> list[str]:
    """Return the addresses of so many hosts."""
    return [str(ipaddress.ip_address(FIRST_ADDRESS) + number) for number in range(1, count + 1)]


class Hosts:
    """So many hosts in a folder, with an inventory for Ansible."""

    def __init__(self, folder: Path, count: int, health: str, sshd: Sshd | None = None) -> None:
        self.folder = folder
        self.ssh = sshd is not None
        self.names = [f"web{number}" for number in range(1, count + 1)]
        self.inventory = folder / "inventory.yml"
        self.vault_password = folder / "vault-password"
        keys = {OURS: secrets.token_urlsafe(32), BY_HAND: secrets.token_urlsafe(32)}
        self.key = keys[BY_HAND]
        self.inits: dict[str, int] = {}
        for name in self.names:
            for shop, key in keys.items():
                self.place(name, shop).mkdir(parents=True)
                env = ENV + f"SECRET_KEY='{key}'\nSECRET_KEY_FALLBACKS=''\n"
                write_private(self.place(name, shop) / "env", env)
        write_private(self.vault_password, secrets.token_urlsafe(24) + "\n")
        self.inventory.write_text(json.dumps(self._inventory(health, sshd), indent=1))
        self._start()

    def _start(self) -> None:
        """Start every host, and write the script that enters it."""
        started = {name: self._start_one(self.folder / "hosts" / name) for name in self.names}
        deadline = time.monotonic() + 60
        for name, pid in started.items():
            folder = self.folder / "hosts" / name
            while not (folder / "up").exists():
                if time.monotonic() > deadline:
                    raise HostError(f"{name} did not come up; hosts need root, or user namespaces")
                time.sleep(0.01)
            (self.inits[name],) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            enter = folder / "sh"
            enter.write_text(SHELL.format(pid=self.inits[name], how=ENTER))
            enter.chmod(0o755)

    def _start_one(self, folder: Path) -> int:
        """Start one host and return the pid of what holds it."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        return subprocess.Popen([*START, str(folder)], start_new_session=True, **quiet).pid  # type: ignore[call-overload, no-any-return]

    def _inventory(self, health: str, sshd: Sshd | None) -> dict[str, Any]:
        """Return the inventory: what a user would write, but that all hosts are on this machine."""
        common: dict[str, Any] = {
            "ansible_connection": "ssh" if sshd else "local",
            # A host's own Python, and not that of the controller's virtual environment.
            "ansible_python_interpreter": os.path.realpath(sys.executable),
            "app_keys_name": "shop",
            "app_keys_env_format": "shell",
            "app_keys_app_check": "trust",
            # The soak and the pause between two looks are waited for on purpose: no overhead.
            "app_keys_soak": "0s",
            "app_keys_wait": "60s",
            "app_keys_settle": "0s",
            "app_keys_bake": "0s",
        }
        if sshd:
            common.update(ansible_port=sshd.port, ansible_ssh_args=sshd.client_arguments())
        hosts = {}
        for name, address in zip(self.names, host_addresses(len(self.names))):
            ours, by_hand = self.place(name, OURS), self.place(name, BY_HAND)
            hosts[name] = {
                "ansible_shell_executable": str(self.folder / "hosts" / name / "sh"),
                "app_keys_env_file": str(ours / "env"),
                "app_keys_state_dir": str(ours / "state"),
                "app_keys_restart_command": ["/bin/sh", str(HERE / "restart.sh"), str(ours)],
                "app_keys_processes": {"pid_file": str(ours / "pid")},
                "shop_folder": str(by_hand),
                "shop_restart": ["/bin/sh", str(HERE / "restart.sh"), str(by_hand)],
                "shop_health": f"{health}/{name}",
                **({"ansible_host": address} if sshd else {}),
            }
        return {"shop": {"vars": common, "hosts": hosts}}

    def place(self, name: str, shop: str) -> Path:
        """Return the folder of one host's shop."""
        return self.folder / "hosts" / name / shop

    def settings(self) -> set[tuple[str, str]]:
        """Return what the env files of the shop of phased.keys say, as it stands there: the key, and the fallbacks."""
        found = set()
        for name in self.names:
            lines = (self.place(name, OURS) / "env").read_text().splitlines()
            said = dict(line.split("=", 1) for line in lines if line.startswith("SECRET_KEY"))
            found.add((said["SECRET_KEY"], said.get("SECRET_KEY_FALLBACKS", "")))
        return found

    def started(self) -> list[float]:
        """Return when the shop of phased.keys was started on each host, in seconds since boot."""
        found = []
        for name in self.names:
            pid = (self.place(name, OURS) / "pid").read_text().strip()
            stat = Path("/proc", str(self.inits[name]), "root", "proc", pid, "stat").read_text()
            found.append(int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK"))
        return found

    def slow(self, seconds: float) -> None:
        """Have every restart take so long."""
        for name in self.names:
            (self.place(name, OURS) / "slow").write_text(f"{seconds}\n")

    def next_keys(self) -> Path:
        """Write the keys of the next rollout by hand, and return the file."""
        old, self.key = self.key, secrets.token_urlsafe(32)
        path = self.folder / "keys.json"
        write_private(path, json.dumps({"old_key": old, "new_key": self.key}))
        return path


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read."""
    path.touch(0o600)
    path.write_text(text)
