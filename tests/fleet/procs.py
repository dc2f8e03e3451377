# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and end the processes of a fleet: by a mark in their environment, each by pid and start time.

Every process that a fleet starts carries `PHASED_FLEET_DIR`, and what belongs to one host `PHASED_FLEET_HOST` too;
children inherit both. So an orphan whose parent was killed is found as surely as a child, and a process that merely has
the same name, or that got the pid of a dead one, is never touched.
"""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from typing import NamedTuple

FLEET_MARK = "PHASED_FLEET_DIR"
HOST_MARK = "PHASED_FLEET_HOST"


class Proc(NamedTuple):
    """One process: its pid means nothing without the moment it started (in clock ticks since boot)."""

    pid: int
    start: int
    parent: int


def look(pid: int) -> Proc | None:
    """Return the process with this pid, or None where there is none that still runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the command in brackets and may itself hold brackets and blanks.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return Proc(pid, int(fields[19]), int(fields[1]))


def marked(mark: str, value: Path) -> list[Proc]:
    """Return the running processes whose environment says `mark=value`, without the caller."""
    wanted = os.fsencode(f"{mark}={value}")
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        proc = look(int(name))
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:  # it has ended, or it is somebody else's
            continue
        # Looked at twice, so that mark and start time are those of one and the same process.
        if proc is not None and wanted in environ.split(b"\0") and look(proc.pid) == proc:
            found.append(proc)
    return found


def send(proc: Proc, number: int) -> bool:
    """Send a signal to exactly this process; False where it is gone, even if its pid is in use again."""
    try:
        handle = os.pidfd_open(proc.pid)
    except OSError:
        return False
    try:
        now = look(proc.pid)
        if now is None or now.start != proc.start:
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def alive(proc: Proc) -> bool:
    """Tell whether this very process still runs."""
    now = look(proc.pid)
    return now is not None and now.start == proc.start


def gone(procs: list[Proc], seconds: float) -> bool:
    """Wait until none of these processes runs any more; False where that took longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while any(alive(proc) for proc in procs):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_marked(mark: str, value: Path, grace: float) -> bool:
    """End every process that carries the mark: first politely, after `grace` seconds with SIGKILL.

    A process may start another while it is being ended, so this looks again until a look finds nothing.
    """
    found = marked(mark, value)
    for proc in found:
        send(proc, signal.SIGTERM)
    gone(found, grace if found else 0)
    for _round in range(50):
        found = marked(mark, value)
        if not found:
            return True
        for proc in found:
            send(proc, signal.SIGKILL)
        gone(found, 1)
    return not marked(mark, value)


def wait_for_exit(proc: Proc, seconds: float) -> bool:
    """Wait until `proc` has ended (it need not be a child); False where it still runs after `seconds`."""
    try:
        handle = os.pidfd_open(proc.pid)
    except OSError:
        return not alive(proc)
    try:
        if alive(proc):
            select.select([handle], [], [], seconds)
        return not alive(proc)
    finally:
        os.close(handle)
