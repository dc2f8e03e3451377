# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of real hosts that playbooks are run against, and that tests look at past Ansible."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import hosts as real
import inventory
import yaml
from playbook_run import Run

BIN = Path(sys.executable).parent
PATIENCE = 240
# Seconds instead of days and minutes, so that a test sees a whole rollout.
QUICK = {
    "app_keys_soak": "2s",
    "app_keys_wait": "60s",
    "app_keys_settle": "0.5s",
    "app_keys_bake": "0s",
    "app_keys_timeout": "20s",
}


class Played:
    """The fleet, its playbook runs and its hosts' shells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = real.Hosts(folder)
        self.inventory = self.hosts.inventory
        self.keyring_path = self.hosts.inventory.parent / ".keyrings" / "shop.yml"

    def up(self, hosts: int, variables: dict[str, Any] | None = None, **options: Any) -> Played:
        self.hosts.up(hosts, options.pop("workers", 2), variables={**QUICK, **(variables or {})},
                      keeper_pid=os.getpid(), **options)  # fmt: skip
        (self.folder / "tmp").mkdir()
        (self.folder / "ansible.cfg").touch()
        return self

    def environment(self, **more: str) -> dict[str, str]:
        """Return the controller's environment: what a run leaves lies in the fleet's folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return {
            **kept,
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/phased-{os.getpid()}",  # a socket's path has to be short
            "TMPDIR": str(self.folder / "tmp"),
            **more,
        }

    def command(self, playbook: str, *arguments: str, **variables: Any) -> list[str]:
        extra = [f"--extra-vars={json.dumps(variables)}"] if variables else []
        name = playbook if playbook.endswith(".yml") else f"phased.keys.{playbook}"
        vault = f"--vault-password-file={self.hosts.vault_password}"
        return [str(BIN / "ansible-playbook"), "-i", str(self.inventory), vault, *extra, *arguments, name]

    def run(self, playbook: str, *arguments: str, env: dict[str, str] | None = None, **variables: Any) -> Run:
        """Run a playbook of the collection, or a file; `variables` are extra ones."""
        done = subprocess.run(
            self.command(playbook, *arguments, **variables), env=self.environment(**(env or {})), cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout.decode(errors="replace"))

    def struck(
        self, path: Path, playbook: str, *arguments: str, env: dict[str, str] | None = None, **variables: Any
    ) -> Run:
        """Run a playbook, and kill it and all that it has started with -9 as soon as this file on a host's disk is replaced."""
        before = path.stat().st_ino
        output = self.folder / "tmp" / "struck"
        with output.open("wb") as out:
            running = subprocess.Popen(
                self.command(playbook, *arguments, **variables), env=self.environment(**(env or {})), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            while running.poll() is None and path.stat().st_ino == before:
                time.sleep(0.002)
            assert running.poll() is None, "it has ended, and the file was never written"
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        text = output.read_text(errors="replace")
        output.unlink()
        return Run(running.returncode, text)

    def sh(self, name: str, script: str, user: str = "root") -> str:
        """Run a script in a shell of a host, and return what it prints."""
        return self._told(name, ["sh", "-eu"], script.encode(), user)

    def put(self, name: str, folder: Path) -> None:
        """Lay what is in a folder over the root of a host, as root's."""
        packed = subprocess.run(
            ["tar", "-c", "--owner=0", "--group=0", "-C", folder, "."], check=True, capture_output=True
        )
        self._told(name, ["tar", "-x", "--no-overwrite-dir", "-C", "/"], packed.stdout, "root")

    def _told(self, name: str, command: list[str], given: bytes, user: str) -> str:
        place = next(place for place in self.hosts.places if place.name == name)
        known = inventory.ssh_arguments(self.folder / "ssh" / "known_hosts")
        ssh = ["ssh", *known, "-i", str(self.folder / "ssh" / "id"), "-p", str(place.ssh_port)]
        done = subprocess.run(
            [*ssh, f"{user}@{place.address}", *command], input=given, capture_output=True, check=False
        )
        what = given.decode(errors="replace") if command[0] == "sh" else " ".join(command)
        assert done.returncode == 0, f"{what}\n{done.stdout.decode()}{done.stderr.decode()}"
        return done.stdout.decode(errors="replace").strip()

    def keyring(self, keyring: Path | None = None) -> dict[str, Any]:
        """Return the keyring, as its owner sees it."""
        view = [BIN / "ansible-vault", "view", "--vault-password-file", self.hosts.vault_password]
        text = subprocess.run(
            [*view, keyring or self.keyring_path], check=True, capture_output=True, env=self.environment()
        )
        document: dict[str, Any] = yaml.safe_load(text.stdout)
        return document

    def end(self) -> None:
        """End ssh's shared connections, which outlive the runs, and leave nothing of them."""
        folder = Path(self.environment()["ANSIBLE_SSH_CONTROL_PATH_DIR"])
        for socket in folder.glob("*"):
            subprocess.run(["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "x"], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
        self.hosts.down(remove=True)
