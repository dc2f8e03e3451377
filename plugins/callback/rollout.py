# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Shows how far a rollout is. What is not of this collection is shown by Ansible's default callback, from which this one inherits."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout
type: stdout
short_description: Progress of a rollout at a glance, and a summary at its end
version_added: 0.1.0
author:
  - The phased.keys contributors (@phased-keys)
description:
  - Shows what the playbooks of C(phased.keys) do in one line per event with its time - what the gate says, what each visit did,
    what failed and what to do - and ends with one summary.
  - On a terminal a line at the bottom shows the step, the batch, how many hosts are proven, who is being visited, how long that will
    take, and a soak as a countdown.
  - All else is shown as P(ansible.builtin.default#callback) shows it, and so is everything at C(-v) and above.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
seealso:
  - plugin: ansible.builtin.default
    plugin_type: callback
"""

import contextlib
import os
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional

from ansible import constants as C
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default

from ..module_utils._rules import progress
from ..plugin_utils import _progress as shown
from ..plugin_utils import _run_folder as run_folder
from ..plugin_utils._living_line import LivingLine, Said

GATE = "phased.keys.gate"
VISIT = "phased.keys.env_keys"
LOOK = "phased.keys.active_fingerprint"
KEYRING = "phased.keys.keyring"
REENCRYPT = "phased.keys.reencrypt"
OURS = (GATE, VISIT, LOOK, KEYRING, REENCRYPT)
COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACES = tuple(os.path.join(COLLECTION, name) + os.sep for name in ("playbooks", "roles"))
# What a result of ours may have and still be told in a sentence; whatever has more is shown whole.
IN_A_SENTENCE = {
    "msg",
    "diff",
    "changed",
    "failed",
    "unreachable",
    "did",
    "needed",
    "proven",
    "progress",
    "invocation",
    "exception",
    "needs_look",
}
STAMP = len("00:00:00 ")
SHOWN_ABOVE = "(the rest is shown above)"


class CallbackModule(Default):
    """The default callback, but for what is ours."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "phased.keys.rollout"

    def __init__(self) -> None:
        super().__init__()
        self.run: Optional[shown.Run] = None
        self.task: Any = None  # the task of ours that runs; None while somebody else's does
        self.inside = False  # while this callback itself shows something
        self.hush = False  # while no banner of a task is shown
        self.foreign = False  # whether anything that is not ours was shown
        self.fresh = False  # whether a play has begun, and no batch of it
        self.line: Optional[LivingLine] = None

    # --- the run ---

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.run, self.task, self.foreign = None, None, False
        if self.line is None:
            self.line = LivingLine(self._display, self.living, self.colour, self.says)
        self.line.start()
        self.default("v2_playbook_on_start", playbook)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        ours = ours_by_path(play)
        self.task = None
        if ours and not self.verbose:
            self._play = play
        else:
            self.foreign = self.foreign or not ours
            self.default("v2_playbook_on_play_start", play)
        self.fresh = True

    def begin_batch(self) -> None:
        """Count the batches: the first question for one in a play begins it."""
        run, known = self.run, run_folder.current()
        if run is None or not self.fresh:
            return
        self.fresh = False
        if run.visits is None:
            sizes = progress.batches(known.get("serial") or [1], len(known.get("visits") or []))
            run.visits = shown.Visits(sizes, int(context.CLIARGS.get("forks") or 5))
        run.visits.batch += 1

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if self._play is None or self.verbose or not ours_by_path(self._play):
            self.default("v2_playbook_on_no_hosts_matched")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self.task = None
        if self.line:
            self.line.stop()
        markers = context.CLIARGS.get("check") and self.get_option("check_mode_markers")
        if self.run is None or self.verbose or self.foreign or stats.custom or markers:
            self.default("v2_playbook_on_stats", stats)
        if self.run is not None:
            failed = {host for host in stats.processed if stats.summarize(host)["failures"]}
            lost = {host for host in stats.processed if stats.summarize(host)["unreachable"]}
            well = not (failed or lost or self.run.refused)
            self._display.display("")
            width = min(shown.WIDTH, self.line.width or shown.WIDTH) if self.line else shown.WIDTH
            for text, colour in shown.summary(self.run, time.monotonic(), well, width):
                self._display.display(text, color=self.colour(colour))
        self.run = None

    # --- tasks ---

    @property
    def verbose(self) -> bool:
        """Whether all that the default callback shows is shown besides."""
        return bool(self._display.verbosity)

    def _print_task_banner(self, task: Any) -> None:
        if not self.hush:
            super()._print_task_banner(task)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        name = action_of(task)
        begins = name == GATE and task.args.get("do") == "fleet"
        if begins and self.run is None:
            # As long as the task is not over its goal may be a template, which our playbooks give to the play.
            goal = getattr(self._play, "vars", {}).get("__app_keys_goal") or task.args.get("goal") or "rollout"
            self.run = shown.Run(time.monotonic(), str(goal), checking=bool(context.CLIARGS.get("check")))
        ours = self.run is not None and is_ours(task)
        self.task = task if ours else None
        if self.line and not ours:
            self.line.erase()
        if self.run and ours:
            with self._display._lock:
                do = str(task.args.get("do") or "")
                self.run.doing = shown.VERBS.get(do, shown.DOING.get(name.rpartition(".")[2], ""))
                self.run.looked_at = 0
                if name == GATE and do == "batch":
                    self.begin_batch()
        self.hush = ours and not self.verbose
        self.foreign = self.foreign or not ours
        self.default("v2_playbook_on_task_start", task, is_conditional)
        self.hush = False
        self.draw()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self.task, self.foreign = None, True
        if self.line:
            self.line.erase()
        self.default("v2_playbook_on_handler_task_start", task)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self.default("v2_runner_on_start", host, task)
        if self.run and self.run.visits and action_of(task) == VISIT:
            with self._display._lock:
                self.run.visits.begin(host.get_name(), time.monotonic())
        self.draw()

    # --- results ---

    def v2_runner_on_ok(self, result: Any) -> None:
        if not self.is_of_our_run(result):
            self.default("v2_runner_on_ok", result)
            return
        host, said = result._host.get_name(), result._result
        self.heard(result)
        if self.verbose:
            self.default("v2_runner_on_ok", result)
            return
        self.warned(result)
        if action_of(result._task) == VISIT and "waits_for" not in said:
            if not said.get("msg"):
                self.tell(f"{host}: {'proven' if said.get('proven') else 'left as it is'}, nothing to change", shown.OK)
            elif result._task.check_mode:
                self.tell(str(said["msg"]), shown.CHANGED)
        self.draw()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not self.is_of_our_run(result):
            self.default("v2_runner_on_failed", result, ignore_errors)
            return
        self.heard(result, failed=True)
        said = result._result
        message = str(said.get("msg") or "")
        if (
            self.verbose
            or ignore_errors
            or not message
            or not (in_a_sentence(said) or is_status(result._task))
            or unforeseen(said, message)
        ):
            self.default("v2_runner_on_failed", result, ignore_errors)
            return
        said.pop("exception", None)
        self.warned(result)
        if not message.endswith(SHOWN_ABOVE):
            who = "" if action_of(result._task) in (GATE, KEYRING) else f"{result._host.get_name()}: FAILED: "
            self.tell(
                who + message + shown.did(said.get("did") or {}),
                shown.ERROR,
                stderr=self.get_option("display_failed_stderr"),
            )
        self.draw()

    def v2_runner_on_unreachable(self, result: Any) -> None:
        if not self.is_of_our_run(result):
            self.default("v2_runner_on_unreachable", result)
            return
        self.heard(result, failed=True)
        said = result._result
        message = str(said.get("msg") or "")
        if self.verbose or not message or not in_a_sentence(said):
            self.default("v2_runner_on_unreachable", result)
            return
        said.pop("exception", None)
        self.warned(result)
        text = f"{result._host.get_name()}: UNREACHABLE: {message}"
        self.tell(text, shown.UNREACHABLE, stderr=self.get_option("display_failed_stderr"))
        self.draw()

    def v2_runner_on_skipped(self, result: Any) -> None:
        if self.verbose or not self.is_of_our_run(result):
            self.default("v2_runner_on_skipped", result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if self.verbose or not self.is_of_our_run(result):
            self.default("v2_runner_item_on_ok", result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if self.verbose or not self.is_of_our_run(result):
            self.default("v2_runner_item_on_skipped", result)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self.verbose or self.run is None or not str(included_file._filename).startswith(PLACES):
            self.default("v2_playbook_on_include", included_file)

    def is_of_our_run(self, result: Any) -> bool:
        """Whether a result is of our run, and of a task of ours."""
        return self.run is not None and is_ours(result._task)

    def heard(self, result: Any, failed: bool = False) -> None:
        """Take in what a result says of the progress."""
        run, host, name, said = self.run, result._host.get_name(), action_of(result._task), result._result
        if run is None:
            return
        with self._display._lock:
            if name == GATE:
                run.refused = run.refused or failed
                known = run_folder.current()
                run.name, run.members = str(known.get("name") or ""), len(known.get("members") or [])
                run.goal = str(known.get("goal") or run.goal)
                if said.get("visit") is not None or failed:
                    run.visits = None
                told = known.get("progress") if failed else said.get("progress")
                if told:
                    run.hear(told)
                run.waits = {}
            elif name == LOOK:
                run.looked_at += 1
            if name == VISIT and run.visits:
                proven = bool(said.get("proven")) and not failed
                run.visits.end(host, time.monotonic(), None if "waits_for" in said else proven)
            if name == VISIT and (said.get("changed") or (said.get("did") or {}).get("written")):
                run.changed.add(host)
            if name == KEYRING:  # runs on one host, and speaks of them all
                run.refused = run.refused or failed
            elif failed and name != GATE:
                (run.unreachable if said.get("unreachable") else run.failed).add(host)

    def warned(self, result: Any) -> None:
        """Show warnings and deprecations of a result."""
        self._handle_warnings(result._result)

    # --- what is shown ---

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """While this lasts, what is shown comes from here: that of forks, which another thread shows, waits."""
        with self._display._lock:
            before, self.inside = self.inside, True
            try:
                yield
            finally:
                self.inside = before

    def default(self, name: str, *arguments: Any) -> None:
        """Have the default callback show it."""
        with self.own():
            getattr(super(), name)(*arguments)

    def tell(self, text: str, colour: str, stderr: bool = False) -> None:
        """Show a line of ours, with its time."""
        with self.own():
            for short, how in self.wrapped(
                stamped(shown.clean(text)), {"color": self.colour(colour), "stderr": stderr}
            ):
                self._display.display(short, **how)

    def wrapped(self, text: str, how: Dict[str, Any]) -> List[Said]:
        """Return a text as it is to be shown: wrapped on a terminal, and whole in the log."""
        width = self.line.width if self.line else 0
        short = shown.narrow(text, width, STAMP) if width else text
        return (
            [(text, how)]
            if short == text
            else [(short, {**how, "screen_only": True}), (text, {**how, "log_only": True})]
        )

    def says(self, msg: str, **how: Any) -> List[Said]:
        """Return what is to be shown in place of what somebody shows now, and how."""
        task, plain = self.task, not (how.get("stderr") or how.get("log_only") or how.get("caplevel") is not None)
        if task is None or self.inside or not plain or self.run is None:
            return [(msg, how)]
        if how.get("screen_only") and not msg:
            self.run.waits = waits()
            return []
        if any(text in msg for text in progress.WAITING.values()) and "\n" not in msg:
            self.run.waits = waits()
            if self.line and self.line.living:
                return [(msg, {**how, "log_only": True})]
        colour = self.colour(shown.colour_of(msg, action_of(task) == VISIT))
        lines = [shown.clean(line) for line in msg.split("\n")]
        return self.wrapped(stamped("\n".join(lines)), {"color": colour, **how})

    def living(self, width: int) -> List[shown.Piece]:
        """Return the living line."""
        if self.run is None or self.task is None:
            return []
        return shown.living(self.run, time.monotonic(), time.time(), width)

    def draw(self) -> None:
        if self.line and self.task is not None:
            self.line.draw()

    def colour(self, name: str) -> Optional[str]:
        """Return Ansible's colour of this name."""
        return getattr(C, f"COLOR_{name.upper()}", None) if name else None


def waits() -> Dict[str, Any]:
    """Return what the gate waits for now."""
    return dict(run_folder.current().get("waits") or {})


def stamped(text: str) -> str:
    """Return a text with the time in front of it."""
    return f"{time.strftime('%H:%M:%S')} {text}"


def action_of(task: Any) -> str:
    """Return the whole name of a task's action."""
    return str(getattr(task, "resolved_action", None) or task.action)


def ours_by_path(thing: Any) -> bool:
    """Whether a play or a task stands in a playbook or role of this collection."""
    return str(thing.get_path()).startswith(PLACES)


def is_ours(task: Any) -> bool:
    """Whether a task is ours: by its action, or by where it stands."""
    return action_of(task) in OURS or ours_by_path(task)


def public(said: Mapping[str, Any]) -> List[str]:
    """Return the parts of a result that are not Ansible's own."""
    return [name for name in said if not name.startswith("_ansible_")]


def in_a_sentence(said: Mapping[str, Any]) -> bool:
    """Whether a result has no more than what is told in a sentence."""
    return set(public(said)) <= IN_A_SENTENCE


def is_status(task: Any) -> bool:
    """Whether a task asks for the status: where a strict one fails, all that it returns has been shown to people already."""
    return action_of(task) == GATE and task.args.get("do") == "status"


def unforeseen(said: Mapping[str, Any], message: str) -> bool:
    """Whether a failure is none that an action of ours returned, but an error: Ansible says of those where they came from."""
    return message.startswith("Task failed: ") or "Traceback" in str(said.get("exception") or "")
