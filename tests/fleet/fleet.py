# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of process hosts on loopback addresses: no root, no container, up in seconds.

    python tests/fleet/fleet.py up --dir DIR [--hosts 4] [--workers 3] [--no-start] [--no-key] [--var app_keys_soak=10s]
    python tests/fleet/fleet.py down --dir DIR [--remove]

Everything is under DIR: `hosts/web1` and so on (see host.py), the shop's database, `inventory.yml` and `vault-password`
for ansible-playbook. With `--keeper-pid PID` a small process ends the fleet as soon as that process is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import ipaddress
import json
import os
import random
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import envfile
import procs
from host import HERE, Host, HostError

# The one place for addresses and ports. Hosts get addresses that follow each other, and one port that is free on all.
FIRST_ADDRESS = os.environ.get("PHASED_FLEET_ADDRESS", "127.99.0.11")
PORTS = os.environ.get("PHASED_FLEET_PORTS", "20000-29999")

# What Django's `startproject` makes keys of.
KEY_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"

ENV = """\
# The shop's settings, read by the service manager.
SHOP_DATABASE={database}
; a session without requests, and a reset link, live this many seconds
SHOP_LIFE={life}

DJANGO_SETTINGS_MODULE=shop.settings
"""


def new_key() -> str:
    """Return a key as Django itself makes them, awkward characters included."""
    return "".join(secrets.choice(KEY_CHARACTERS) for _number in range(50))


class Fleet:
    """A fleet in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.yml"

    @property
    def vault_password(self) -> Path:
        return self.folder / "vault-password"

    @property
    def hosts(self) -> list[Host]:
        """The hosts, in the order of their numbers."""
        folders = self.folder.glob("hosts/*/host.json")
        return [Host(path.parent) for path in sorted(folders, key=lambda path: (len(path.parent.name), path))]

    def up(
        self,
        hosts: int = 4,
        workers: int = 3,
        *,
        start: bool = True,
        key: str | None = None,
        no_key: bool = False,
        life: int = 1209600,
        env: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
        keeper_pid: int | None = None,
    ) -> Fleet:
        """Make the fleet and start it. `env` goes into every env file, `variables` into the inventory's group."""
        if self.folder.exists() and any(self.folder.iterdir()):
            raise HostError(f"{self.folder} is not empty")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            if keeper_pid is not None:
                self._start_keeper(keeper_pid)
            self._write(hosts, workers, None if no_key else key or new_key(), life, env or {}, variables or {})
            self._create_database()
            if start:
                self.control("start")
        except BaseException:
            self.down()
            raise
        return self

    def control(self, action: str, names: Sequence[str] = ()) -> None:
        """Run start, stop, restart or reload on these hosts (all, where none is named), side by side."""
        wanted = [host for host in self.hosts if not names or host.folder.name in names]
        running = [
            subprocess.Popen(
                [sys.executable, str(HERE / "host.py"), action, str(host.folder)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for host in wanted
        ]  # fmt: skip
        try:
            failed = [output.strip() for output, code in ((p.communicate()[0], p.returncode) for p in running) if code]
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if failed:
            raise HostError("\n".join(failed))

    def down(self, remove: bool = False) -> None:
        """End everything that this fleet ever started, within bounded time; with `remove` delete its folder too."""
        if not self.folder.exists():
            return
        (self.folder / "closed").touch()
        deadline = time.monotonic() + 60
        with contextlib.ExitStack() as locks:
            # A host that is being started right now may have looked for "closed" a moment ago. Whoever holds a host's
            # lock is waiting for its gunicorn, which is ended here; once the lock is ours nothing can start any more.
            waiting = [path.parent for path in self.folder.glob("hosts/*/host.json")]
            while True:
                ended = procs.end_marked(procs.FLEET_MARK, self.folder, grace=3)
                waiting = [folder for folder in waiting if not _lock(folder / "lock", locks)]
                if not waiting and ended and not procs.marked(procs.FLEET_MARK, self.folder):
                    break
                if time.monotonic() > deadline:
                    raise HostError(f"some process of the fleet in {self.folder} cannot be ended")
                time.sleep(0.05)
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(
        self, hosts: int, workers: int, key: str | None, life: int, env: Mapping[str, str], variables: Mapping[str, Any]
    ) -> None:
        addresses = [str(ipaddress.ip_address(FIRST_ADDRESS) + number) for number in range(hosts)]
        port = _free_port(addresses)
        text = ENV.format(database=envfile.quote(str(self.folder / "shop.sqlite3")), life=life)
        text += "".join(f"{name}={envfile.quote(value)}\n" for name, value in env.items())
        if key is not None:
            text += f"SECRET_KEY={envfile.quote(key)}\n"
        for number, address in enumerate(addresses, start=1):
            folder = self.folder / "hosts" / f"web{number}"
            for name in ("state", "ready", "tmp"):
                (folder / name).mkdir(parents=True)
            _write_private(folder / "env", text)
            (folder / "host.json").write_text(json.dumps({"address": address, "port": port, "workers": workers}))
        _write_private(self.vault_password, secrets.token_urlsafe(24) + "\n")
        self.inventory.write_text(inventory(self, variables))

    def _create_database(self) -> None:
        env = envfile.read(self.hosts[0].folder / "env")
        done = subprocess.run(
            [sys.executable, "-B", str(HERE / "app" / "create.py")],
            env={"PATH": os.defpath, "SECRET_KEY": "only to make the database", **env}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise HostError(f"the shop's database could not be made:\n{done.stderr.strip()}")

    def _start_keeper(self, pid: int) -> None:
        watched = procs.look(pid)
        if watched is None:
            raise HostError(f"no process {pid}, whose end was to end the fleet")
        subprocess.Popen(
            [sys.executable, "-B", str(HERE / "keeper.py"), str(self.folder), str(pid), str(watched.start)],
            env={"PATH": os.defpath, procs.FLEET_MARK: str(self.folder)}, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).wait()  # it forks, and the parent returns  # fmt: skip


def inventory(fleet: Fleet, variables: Mapping[str, Any]) -> str:
    """Return the inventory: group `shop`, one host for each folder. JSON is YAML, so this needs no library."""
    group = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "app_keys_name": "shop",
        "app_keys_app_check": {"python": sys.executable, "manage": str(HERE / "app" / "manage.py")},
        **variables,
    }
    lines = ["---", "shop:", "  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in group.items()]
    lines.append("  hosts:")
    for host in fleet.hosts:
        restart = shlex.join([sys.executable, str(HERE / "host.py"), "restart", str(host.folder)])
        own = {
            "app_keys_env_file": str(host.folder / "env"),
            "app_keys_state_dir": str(host.folder / "state"),
            "app_keys_restart_command": restart,
            "app_keys_processes": {"pid_file": str(host.folder / "pid")},
            "shop_url": f"http://{host.address}:{host.port}",
        }
        lines.append(f"    {host.folder.name}:")
        lines += [f"      {name}: {json.dumps(value)}" for name, value in own.items()]
    return "\n".join(lines) + "\n"


def _write_private(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(text)


def _lock(path: Path, locks: contextlib.ExitStack) -> bool:
    file = locks.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port(addresses: Sequence[str]) -> int:
    """Return a port that is free on all addresses. Random, so that two fleets that start at once hardly meet."""
    first, last = (int(text) for text in PORTS.split("-"))
    for port in random.sample(range(first, last + 1), min(200, last + 1 - first)):
        with contextlib.ExitStack() as sockets:
            try:
                for address in addresses:
                    sockets.enter_context(socket.socket()).bind((address, port))
            except OSError:
                continue
            return port
    raise HostError(f"no free port on {addresses[0]} to {addresses[-1]} among {PORTS}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Bring a fleet of process hosts up and down.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the fleet in an empty or new folder, and start it")
    up.add_argument("--dir", type=Path, required=True)
    up.add_argument("--hosts", type=int, default=4)
    up.add_argument("--workers", type=int, default=3)
    up.add_argument("--no-start", action="store_true", help="nothing runs yet")
    up.add_argument("--no-key", action="store_true", help="nothing runs yet, and the env files hold no key")
    up.add_argument("--life", type=int, default=1209600, help="seconds that sessions and reset links live")
    up.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a line more in every env file")
    up.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable of the group (YAML)")
    up.add_argument("--keeper-pid", type=int, help="end the fleet when this process has ended")
    down = commands.add_parser("down", help="end everything that the fleet started")
    down.add_argument("--dir", type=Path, required=True)
    down.add_argument("--remove", action="store_true", help="delete the folder as well")
    options = parser.parse_args()
    try:
        if options.command == "down":
            Fleet(options.dir).down(options.remove)
            return 0
        fleet = Fleet(options.dir).up(
            options.hosts, options.workers, start=not (options.no_start or options.no_key), no_key=options.no_key,
            life=options.life, env=_pairs(options.env), keeper_pid=options.keeper_pid,
            variables={name: _value(text) for name, text in _pairs(options.var).items()},
        )  # fmt: skip
        for host in fleet.hosts:
            print(f"{host.folder.name} http://{host.address}:{host.port} {host.folder}")
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _pairs(given: Sequence[str]) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in given)


def _value(text: str) -> Any:
    """Return a variable's value: JSON where it is JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
