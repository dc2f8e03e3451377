# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stops a run of ansible-playbook just before the tasks that a test names, until the test lets it go on.

PHASED_STOPS is a list of `TASK#NUMBER`, one a line: before the task of that number with TASK in its name, a file
`stop-INDEX` appears in PHASED_STOPS_IN, and the run goes on as soon as `go-INDEX` is there.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stops
type: aggregate
short_description: stops a run just before the tasks that a test names
description: Used by the fault suite alone.
"""

PATIENCE = 60


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stops"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(os.environ.get("PHASED_STOPS_IN", "."))
        self.stops = [line.rpartition("#") for line in os.environ.get("PHASED_STOPS", "").splitlines()]
        self.seen: dict[str, int] = {}

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        passed = {name for name, _mark, _number in self.stops if name in task.get_name()}
        for name in passed:
            self.seen[name] = self.seen.get(name, 0) + 1
        for index, (name, _mark, number) in enumerate(self.stops):
            if name in passed and self.seen[name] == int(number):
                (self.folder / f"stop-{index}").touch()
                until = time.monotonic() + PATIENCE
                while not (self.folder / f"go-{index}").exists() and time.monotonic() < until:
                    time.sleep(0.01)
