# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little balancer in front of a fleet, as a process of the fleet, and its door."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import door
import procs
from fleet import Fleet
from host import HostError

HERE = Path(__file__).resolve().parent


class Balanced:
    """A balancer that runs. Taking the fleet down ends it as well, whoever was killed meanwhile."""

    def __init__(self, fleet: Fleet) -> None:
        hosts = [f"{host.folder.name}={host.address}:{host.port}" for host in fleet.hosts]
        with (fleet.folder / "balancer.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-B", str(HERE / "little_balancer.py"), *hosts],
                env={"PATH": os.defpath, procs.FLEET_MARK: str(fleet.folder)}, cwd=fleet.folder, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            self.stop()
            raise HostError(f"the balancer did not start:\n{(fleet.folder / 'balancer.log').read_text()}")
        ports = json.loads(said)
        self.front: tuple[str, int] = (door.LOOPBACK, ports["front"])
        self._door: int = ports["door"]

    @property
    def variables(self) -> dict[str, Any]:
        """What the inventory has to say so that hosts are drained around each visit that changes them."""
        return {
            "app_keys_before_tasks": str(HERE / "drain.yml"),
            "app_keys_after_tasks": str(HERE / "undrain.yml"),
            "balancer_door": shlex.join([sys.executable, "-ISB", str(HERE / "door.py"), str(self._door)]),
        }

    def ask(self, action: str, name: str) -> None:
        """Drain this host, or let it serve again; return when that is so."""
        try:
            door.ask(self._door, action, name)
        except OSError as error:
            raise HostError(str(error)) from None

    def stop(self) -> None:
        """End it, if it still runs."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
