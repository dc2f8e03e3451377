# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of real hosts: Debian, systemd as process 1, sshd, and the shop as a unit. Needs root.

    python tests/hosts/hosts.py up --dir DIR [--backend unshare] [--hosts 3] [--workers 3] [--login ops] [--var NAME=VALUE]
    python tests/hosts/hosts.py kill --dir DIR NAME     process 1 with -9; the disk stays as it is
    python tests/hosts/hosts.py boot --dir DIR NAME     start it again
    python tests/hosts/hosts.py down --dir DIR [--remove]
    python tests/hosts/hosts.py ready                   make what all hosts need; ends with 3 where this machine cannot

Everything is under DIR: `hosts/web1` and so on with each host's disk and console, the shop's database, the ssh keys,
`inventory/hosts.yml` and `vault-password` for ansible-playbook. The image is kept in `.cache/hosts`. All hosts are in
the machine's own network and listen on loopback addresses (see addresses.py).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "fleet"))

import addresses  # noqa: E402
import disk  # noqa: E402
import envfile  # noqa: E402
import image  # noqa: E402
import inventory  # noqa: E402
import machine  # noqa: E402
import procs  # noqa: E402
from backends import BACKENDS  # noqa: E402
from cgroups import Group  # noqa: E402
from errors import HostsError, MissingError, say  # noqa: E402
from fleet import ENV, new_key  # noqa: E402
from inventory import Place  # noqa: E402

MISSING = 3  # the exit status of `ready` where this machine lacks what hosts need
PATIENCE = 90  # seconds until every host has to be up; a busy machine needs some


class Hosts:
    """A fleet of real hosts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.group = Group.of(self.folder)

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory" / "hosts.yml"

    @property
    def vault_password(self) -> Path:
        return self.folder / "vault-password"

    @property
    def settings(self) -> dict[str, Any]:
        """What `up` wrote down, with which a host can be booted again."""
        try:
            settings: dict[str, Any] = json.loads((self.folder / "fleet.json").read_text())
        except (OSError, ValueError) as error:
            raise HostsError(f"{self.folder} holds no fleet of hosts: {error}") from None
        return settings

    @property
    def places(self) -> list[Place]:
        return [Place(**place) for place in self.settings["places"]]

    def up(
        self,
        hosts: int = 3,
        workers: int = 3,
        backend: str = "unshare",
        *,
        login: str = "ops",
        no_key: bool = False,
        engines: bool = False,
        life: int = 1209600,
        env: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
        keeper_pid: int | None = None,
    ) -> Hosts:
        """Make the fleet, start it, and return when the shop answers on every host.

        `env` goes into every env file, `variables` into the inventory's group; with `engines` there are container engines on them.
        """
        if set(f"{self.folder}{image.CACHE}") & set(",:\\"):
            raise HostsError(
                f"an overlay cannot be mounted from a path with a comma, colon or backslash: {self.folder}"
            )
        machine.provide(BACKENDS[backend].commands)
        if self.folder.exists() and any(self.folder.iterdir()):
            self._clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            try:
                if keeper_pid is not None:
                    self._start_keeper(keeper_pid)
                self.group.make()
                layers = image.layers(self.group, engines=engines)
                say(f"the disks of {hosts} hosts are made in {self.folder}")
                self._write(hosts, workers, backend, layers, None if no_key else new_key(), life, env or {})
                self._write_inventory(login, variables or {})
                machine.raise_instances(hosts)
                say(f"{hosts} hosts boot, and {'wait for a key' if no_key else 'start the shop'}")
                self._start([place.name for place in self.places])
                say(f"all {hosts} hosts are up")
                (self.folder / "up").touch()
            except BaseException:
                self._end()
                raise
        return self

    def kill(self, name: str) -> None:
        """Kill a host's process 1 with -9."""
        BACKENDS[self.settings["backend"]].kill(self._host(name), self.group)

    def boot(self, name: str) -> None:
        """Start a host again on the disk that it has; return when it is up."""
        self._host(name)
        with self._locked():
            self._start([name])

    def down(self, remove: bool = False) -> None:
        """End everything that this fleet ever started, within bounded time; with `remove` delete its folder too."""
        if self.folder.exists() and any(self.folder.iterdir()) and not self._ours():
            raise HostsError(f"{self.folder} holds something else than a fleet of hosts")
        deadline = time.monotonic() + 60
        while True:
            # Whoever brings the fleet up right now waits for its hosts, and gives up when they are gone.
            self._end()
            if not self.folder.exists():
                return
            with contextlib.suppress(BlockingIOError), self._locked():
                self._end()
                break
            if time.monotonic() > deadline:
                raise HostsError(f"somebody else is at work on the fleet in {self.folder}, and does not end")
            time.sleep(0.1)
        procs.end_marked(procs.FLEET_MARK, self.folder, grace=0)
        (self.folder / "up").unlink(missing_ok=True)
        if remove:
            shutil.rmtree(self.folder)

    def _ours(self) -> bool:
        """Tell whether the folder is one of ours: the first file in it is the lock."""
        return (self.folder / "hosts.lock").exists()

    def _clear(self) -> None:
        """Take away what an `up` that was killed has left, and nothing else."""
        if not self._ours():
            raise HostsError(f"{self.folder} is not empty, and holds no fleet of hosts")
        if (self.folder / "up").exists():
            raise HostsError(f"a fleet is in {self.folder}: take it down first, with --remove")
        self.down(remove=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "hosts.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def _host(self, name: str) -> Path:
        if name not in [place.name for place in self.places]:
            raise HostsError(f"the fleet in {self.folder} has no host {name}")
        return self.folder / "hosts" / name

    def _write(
        self, hosts: int, workers: int, backend: str, layers: list[Path], key: str | None, life: int,
        env: Mapping[str, str],
    ) -> None:  # fmt: skip
        on = addresses.addresses(hosts)
        ssh_port = addresses.free_port(on)
        app_port = addresses.free_port(on, without=[ssh_port])
        places = [Place(f"web{number}", address, ssh_port, app_port) for number, address in enumerate(on, 1)]
        settings = {
            "backend": backend,
            "layers": [str(layer) for layer in layers],
            "places": [place._asdict() for place in places],
        }
        (self.folder / "fleet.json").write_text(json.dumps(settings, indent=2) + "\n")
        text = ENV.format(database="/srv/shop/data/shop.sqlite3", life=life)
        text += "".join(f"{name}={envfile.quote(value)}\n" for name, value in env.items())
        if key is not None:
            text += f"SECRET_KEY={envfile.quote(key)}\n"
        for name in ("ssh", "inventory", "database"):
            (self.folder / name).mkdir()
        login_key = disk.new_key(self.folder / "ssh" / "id", "phased.keys test hosts")
        keys = {}
        for place in places:
            host = self.folder / "hosts" / place.name
            for name in ("disk", "work", "root"):
                (host / name).mkdir(parents=True)
            # The disk's own folder is the host's root folder, and has to be open to everybody there.
            (host / "disk").chmod(0o755)
            files = disk.files(place.name, place.address, ssh_port, app_port, workers, text, f"{login_key}\n")
            disk.write(host / "disk", files, start_shop=key is not None)
            disk.give(host / "disk" / "home/ops", *image.owner_of_home(layers))
            keys[place.name] = disk.host_key(host / "disk", place.name)
        (self.folder / "ssh" / "known_hosts").write_text(inventory.known_hosts(places, keys))
        self.vault_password.touch(0o600)
        self.vault_password.write_text(secrets.token_urlsafe(24) + "\n")
        self._create_database(life)

    def _write_inventory(self, login: str, variables: Mapping[str, Any]) -> None:
        ssh = self.folder / "ssh"
        self.inventory.write_text(inventory.text(self.places, ssh / "id", ssh / "known_hosts", login, variables))

    def _create_database(self, life: int) -> None:
        """Make the shop's database, which all hosts share, as one on another machine would be."""
        folder = self.folder / "database"
        done = subprocess.run(
            [sys.executable, "-B", str(image.APP / "create.py")],
            env={"PATH": os.defpath, "SECRET_KEY": "only to make the database", "SHOP_LIFE": str(life),
                 "SHOP_DATABASE": str(folder / "shop.sqlite3")},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise HostsError(f"the shop's database could not be made:\n{done.stderr.strip()}")
        disk.give(folder, image.SHOP_UID, image.SHOP_UID)

    def _start(self, names: list[str]) -> None:
        """Start these hosts; return when they take logins, and the shop answers where it is started at boot."""
        settings = self.settings
        backend = BACKENDS[settings["backend"]]
        layers = [Path(layer) for layer in settings["layers"]]
        for name in names:
            backend.start(self.folder / "hosts" / name, layers, self.group)
        deadline = time.monotonic() + PATIENCE
        for place in self.places:
            host = self.folder / "hosts" / place.name
            # By its disk: whoever tries an application of his own has taken the shop away.
            shop = disk.starts_shop(host / "disk")
            while place.name in names and not ((_answers(place) or not shop) and _takes_logins(place)):
                if not backend.runs(host, self.group):
                    raise HostsError(f"{place.name} ended at once:\n{_tail(host / 'console')}")
                if time.monotonic() > deadline:
                    raise HostsError(f"{place.name} did not come up:\n{_tail(host / 'console')}")
                time.sleep(0.05)

    def _end(self) -> None:
        """End what runs, and put back what was changed on the machine."""
        backend = "unshare"
        with contextlib.suppress(HostsError):
            backend = self.settings["backend"]
        BACKENDS[backend].end(sorted(self.folder.glob("hosts/*")), self.group)
        machine.restore_instances(others=self.group.paths[0].parent)

    def _start_keeper(self, pid: int) -> None:
        watched = procs.look(pid)
        if watched is None:
            raise HostsError(f"no process {pid}, whose end was to end the fleet")
        subprocess.Popen(
            [sys.executable, "-B", str(HERE / "hosts_keeper.py"), str(self.folder), str(pid), str(watched.start)],
            env={"PATH": os.environ["PATH"], procs.FLEET_MARK: str(self.folder)}, cwd="/", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).wait()  # it forks, and the parent returns  # fmt: skip


def ready() -> None:
    """Install what the tests of hosts need, and make the image, before the first of them."""
    machine.provide((*BACKENDS["unshare"].commands, *machine.FOR_TESTS))
    machine.see_namespaces()
    group = Group.of(image.CACHE)
    try:
        image.layers(group.make())
    finally:
        group.end()


def _takes_logins(place: Place) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((place.address, place.ssh_port), timeout=5) as line:
        line.settimeout(5)
        return line.recv(4) == b"SSH-"
    return False


def _answers(place: Place) -> bool:
    line = http.client.HTTPConnection(place.address, place.app_port, timeout=5)
    try:
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


def _tail(console: Path) -> str:
    try:
        return "\n".join(console.read_text(errors="replace").splitlines()[-15:])
    except OSError:
        return "(nothing on its console)"


def _pairs(texts: list[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def _variables(texts: list[str]) -> dict[str, Any]:
    """Return variables of NAME=VALUE, where a value that is JSON is meant as such."""
    found: dict[str, Any] = {}
    for name, value in _pairs(texts).items():
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Bring a fleet of real hosts up and down. Needs root.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the fleet in an empty or new folder, and start it")
    up.add_argument("--backend", choices=sorted(BACKENDS), default="unshare")
    up.add_argument("--hosts", type=int, default=3)
    up.add_argument("--workers", type=int, default=3)
    up.add_argument("--login", choices=["ops", "root"], default="ops", help="who Ansible logs in as; ops becomes root")
    up.add_argument("--no-key", action="store_true", help="the shop does not run yet, and the env files hold no key")
    up.add_argument("--life", type=int, default=1209600, help="seconds that sessions and reset links live")
    up.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a line more in every env file")
    up.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable of the group (JSON)")
    up.add_argument("--keeper-pid", type=int, help="end the fleet when this process has ended")
    down = commands.add_parser("down", help="end everything that the fleet started")
    down.add_argument("--remove", action="store_true", help="delete the folder as well")
    kill = commands.add_parser("kill", help="kill a host's process 1 with -9")
    boot = commands.add_parser("boot", help="start a host again on the disk that it has")
    for command in (kill, boot):
        command.add_argument("name")
    commands.add_parser(
        "ready", help="install what is missing and make the image; 3 where this machine cannot have hosts"
    )
    for command in (up, down, kill, boot):
        command.add_argument("--dir", type=Path, required=True)
    return parser


def main() -> int:
    options = _parser().parse_args()
    # Asked to end, `up` ends what it has started, as it does when it is interrupted.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        if options.command == "ready":
            ready()
            return 0
        hosts = Hosts(options.dir)
        if options.command == "up":
            hosts.up(
                options.hosts, options.workers, options.backend, login=options.login, no_key=options.no_key,
                life=options.life, env=_pairs(options.env), variables=_variables(options.var),
                keeper_pid=options.keeper_pid,
            )  # fmt: skip
            print(hosts.inventory)
        elif options.command == "down":
            hosts.down(options.remove)
        else:
            getattr(hosts, options.command)(options.name)
    except BlockingIOError:
        print(f"somebody else is at work on the fleet in {options.dir}", file=sys.stderr)
        return 1
    except MissingError as error:
        print(error, file=sys.stderr)
        return MISSING if options.command == "ready" else 1
    except HostsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
