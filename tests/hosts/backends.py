# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host is started, and by what: three backends that give the same host."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import machine
from cgroups import Group
from errors import HostsError
from image import HERE, PRIVATE

COMMON = ("ssh", "ssh-keygen", "debootstrap", "unshare", "mount", "chroot")

OWN = {"unshare": ["setpriv"], "nspawn": ["systemd-nspawn"], "podman": ["podman", "runc", "iptables"]}


class Shared:
    """A host in namespaces of its own, in a control group of its own: by `unshare` alone, or by systemd-nspawn."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.commands = (*COMMON, *OWN[name])

    def start(self, folder: Path, layers: list[Path], fleet: Group) -> None:
        """Start the host of this folder on the disk that it has."""
        group = fleet.child(folder.name)
        if group.pids():
            raise HostsError(f"{folder.name} runs already")
        # What an end of the host has left of its group: systemd wants to make its own anew.
        group.end()
        group.make()
        below = ":".join(str(path) for path in layers)
        name = f"{fleet.paths[0].name}-{folder.name}"
        command = [*PRIVATE, str(HERE / "start.sh"), self.name, str(folder), name, below]
        with (folder / "console").open("ab") as console:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, cwd="/",
                preexec_fn=group.join, env={"PATH": machine.search_path(), "LANG": "C.UTF-8"},
            )  # fmt: skip

    def kill(self, folder: Path, fleet: Group) -> None:
        """Kill process 1 with -9, and with it the host: what a power cut leaves is what its disk holds."""
        group = fleet.child(folder.name)
        leader = group.leader()
        if leader is None:
            raise HostsError(f"{folder.name} does not run")
        os.kill(leader, signal.SIGKILL)
        group.end()

    def runs(self, folder: Path, fleet: Group) -> bool:
        return bool(fleet.child(folder.name).pids())

    def end(self, folders: list[Path], fleet: Group) -> None:
        """End whatever runs for this fleet, hosts or what makes their image."""
        fleet.end()


BACKENDS = {name: Shared(name) for name in OWN}
