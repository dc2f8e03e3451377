# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate and the keyring share: the fleet, its keyring, and the evidence that a play has gathered."""

from __future__ import annotations

import abc
import functools
import hashlib
import re
import time
from typing import Any, Dict, FrozenSet, List, Mapping, Optional

from ansible.plugins.action import ActionBase

from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import slices
from ..module_utils._rules import standing as standings
from ..module_utils._rules.gate import NOTHING_CHANGED
from ..module_utils._rules.report_time import Run
from ..module_utils._rules.standing import Standing
from ..module_utils._rules.survey import Conditions, Looks, Survey, evidence_age
from . import _core, _host_action, _inventory
from . import _outputs as outputs
from . import _run_folder as run_folder
from . import _stores as stores
from ._host_call import boot_time
from ._inventory import Fleet, FleetError

STEPPED_OVER = (
    "the first play, which finds the fleet, was stepped over (--tags, --skip-tags, --start-at-task), or this is a playbook of your own that "
    "gives no nonce. Run the whole of phased.keys.rollout; nothing was changed"
)

# It was reached, so nothing about reaching it helps.
ANSWERED = "fix what is said there, then run again on the whole fleet"


def unreachable(said: str) -> str:
    """Say in a few words that a host cannot be reached, by what Ansible said: what ssh said there, without the preface.

    At -vvvv ssh's own log is in it too. Behind a jump host that is down others complain as well, and of a long story, like that of
    a changed host key, the last line says it all.
    """
    text = re.split(r"\b(?:over|via) ssh: ", said.replace("\r", "\n"), maxsplit=1)[-1]
    lines = [line.strip() for line in re.sub(r"^Task failed: ", "", text).splitlines()]
    messages = [
        line.rstrip(".") for line in lines if line and not re.match(r"debug\d: |OpenSSH_|Warning: Permanently", line)
    ]
    why = [line for line in messages if line.startswith("ssh: ")] or messages[-1:]
    return f"unreachable ({why[0]})" if why else "unreachable"


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
            _core.see_that_it_is_supported()
            self.fleet = self.found()
        except PhasedKeysError as error:
            result.update(failed=True, msg=self.shown_once(str(error)))
            return result
        try:
            if not self.nonce and self.needs_nonce():
                raise FleetError(STEPPED_OVER)
            path = _inventory.keyring_path(self.fleet.values, self.fleet.name, self.task_vars)
            self.file = stores.store_for(path, self._loader)
            result.update(self.answer(self.task_vars))
        except PhasedKeysError as error:
            result.update(failed=True, msg=str(error))
        said = str(result.get("msg", ""))
        if result.get("failed"):
            result["msg"] = self.shown_once(said)
        self.after(result, said)
        return result

    def after(self, result: Dict[str, Any], said: str) -> None:
        """Do what follows an answer, be it a refusal: `said` is the whole of that."""

    def put_out(self, result: Mapping[str, Any], said: str) -> List[str]:
        """Write what others read (`outputs`); return, and warn of, what could not be written."""
        values = self.fleet.values
        if not outputs.wanted(values):
            return []
        survey, failed = None, said if result.get("failed") else None
        try:
            survey = self.survey(self.load()) if hasattr(self, "file") else None
        except PhasedKeysError as error:
            failed = failed or str(error)
        moment = outputs.Moment(
            asked=str(self._task.args.get("do") or self._task.action.rpartition(".")[2]),
            goal=str(run_folder.current().get("goal", "")),
            failed=bool(result.get("failed")),
            said=said or str(result.get("status") or result.get("text") or ""),
            standing=self.standing(survey, failed),
            survey=survey,
            max_age=values["max_age"],
            run=Run(self.said[run_folder.VISIT], run_folder.current().get("batches", [])),
        )
        unwritten = outputs.write(values, moment)
        for problem in unwritten:
            self._display.warning(problem)
        return unwritten

    def standing(self, survey: Optional[Survey], failed: Optional[str] = None) -> Standing:
        """Return how the fleet stands; `failed` is what the run ended with, if it failed."""
        first = failed.strip().splitlines()[0] if failed and failed.strip() else None
        if survey is None:
            return standings.without_a_keyring(self.fleet.name, self.fleet.members, time.time(), first or "")
        part = slices.why_not_whole(len(self.fleet.members), self.fleet.values["min_members"])
        return standings.standing(survey, self.looked(), self.fleet.values["max_age"], part, first)

    def looked(self) -> Optional[float]:
        """Return when (epoch) the first of this run's latest looks at members was; None where it has looked at nobody."""
        lasts = [self.last(member) for member in self.fleet.members] if self.nonce else []
        asked = [float(last["asked"]) for last in lasts if last]
        return time.time() - (boot_time() - min(asked)) if asked else None

    def shown_once(self, text: str) -> str:
        """Show a refusal of several lines, and return what is left to say of it: Ansible prints a result's message as JSON, and since 2.19 twice."""
        lines = text.splitlines()
        if len(lines) < 2:
            return text
        self.say(text)
        return f"{lines[0]} (the rest is shown above)"

    def found(self) -> Fleet:
        """Return the fleet as the first action of this run found it."""
        kept = run_folder.fleet(self.nonce) if self.nonce else None
        if kept is not None and kept.pop("hosts") == self.hosts():
            return Fleet(**kept)
        found = _inventory.fleet(self.task_vars, self._templar, self._loader)
        if self.nonce:
            self.keep_fleet(self.nonce, found)
        return found

    def keep_fleet(self, nonce: str, found: Fleet) -> None:
        """Keep the fleet for the actions of the run with this nonce that follow."""
        run_folder.keep_fleet(nonce, {"hosts": self.hosts(), **found._asdict()})

    def hosts(self) -> str:
        """Return what tells one inventory from another: a play may add hosts to it."""
        return hashlib.sha256("\0".join(self.task_vars["groups"]["all"]).encode()).hexdigest()

    @property
    def nonce(self) -> str:
        """The run that this task is part of; empty for none."""
        return str(self._task.args.get("nonce") or "")

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

    def load(self) -> Keyring:
        """Return the keyring."""
        return _host_action.keyring_of(self.file, self.fleet.name, self.fleet.values)

    @functools.cached_property
    def said(self) -> Dict[str, Dict[str, Dict[str, Any]]]:
        """What every host said in this run, by kind (its last look, its last visit) and host."""
        return run_folder.read(self.nonce)

    def last(self, host: str) -> Mapping[str, Any]:
        """Return what came last of a host in this run, whatever it was; empty where nothing did."""
        both = [self.said[kind][host] for kind in (run_folder.VISIT, run_folder.LOOK) if host in self.said[kind]]
        return max(both, key=lambda said: float(said["asked"]), default={})

    def evidence(self) -> Dict[str, Any]:
        """Return the evidence of every member of which there is any: what came last, if it is evidence.

        Of a host that could not be reached, or read, since then nothing is known: it may do something else by now.
        """
        found = {member: self.last(member).get("evidence") for member in self.fleet.members}
        return {member: seen for member, seen in found.items() if seen and member not in self.fleet.refused}

    def looks(self) -> Looks:
        """Return the fleet as this run has seen it until this moment."""
        conditions = Conditions(
            nonce=self.nonce,
            now=boot_time(),
            max_age=evidence_age(self.fleet.values["evidence_max_age"], run_folder.current().get("look_took")),
            absent={member: self.absent(member) for member in self.fleet.members},
            clock=time.time(),
            cut_off={member for member in self.fleet.members if self.unreachable(member)},
        )
        return Looks(self.fleet.members, self.evidence(), conditions)

    def survey(self, keyring: Keyring) -> Survey:
        """Return the same, held against a keyring."""
        return Survey(keyring, self.looks())

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
        return bool(self.last(host).get("unreachable"))

    def absent(self, host: str) -> str:
        """Say why there is no evidence of a host."""
        if host in self.fleet.refused:
            return self.fleet.refused[host]
        if host not in self.in_play:
            return "is outside --limit, and was not looked at -> run it again without --limit: every member counts"
        last = self.last(host)
        if last.get("unreachable"):
            # Without what Ansible says to do: the refusal has its own words for that.
            return unreachable(str(last.get("msg", "")).partition(" -> ")[0])
        if last.get("failed"):
            said = str(last.get("msg", "failed")).strip()
            return said if " -> " in said else f"{said} -> {ANSWERED}"
        if host not in self.left_in_play:
            return "unreachable, or failed in a task before"
        return "was not looked at"


class Teller(FleetAction):
    """Tells others what a visit ended with, on behalf of its action: where no host of a batch is left Ansible ends the run, and no gate is asked."""

    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Nothing: it is no task of its own."""
        return {}

    @classmethod
    def tell(cls, action: ActionBase, task_vars: Dict[str, Any], said: str) -> None:
        """Write what others read (`outputs`) after a visit that ended the run with these words."""
        own = cls(
            action._task,
            action._connection,
            action._play_context,
            action._loader,
            action._templar,
            action._shared_loader_obj,
        )
        kept = run_folder.fleet(own.nonce)
        if kept is None:
            return
        kept.pop("hosts")
        own.task_vars, own.fleet = task_vars, Fleet(**kept)
        own.file = stores.store_for(run_folder.current()["keyring"], own._loader)
        own.put_out({"failed": True}, said)
