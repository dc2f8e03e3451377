# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of simulated hosts in a folder: an inventory with group variables, a keyring, and what every host remembers."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFile
from ansible_collections.phased.keys.plugins.plugin_utils._new_key import new_key
from simulated import simulated

HERE = Path(__file__).resolve().parent
PASSWORD = "open sesame"
FORKS = 10
FORM: Dict[str, Any] = {"framework": "django", "settings": {}}
VARIABLES = {
    "ansible_connection": "simulated",
    "ansible_python_interpreter": "/usr/bin/python3",
    "app_keys_name": "shop",
    # One that is a template, since most inventories have some.
    "app_keys_env_file": "/etc/{{ app_keys_name }}.env",
    "app_keys_service": "shop.service",
    "app_keys_app_check": "trust",
    # So that a rollout goes through all of its phases at once.
    "app_keys_soak": "0s",
    "app_keys_wait": "30s",
    # The first batch of a step is looked at again all the same.
    "app_keys_bake": "1s",
    "app_keys_evidence_max_age": "2h",
}


class Fleet:
    """Simulated hosts that were adopted a while ago."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.names: List[str] = [f"web{number:05d}" for number in range(1, size + 1)]
        self.inventory = folder / "inventory.ini"
        self.memory = folder / "memory"
        for place in (self.memory, folder / "group_vars", folder / "tmp", folder / "home"):
            place.mkdir(parents=True)
        self.inventory.write_text(f"[shop]\nweb[00001:{size:05d}]\n")
        (folder / "group_vars" / "shop.yml").write_text(json.dumps(VARIABLES, indent=1))
        (folder / "vault-password").write_text(PASSWORD + "\n")
        (folder / "ansible.cfg").write_text("[defaults]\n")
        (folder / "noop.yml").write_text(
            json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}]}])
        )
        self.file().create(self.adopted())

    def file(self) -> KeyringFile:
        """Return the keyring's file, as an action opens it."""
        loader = DataLoader()
        loader.set_vault_secrets([("default", VaultSecret(PASSWORD.encode()))])
        return KeyringFile(str(self.folder / ".keyrings" / "shop.yml"), loader)

    def adopted(self) -> keyrings.Keyring:
        """Have every host know its one key, and return the keyring that says so."""
        now = time.time() - simulated.DAY
        start = steps.Start([new_key("text")], "adopted")
        soak = {"seconds": 0.0, "source": "app_keys_soak"}
        keyring = steps.adopt("shop", secrets.token_hex(8), "n1", start, self.names, FORM, soak, {"how": "trust"}, now)
        for name in self.names:
            (self.memory / name).write_text(json.dumps(remembered(keyring, name, now)))
        return steps.close_step(keyring, now)

    def environment(self) -> Dict[str, str]:
        """Return an environment in which nothing is written outside of the folder."""
        collections = self.folder / "collections" / "ansible_collections" / "phased"
        if not collections.exists():
            collections.mkdir(parents=True)
            (collections / "keys").symlink_to(HERE.parents[1])
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
        own = {
            "ANSIBLE_CONFIG": self.folder / "ansible.cfg",
            "ANSIBLE_HOME": self.folder / "home",
            "ANSIBLE_LOCAL_TEMP": self.folder / "tmp",
            "ANSIBLE_COLLECTIONS_PATH": self.folder / "collections",
            "ANSIBLE_CONNECTION_PLUGINS": HERE / "simulated",
            "ANSIBLE_FORKS": FORKS,
            "ANSIBLE_PIPELINING": "1",
            "PYTHONPYCACHEPREFIX": HERE.parents[1] / ".cache" / "pycache",
            "HOME": self.folder / "home",
            "TMPDIR": self.folder / "tmp",
            "PHASED_SIMULATED": self.memory,
        }
        return {**kept, **{name: str(value) for name, value in own.items()}}

    def command(self, playbook: str) -> List[str]:
        """Return the command that runs a playbook, of the collection or the one that does nothing."""
        name = str(self.folder / "noop.yml") if playbook == "noop" else f"phased.keys.{playbook}"
        given = ["-i", str(self.inventory), "--vault-password-file", str(self.folder / "vault-password")]
        return [str(Path(sys.executable).parent / "ansible-playbook"), *given, name]


def remembered(keyring: keyrings.Keyring, host: str, now: float) -> Dict[str, Any]:
    """Return what a host remembers that does what the open step of a keyring asks."""
    order = keyrings.order(keyring)
    record = {
        "schema": 1, "name": keyring["name"], **keyrings.token(keyring)._asdict(), "step": keyring["step"]["name"], "state": "proven",
        "at": now, "signs": order.signs, "stopped": {}, "leaked": [], "member": None, **simulated.noted(host, "/etc/shop.env", now),
    }  # fmt: skip
    return {"holds": order.accepts, "record": record, "changed": now}
