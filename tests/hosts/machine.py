# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine has to have, and the one setting of it that many hosts need."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from errors import HostsError

# Command to Debian package.
PACKAGES = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "podman": "podman",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "chroot": "coreutils",
}

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# systemd and its daemons on one host, with room to spare: the default of 128 was used up by 22 hosts.
INSTANCES_PER_HOST = 8


def missing(commands: Iterable[str]) -> list[str]:
    """Return the packages of those commands that the machine does not have."""
    return sorted({PACKAGES[name] for name in commands if shutil.which(name, path=search_path()) is None})


def search_path() -> str:
    """Return where commands are looked for: an ordinary user's PATH may lack the folders of the system's own."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def provide(commands: Iterable[str]) -> None:
    """See that these commands are there: install them where that can be done, say what is missing where it cannot."""
    if os.geteuid() != 0:
        raise HostsError("hosts with a systemd of their own need root: run this as root")
    packages = missing(commands)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise HostsError(f"missing, and there is no apt-get to install it: {' '.join(packages)}")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    # A new machine may know no package yet, or only versions that the mirror has no longer.
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(
            command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if command is install and done.returncode == 0:
            return
    raise HostsError(f"{' '.join(packages)} could not be installed:\n{done.stdout.strip()[-2000:]}")


def instances_for(hosts: int, now: int) -> int | None:
    """Return what the limit of inotify instances has to become for this many hosts, or None where it suffices."""
    wanted = 64 + hosts * INSTANCES_PER_HOST
    return wanted if wanted > now else None


def raise_instances(hosts: int, note: Path) -> None:
    """Raise the limit, without which hosts die silently. `note` remembers how it was, before it is changed."""
    now = int(INSTANCES.read_text())
    wanted = instances_for(hosts, now)
    if wanted is not None:
        note.write_text(f"{now} {wanted}\n")
        INSTANCES.write_text(str(wanted))


def restore_instances(note: Path) -> None:
    """Put the limit back, unless somebody has changed it since."""
    if note.exists():
        before, ours = note.read_text().split()
        if int(INSTANCES.read_text()) == int(ours):
            INSTANCES.write_text(before)
        note.unlink()
