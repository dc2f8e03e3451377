# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with one node in namespaces of its own (mount, network, process ids): nothing leaves it, no port is taken, and one
process ends it all. It ends with whoever started it, killed or not; what a killed one left of files the next one removes.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import built
import images
from configuration import NODE
from places import BIN, CACHE, DEBIAN, HERE, RUN, ClusterError, provide, say

PATIENCE = 180.0
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def parts() -> list[Path]:
    """Make what every cluster needs, if it is not there yet, and return the images."""
    provide()
    CACHE.mkdir(parents=True, exist_ok=True)
    built.programs()
    return images.images()


@contextlib.contextmanager
def cluster() -> Iterator[OwnCluster]:
    """Give a cluster whose node is ready, and end it. There is one of a checkout at a time: the next one waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = OwnCluster(parts())
        try:
            made.up()
            yield made
        finally:
            made.down()


class OwnCluster:
    """The cluster of this checkout."""

    def __init__(self, image_files: list[Path]) -> None:
        self.image_files = image_files
        self.cgroup = f"/phased-kubernetes-{hashlib.sha256(os.fsencode(RUN)).hexdigest()[:10]}"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        """How its administrator reaches it, in its network."""
        return RUN / "admin.conf"

    def up(self) -> None:
        """Start it, and return when its node is ready and pods can be made."""
        self._clear()
        RUN.mkdir(parents=True)
        for tree in trees():
            (tree / self.cgroup[1:]).mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (tree / name).exists():
                    (tree / self.cgroup[1:] / name).write_text((tree / name).read_text())
        say("a cluster is started")
        command = [sys.executable, HERE / "inside.py", RUN, DEBIAN, BIN, self.cgroup, *self.image_files]
        with (RUN / "inside.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", *NAMESPACES, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent,
                cwd="/", start_new_session=True,
            )  # fmt: skip
        self._until(lambda: self._kubectl("get", "node", NODE), "its node is not there")
        self._until(
            lambda: self._kubectl("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=5s"),
            "its node is not ready",
        )
        self._until(lambda: self._kubectl("get", "serviceaccount", "default"), "no pods can be made")
        say("its node is ready")

    def down(self) -> None:
        """End it, and remove what it had; it is no error where it is not up."""
        if self.process is not None:
            self.process.kill()  # and with it process 1, and with that the kernel ends the rest
            self.process.wait()
        self._clear()

    def inside(self, *kinds: str) -> list[str]:
        """Return what runs a command in these namespaces of the cluster."""
        return ["nsenter", f"--target={self.first}", *(f"--{kind}" for kind in kinds), "--"]

    @property
    def first(self) -> int:
        """The id of the cluster's process 1."""
        if self.process is None or self.process.poll() is not None:
            raise ClusterError(f"the cluster has ended: see {RUN / 'inside.log'}")
        words = children(self.process.pid)
        if not words:
            raise ClusterError("the cluster has no processes yet")
        return words[0]

    def _kubectl(self, *command: str) -> bool:
        tool = [str(BIN / "kubectl"), f"--kubeconfig={self.kubeconfig}", *command]
        with contextlib.suppress(ClusterError):
            return not subprocess.run([*self.inside("net"), *tool], capture_output=True, check=False).returncode
        return False

    def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline or self.process is None or self.process.poll() is not None:
                raise ClusterError(f"the cluster did not start, {otherwise}:\n{self._logs()}")
            time.sleep(0.2)

    def _logs(self) -> str:
        said = [f"{path.name}: {path.read_text(errors='replace')[-600:]}" for path in sorted(RUN.glob("*.log"))]
        return "\n".join(said)

    def _clear(self) -> None:
        """Remove files and control groups, of whoever was killed before too: all that lives in our groups is ours."""
        groups = [tree / self.cgroup[1:] for tree in trees() if (tree / self.cgroup[1:]).is_dir()]
        deadline = time.monotonic() + 20
        while sum(map(_kill, groups)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for group in groups:
            for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
        shutil.rmtree(RUN, ignore_errors=True)


def _kill(group: Path) -> bool:
    """Kill what lives in a control group and below it; return whether anything did."""
    found = False
    for path in [group, *group.rglob("*")]:
        if path.is_dir():
            with contextlib.suppress(OSError):
                for pid in (path / "cgroup.procs").read_text().split():
                    found = True
                    with contextlib.suppress(OSError):
                        os.kill(int(pid), signal.SIGKILL)
    return found


def trees() -> list[Path]:
    """Return where hierarchies of control groups are mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1]) for line in lines if line.split()[2] in ("cgroup", "cgroup2")]


def children(pid: int) -> list[int]:
    """Return the ids of a process' children."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def end_with_parent() -> None:
    """Let the kernel end this process when whoever started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(DEATH_SIGNAL, signal.SIGKILL)
