# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of light hosts: folders with an env file and a few sleeping processes, and real `ansible-playbook` runs on them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import envfile
import procs
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.phased.keys.plugins.module_utils.host import files
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
PASSWORD = "open sesame"
KEY = "the-first-key-of-the-light-fleet-0123456789-abcdefghij"
OTHER_LINES = "# the shop\n\nDEBUG=off\nGREETING='hello world'\n"
SOAK = 1.0
# However slow the machine is; a run that hangs must not hang the tests.
RUN_LIMIT = 120.0


class Run(NamedTuple):
    """What a run of ansible-playbook ended with, and all that it printed."""

    code: int
    text: str


class Holder(NamedTuple):
    """What a file or a process does, in fingerprints."""

    signs: Optional[str]
    accepts: List[str]


def holder(values: Dict[str, str]) -> Holder:
    """Read Django's settings as the light application would."""
    signs = values.get("SECRET_KEY")
    others = [key for key in values.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
    return Holder(fingerprint(signs) if signs else None, [fingerprint(key) for key in [signs, *others] if key])


class Host:
    """One light host; see `light_host` for what a restart may do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.env = folder / "env"
        self.record_file = folder / "state" / "shop.json"
        (folder / "state").mkdir(parents=True, exist_ok=True)

    @property
    def restart_command(self) -> List[str]:
        return [sys.executable, "-I", "-S", str(HERE / "light_host.py"), str(self.folder)]

    def restart(self) -> None:
        """Restart the application as the visit would."""
        subprocess.run(self.restart_command, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)

    def stop(self) -> None:
        """End every worker."""
        procs.end_marked(procs.HOST_MARK, self.folder, 0)

    def tell(self, how: str, text: str = "") -> None:
        """Have restarts go wrong, or be right again (`tell("broken", None)` is not it: use `mend`)."""
        (self.folder / how).write_text(text)

    def mend(self, how: str) -> None:
        """Have restarts go right again."""
        (self.folder / how).unlink()

    def pids(self) -> List[int]:
        """The workers that run now."""
        return sorted(proc.pid for proc in procs.marked(procs.HOST_MARK, self.folder))

    def file(self) -> Holder:
        """What the env file says."""
        return holder(envfile.read(self.env))

    def workers(self) -> List[Holder]:
        """What each worker was given."""
        found = []
        for pid in self.pids():
            pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
            found.append(holder(dict(pair.split("=", 1) for pair in pairs if "=" in pair)))
        return found

    def record(self) -> Optional[Dict[str, Any]]:
        """The host's record of its visits."""
        return json.loads(self.record_file.read_text()) if self.record_file.exists() else None

    def has(self, signs: str, accepts: List[str]) -> bool:
        """Whether file and every worker sign with the one and accept exactly the others besides."""
        held = [self.file(), *self.workers()]
        return all(one.signs == signs and set(one.accepts) == {signs, *accepts} for one in held)


class Fleet:
    """Light hosts with an inventory, a vault password, and a place for all that a run writes."""

    def __init__(self, folder: Path, names: List[str]) -> None:
        self.folder = folder
        self.vars: Dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "app_keys_name": "shop",
            "app_keys_app_check": "trust",
            "app_keys_soak": f"{SOAK}s",
            "app_keys_wait": "20s",
            "app_keys_settle": "0.2s",
            "app_keys_timeout": "5s",
            "app_keys_serial": "100%",
        }
        self.host_vars: Dict[str, Dict[str, Any]] = {}
        self.hosts = [Host(folder / "hosts" / name) for name in names]
        for host in self.hosts:
            self.host_vars[host.name] = {
                "app_keys_env_file": str(host.env),
                "app_keys_state_dir": str(host.folder / "state"),
                "app_keys_restart_command": host.restart_command,
                "app_keys_processes": {"pid_file": str(host.folder / "pid")},
            }
        self.inventory = folder / "inventory.yml"
        self.keyring = folder / ".keyrings" / "shop.yml"
        self.password = folder / "vault-password"
        self.password.write_text(PASSWORD + "\n")
        for place in ("tmp", "home", "elsewhere"):
            (folder / place).mkdir()
        (folder / "ansible.cfg").touch()
        self.started: List[subprocess.Popen[str]] = []

    def __getitem__(self, number: int) -> Host:
        return self.hosts[number]

    def write_env(self, key: str = KEY, fallbacks: str = "") -> None:
        """Give every host the settings of before, between lines that are not ours."""
        for host in self.hosts:
            host.env.write_text(OTHER_LINES)
            envfile.assign(host.env, SECRET_KEY=key, SECRET_KEY_FALLBACKS=fallbacks)
            host.env.chmod(0o640)

    def restart(self) -> None:
        """Start every host's application, or start it anew."""
        for host in self.hosts:
            host.restart()

    def write_inventory(self) -> None:
        """Write the inventory as `vars` and `host_vars` are now."""
        group = {"vars": self.vars, "hosts": self.host_vars}
        self.inventory.write_text(json.dumps({"shop": group}, indent=1))

    def environment(self, **more: str) -> Dict[str, str]:
        """Return an environment in which nothing is written outside of the folder."""
        link = CHECKOUT
        collections = self.folder / "collections" / "ansible_collections" / "phased"
        if not collections.exists():
            collections.mkdir(parents=True)
            (collections / "keys").symlink_to(link)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
        own = {
            "ANSIBLE_CONFIG": self.folder / "ansible.cfg",
            "ANSIBLE_HOME": self.folder / "home",
            "ANSIBLE_LOCAL_TEMP": self.folder / "tmp",
            "ANSIBLE_REMOTE_TEMP": self.folder / "tmp",
            "ANSIBLE_COLLECTIONS_PATH": self.folder / "collections",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": self.folder / "home",
            "TMPDIR": self.folder / "tmp",
            procs.FLEET_MARK: self.folder,
        }
        return {**kept, **{name: str(value) for name, value in own.items()}, **more}

    def start(self, playbook: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a playbook of the collection, or one that is a path, in a session of its own."""
        self.write_inventory()
        name = playbook if "/" in playbook else f"phased.keys.{playbook}"
        given = ["-i", str(self.inventory), "--vault-password-file", str(self.password)]
        run = subprocess.Popen(
            [str(ANSIBLE_PLAYBOOK), *given, name, *arguments],
            env=self.environment(**more),
            cwd=self.folder / "elsewhere",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.started.append(run)
        return run

    def run(self, playbook: str, *arguments: str, **more: str) -> Run:
        """Run a playbook to its end."""
        run = self.start(playbook, *arguments, **more)
        text, _none = run.communicate(timeout=RUN_LIMIT)
        return Run(run.returncode, text)

    def ring(self) -> Dict[str, Any]:
        """Return the keyring, opened."""
        vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
        return yaml.safe_load(vault.decrypt(self.keyring.read_bytes()))

    def states(self) -> Dict[str, str]:
        """The keys of the keyring by fingerprint, with their states."""
        return {key["fingerprint"]: key["state"] for key in self.ring()["keys"]}

    def unchanged(self) -> Any:
        """All that a refusal must leave alone: compare two of these."""
        hosts = {host.name: (host.env.read_bytes(), host.env.stat().st_ino, host.pids()) for host in self.hosts}
        return self.keyring.read_bytes() if self.keyring.exists() else None, hosts

    def until(self, so: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not (found := so()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
        return found

    def save(self, place: Path) -> None:
        """Copy what a run leaves behind: the keyring, the env files and the records."""
        shutil.copytree(self.keyring.parent, place / ".keyrings")
        for host in self.hosts:
            shutil.copytree(host.folder, place / "hosts" / host.name)

    def take(self, place: Path) -> None:
        """Begin where a saved fleet was: the same keyring, env files and records, and workers with those settings."""
        shutil.copytree(place / ".keyrings", self.keyring.parent)
        for host in self.hosts:
            shutil.copytree(place / "hosts" / host.name, host.folder, dirs_exist_ok=True)
            record = host.record()
            if record is not None:
                # The copy is the file that the visit wrote.
                record["files"] = {str(host.env): files.identity(str(host.env))}
                host.record_file.write_text(json.dumps(record))
        self.restart()

    def end(self) -> None:
        """End all that was started here, by pid."""
        procs.end_marked(procs.FLEET_MARK, self.folder, 0)
        for run in self.started:
            run.wait()
            if run.stdout:
                run.stdout.close()
