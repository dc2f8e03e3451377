# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches every worker of every host from the machine, ten times a second, and holds them against each other.

The rule is asked of the processes alone: for every two workers that serve at the same time, the key that one signs with
is accepted by the other. And it knows when a host did not serve, for only then may a connection to it fail.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from host_seen import Host, keys_of

PAUSE = 0.1
# A request may have been on its way for this long when the host went away, or came just before it was back.
AROUND = 1.5

Keys = tuple[str, frozenset[str]]


class Watch:
    """The looks of one session; `broken` holds what was against the rule."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = hosts
        self.units = ["shop.service", "queue.service"]
        self.broken: list[str] = []
        self.looks = 0
        self.failure: str | None = None
        self._known: dict[tuple[int, str], Keys] = {}
        # Per host: when its serving processes changed or did not listen.
        self._down: dict[str, list[float]] = {host.name: [] for host in hosts}
        self._serving: dict[str, frozenset[int]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(10)

    def was_down(self, host: str, moment: float) -> bool:
        """Tell whether a host did not serve, or changed its workers, around a moment (of time.monotonic)."""
        return any(abs(down - moment) <= AROUND for down in reversed(self._down[host]))

    def _run(self) -> None:
        while not self._stopping.wait(PAUSE):
            try:
                self.look()
            except Exception as error:  # a watch that has ended unseen would find nothing
                self.failure = f"{type(error).__name__}: {error}"
                return

    def look(self) -> None:
        """Look once."""
        now, listening = time.monotonic(), listeners(Path("/proc/net/tcp").read_text())
        workers: list[tuple[str, int, Keys]] = []
        for host in self.hosts:
            serving = set()
            for unit in self.units:
                for pid in host.pids(unit):
                    keys = self.keys_of(pid)
                    if keys is not None:
                        workers.append((host.name, pid, keys))
                        serving.add(pid)
            place = (host.place.address, host.place.app_port)
            # A main process without a worker listens, and answers nobody.
            alone = len(serving) < 2
            if self._serving.get(host.name) != serving or alone or place not in listening:
                self._down[host.name].append(now)
            self._serving[host.name] = frozenset(serving)
        self.looks += 1
        for one, pid, (signs, _accepts) in workers:
            for other, other_pid, (_signs, accepts) in workers:
                if signs not in accepts and len(self.broken) < 20:
                    self.broken.append(
                        f"pid {pid} on {one} signs with {signs}, pid {other_pid} on {other} does not accept it"
                    )

    def keys_of(self, pid: int) -> Keys | None:
        """Return the keys that a process was given when it started; what it does to its environment later changes nothing."""
        try:
            started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
            if (pid, started) not in self._known:
                text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="surrogateescape")
                values = dict(part.split("=", 1) for part in text.split("\0") if "=" in part)
                self._known[pid, started] = keys_of(values)
            return self._known[pid, started]
        except (OSError, KeyError, IndexError):  # gone, or it is not yet what it is going to be
            return None


def listeners(text: str) -> set[tuple[str, int]]:
    """Return the addresses and ports that are listened on; `text` is /proc/net/tcp."""
    found = set()
    for line in text.splitlines()[1:]:
        _number, local, _remote, state = line.split()[:4]
        if state == "0A":
            address, port = local.split(":")
            found.add((".".join(str(byte) for byte in bytes.fromhex(address)[::-1]), int(port, 16)))
    return found
