# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cluster's parts are kept, and what is said where it cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CACHE = CHECKOUT / ".cache" / "kubernetes"
BIN = CACHE / "bin"  # what we have built
DEBIAN = CACHE / "debian"  # what Debian has built: packages unpacked, and not installed
IMAGES = CACHE / "images"
RUN = CACHE / "run"  # of the cluster that is up
NEEDED = ("unshare", "nsenter", "mount", "ip", "openssl", "apt-get", "dpkg-deb", "patch", "nice")


class ClusterError(Exception):
    """A cluster that cannot be had, and why."""


class MissingError(ClusterError):
    """What this machine does not offer, and a cluster needs: root, namespaces, programs, a Debian mirror."""


def say(text: str) -> None:
    """Say to a person what is being done: some of it takes minutes the first time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def provide() -> None:
    """See that this machine can have a cluster; MissingError where it cannot."""
    if os.geteuid() != 0:
        raise MissingError("a cluster of our own takes root")
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [name for name in NEEDED if not shutil.which(name, path=places)]
    if missing:
        raise MissingError(f"there is no {', '.join(missing)} here")
    if os.uname().machine != "x86_64":
        raise MissingError(f"the images are made for x86_64, and this machine is {os.uname().machine}")
    if not any(line.split()[2] == "cgroup" and "pids" in line.split()[3] for line in _mounts()):
        raise MissingError("control groups of version 2 alone: with those it was not tried")
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise MissingError(f"no namespaces can be made here: {done.stderr.strip()}")


def _mounts() -> list[str]:
    return Path("/proc/self/mounts").read_text().splitlines()


def run(*command: str | Path, cwd: Path = CHECKOUT, **settings: str) -> None:
    """Run a command that has to end well; ClusterError with what it said last where it does not."""
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**os.environ, **settings}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        raise ClusterError(f"{command[0]} failed:\n{done.stdout[-3000:]}")
