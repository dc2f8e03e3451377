# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of light hosts: folders with an env file and a few sleeping processes, and real `ansible-playbook` runs on them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import envfile
import procs
from ansible_collections.phased.keys.plugins.module_utils._host import files
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFile
from ansible_collections.phased.keys.plugins.plugin_utils._new_key import new_key
from playbook_run import Run
from sealed import PASSWORD, opened

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
OTHER_LINES = "# the shop\n\nDEBUG=off\nGREETING='hello world'\n"
SOAK = 1.0
# However slow the machine is; a run that hangs must not hang the tests.
RUN_LIMIT = 120.0


# In place of ssh: the real connection plugin drives it, and it runs the command here, unless the host is to be down.
SSH = """#!/bin/sh
while [ $# -gt 2 ]; do shift; done
here=$PHASED_FLEET_DIR/hosts/$1
keyring=$PHASED_FLEET_DIR/.keyrings/shop.yml
if [ -e "$here/down" ] || { [ -e "$here/down-after" ] && ! cmp -s "$here/down-after" "$keyring"; }; then
  # What is sent is read: on a busy machine Ansible else says "broken pipe" and not what ssh says.
  [ -t 0 ] || cat >/dev/null
  echo "ssh: connect to host $1 port 22: Connection refused" >&2
  exit 255
fi
exec /bin/sh -c "$2"
"""
DEPLOY = """
- name: Deploy
  hosts: all
  serial: 1
  gather_facts: false
  roles:
    - role: phased.keys.app_keys
"""


class Holder(NamedTuple):
    """What a file or a process does, in fingerprints."""

    signs: Optional[str]
    accepts: List[str]


def holder(values: Dict[str, str]) -> Holder:
    """Read Django's settings as the light application would."""
    signs = values.get("SECRET_KEY")
    others = [key for key in values.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
    return Holder(fingerprint(signs) if signs else None, [fingerprint(key) for key in [signs, *others] if key])


def exchange(text: str, pairs: Dict[str, str]) -> str:
    """Put one text in the place of another, for each of the pairs."""
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text


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
        """Have restarts go wrong in this way, or give the host another mark."""
        (self.folder / how).write_text(text)

    def mend(self, how: str) -> None:
        """Take back what was told."""
        (self.folder / how).unlink()

    def pids(self) -> List[int]:
        """The workers that run now."""
        return sorted(proc.pid for proc in procs.marked(procs.HOST_MARK, self.folder))

    def file(self) -> Holder:
        """What the env file says."""
        return holder(envfile.read(self.env))

    def given(self, pid: int) -> Holder:
        """What a worker was given."""
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
        return holder(dict(pair.split("=", 1) for pair in pairs if "=" in pair))

    def workers(self) -> List[Holder]:
        """What each worker was given."""
        return [self.given(pid) for pid in self.pids()]

    def record(self) -> Optional[Dict[str, Any]]:
        """The host's record of its visits."""
        return json.loads(self.record_file.read_text()) if self.record_file.exists() else None

    def has(self, signs: str, accepts: List[str]) -> bool:
        """Whether file and every worker sign with the one and accept exactly the others besides."""
        held = [self.file(), *self.workers()]
        return all(one.signs == signs and set(one.accepts) == {signs, *accepts} for one in held)


class Fleet:
    """Light hosts with an inventory, a vault password, and a place for all that a run writes."""

    bytecode = Path()  # one folder for all fleets

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.secret = f"first-{secrets.token_urlsafe(32)}"
        self.old = fingerprint(self.secret)
        self.vars: Dict[str, Any] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "app_keys_name": "shop",
            "app_keys_app_check": "trust",
            "app_keys_soak": f"{SOAK}s",
            "app_keys_wait": "20s",
            "app_keys_settle": "0.2s",
            "app_keys_bake": "0s",
            "app_keys_timeout": "20s",
            "app_keys_serial": "100%",
        }
        self.host_vars: Dict[str, Dict[str, Any]] = {}
        self.hosts = [Host(folder / "hosts" / name) for name in names]
        for host in self.hosts:
            self.host_vars[host.name] = {
                "app_keys_env_file": str(host.env),
                # As a template, as one has in an inventory.
                "app_keys_state_dir": f"{host.folder.parent}/{{{{ inventory_hostname }}}}/state",
                "app_keys_restart_command": host.restart_command,
                "app_keys_processes": {"pid_file": str(host.folder / "pid")},
            }
        self.inventory = folder / "inventory.yml"
        self.keyring_path = folder / ".keyrings" / "shop.yml"
        self.password = folder / "vault-password"
        self.password.write_text(PASSWORD + "\n")
        for place in ("tmp", "home", "elsewhere"):
            (folder / place).mkdir()
        # A thousand looks a second for what has ended cost more than they bring.
        (folder / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.01\n")
        self.started: List[subprocess.Popen[str]] = []

    def __getitem__(self, number: int) -> Host:
        return self.hosts[number]

    def write_env(self, key: str = "", *numbers: int) -> None:
        """Give the hosts (those of these numbers, or all) the previous settings, after lines that are not ours."""
        for host in [self.hosts[number] for number in numbers] or self.hosts:
            host.env.write_text(OTHER_LINES)
            envfile.assign(host.env, SECRET_KEY=key or self.secret, SECRET_KEY_FALLBACKS="")
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
        collections = self.folder / "collections" / "ansible_collections" / "phased"
        if not collections.exists():
            collections.mkdir(parents=True)
            (collections / "keys").symlink_to(CHECKOUT)
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
            # Compiled once and not by every process, and not in the checkout.
            "PYTHONPYCACHEPREFIX": self.bytecode,
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

    def over_ssh(self) -> None:
        """Reach the hosts through the ssh connection plugin, so that one can be down."""
        ssh = self.folder / "ssh"
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        self.vars.update(ansible_connection="ssh", ansible_ssh_executable=str(ssh), ansible_ssh_args="-C")
        self.vars.update(ansible_ssh_transfer_method="piped")

    def visit(self, *arguments: str, **more: str) -> Run:
        """Step around the gate: visit every host as the playbooks of the collection do, with one of our own."""
        playbook = self.folder / "visits.yml"
        task = {"name": "Visit", "phased.keys.env_keys": {"converge": True}}
        playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
        return self.run(str(playbook), *arguments, **more)

    def deploy(self, *arguments: str, times: int = 1, **more: str) -> Run:
        """Run a deploy playbook of somebody else's, with the role in as many plays."""
        playbook = self.folder / "deploy.yml"
        playbook.write_text("---" + DEPLOY * times)
        return self.run(str(playbook), *arguments, **more)

    def keyring_file(self, path: Optional[Path] = None) -> KeyringFile:
        """The keyring's file, as an action opens it."""
        return opened(path or self.keyring_path)

    def keyring(self) -> Dict[str, Any]:
        """Return the keyring, opened."""
        return self.keyring_file().load()

    def states(self) -> Dict[str, str]:
        """The keys of the keyring by fingerprint, with their states."""
        return {key["fingerprint"]: key["state"] for key in self.keyring()["keys"]}

    def key(self, state: str) -> str:
        """The fingerprint of the one key in this state."""
        (found,) = [key for key, its in self.states().items() if its == state]
        return found

    def open(self, step: str) -> None:
        """Open a step as the gate does once the fleet is counted."""
        key = new_key("text") if step == "prepare" else None
        soak = {"seconds": SOAK, "source": "app_keys_soak"}
        self.keyring_file().replace(steps.open_step(self.keyring(), step, time.time(), secrets.token_hex(8), key, soak))

    def edit(self, change: Callable[[Dict[str, Any]], Any]) -> None:
        """Write the keyring with a change that is made by hand: what `change` does to it, or returns in its place."""
        keyring = self.keyring()
        self.keyring_file().replace(change(keyring) or keyring)

    def soak(self, state: str, seconds: float) -> None:
        """Give the one key in this state another soak."""
        key = self.key(state)

        def change(keyring: Dict[str, Any]) -> None:
            keyrings.find(keyring, key)["soak"]["seconds"] = seconds

        self.edit(change)

    def holds(self, *states: str) -> Dict[str, List[str]]:
        """The fingerprints of the keys in each of these states."""
        return {state: [key for key, its in self.states().items() if its == state] for state in states}

    def destroyed(self, key: str) -> bool:
        """Whether the secret of this key is in the keyring no longer."""
        return keyrings.find(self.keyring(), key)["secret"] is None

    def events(self) -> List[str]:
        """What the journal tells, in its order."""
        return [entry["event"] for entry in self.keyring()["journal"]]

    def join(self, number: int, key: Optional[str] = None) -> None:
        """Make a host one that joins: no member, without a record, and its image gave it this key, or nothing at all."""
        host = self.hosts[number]
        host.record_file.unlink()
        host.stop()
        host.env.write_text("# new here\n")
        if key:
            self.write_env(key, number)
            host.restart()
        self.edit(lambda keyring: keyring["members"].pop(host.name) and None)

    def down(self, *numbers: int) -> None:
        """Reach every host over ssh, and these not at all."""
        self.over_ssh()
        for number in numbers:
            self.hosts[number].tell("down")

    def unchanged(self) -> Any:
        """All that a refusal must leave alone: compare two of these."""
        hosts = {host.name: (host.env.read_bytes(), host.env.stat().st_ino, host.pids()) for host in self.hosts}
        return self.keyring_path.read_bytes() if self.keyring_path.exists() else None, hosts

    def save(self, place: Path) -> None:
        """Copy what a run leaves behind: the keyring, the env files and the records."""
        shutil.copytree(self.keyring_path.parent, place / ".keyrings")
        for host in self.hosts:
            shutil.copytree(host.folder, place / "hosts" / host.name)

    def take(self, place: Path, older: Optional[Path] = None) -> None:
        """Begin where a saved fleet was, with keys of our own: the same keyring, env files, records, and workers with them.

        The members are the hosts of this fleet, those that the saved one did not have just like its first. `older` is a place that the same
        fleet was saved to before: the keyring is the one from there.
        """
        shutil.copytree(place / ".keyrings", self.keyring_path.parent)
        keyring = self.keyring()
        ours = {}
        for number, key in enumerate(keyring["keys"]):
            secret = new_key("text") if number else self.secret
            ours.update({key["fingerprint"]: fingerprint(secret), **({key["secret"]: secret} if key["secret"] else {})})
        first = min((place / "hosts").iterdir())
        for host in self.hosts:
            saved = place / "hosts" / host.name
            shutil.copytree(saved if saved.exists() else first, host.folder, dirs_exist_ok=True)
            host.env.write_text(exchange(host.env.read_text(), ours))
            # The copy is the file that the visit wrote.
            record = json.loads(exchange(host.record_file.read_text(), ours))
            record["files"] = {str(host.env): files.identity(str(host.env))}
            record["member"] = host.name
            host.record_file.write_text(json.dumps(record))
        if older:
            shutil.copy(older / ".keyrings" / "shop.yml", self.keyring_path)
            keyring = self.keyring()
        keyring["members"] = {
            host.name: keyring["members"].get(host.name, keyring["members"][first.name]) for host in self.hosts
        }
        self.keyring_file().replace(json.loads(exchange(json.dumps(keyring), ours)))
        self.restart()

    def end(self) -> None:
        """End all that was started here, by pid."""
        procs.end_marked(procs.FLEET_MARK, self.folder, 0)
        for run in self.started:
            run.wait()
            if run.stdout:
                run.stdout.close()
