# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate and the keyring share: the fleet, its keyring, and the evidence that a play has gathered."""

from __future__ import annotations

import abc
import functools
import json
import re
import time
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from ansible.plugins.action import ActionBase
from ansible.release import __version__

from ..module_utils.rules import slices
from ..module_utils.rules.evidence import Survey
from ..module_utils.rules.frameworks import SettingsError
from ..module_utils.rules.gate import NOTHING_CHANGED
from ..module_utils.rules.ring import Ring, RingError
from . import action, fleet, forks
from .fleet import Fleet, FleetError
from .keyring_file import KeyringFile, KeyringFileError

# Before 2.19 ansible-core shows a failure as one line of JSON, which nobody can read at night.
SHOWS_FAILURES = tuple(int(part) for part in __version__.split(".")[:2]) >= (2, 19)
STEPPED_OVER = (
    "this run has no nonce: the first play, which finds the fleet, was stepped over (--tags, --skip-tags, --start-at-task), or this is a "
    "playbook of your own. Run the whole of phased.keys.rollout; nothing was changed"
)
AROUND = ("app_keys_before_tasks", "app_keys_after_tasks")
# What every action asks of a host's variables, read once.
READ = (action.VISIT, action.LOOK, action.AGAIN, *AROUND)
# The fleet of the run with this nonce, without what its hosts have registered.
FOUND = forks.Shared()
NEVER = {"asked": float("-inf")}
NEVER_AGAIN = {"asked": float("inf")}


def unreachable(said: str) -> str:
    """Say in a few words that a host cannot be reached, by what Ansible said: what ssh said there, without the preface.

    At -vvvv ssh's own log is in it too. Behind a jump host that is down others complain as well, and of a long story, like that of
    a changed host key, the last line says it all.
    """
    text = re.split(r"\b(?:over|via) ssh: ", said.replace("\r", "\n"), maxsplit=1)[-1]
    lines = [line.strip() for line in re.sub(r"^Task failed: ", "", text).splitlines()]
    told = [
        line.rstrip(".") for line in lines if line and not re.match(r"debug\d: |OpenSSH_|Warning: Permanently", line)
    ]
    first = [line for line in told if line.startswith("ssh: ")] or told[-1:]
    return f"unreachable ({first[0]})" if first else "unreachable"


class FleetAction(ActionBase):
    """An action that runs once, for all hosts of the play."""

    # Not `run_once` in the playbooks: `strategy: free` turns that into once per host, and refuses this.
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Find the fleet, then answer."""
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        self.task_vars: Dict[str, Any] = task_vars or {}
        self.checking = bool(self._task.check_mode)
        try:
            self.fleet = self.found()
            if not self._task.args.get("nonce") and self.needs_nonce():
                raise FleetError(STEPPED_OVER)
            path = fleet.keyring_path(self.fleet.values, self.fleet.name, self.task_vars)
            self.file = KeyringFile(path, self._loader)
            result.update(self.answer(self.task_vars))
        except (FleetError, KeyringFileError, RingError, SettingsError) as error:
            result.update(failed=True, msg=str(error))
        if result.get("failed") and not SHOWS_FAILURES:
            self.say(str(result["msg"]))
        return result

    def found(self) -> Fleet:
        """Return the fleet as the first action of this run found it: one run has one fleet, and thousands of hosts take a while."""
        nonce = str(self._task.args.get("nonce") or "")
        # Of this run, and of this inventory: a play may add hosts to it.
        mark = "\0".join([nonce, *self.task_vars["groups"]["all"]]).encode()
        kept = FOUND.get(mark) if nonce else None
        if kept is None:
            found = fleet.fleet(self.task_vars, self._templar, self._loader, READ)
            if nonce:
                FOUND.put(mark, json.dumps([found.name, found.members, found.values]).encode())
            return found
        name, members, values = json.loads(kept)
        raw_get = self.task_vars["hostvars"].raw_get
        return Fleet(name, members, values, {host: fleet.registered(raw_get(host), READ) for host in members})

    @abc.abstractmethod
    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Return the action's own result: the gate and the keyring each have theirs, and this class is no action by itself."""

    def needs_nonce(self) -> bool:
        """Whether this is about evidence, which has to be of this run."""
        return True

    def see_whole(self, adopting: bool = False) -> None:
        """Refuse an inventory that may be a part of the fleet: it opens nothing, and begins (`adopting`) no keyring."""
        least = self.fleet.values["min_members"]
        why = slices.why_not_whole(len(self.fleet.members), least)
        why = why or (slices.why_no_adopt(least, self.task_vars) if adopting else None)
        if why:
            raise FleetError(f"{self.fleet.name}: {why}. {NOTHING_CHANGED}")

    def say(self, text: str) -> None:
        """Show a line to the person at the terminal: a result alone is a line of JSON."""
        self._display.display(text)

    def load(self) -> Ring:
        """Return the keyring."""
        return action.keyring_of(self.file, self.fleet.name, self.fleet.values)

    def result_of(self, host: str, name: str) -> Mapping[str, Any]:
        """Return what a host registered under `name` in this run; registered results are in no fact cache."""
        kept = self.fleet.results.get(host)
        found = (self.task_vars["hostvars"].raw_get(host) if kept is None else kept).get(name)
        return found if isinstance(found, Mapping) else {}

    def evidence(self) -> Dict[str, Any]:
        """Return the newest evidence of every member of which there is any."""
        found: Dict[str, Any] = {}
        for member in self.fleet.members:
            for result in self.results(member):
                if result.get("unreachable"):
                    # Whatever it showed before: it may be another host by now, or the same one with other keys.
                    found[member] = NEVER_AGAIN
                seen = action.seen_in(result)
                if "asked" in seen and seen["asked"] > found.get(member, NEVER)["asked"]:
                    found[member] = seen
        return {member: seen for member, seen in found.items() if seen is not NEVER_AGAIN}

    def survey(self) -> Survey:
        """Return the survey that evidence has to be of."""
        return Survey(
            nonce=str(self._task.args.get("nonce", "")),
            now=action.boot_time(),
            max_age=self.fleet.values["evidence_max_age"],
            absent={member: self.absent(member) for member in self.fleet.members},
            clock=time.time(),
            cut_off={member for member in self.fleet.members if self.unreachable(member)},
        )

    def results(self, host: str) -> List[Mapping[str, Any]]:
        """Return what tasks of this run said of a host: its visit, its look, and looks that others took at it."""
        return [self.result_of(host, action.VISIT), self.result_of(host, action.LOOK), *self.again.get(host, [])]

    @functools.cached_property
    def again(self) -> Dict[str, List[Mapping[str, Any]]]:
        """Looks that hosts of a batch took at others, whose evidence had grown old; by the host that was looked at."""
        found: Dict[str, List[Mapping[str, Any]]] = {}
        for looker in self.fleet.members:
            for result in self.result_of(looker, action.AGAIN).get("results") or []:
                found.setdefault(result["item"], []).append(result)
        return found

    @functools.cached_property
    def in_play(self) -> FrozenSet[str]:
        """The hosts of this play, those too that have dropped out of it."""
        return frozenset(self.task_vars["ansible_play_hosts_all"])

    @functools.cached_property
    def left_in_play(self) -> FrozenSet[str]:
        """The hosts that are still in this play."""
        return frozenset(self.task_vars["ansible_play_hosts"])

    def unreachable(self, host: str) -> bool:
        """Whether Ansible could not reach a host, so that nothing was done there since its evidence."""
        return any(seen.get("unreachable") for seen in self.results(host))

    def absent(self, host: str) -> str:
        """Say why there is no evidence of a host."""
        if host not in self.in_play:
            return "is outside --limit, and was not looked at"
        for seen in self.results(host):
            if seen.get("unreachable"):
                # What to do then is the table's to say.
                return unreachable(str(seen.get("msg", "")).partition(action.CUT_OFF[:4])[0])
            if seen.get("failed"):
                return str(seen.get("msg", "failed")).strip()
        if host not in self.left_in_play:
            return "unreachable, or failed in a task before"
        return "was not looked at"
