# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of whole playbooks share: the rollout at whose steps others begin, and the mark of those that take long."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import soak
from light_fleet import Fleet
from playbook_run import Run

NAMES = ("web1", "web2")


def slow(*values: Any) -> Any:
    """A parameter of a test that runs with `make slow` only."""
    return pytest.param(*values, marks=pytest.mark.slow)


class Walk:
    """A whole rollout, one step at a time, walked when it is first asked for: what each playbook said (`runs`), and the
    fleet as each step left it (`places`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._runs: Dict[str, Run] = {}
        self._places: Dict[str, Path] = {}

    @property
    def runs(self) -> Dict[str, Run]:
        with self._lock:
            return self._runs or self._walked()._runs

    @property
    def places(self) -> Dict[str, Path]:
        with self._lock:
            return self._places if self._runs else self._walked()._places

    def _walked(self) -> Walk:
        fleet = Fleet(self.folder / "fleet", NAMES)
        try:
            fleet.write_env()
            fleet.restart()
            for step in ("adopt", "prepare", "promote", "retire"):
                if step == "retire":
                    time.sleep(max(0.0, soak.next_due(fleet.keyring()) - time.time()))
                self._runs[step] = fleet.run(step)
                if self._runs[step].code:
                    break
                self._places[step] = self.folder / step
                fleet.save(self._places[step])
        finally:
            fleet.end()
        return self
