# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's own time: the real action, on Ansible's own inventory and host variables, with evidence that is generated."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import action_loader, connection_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.phased.keys.plugins.module_utils.rules import steps
from ansible_collections.phased.keys.plugins.plugin_utils import keyring_file
from ansible_collections.phased.keys.plugins.plugin_utils.action import LOOK, VISIT, boot_time
from scale_fleet import Fleet, remembered
from simulated import simulated

ARGUMENTS = {"nonce": "", "env_file": ["/etc/shop.env"], "service": "shop.service"}
STEP = "prepare"


class Gate:
    """A fleet with a gate that can be asked, as a playbook would ask it."""

    def __init__(self, folder: Path, size: int) -> None:
        self.fleet = Fleet(folder, size)
        self.loader = DataLoader()
        self.loader.set_vault_secrets(self.fleet.file().secrets)
        self.loader.set_basedir(str(folder))
        inventory = InventoryManager(loader=self.loader, sources=[str(self.fleet.inventory)])
        self.variables = VariableManager(loader=self.loader, inventory=inventory)
        self.play = Play().load(
            {"hosts": "all", "gather_facts": False, "tasks": []}, variable_manager=self.variables, loader=self.loader
        )
        HostVars(inventory=inventory, variable_manager=self.variables, loader=self.loader)
        self.host = inventory.get_host(self.fleet.names[0])
        self.seconds: Dict[str, float] = {}

    def ask(self, do: str, **arguments: Any) -> Dict[str, Any]:
        """Run the action once, and keep how long it took."""
        given = {"do": do, "step": STEP, "goal": "rollout", **arguments}
        data = {"hosts": "all", "tasks": [{"phased.keys.gate": given}]}
        play = Play().load(data, variable_manager=self.variables, loader=self.loader)
        task = play.get_tasks()[0][0]
        names = self.fleet.names
        found = self.variables.get_vars(play=play, host=self.host, task=task, _hosts=names, _hosts_all=names)
        found["ansible_inventory_sources"] = [str(self.fleet.inventory)]
        context = PlayContext(play=play)
        action = action_loader.get(
            "phased.keys.gate",
            task=task,
            connection=connection_loader.get("ansible.builtin.local", context),
            play_context=context,
            loader=self.loader,
            templar=Templar(loader=self.loader, variables=found),
            shared_loader_obj=None,
        )
        began = time.process_time()
        result: Dict[str, Any] = action.run(task_vars=found)
        self.seconds[do] = time.process_time() - began
        if result.get("failed"):
            raise SystemExit(f"the gate refused {do}: {str(result['msg'])[:2000]}")
        return result

    def shown(self, name: str, nonce: str) -> None:
        """Register what every host shows that does what the keyring's open step asks, each under this name."""
        text = json.dumps(remembered(self.fleet.file().load(), time.time() - simulated.DAY))
        for host in self.fleet.names:
            seen = simulated.evidence(host, json.loads(text), {**ARGUMENTS, "nonce": nonce})
            result = {"changed": False, "evidence": {**seen, "asked": boot_time()}}
            self.variables.set_nonpersistent_facts(host, {name: result})


def cycle(folder: Path, size: int) -> Dict[str, float]:
    """Take the gate through one step, and return how long each of its tasks took in seconds."""
    Display().display = lambda *_given, **_options: None
    os.environ["PHASED_SIMULATED"] = str(folder)
    gate = Gate(folder, size)
    nonce = gate.ask("fleet")["nonce"]
    gate.ask("ask", nonce=nonce)
    gate.shown(LOOK, nonce)
    gate.ask("open", nonce=nonce)
    gate.shown(VISIT, nonce)
    gate.ask("batch", nonce=nonce)
    gate.ask("count", nonce=nonce)
    gate.ask("close", nonce=nonce)
    return gate.seconds


def keyring(folder: Path, size: int) -> Dict[str, float]:
    """Return how long it takes to load the keyring, and to replace it, in seconds; the best of three."""
    file = Fleet(folder, size).file()
    ring = file.load()

    def loaded() -> None:
        keyring_file.OPENED.put(b"", b"")  # what was opened before in this run would not be opened again
        file.load()

    found: Dict[str, float] = {"load": timed(loaded)}
    closed: List[Any] = [ring]

    def replaced() -> None:
        closed[0] = file.replace(steps.close_step(closed[0], time.time()))

    return {**found, "replace": timed(replaced)}


def timed(what: Callable[[], Any]) -> float:
    """Return the shortest of three times, for others use the machine too."""
    times = []
    for _number in range(3):
        began = time.process_time()
        what()
        times.append(time.process_time() - began)
    return min(times)
