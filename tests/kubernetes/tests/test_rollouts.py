# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's promise in real pods: the shop as a Deployment under load, rolled by the real playbooks with the guide's permissions."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, Iterator

import light_fleet
import load
import pytest
from create import PASSWORD
from light_fleet import Fleet
from playbook_run import Run
from real_cluster import LIFE, Namespace, shop, until
from service import Service

KUBECTL = "kubectl-client-side-apply"
# Sessions that lie in a database would need one for all pods; those in cookies and links need none.
STEADY, SELDOM = {"cookie": 16, "link": 8}, {"cookie": 16, "link": 8}
RATE = 40.0  # requests a second


class Shop(Fleet):
    """The shop as a fleet of one workload, with clients before it."""

    def __init__(self, namespace: Namespace, folder: Path, **how: Any) -> None:
        super().__init__(folder, ())
        self.namespace = namespace
        namespace.kubectl("apply", "-f", "-", given=shop(self.secret, **how))
        where = {"kind": "Deployment", "name": "web", "namespace": namespace.name, "kubeconfig": str(namespace.least())}
        self.host_vars["web"] = {"app_keys_workload": where}
        self.vars.update(
            app_keys_soak=f"{LIFE + 2}s", app_keys_wait="60s", app_keys_timeout="120s", app_keys_settle="1s"
        )
        until(namespace.settled, 120)

    def done(self, playbook: str, *variables: str) -> Run:
        """Run a playbook that has to end well."""
        return self.run(playbook, *(word for one in variables for word in ("-e", one)), KUBECONFIG="/nowhere").ended(0)

    def env(self) -> Any:
        """The entries of the template, by name."""
        spec: Any = self.namespace.api.get(self.namespace.path("deployments", "web", "/apis/apps/v1"))
        return {one["name"]: one for one in spec["spec"]["template"]["spec"]["containers"][0]["env"]}


class Clients:
    """Clients that stay logged in, from when it is entered until it is left: what they lost is in `lost`."""

    def __init__(self, namespace: Namespace) -> None:
        self.service = Service(namespace.serving)
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Clients:
        self.service.__enter__()
        self.load = load.Load([("127.0.0.1", self.service.port)], PASSWORD, LIFE, RATE)
        self.load.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.load.stop()
        self.service.__exit__()
        for _key, counter in self.load.counts().items():
            self.counts.update(counter)
        assert not self.load.failure, self.load.failure

    @property
    def lost(self) -> int:
        """Sessions and links that were refused though nothing but the key had changed."""
        return self.counts["lost_sessions"] + self.counts["refused_links"]


@pytest.fixture(autouse=True)
def measures(monkeypatch: Any) -> None:
    """Only clients that need no database, and time enough."""
    monkeypatch.setattr(load, "STEADY", STEADY)
    monkeypatch.setattr(load, "SELDOM", SELDOM)
    monkeypatch.setattr(load, "BROWSERS", 0)
    # Every step waits for pods that start and end one after the other.
    monkeypatch.setattr(light_fleet, "RUN_LIMIT", 400.0)


@pytest.fixture
def fleet(namespace: Namespace, tmp_path: Path) -> Iterator[Shop]:
    """The shop in three pods, applied as text by kubectl."""
    made = Shop(namespace, tmp_path / "fleet")
    yield made
    made.end()


def adopted(fleet: Shop) -> None:
    """Take the keys over from kubectl."""
    fleet.done("adopt", f"app_keys_take_over={KUBECTL}")


def test_ours_loses_nothing_where_the_naive_roll_loses_many(fleet, namespace):
    refused = fleet.run("adopt").ended(-1)
    refused.says(f"app_keys_take_over={KUBECTL}")
    with Clients(namespace) as ours:
        adopted(fleet)
        fleet.done("rollout", "app_keys_new=true")
        time.sleep(LIFE)
    assert list(fleet.states().values()) == ["retired", "primary"]
    assert (ours.lost, ours.counts["server_errors"]) == (0, 0) and ours.counts["crossings"] > 20, ours.counts
    with Clients(namespace) as naive:
        namespace.kubectl("set", "env", "deployment/web", "SECRET_KEY=another-key-set-by-hand-0123456789")
        namespace.kubectl("rollout", "status", "deployment/web")
        time.sleep(LIFE)
    assert naive.lost > 20, naive.counts
