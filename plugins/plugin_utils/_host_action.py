# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two actions that look at, or visit, one host share: its variables as module arguments, and where its answer goes."""

from __future__ import annotations

import abc
from typing import Any, Dict, List, Mapping, Optional

from ansible.errors import AnsibleConnectionFailure

from ..module_utils._host.arguments import APPLICATION
from ..module_utils._host.rules import variables
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._keyring_shapes import Keyring
from ..module_utils._rules import in_force, wording
from . import _core, _inventory
from . import _run_folder as run_folder
from ._host_call import GRACE, AskingAction, boot_time
from ._inventory import PREFIX, FleetError, Inventory
from ._keyring_store import KeyringFileError, Store

# What of an answer a person sees; the evidence only at -vv.
SHOWN = ("changed", "failed", "msg", "exception", "needed", "proven", "did", "diff", "signs", "accepts", "idle")
VERBOSE = 2
VISITED = {"did", "evidence", "needed", "proven"}  # what says what a visit did


class HostAction(AskingAction):
    """An action that looks at, or visits, one host."""

    _supports_check_mode = True
    kind = run_folder.LOOK

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Ask the host, keep what it said for the gate of this run, and return what a person wants to see of it."""
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        task_vars = task_vars or {}
        try:
            _core.see_that_it_is_supported()
            why = _inventory.foreign_facts(task_vars.get("ansible_facts"))
            if why:
                raise FleetError(why)
            said = self.answer(task_vars)
        except PhasedKeysError as error:
            said = {"failed": True, "msg": str(error)}
        except AnsibleConnectionFailure as error:
            self.keep(task_vars, {"unreachable": True, "msg": str(error)})
            raise
        self.keep(task_vars, said)
        said = self.with_what_it_did(str(task_vars["inventory_hostname"]), said)
        result.update({name: said[name] for name in self.shown() if name in said}, **self.discovered())
        if self.nonce and self.kind != run_folder.VISIT:
            # The gate says what is wrong with a host, and everybody else is looked at and shown all the same.
            result["failed"] = False
        return result

    def with_what_it_did(self, host: str, said: Dict[str, Any]) -> Dict[str, Any]:
        """Return what a host said with what its visit did as one sentence, and show that: of a task that went well Ansible shows no message."""
        # A host that lies may leave out what it did: then there is nothing to say.
        if self.kind != run_folder.VISIT or said.get("failed") or not said.keys() >= VISITED:
            return said
        sentence = wording.visited(host, said, bool(self._task.check_mode))
        if not sentence:
            return said
        if not self._task.check_mode:
            self._display.display(sentence)
        return {**said, "msg": sentence}

    @abc.abstractmethod
    def answer(self, task_vars: Dict[str, Any]) -> Dict[str, Any]:
        """Return what the host said, with what the controller adds for the tasks that follow."""

    def shown(self) -> List[str]:
        """Return which parts of an answer the result has."""
        return [*SHOWN, *(["evidence"] if self._display.verbosity >= VERBOSE else [])]

    def keep(self, task_vars: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        """Keep what a host said where the gate of this run finds it."""
        host = self._task.args.get("member") or task_vars["inventory_hostname"]
        run_folder.keep(self.nonce, self.kind, str(host), {"asked": boot_time(), **said})

    @property
    def nonce(self) -> str:
        """The run that this call is part of; empty for none."""
        return str(self._task.args.get("nonce") or "")

    def raw_variables(self, task_vars: Mapping[str, Any]) -> Dict[str, Any]:
        """Return this host's `app_keys_*` variables, templated: those for the whole fleet without any host's facts."""
        inventory = Inventory(task_vars, self._templar)
        host = str(task_vars["inventory_hostname"])
        return {name: inventory.seen(task_vars, name, host) for name in task_vars if name.startswith(PREFIX)}

    def arguments(self, raw: Mapping[str, Any], options: List[str]) -> Dict[str, Any]:
        """Return the module's arguments: the task's own, and the variables for those it does not give."""
        given = dict(self._task.args)
        for option in options:
            value = raw.get(PREFIX + option)
            if given.get(option) is None and not variables.empty(value):
                given[option] = value
        return given

    def limit(self, given: Mapping[str, Any], parts: int) -> float:
        """Return how long a host with these arguments may take to answer, in seconds; `parts` says how often it may wait as long as it may."""
        asked = {PREFIX + name: given[name] for name in ("timeout", "settle") if given.get(name) is not None}
        values = _inventory.read(asked, "the task")
        return parts * (float(values["timeout"]) + float(values["settle"])) + GRACE


def see_same_profile(keyring: Keyring, values: Mapping[str, Any]) -> None:
    """Refuse variables that say another form of keys than the keyring was adopted with."""
    why = in_force.why_another(keyring, values["framework"], values["settings"])
    if why:
        raise KeyringFileError(why)


def keyring_of(file: Store, name: str, values: Mapping[str, Any]) -> Keyring:
    """Return the keyring for an application with these variables."""
    keyring = file.load(name)
    see_same_profile(keyring, values)
    return keyring


APPLICATION_OPTIONS = [name for name in APPLICATION if name != "nonce"]
