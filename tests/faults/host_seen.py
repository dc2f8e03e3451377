# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One real host, seen from the machine: by its processes and its files, and never through what is tested."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import envfile
from hosts import Hosts
from inventory import Place

ENV = "/etc/shop/env"
STATE = "/var/lib/phased.keys"
UNIT = "/etc/systemd/system/shop.service"
DROP_IN = "/etc/systemd/system/shop.service.d"


def fingerprint(secret: str) -> str:
    """Return what a key is called; written anew here, so that a mistake of the collection's is no mistake of the test's."""
    return hmac.new(secret.encode(), b"phased.keys/fingerprint/v1", hashlib.sha256).hexdigest()[:16]


class Host:
    """One host of the fleet."""

    def __init__(self, hosts: Hosts, place: Place) -> None:
        self.hosts = hosts
        self.place = place
        self.name = place.name
        self.group = hosts.group.child(place.name)
        self._leader: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def leader(self) -> int | None:
        """The host's process 1, by the machine's number; None while it is down."""
        if self._leader is None or not Path("/proc", str(self._leader), "root", "etc").exists():
            self._leader = self.group.leader()
        return self._leader

    def path(self, name: str) -> Path:
        """Return where a file of the host is seen from here. An absolute symbolic link would lead to the machine's own."""
        return Path(f"/proc/{self.leader}/root{name}")

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a script on the host as root, beside ssh."""
        enter = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd"]
        done = subprocess.run(
            [*enter, "/bin/sh", "-euc", script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}, timeout=60,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{self}: {script!r} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def record(self) -> dict[str, Any]:
        """Return the host's record; empty where it has none."""
        try:
            found: dict[str, Any] = json.loads(self.path(f"{STATE}/shop.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def keys(self) -> tuple[str, frozenset[str]]:
        """Return what the env file says: who signs, and all that is accepted."""
        return keys_of(envfile.parse(self.sh(f"cat {ENV}")))

    def pids(self, unit: str = "shop.service") -> list[int]:
        """Return the processes of a unit, by the machine's numbers."""
        try:
            text = (self.group.paths[0] / "system.slice" / unit / "cgroup.procs").read_text()
        except OSError:
            return []
        return [int(line) for line in text.split()]

    def inside(self, pid: int) -> int:
        """Return how the host itself numbers a process."""
        status = Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))

    def running(self, words: str) -> list[int]:
        """Return the processes of the shop's unit that have these words in their command line, by the machine's numbers."""
        return [pid for pid in self.pids() if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def sessions(self) -> list[int]:
        """Return the processes of sshd that serve somebody who is logged in."""
        found = []
        for pid in self.group.pids():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sshd: ops"):
                    found.append(pid)
        return found

    def cut(self) -> int:
        """Cut every ssh connection to this host; return how many processes of sshd that took."""
        sessions = self.sessions()
        for pid in sessions:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def lock_out(self) -> None:
        """Stop sshd: nobody gets in any more, and who is in is cut off."""
        self.sh("systemctl stop ssh.service")
        # One that was just logging in is one more.
        while self.cut():
            time.sleep(0.05)

    def let_in(self) -> None:
        self.sh("systemctl start ssh.service")

    def drop_in(self, *lines: str) -> None:
        """Change the unit by a file of its own; without a line take that back."""
        text = "\n".join(["[Service]", *lines])
        path = f"{DROP_IN}/fault.conf"
        write = f"cat > {path} <<'END'\n{text}\nEND\n" if lines else f"rm -f {path}\n"
        self.sh(f"{write}systemctl daemon-reload")

    def crash(self) -> None:
        """Kill process 1 with -9."""
        self.hosts.kill(self.name)
        self._leader = None

    def boot(self) -> None:
        self.hosts.boot(self.name)


def keys_of(values: dict[str, str]) -> tuple[str, frozenset[str]]:
    """Return what these variables say, in fingerprints."""
    signs = values["SECRET_KEY"]
    fallbacks = [key for key in values.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
    return fingerprint(signs), frozenset(fingerprint(key) for key in [signs, *fallbacks])
