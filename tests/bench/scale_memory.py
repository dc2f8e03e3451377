# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The peak memory of a whole rollout of simulated hosts, against that of a playbook with one task that does nothing."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

from scale_fleet import FORKS, Fleet

PAUSE = 0.05


def compared(folder: Path, size: int) -> Dict[str, Any]:
    """Run both playbooks on one fleet, and return what each took, with the ratio of their peaks."""
    fleet = Fleet(folder, size)
    noop, rollout = measured(fleet, "noop"), measured(fleet, "rollout")
    ratios = {kind: round(rollout[kind] / noop[kind], 3) for kind in ("main_mb", "tree_mb")}
    return {"hosts": size, "noop": noop, "rollout": rollout, "ratios": ratios}


def measured(fleet: Fleet, playbook: str) -> Dict[str, Any]:
    """Run a playbook, and return its peak memory: of the process itself, and of it with all its forks."""
    began = time.monotonic()
    log = fleet.folder / f"{playbook}.log"
    with log.open("w") as output:
        run = subprocess.Popen(
            fleet.command(playbook),
            env=fleet.environment(),
            cwd=fleet.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        peaks = {"main": 0, "forks": 0}
        done = threading.Event()
        watch = threading.Thread(target=watched, args=(run.pid, peaks, done))
        watch.start()
        code = run.wait()
        done.set()
        watch.join()
    if code:
        raise SystemExit(f"{playbook} ended with {code}\n{log.read_text()[-3000:]}")
    return {
        "main_mb": round(peaks["main"] / 1024, 1),
        "tree_mb": round((peaks["main"] + peaks["forks"]) / 1024, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


def watched(pid: int, peaks: Dict[str, int], done: threading.Event) -> None:
    """Keep the highest of what a process had resident, and of what its forks had to themselves.

    How many of several are just then at their largest is chance: so all of them count as much as the largest. The gate's is alone.
    """
    while not done.wait(PAUSE):
        peaks["main"] = max(peaks["main"], kilobytes(Path(f"/proc/{pid}/status"), "VmHWM"))
        own = [kilobytes(Path(f"/proc/{child}/smaps_rollup"), "Private_Dirty") for child in children(pid)]
        peaks["forks"] = max(peaks["forks"], max(own, default=0) * (FORKS if len(own) > 1 else 1))


def children(pid: int) -> List[int]:
    """Return the forks of a process; Ansible's have none of their own here."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kilobytes(path: Path, field: str) -> int:
    """Return a field of a file in /proc; 0 where the process has just ended."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
