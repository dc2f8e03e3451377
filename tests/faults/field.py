# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet on which faults strike, its load and its watch, and what must hold after each of them."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import inventory
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from create import PASSWORD
from fault_load import FaultLoad
from host_seen import DROP_IN, ENV, STATE, Host
from hosts import Hosts
from runs import Run, until
from watch import Watch

SOAK, LIFE = 6, 4  # seconds; what lives shorter than the soak has expired when the old key goes
WORKERS, PROCESSES = 2, 3
RATE = 8
MEMBERS = ("web1", "web2", "web3")
TRIES = 4  # runs until a rollout has to be finished
STATES = {"accepted": ("primary", "staged", "retiring"), "ended": ("retired", "withdrawn")}
# Tasks of the playbooks before which a run is stopped.
LOOK = "Look at every worker"
GATE = "Bring what was seen to the gate"
VISIT = "Bring the host to the keys that it should have"
BATCH = "See that nothing was lost before this batch"
CLOSE = "Ask the gate: close"
# What an operator has besides: the role, and nothing of a rollout.
DEPLOY = "- hosts: shop\n  gather_facts: false\n  roles:\n    - phased.keys.app_keys\n"


class Field:
    """One fleet for the whole suite. What one fault leaves behind is what the next one begins with."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.hosts = Hosts(folder / "fleet")
        self.phase = "adopt"
        self.count = 0
        self.seen: set[str] = set()
        self.note: dict[str, Any] = {}

    # --- coming and going ----------------------------------------------------

    def up(self) -> Field:
        """Bring up a fleet with one key in its keyring, and the load."""
        self.hosts.down()
        shutil.rmtree(self.folder, ignore_errors=True)
        # One host more than the fleet has: it joins later.
        self.hosts.up(len(MEMBERS) + 1, WORKERS, "unshare", life=LIFE, keeper_pid=os.getpid())
        self.by_name = {place.name: Host(self.hosts, place) for place in self.hosts.places}
        self.web1, self.web2, self.web3, self.spare = self.by_name.values()
        self.members = [self.by_name[name] for name in MEMBERS]
        for host in self.by_name.values():
            # A folder of its own, so that its disk can be full and its mount read-only.
            host.sh(
                f"mkdir -p {DROP_IN} /etc/shop; mv /etc/shop.env {ENV}; "
                f"printf '[Service]\\nEnvironmentFile=\\nEnvironmentFile={ENV}\\nRestartSec=1\\n' > {DROP_IN}/env.conf; "
                "systemctl daemon-reload; systemctl restart shop.service"
            )
        self.spare.crash()
        self.write_inventory(MEMBERS)
        self.keyring_path = self.folder / ".keyrings" / "shop.yml"
        self.begun = self.folder / "begun.yml"
        self.deploys = self.folder / "deploy.yml"
        self.deploys.write_text(DEPLOY)
        self.watch = Watch(self.members)
        self.watch.start()
        hosts = [(host.place.address, host.place.app_port) for host in self.members]
        self.load = FaultLoad(hosts, PASSWORD, LIFE, RATE)
        self.load.start(60)
        run = self.start(playbook="adopt", stops=[f"{VISIT}#1"])
        run.reached()
        # A backup from the moment when nobody has a record yet.
        self.begun.write_bytes(self.keyring_path.read_bytes())
        run.go()
        run.wait().ended(0)
        return self

    def down(self) -> None:
        """End all of it."""
        for part in ("load", "watch"):
            if hasattr(self, part):
                getattr(self, part).stop()
        self.hosts.down()

    def write_inventory(self, names: Sequence[str], **variables: Any) -> None:
        """Write the inventory that the operator has."""
        ssh = self.hosts.folder / "ssh"
        variables = {
            "app_keys_env_file": ENV,
            "app_keys_soak": f"{SOAK}s",
            "app_keys_wait": f"{SOAK + 30}s",
            "app_keys_settle": "0.3s",
            "app_keys_bake": "0s",
            "app_keys_timeout": "20s",
            **variables,
        }
        places = [self.by_name[name].place for name in names]
        self.inventory = self.folder / "hosts.yml"
        self.inventory.write_text(inventory.text(places, ssh / "id", ssh / "known_hosts", "ops", variables))

    # --- runs ----------------------------------------------------------------

    def start(
        self, *arguments: str, playbook: str | None = None, stops: Sequence[str] = (), env: Mapping[str, str] | None = None,
        inventory: Path | None = None, below: Sequence[str] = (),
    ) -> Run:  # fmt: skip
        """Start a playbook, that of the fault's phase where none is given."""
        self.count += 1
        return Run(
            self.count, self.folder / "runs", inventory or self.inventory, self.hosts.vault_password,
            playbook or self.phase, arguments, env or {}, stops, below,
        )  # fmt: skip

    def run(self, *arguments: str, **options: Any) -> Run:
        """Run a playbook to its end."""
        return self.start(*arguments, **options).wait()

    def deploy(self, *arguments: str) -> Run:
        """Run the operator's deploy to its end."""
        return self.run(*arguments, playbook=str(self.deploys))

    def keyring(self, path: Path | None = None) -> dict[str, Any]:
        """Return the keyring, as its owner sees it."""
        password = VaultSecret(self.hosts.vault_password.read_bytes().strip())
        keyring: dict[str, Any] = yaml.safe_load(
            VaultLib([("default", password)]).decrypt((path or self.keyring_path).read_bytes())
        )
        return keyring

    def visiting(self, host: Host, run: Run, *, written: bool = False) -> None:
        """Wait until a run's visit is at work on a host; with `written` until the env file is written, and the restart begun."""
        counter, before = self.keyring()["step"]["counter"], host.record()
        pids = set(host.pids())

        def so() -> bool:
            assert run.code is None, run.text
            record = host.record()
            # What was open before this run has the counter that it had.
            at_work = record.get("state") == "visiting" and record != before and record["counter"] >= counter
            return at_work and (not written or not pids <= set(host.pids()))

        until(so, f"the visit of {host}", pause=0.002)

    # --- from phase to phase -------------------------------------------------

    def to(self, phase: str) -> None:
        """Bring the fleet to where this phase is next, as an operator would."""
        for step in self._way(phase):
            self.until_soaked(step)
            self.run(playbook=step).ended(0)
        self.until_soaked(phase)
        self.phase = phase

    def _way(self, phase: str) -> list[str]:
        states = [key["state"] for key in self.keyring()["keys"]]
        if phase == "prepare":
            return ["rollout"] if {"staged", "retiring", "dropping"} & set(states) else []
        if phase == "promote":
            way = [] if "staged" in states else ["prepare"]
            return way if "retiring" not in states else ["rollout", "prepare"]
        taken_back = any("rolled_back" in key["marks"] and key["state"] == "retiring" for key in self.keyring()["keys"])
        if "retiring" in states and not taken_back:
            return []
        return ["promote"] if "staged" in states else [*(["rollout"] if taken_back else []), "prepare", "promote"]

    def until_soaked(self, phase: str) -> None:
        if phase == "retire":
            # By the clock of the hosts, too, which is a little later for the first of them.
            closed = datetime.fromisoformat(self.keyring()["step"]["closed"]).timestamp()
            time.sleep(max(0.0, closed + SOAK + 1.5 - time.time()))

    # --- what must hold ------------------------------------------------------

    def begin(self, phase: str) -> None:
        self.to(phase)
        self.note = {"proof": [], "tries": 0}
        self.from_error = len(self.load.errors)
        self.requests = self.load.total("requests")

    def struck(self, proof: str) -> None:
        """Note by what it is known that the fault struck."""
        self.note["tries"] += 1
        if proof not in self.note["proof"]:
            self.note["proof"].append(proof)

    def finish(self) -> int:
        """Run the phase again until its step is closed; return how many runs that took."""
        for number in range(TRIES):
            if self._closed():
                return number
            run = self.run()
        assert self._closed(), f"not finished after {TRIES} runs\n{run.text}"
        return TRIES

    def _closed(self) -> bool:
        step = self.keyring()["step"]
        names = {"rollback": ("rollback", "withdraw"), "retire": ("retire", "withdraw")}.get(self.phase, (self.phase,))
        return step["name"] in names and bool(step["closed"]) and all(
            (host.record().get("counter"), host.record().get("state")) == (step["counter"], "proven") for host in self.members
        )  # fmt: skip

    def settled(self) -> None:
        """See that no host is between two states, that no key is lost, and that nobody was logged out."""
        time.sleep(0.5)
        keyring = self.keyring()
        keys = {key["fingerprint"]: key for key in keyring["keys"]}
        accepted = frozenset(name for name, key in keys.items() if key["state"] in STATES["accepted"])
        (signs,) = [name for name, key in keys.items() if key["state"] == "primary"]
        for host in self.members:
            assert host.keys() == (signs, accepted), f"{host}: its env file says {host.keys()}, not {(signs, accepted)}"
            given = [held for pid in host.pids() if (held := self.watch.keys_of(pid))]
            assert len(given) >= PROCESSES, f"{host} has {len(given)} processes with keys"
            assert set(given) == {(signs, accepted)}, f"{host}: its workers have {set(given)}, not {(signs, accepted)}"
            left = host.sh(f"ls -A /etc/shop {STATE} | grep -F .phased.keys. || true")
            assert not left, f"{host}: a visit has left {left}"
        assert set(keys) >= self.seen, f"keys {self.seen - set(keys)} are lost"
        self.seen |= set(keys)
        gone = [name for name, key in keys.items() if key["state"] not in STATES["ended"] and not key["secret"]]
        assert not gone, f"the secrets of {gone} are lost"
        self.served()

    def served(self) -> None:
        """See what the clients and the watch say."""
        assert not self.load.failure, self.load.failure
        assert not self.watch.failure, self.watch.failure
        assert not self.watch.broken, self.watch.broken
        assert self.load.lost() == 0, f"sessions lost: {self.load.counts()}"
        names = {host.place.address: host.name for host in self.members}
        errors = self.load.errors[self.from_error :]
        # Not the newest ones: the watch may see only now that the host is gone.
        wrong = [error for error in errors if not self.watch.was_down(names[error[1]], error[0])]
        assert not wrong, f"connections failed though the host served: {wrong[:5]}"
        # What is asserted above, in numbers, for the table.
        self.note.update(lost=self.load.lost(), keys_lost=0, between=0)
        self.note["errors"] = len(errors)
        self.note["requests"] = self.load.total("requests") - self.requests


class Fields:
    """The one fleet; after a fault that failed it is of no use any more, and the next one gets another."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.seed = seed
        self.now: Field | None = None

    def field(self) -> Field:
        if self.now is None:
            self.now = Field(self.folder, self.seed)
            self.now.up()
        return self.now

    def give_up(self) -> None:
        if self.now is not None:
            self.now.down()
        self.now = None
