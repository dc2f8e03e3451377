# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control groups of the hosts: by them every process of a host is found and ended, whoever its parent is.

The group's name follows from the fleet's folder alone, so that nothing has to be written down about it, and a fleet
whose `up` was killed at any moment is found again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from errors import HostsError, MissingError

PARENT = "phased-hosts"


def trees(mounts: str) -> list[Path]:
    """Return where the hierarchies are mounted that hosts are started in; `mounts` is /proc/mounts.

    The unified one comes first. Where version 1 and 2 live side by side, systemd wants its own named one too.
    """
    unified, named = [], []
    for folder, kind, options in _mounted(mounts):
        if kind == "cgroup2":
            unified.append(folder)
        elif "name=systemd" in options:
            named.append(folder)
    if not unified:
        raise MissingError("no control groups of version 2 are mounted here (mount -t cgroup2), and hosts need them")
    return unified[:1] + named[:1]


def all_trees(mounts: str) -> list[Path]:
    """Return where any hierarchy is mounted, those first that hosts are started in: podman makes groups in each."""
    first = trees(mounts)
    return first + [folder for folder, _kind, _options in _mounted(mounts) if folder not in first]


def _mounted(mounts: str) -> Iterator[tuple[Path, str, list[str]]]:
    for line in mounts.splitlines():
        _device, folder, kind, options = line.split()[:4]
        if kind in ("cgroup", "cgroup2"):
            yield Path(folder), kind, options.split(",")


def name_of(folder: Path) -> str:
    """Return the name of a fleet's group."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]


class Group:
    """A fleet's group, or one host's: `paths` in the hierarchies that hosts are started in, `others` in the rest."""

    def __init__(self, paths: list[Path], others: list[Path]) -> None:
        self.paths = paths
        self.others = others

    @classmethod
    def of(cls, folder: Path) -> Group:
        """Return the group of the fleet in this folder."""
        below = f"{PARENT}/{name_of(folder)}"
        mounts = Path("/proc/mounts").read_text()
        count = len(trees(mounts))
        found = [tree / below for tree in all_trees(mounts)]
        return cls(found[:count], found[count:])

    def child(self, name: str) -> Group:
        return Group([path / name for path in self.paths], [path / name for path in self.others])

    def make(self) -> Group:
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)
        return self

    def join(self) -> None:
        """Move the calling process into the group."""
        for path in self.paths:
            (path / "cgroup.procs").write_text("0")

    def exists(self) -> bool:
        return any(path.exists() for path in self.paths + self.others)

    def pids(self) -> list[int]:
        """Return every process in the group and the groups below it."""
        found: set[int] = set()
        for top in self.paths + self.others:
            for folder, _folders, _files in os.walk(top):
                # A group may vanish between two looks.
                with contextlib.suppress(OSError):
                    found.update(int(line) for line in Path(folder, "cgroup.procs").read_text().split())
        return sorted(found)

    def leader(self) -> int | None:
        """Return the host's process 1, by the pid that the machine knows it by."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if is_leader(Path(f"/proc/{pid}/status").read_text()):
                    return pid
        return None

    def end(self, patience: float = 20) -> None:
        """Kill every process of the group, and remove it."""
        deadline = time.monotonic() + patience
        while self.exists():
            kill = self.paths[0] / "cgroup.kill"
            if kill.exists():
                kill.write_text("1")
            if not self.pids():
                self._remove()
            if self.exists():
                if time.monotonic() > deadline:
                    raise HostsError(f"processes {self.pids()} of {self.paths[0]} cannot be ended")
                time.sleep(0.02)

    def _remove(self) -> None:
        for top in self.paths + self.others:
            for folder, _folders, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            # The parent belongs to every fleet of the machine: the last one removes it.
            if top.parent.name == PARENT:
                try:
                    top.parent.rmdir()
                except OSError as error:
                    if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
                        raise


def is_leader(status: str) -> bool:
    """Tell by /proc/PID/status whether a process is process 1 of a namespace right below ours."""
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            pids = line.split()[1:]
            return len(pids) == 2 and pids[1] == "1"
    return False
