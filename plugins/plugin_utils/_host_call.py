# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an action asks a host: it sends our program, waits for a bounded time, and lets the answer in through the door.

The program goes to the stdin of the host's Python where the connection has pipelining, so that no file on the host ever holds
it, and else in a file that is removed afterwards. Nothing that a host says reaches Ansible but through `_program.answer`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import signal
import threading
import time
from types import FrameType
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set

from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.executor.interpreter_discovery import discover_interpreter
from ansible.plugins.action import ActionBase

from ..module_utils._host.rules.durations import in_words
from ..module_utils._host.rules.errors import PhasedKeysError
from . import _door as door
from . import _program

DISCOVERED = "discovered_interpreter_python"
# A host that has not answered so long after it should have is not waited for any longer.
GRACE = 30.0
# How much more memory than now an answer may take until it has gone through the door.
LARGEST = 512 * 1024 * 1024
NO_TTY = "must have a tty to run sudo"
DEBUGGING = "ANSIBLE_DEBUG prints what is sent to a host and what comes back, and this call carries keys: unset it. Nothing was changed"
NO_PIPELINING = (
    "this call carries keys, and without pipelining they would lie in a temporary file on the host. {why}, or set "
    "app_keys_allow_key_in_file for this host if you accept it"
)
KEPT = "ANSIBLE_KEEP_REMOTE_FILES turns pipelining off: unset it"
SU = "Ansible has no pipelining with su: become with sudo (ansible_become_method), or log in as root"
OTHER = "The connection {connection} has none{become}: use one that has it, like ssh with sudo"


class HostTrouble(PhasedKeysError):
    """A host cannot be asked; the text says why and what to do."""


class AskingAction(ActionBase):
    """An action that runs one of our modules on a host."""

    def ask(
        self, module: str, arguments: Dict[str, Any], task_vars: Dict[str, Any], limit: float, *, keys: bool = False
    ) -> Dict[str, Any]:
        """Run the module on the host and return its answer; AnsibleConnectionFailure after `limit` seconds.

        `keys`: this call carries keys, one way or the other: never in a file unless that was allowed, never in debug output.
        """
        if arguments.get("workload"):
            return self._ask_cluster(module, arguments)
        # The ssh plugin prints a module's output at -vvv unless the play context says no: what a host says, as it says it.
        self._play_context.no_log = True
        interpreter = self.interpreter(task_vars)
        try:
            text = _program.text(
                module, arguments, bool(self._task.check_mode), self.log_line(module, arguments, task_vars)
            )
        except _program.ArgumentsError as error:
            return {"failed": True, "msg": str(error)}
        try:
            with _bounded(), _limited(limit, bool(self._task.timeout)):
                asked = boot_time()
                if self.pipelined():
                    ended = self._run(f"{interpreter} {_program.OPTIONS} -", text)
                    if not keys and ended["rc"] and NO_TTY in ended["stdout"] + ended["stderr"]:
                        # sudo's requiretty: a look carries no key, and may lie in a file for a moment.
                        ended = self._run_file(interpreter, text)
                else:
                    ended = self._run_file(interpreter, text)
        except _OutOfTime:
            raise AnsibleConnectionFailure(
                f"the connection hangs: no answer within {in_words(limit)} (all that it may wait for by app_keys_timeout and app_keys_settle, "
                f"and {GRACE:.0f} s)"
            ) from None
        except MemoryError:
            return {
                "failed": True,
                "msg": f"its answer cannot be read: it did not end within {LARGEST >> 20} MiB -> {_program.UNREADABLE}",
            }
        except AnsibleConnectionFailure as error:
            # What ssh says may be the host's own words, a banner for instance; it ends its lines with a carriage return.
            said = "\n".join(str(error).splitlines())
            raise AnsibleConnectionFailure(door.printable(said, lines=True)) from None
        answer = _program.answer(module, interpreter, ended)
        if "evidence" in answer:
            # As old as the question, whatever the host's clock says.
            answer["evidence"]["asked"] = asked
        return answer

    def _ask_cluster(self, module: str, arguments: Dict[str, Any]) -> Dict[str, Any]:
        """Return what is said of a member that is a workload: the cluster is asked from here, and no host is."""
        # Whoever has none pays nothing for it.
        from ._workload import call

        asked = boot_time()
        answer = call.answer(module, arguments, bool(self._task.check_mode))
        if "evidence" in answer:
            answer["evidence"]["asked"] = asked
        return answer

    def may_carry_keys(self, in_file: bool) -> None:
        """See that a key can be sent, or brought back, without being left anywhere; HostTrouble where it cannot.

        `in_file`: it may lie in a file on the host for a moment, which does not go for debug output.
        """
        if C.config.get_config_value("DEFAULT_DEBUG"):
            raise HostTrouble(DEBUGGING)
        if not self.pipelined() and not in_file:
            raise HostTrouble(NO_PIPELINING.format(why=self._why_not()))

    def _why_not(self) -> str:
        """Say why there is no pipelining, and what to do."""
        if C.config.get_config_value("DEFAULT_KEEP_REMOTE_FILES"):
            return KEPT
        become = str(self._connection.become.name).rpartition(".")[2] if self._connection.become else ""
        if become == "su" and self._connection.has_pipelining:
            return SU
        name = getattr(self._connection, "_load_name", self._connection.transport)
        return OTHER.format(connection=name, become=become and f" with become {become}")

    def _run(self, command: str, text: Optional[bytes] = None) -> Dict[str, Any]:
        command = f"{self._compute_environment_string()} {command}".strip()
        ended: Dict[str, Any] = self._low_level_execute_command(command, in_data=text)
        return ended

    def _run_file(self, interpreter: str, text: bytes) -> Dict[str, Any]:
        """Run the program from a file on the host."""
        folder = self._make_tmp_path()
        path = self._connection._shell.join_path(folder, "phased_keys.py")
        try:
            self._transfer_data(path, text)
            self._fixup_perms2((folder, path))
            return self._run(f"{interpreter} {_program.OPTIONS} {shlex.quote(path)}")
        finally:
            self._remove_tmp_path(folder)

    def log_line(self, module: str, arguments: Mapping[str, Any], task_vars: Mapping[str, Any]) -> Optional[List[str]]:
        """Return what the host's log is told of this call, by Ansible's settings for it; None for nothing."""
        if self._task.no_log or C.config.get_config_value("DEFAULT_NO_TARGET_SYSLOG", variables=dict(task_vars)):
            return None
        facility = task_vars.get("ansible_syslog_facility") or C.config.get_config_value("DEFAULT_SYSLOG_FACILITY")
        # A setting that ansible-core 2.16 does not have.
        info = task_vars.get("ansible_target_log_info", getattr(C, "TARGET_LOG_INFO", None))
        return _program.logged(module, arguments, str(facility), str(info) if info else None)

    def pipelined(self) -> bool:
        """Turn pipelining on for this call where the connection has it, and return whether it does."""
        try:
            self._connection.set_option("pipelining", True)
        except (AttributeError, KeyError, AnsibleError):
            # A connection plugin that has no such option of its own reads the play's. (From 2.17 on that is an AnsibleError.)
            self._play_context.pipelining = True
        try:
            return bool(self._is_pipelining_enabled("new"))
        except (KeyError, AnsibleError):
            return False

    def interpreter(self, task_vars: Dict[str, Any]) -> str:
        """Return the host's Python, as Ansible's own modules would find it."""
        found: Dict[str, Any] = task_vars
        if self._task.delegate_to:
            found = task_vars["ansible_delegated_vars"][self._task.delegate_to]
        if getattr(self._connection, "_remote_is_local", False):
            return shlex.quote(str(task_vars["ansible_playbook_python"]))
        said = str(self._templar.template(C.config.get_config_value("INTERPRETER_PYTHON", variables=found) or "auto"))
        if not said.startswith("auto"):
            # With arguments of its own it is the operator's to quote.
            return said
        facts = found.setdefault("ansible_facts", {})
        if not facts.get(DISCOVERED):
            facts[DISCOVERED] = str(discover_interpreter(self, "python", said, found))
            if not self._task.delegate_to:
                self._discovered_interpreter_key, self._discovered_interpreter = DISCOVERED, facts[DISCOVERED]
        return shlex.quote(str(facts[DISCOVERED]))

    def discovered(self) -> Dict[str, Any]:
        """Return the one fact that comes of a call: the interpreter that Ansible's own search has found, for the next task."""
        if not self._discovered_interpreter_key:
            return {}
        return {"ansible_facts": {self._discovered_interpreter_key: self._discovered_interpreter}}


def boot_time() -> float:
    """Return the controller's seconds since its boot, sleep included: evidence ages while a laptop is closed."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Bound the memory of this process, which is a fork for one task of one host: a connection plugin reads all that a host sends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/self/statm", encoding="ascii") as file:
            present = int(file.read().split()[0]) * resource.getpagesize()
        if soft == resource.RLIM_INFINITY or soft > present + LARGEST:
            resource.setrlimit(resource.RLIMIT_AS, (present + LARGEST, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _OutOfTime(BaseException):
    """The time for a call is over. Not an Exception: nothing on the way may take it for a trouble of its own."""


@contextlib.contextmanager
def _limited(seconds: float, theirs: bool) -> Iterator[None]:
    """Raise _OutOfTime after so many seconds, and end what was started meanwhile.

    Every task of every host has a process of its own, with one thread. `theirs`: the task has a time limit of Ansible's, which
    uses the same timer.
    """
    if theirs or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = _children()

    def over(_number: int, _frame: Optional[FrameType]) -> None:
        for pid in _children() - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise _OutOfTime

    earlier = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def _children() -> Set[int]:
    """Return the child processes of this one, an ssh client say."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.add(int(pid))
    return found
