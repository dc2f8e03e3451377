# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine has to have, and the one setting of it that many hosts need."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from errors import MissingError, say

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
    "haproxy": "haproxy",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
}

# What single tests need besides hosts.
FOR_TESTS = ("haproxy", "nsenter")

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
# systemd and its daemons on one host, with room to spare: the default of 128 was used up by 22 hosts.
INSTANCES_PER_HOST = 8
# How the limit was and what we made of it. The limit is the machine's and not one fleet's, and so is this note.
NOTE = Path("/run/phased-hosts.inotify")


def missing(commands: Iterable[str]) -> list[str]:
    """Return the packages of those commands that the machine does not have."""
    return sorted({PACKAGES[name] for name in commands if shutil.which(name, path=search_path()) is None})


def search_path() -> str:
    """Return where commands are looked for: an ordinary user's PATH may lack the folders of the system's own."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


def provide(commands: Iterable[str]) -> None:
    """See that these commands are there: install them where that can be done, say what is missing where it cannot."""
    if os.geteuid() != 0:
        raise MissingError("hosts with a systemd of their own need root: run this as root")
    packages = missing(commands)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise MissingError(f"missing, and there is no apt-get to install it: {' '.join(packages)}")
    say(f"installing {' '.join(packages)}")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    # A new machine may know no package yet, or only versions that the mirror has no longer.
    for command in (install, ["apt-get", "update"], install):
        done = subprocess.run(
            command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if command is install and done.returncode == 0:
            return
    raise MissingError(f"{' '.join(packages)} could not be installed:\n{done.stdout.strip()[-2000:]}")


def see_namespaces() -> None:
    """See that this root may make namespaces, which one in a container often may not."""
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tried.returncode:
        raise MissingError(f"no namespaces can be made here: {tried.stderr.strip()}")


def raise_instances(hosts: int) -> None:
    """Raise the limit of inotify instances where it is too low for so many hosts more: they would die silently."""
    with _alone():
        now = int(INSTANCES.read_text())
        wanted = instances_in_use() + 32 + hosts * INSTANCES_PER_HOST
        if wanted > now:
            before = NOTE.read_text().split()[0] if NOTE.exists() else now
            # Remembered before it is changed, for we may be killed in between.
            NOTE.write_text(f"{before} {wanted}\n")
            INSTANCES.write_text(str(wanted))


def restore_instances(others: Path) -> None:
    """Put the limit back when the last fleet is gone (`others` is there as long as one is), if it is still ours."""
    with _alone():
        if NOTE.exists() and not others.exists():
            before, ours = NOTE.read_text().split()
            if int(INSTANCES.read_text()) == int(ours):
                INSTANCES.write_text(before)
            NOTE.unlink()


def instances_in_use() -> int:
    """Return how many inotify instances there are, whoever has them."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*/fd"):
        # A process may end, and a file may be closed, between two looks.
        with contextlib.suppress(OSError):
            for file in folder.iterdir():
                with contextlib.suppress(OSError):
                    count += os.readlink(file) == "anon_inode:inotify"
    return count


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other fleets of the machine from the limit meanwhile, with a lock that leaves no file."""
    folder = os.open(NOTE.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
