# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a run of Ansible used: its plays, the contacts with hosts in each, and the processor time of what its workers started.

A worker is forked from the main process for each task of a host, and all that it starts for it is its children: with the
connection `local` they are the host's side. So a worker tells their processor time when its task is done, with the play that
was running when it was forked. Not at its end, for the main process may end the last workers as soon as it has their results.
PHASED_BENCH_USAGE names the file; each line is JSON.
"""

from __future__ import annotations

import json
import os
import resource
from typing import Any

from ansible.executor.task_executor import TaskExecutor
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: usage
type: aggregate
short_description: says what a run used
description: Used by the benchmark alone.
"""


class CallbackModule(CallbackBase):
    """Writes a line for each play, for each worker that started something, and for the main process at its end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "usage"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.plays: list[str] = []
        run_task = TaskExecutor.run

        def run_and_tell(executor: TaskExecutor) -> Any:
            result = run_task(executor)
            self.task_is_done()
            return result

        TaskExecutor.run = run_and_tell

    def task_is_done(self) -> None:
        """Tell in the worker what its children used, if it had any."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        if used.ru_minflt:  # also where the time is too short to be seen
            self.say(contact=len(self.plays) - 1, children=used.ru_utime + used.ru_stime)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Tell of a play, once for all of its batches."""
        if play._uuid not in self.plays:
            self.plays.append(play._uuid)
            self.say(play=play.get_name(), serial=play.serial)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Tell the main process's peak of memory."""
        with open("/proc/self/status") as status:
            (peak,) = [int(line.split()[1]) for line in status if line.startswith("VmHWM:")]
        self.say(memory=peak / 1024)

    def say(self, **line: Any) -> None:
        """Add a line; so short a write to the end of a file is never torn."""
        file = os.open(os.environ["PHASED_BENCH_USAGE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, json.dumps(line).encode() + b"\n")
        os.close(file)
