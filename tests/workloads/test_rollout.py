# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbooks over workloads of two clusters and light hosts as one fleet, while all that serves is sampled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest
from cluster import Cluster
from light_fleet import Fleet
from playbook_run import Run
from samples import Serving, Watch, serving

pytestmark = pytest.mark.slow

NAMES = ("host-1", "host-2", "host-3")
KUBECTL = "kubectl-client-side-apply"
BY_HAND = "a-new-key-set-by-hand"
TAKE_OVER = f"app_keys_take_over={KUBECTL}"


class Mixed(Fleet):
    """Hosts, and workloads of several clusters: `web` of the first, `api` of the second and so on."""

    def __init__(self, folder: Path, clusters: Dict[str, Cluster], names: Any = NAMES) -> None:
        super().__init__(folder, names)
        self.clusters = clusters
        self.paths: Dict[str, str] = {}
        self.write_env()
        for name, cluster in clusters.items():
            env = [{"name": "SECRET_KEY", "value": self.secret}, {"name": "COLOUR", "value": "blue"}]
            self.paths[name] = cluster.deploy(name, env, replicas=3)
            kubeconfig = cluster.kubeconfig(folder / f"kubeconfig-{name}", name)
            self.host_vars[name] = {"app_keys_workload": self.workload(name, kubeconfig)}
        self.restart()
        for cluster in clusters.values():
            cluster.wait(cluster.settled)

    def workload(self, name: str, kubeconfig: Path) -> Dict[str, Any]:
        """The variable that makes a member of it."""
        where = {"namespace": self.clusters[name].namespace, "context": name, "kubeconfig": str(kubeconfig)}
        return {"kind": "Deployment", "name": name, **where}

    def serving(self) -> List[Serving]:
        """All that serves now."""
        found = [serving(one.pod, one.env) for cluster in set(self.clusters.values()) for one in cluster.living()]
        for host in self.hosts:
            for pid in host.pids():
                try:
                    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
                except OSError:
                    continue
                found.append(serving(host.name, dict(pair.split("=", 1) for pair in pairs if "=" in pair)))
        return found

    def done(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook that has to end well."""
        given = [argument for one in arguments for argument in ("-e", one)]
        return self.run(playbook, *given, KUBECONFIG="/nowhere").ended(0)

    def secrets(self, name: str) -> List[str]:
        """The Secrets in a workload's namespace."""
        cluster = self.clusters[name]
        return [
            one["metadata"]["name"]
            for one in cluster.store.items(cluster.path("secrets"))
            if name in one["metadata"]["name"]
        ]


@pytest.fixture
def fleet(new_cluster: Any, tmp_path: Path) -> Any:
    """Three hosts, and a workload of each of two clusters."""
    made = Mixed(tmp_path / "fleet", {"web": new_cluster(), "api": new_cluster(namespace="prod")})
    yield made
    made.end()


def test_two_clusters_and_three_hosts_go_through_a_rollout_a_rollback_and_an_emergency(fleet):
    with Watch(fleet.serving) as watch:
        refused = fleet.run("adopt").ended(-1)
        refused.says(TAKE_OVER)
        fleet.done("adopt", TAKE_OVER)
        assert fleet.keyring()["step"]["closed"]
        fleet.done("rollout", "app_keys_new=true")
        assert list(fleet.states().values()) == ["retired", "primary"]
        fleet.done("prepare", "app_keys_new=true")
        fleet.done("promote")
        fleet.done("rollback")
        leaked = fleet.key("primary")
    assert watch.samples > 50 and not watch.violations
    # A key that has leaked is let go of at once, and what it signed with it: that is what the operator confirms.
    fleet.done("rollout", f"app_keys_compromised={leaked}", f"app_keys_confirm={leaked}")
    assert fleet.states()[leaked] == "retired"
    new = fleet.key("primary")
    for one in fleet.serving():
        assert one.signs and leaked not in _named(one.accepts) and new in _named([one.signs])


def _named(keys: Any) -> List[str]:
    from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

    return [fingerprint(key) for key in keys]


def test_the_naive_roll_breaks_what_ours_keeps(new_cluster, tmp_path):
    cluster = new_cluster()
    fleet = Mixed(tmp_path / "fleet", {"web": cluster, "worker": cluster}, names=())
    fleet.done("adopt", TAKE_OVER)
    with Watch(fleet.serving) as ours:
        fleet.done("rollout", "app_keys_new=true")
    with Watch(fleet.serving) as naive:
        for path in fleet.paths.values():
            cluster.store.edit(path, _set_env, "kubectl-set")
        cluster.wait(lambda: {one.signs for one in fleet.serving()} == {BY_HAND})
    fleet.end()
    assert ours.samples > 20 and not ours.violations
    assert naive.violations


def _set_env(workload: Any) -> None:
    workload["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "SECRET_KEY", "value": BY_HAND}]


def test_a_rollout_leaves_nothing_of_ended_keys_and_says_no_key(new_cluster, tmp_path):
    cluster = new_cluster()
    fleet = Mixed(tmp_path / "fleet", {"web": cluster}, names=())
    runs = [fleet.done("adopt", TAKE_OVER), fleet.done("rollout", "app_keys_new=true"), fleet.done("status")]
    fleet.end()
    kept = fleet.secrets("web")
    assert len(kept) == 1
    held = {one.env["SECRET_KEY"] for one in cluster.living()}
    assert not [run for run in runs for key in {fleet.secret, *held} if key in run.text]
    journal = [entry for entry in fleet.keyring()["journal"] if entry["event"] == "take_over"]
    assert [(entry["members"], entry["reason"]) for entry in journal] == [(["web"], KUBECTL)]
    assert json.dumps(cluster.store.items(cluster.path("configmaps"))).find(fleet.secret) < 0
