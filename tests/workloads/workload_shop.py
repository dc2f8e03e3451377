# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application as a workload of a cluster, visited step by step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List

from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.plugin_utils._workload import call
from cluster import Cluster

OLD, NEW, ALIEN = (
    "old-key-abcdefghijklmnopqrstuvwxyz",
    "new-key-abcdefghijklmnopqrstuvwxyz",
    "alien-key-abcdefghijklmnopqrstuvw",
)
FOLD, FNEW = fingerprint(OLD), fingerprint(NEW)
ALL = [FOLD, FNEW]
# What each step asks: signs, accepts, may_sign, must_accept, may_accept.
STEPS = {
    "adopt": (FOLD, [FOLD], [FOLD], [FOLD], [FOLD]),
    "prepare": (FOLD, ALL, [FOLD], [FOLD], ALL),
    "promote": (FNEW, [FNEW, FOLD], ALL, ALL, ALL),
    "retire": (FNEW, [FNEW], [FNEW], [FNEW], ALL),
}
TEXT = [{"name": "SECRET_KEY", "value": OLD}, {"name": "COLOUR", "value": "blue"}]
KUBECTL = "kubectl-client-side-apply"


class Shop:
    """The application's workload, visited step by step."""

    def __init__(self, cluster: Cluster, folder: Path, kind: str = "Deployment", env: Any = None, **more: Any) -> None:
        self.cluster = cluster
        self.kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        self.workload = {
            "kind": kind,
            "name": "web",
            "namespace": cluster.namespace,
            "kubeconfig": str(self.kubeconfig),
        }
        self.path = cluster.deploy("web", TEXT if env is None else env, kind=kind, **more)
        if kind != "CronJob":
            cluster.wait(cluster.settled)
        self.more: Dict[str, Any] = {}

    def arguments(self, **more: Any) -> Dict[str, Any]:
        """What both modules are given."""
        return {
            "name": "shop", "workload": self.workload, "host": "web", "nonce": "n", "settle": "0.2s", "timeout": "15s", **self.more, **more,
        }  # fmt: skip

    def visit(self, step: str, counter: int = 0, check: bool = False, **more: Any) -> Dict[str, Any]:
        """Visit it at a step; `counter` and `ring` say of which keyring."""
        signs, accepts, may_sign, must_accept, may_accept = STEPS[step]
        number = counter or [*STEPS].index(step) + 1
        order = {
            "signs": signs, "accepts": accepts, "may_sign": may_sign, "must_accept": must_accept, "may_accept": may_accept, "known": ALL,
            "leaked": [], "incident": False,
        }  # fmt: skip
        token = {"keyring": more.pop("ring", "ring-1"), "counter": number, "nonce": f"nonce-{number}"}
        asked = {
            "order": order, "token": token, "step": step, "secrets": {FOLD: OLD, FNEW: NEW}, "vouched": True, "converge": True, **more,
        }  # fmt: skip
        return call.answer("env_keys", self.arguments(**asked), check)

    def adopted(self) -> None:
        """Take the keys over, as the first visit does."""
        answer = self.visit("adopt", take_over=KUBECTL)
        assert answer["proven"], answer.get("msg")

    def look(self, **more: Any) -> Dict[str, Any]:
        """Look at it."""
        return call.answer("active_fingerprint", self.arguments(**more), False)

    def given(self) -> List[Any]:
        """What the containers that live were given."""
        return sorted(
            {(one.env.get("SECRET_KEY"), one.env.get("SECRET_KEY_FALLBACKS")) for one in self.cluster.living()}
        )

    def env(self) -> List[Any]:
        """The entries of the template."""
        spec: Any = self.cluster.store.get(self.path)["spec"]
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        return spec["template"]["spec"]["containers"][0]["env"]

    def secrets(self) -> List[str]:
        """The Secrets that there are."""
        return [one["metadata"]["name"] for one in self.cluster.store.items(self.cluster.path("secrets"))]

    def record(self) -> Any:
        """What the record says."""
        found = self.cluster.store.items(self.cluster.path("configmaps"))
        return json.loads(found[0]["data"]["record"]) if found else None
