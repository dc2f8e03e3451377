# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little balancer in front of a fleet, as a process of the fleet, and its door."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import procs
from fleet import Fleet
from host import HostError

HERE = Path(__file__).resolve().parent
ANSWER = 60  # seconds for an answer at the door; the balancer itself gives up earlier


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
        self.front: tuple[str, int] = ("127.0.0.1", ports["front"])
        self._door: tuple[str, int] = ("127.0.0.1", ports["door"])

    @property
    def variables(self) -> dict[str, Any]:
        """What the inventory has to say so that hosts are drained around each visit that changes them."""
        return {
            "app_keys_before_tasks": str(HERE / "drain.yml"),
            "app_keys_after_tasks": str(HERE / "undrain.yml"),
            "balancer_door": f"http://{self._door[0]}:{self._door[1]}",
        }

    def drain(self, name: str) -> None:
        """Send nobody new to this host; return when the last request on it has ended."""
        self._ask(f"/drain/{name}")

    def undrain(self, name: str) -> None:
        """Let this host serve again; return when it does."""
        self._ask(f"/undrain/{name}")

    def _ask(self, path: str) -> None:
        door = http.client.HTTPConnection(*self._door, timeout=ANSWER)
        try:
            door.request("POST", path)
            status = door.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise HostError(f"the balancer does not answer {path}: {error}") from None
        finally:
            door.close()
        if status != 200:
            raise HostError(f"the balancer answers {path} with {status}")

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
