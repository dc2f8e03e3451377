# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sshd for all hosts of the bench: on the loopback alone, with keys and settings of its own, as whoever runs the bench.

sshd itself listens on 16 addresses at most, and on all or one of them. So this process listens on each host's
address, and hands every connection to an sshd of its own (`sshd -i`, as inetd does), which ends with it.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "hosts"))

import addresses
import machine
from errors import HostsError

SETTINGS = """HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
UseDNS no
LogLevel ERROR
Subsystem sftp internal-sftp
"""

# Where Debian asks whether a package may start its service: containers have it, and it says no.
NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def find() -> str:
    """Return the path of sshd, installed where that can be done; HostsError where there is none."""
    if machine.missing(["sshd"]):
        # Elsewhere the package would start a service that the whole network can reach.
        if os.geteuid() != 0 or not NO_SERVICES.exists():
            raise HostsError("openssh-server is not installed")
        machine.provide(["sshd"])
    if os.geteuid() == 0:
        # Debian makes it when the service starts, and without it sshd does not run as root.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    found = shutil.which("sshd", path=machine.search_path())
    if found is None:
        raise HostsError("no sshd")
    return found


class Sshd:
    """The listener, and what a client has to know."""

    def __init__(self, folder: Path, on: Sequence[str]) -> None:
        self.program = find()
        self.folder = folder
        folder.mkdir(mode=0o700)
        for name in ("host_key", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        (folder / "sshd_config").write_text(SETTINGS.format(folder=folder))
        self.port = addresses.free_port(on)
        key = (folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"[{on[0].split('.')[0]}.*]:{self.port} {key}")
        self._waiting = selectors.DefaultSelector()
        for address in on:
            listener = socket.create_server((address, self.port), backlog=16)
            self._waiting.register(listener, selectors.EVENT_READ)
        self._wake, waker = socket.socketpair()
        self._waiting.register(waker, selectors.EVENT_READ, "end")
        self._thread = threading.Thread(target=self._serve, name="sshd", daemon=True)
        self._thread.start()

    def client_arguments(self) -> str:
        """Return what ssh is given: nothing of the user's own is read or written."""
        options = {
            "ControlMaster": "auto", "ControlPersist": "60s", "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes", "IdentityFile": self.folder / "key",
            "IdentitiesOnly": "yes", "IdentityAgent": "none",
        }  # fmt: skip
        return "-F none -C " + " ".join(f"-o {name}={value}" for name, value in options.items())

    def close(self) -> None:
        """Listen no longer; what runs for a connection ends with it."""
        self._wake.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            for key, _events in self._waiting.select():
                if key.data == "end":
                    for one in list(self._waiting.get_map().values()):
                        one.fileobj.close()  # type: ignore[union-attr]
                    return
                line, _address = key.fileobj.accept()  # type: ignore[union-attr]
                with line:
                    self._hand_over(line.fileno())

    def _hand_over(self, line: int) -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            actions = [(os.POSIX_SPAWN_DUP2, line, 0), (os.POSIX_SPAWN_DUP2, line, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
            command = [self.program, "-i", "-f", str(self.folder / "sshd_config")]
            os.posix_spawn(
                self.program, command, {"PATH": os.defpath}, file_actions=actions, setsigdef=[signal.SIGPIPE]
            )
        finally:
            os.close(null)
