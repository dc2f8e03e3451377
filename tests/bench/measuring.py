# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command and say what it used: the controller's processor time and the hosts' told apart, time, memory, contacts.

This process adopts whatever its descendants leave behind (it is their subreaper), and reaps every child itself: so the
processor time of each comes with its end, the connection masters of ssh included, and nothing that was started can be lost
sight of. What belongs to a host is told by name: `sshd` with all below it, and the applications, which are `sleep`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import procs

PR_SET_CHILD_SUBREAPER = 36
LIMIT = 1200  # seconds for one run, however slow the machine
APPLICATION = {"sleep", "sh", "setsid"}


class RunError(Exception):
    """A run that failed, or took too long: nothing can be said about its figures."""


def adopt_orphans() -> None:
    """Become the parent of whatever descendants leave behind."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def children() -> list[int]:
    """Return the pids of this process's children, adopted ones and those that are to be reaped included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def name_of(pid: int) -> str:
    """Return what a process is called; "" where it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Reaped:
    """The processor time of the children that have ended, by what they belong to."""

    def __init__(self) -> None:
        self.seconds = {"controller": 0.0, "sshd": 0.0, "application": 0.0}

    def one(self, block: bool = True) -> tuple[int, int] | None:
        """Reap one child and return its pid and exit code; None where none has ended, or none is left."""
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | (0 if block else os.WNOHANG))
        except ChildProcessError:
            return None
        if ended is None:
            return None
        # It is not reaped yet, and still has its name.
        name = name_of(ended.si_pid)
        _pid, status, used = os.wait4(ended.si_pid, 0)
        whose = "sshd" if name == "sshd" else "application" if name in APPLICATION else "controller"
        self.seconds[whose] += used.ru_utime + used.ru_stime
        return ended.si_pid, os.waitstatus_to_exitcode(status)

    def while_any(self, names: set[str], seconds: float) -> bool:
        """Reap until no child of such a name is left; False where that took too long."""
        deadline = time.monotonic() + seconds
        while any(name_of(pid) in names for pid in children()):
            if time.monotonic() > deadline:
                return False
            if self.one(block=False) is None:
                time.sleep(0.002)
        return True


def run(command: Sequence[str], environment: dict[str, str], folder: Path, log: Path, ssh: bool) -> dict[str, Any]:
    """Run a command of Ansible to its end and return what it used; RunError where it failed."""
    usage = folder / "usage"
    usage.unlink(missing_ok=True)
    reaped = Reaped()
    began = time.monotonic()
    with log.open("wb") as output, limited(LIMIT):
        started = subprocess.Popen(
            command, env={**environment, "PHASED_BENCH_USAGE": str(usage)}, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        ended = reaped.one()
        while ended and ended[0] != started.pid:
            ended = reaped.one()
    wall = time.monotonic() - began
    started.returncode = ended[1] if ended else -1
    if started.returncode:
        raise RunError(f"{command[0]} ended with {started.returncode}:\n{log.read_text(errors='replace')[-3000:]}")
    # Every run begins without connections: the masters end with it, and tell what they used.
    for pid in children():
        if name_of(pid) == "ssh":
            os.kill(pid, signal.SIGTERM)
    if not reaped.while_any({"ssh", "sshd"}, 20):
        raise RunError("connections of ssh did not end")
    lines = [json.loads(line) for line in usage.read_text().splitlines()]
    return {"wall": wall, **told_apart(lines, reaped.seconds, ssh)}


def told_apart(lines: list[dict[str, Any]], reaped: dict[str, float], ssh: bool) -> dict[str, Any]:
    """Return the processor time of controller and hosts, memory, and the plays with their contacts."""
    plays = [{"name": line["play"], "serial": line["serial"], "contacts": 0} for line in lines if "play" in line]
    below = 0.0
    contacts = [line for line in lines if "contact" in line]
    for line in contacts:
        below += line["children"]
        if line["contact"] >= 0:
            plays[line["contact"]]["contacts"] += 1
    hosts = reaped["sshd"] if ssh else below
    controller = reaped["controller"] - (0.0 if ssh else below)
    memory = max((line["memory"] for line in lines if "memory" in line), default=0.0)
    return {
        "controller": controller, "hosts": hosts, "memory": memory, "contacts": len(contacts), "plays": plays
    }  # fmt: skip


@contextlib.contextmanager
def limited(seconds: float) -> Any:
    """Raise RunError in the main thread when this takes too long."""

    def late(*_unused: Any) -> None:
        raise RunError(f"not finished after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def end_all() -> None:
    """End every child, and what those leave behind in turn: first politely, after a second with SIGKILL."""
    began = time.monotonic()
    reaped = Reaped()
    while found := children():
        number = signal.SIGTERM if time.monotonic() - began < 1 else signal.SIGKILL
        for pid in found:
            proc = procs.look(pid)
            if proc is not None:
                procs.send(proc, number)
        while reaped.one(block=False):
            pass
        if time.monotonic() - began > 30:
            sys.exit(f"some process cannot be ended: {found}")
        time.sleep(0.02)
