# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of whole playbooks share: the rollout at whose steps others begin, and the mark of those that take long."""

from __future__ import annotations

import fcntl
import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import soak
from light_fleet import Fleet
from playbook_run import Run

NAMES = ("web1", "web2")
STEPS = ("adopt", "prepare", "promote", "retire")


def slow(*values: Any) -> Any:
    """A parameter of a test that runs with `make slow` only."""
    return pytest.param(*values, marks=pytest.mark.slow)


class Walk:
    """A whole rollout, one step at a time: what each playbook said (`runs`), and the fleet as each step left it (`places`).

    It is walked when it is first asked for, by whichever process of the tests comes first to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def runs(self) -> Dict[str, Run]:
        self.folder.mkdir(exist_ok=True)
        told = self.folder / "runs.json"
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not told.exists():
                told.write_text(json.dumps(self._walked()))
        return {step: Run(*run) for step, run in json.loads(told.read_text()).items()}

    @property
    def places(self) -> Dict[str, Path]:
        return {step: self.folder / step for step, run in self.runs.items() if run.code == 0}

    def _walked(self) -> Dict[str, Run]:
        fleet = Fleet(self.folder / "fleet", NAMES)
        runs: Dict[str, Run] = {}
        try:
            fleet.write_env()
            fleet.restart()
            for step in STEPS:
                if step == "retire":
                    time.sleep(max(0.0, soak.next_due(fleet.keyring()) - time.time()))
                runs[step] = fleet.run(step)
                if runs[step].code:
                    break
                fleet.save(self.folder / step)
        finally:
            fleet.end()
        return runs
