# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The own time of the gate and of a visit: the real actions, on Ansible's inventory and host variables, with evidence that is made up."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Callable, Dict

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import action_loader, connection_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from ansible_collections.phased.keys.plugins.plugin_utils import _keyring_file as keyring_file
from ansible_collections.phased.keys.plugins.plugin_utils import _run_folder as run_folder
from ansible_collections.phased.keys.plugins.plugin_utils._host_call import boot_time
from ansible_collections.phased.keys.plugins.plugin_utils._run_folder import LOOK, VISIT
from scale_fleet import HERE, Fleet, remembered
from simulated import simulated

ARGUMENTS = {"nonce": "", "env_file": ["/etc/shop.env"], "service": "shop.service"}
STEP = "prepare"
VISITS = 30


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
        """Ask the gate once, and keep how long it took."""
        return self.run(
            "gate",
            " ".join([do, *(["asked"] if not arguments.get("final", True) else [])]),
            {"do": do, **({"goal": "rollout"} if do == "fleet" else {"step": STEP}), **arguments},
        )

    def visit(self, nonce: str) -> None:
        """Visit one host, and keep how long it took."""
        self.run("env_keys", "visit", {"nonce": nonce})

    def run(self, name: str, what: str, given: Dict[str, Any]) -> Dict[str, Any]:
        """Run an action once, and keep how long `what` took."""
        data = {"hosts": "all", "tasks": [{f"phased.keys.{name}": given}]}
        play = Play().load(data, variable_manager=self.variables, loader=self.loader)
        task = play.get_tasks()[0][0]
        names = self.fleet.names
        found = self.variables.get_vars(play=play, host=self.host, task=task, _hosts=names, _hosts_all=names)
        found["ansible_inventory_sources"] = [str(self.fleet.inventory)]
        context = PlayContext(play=play)
        context.remote_addr = self.host.name
        action = action_loader.get(
            f"phased.keys.{name}",
            task=task,
            connection=connection_loader.get("simulated", context),
            play_context=context,
            loader=self.loader,
            templar=Templar(loader=self.loader, variables=found),
            shared_loader_obj=None,
        )
        began = time.process_time()
        result: Dict[str, Any] = action.run(task_vars=found)
        self.seconds[what] = time.process_time() - began
        if result.get("failed"):
            raise SystemExit(f"{name} refused {what}: {str(result['msg'])[:2000]}")
        return result

    def shown(self, kind: str, nonce: str) -> None:
        """Keep what every host shows that does what the keyring's open step asks, as that of its last look or visit."""
        keyring, now = self.fleet.file().load(), time.time() - simulated.DAY
        for host in self.fleet.names:
            seen = simulated.evidence(host, remembered(keyring, host, now), {**ARGUMENTS, "nonce": nonce})
            said = {"changed": False, "evidence": {**seen, "asked": boot_time()}, "asked": boot_time()}
            if kind == VISIT:
                said.update(proven=True, did=simulated.did([]))
            run_folder.keep(nonce, kind, host, said)


def cycle(folder: Path, size: int) -> Dict[str, float]:
    """Take the gate through one step, and return how long each of its tasks took in seconds."""
    gate = begun(folder, size)
    nonce = gate.ask("fleet")["nonce"]
    gate.ask("open", nonce=nonce, final=False)
    gate.shown(LOOK, nonce)
    gate.ask("open", nonce=nonce)
    gate.shown(VISIT, nonce)
    gate.ask("batch", nonce=nonce)
    gate.ask("close", nonce=nonce, final=False)
    gate.ask("close", nonce=nonce)
    return gate.seconds


def visits(folder: Path, size: int) -> Dict[str, float]:
    """Return how long the controller's part of a visit takes for all hosts, in seconds, if one takes as long as the next.

    The first of a run is left out: it reads the keyring for all. Ansible's own part is not in it, nor is the host's.
    """
    gate = begun(folder, size)
    nonce = gate.ask("fleet")["nonce"]
    gate.shown(LOOK, nonce)
    gate.visit(nonce)
    times = []
    for _number in range(VISITS):
        gate.visit(nonce)
        times.append(gate.seconds["visit"])
    return {"visits": size * min(times)}


def begun(folder: Path, size: int) -> Gate:
    """Return a fleet of this size with a gate, and hosts that answer."""
    Display().display = lambda *_given, **_options: None
    connection_loader.add_directory(str(HERE / "simulated"))
    gate = Gate(folder, size)
    os.environ["PHASED_SIMULATED"] = str(gate.fleet.memory)
    return gate


def keyring(folder: Path, size: int) -> Dict[str, float]:
    """Return how long it takes to load the keyring, and to replace it, in seconds."""
    file = Fleet(folder, size).file()
    keyring = file.load()

    def loaded() -> None:
        keyring_file.OPENED.put(b"", b"")  # what was opened before in this run would not be opened again
        file.load()

    found: Dict[str, float] = {"load": timed(loaded)}
    closed = steps.close_step(keyring, time.time())
    return {**found, "replace": timed(lambda: file.replace(closed))}


def timed(what: Callable[[], Any]) -> float:
    """Return how long this takes, in seconds."""
    began = time.process_time()
    what()
    return time.process_time() - began
