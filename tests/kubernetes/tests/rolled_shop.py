# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop as a fleet of one workload in a real cluster, and clients that stay logged in before it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, List

import load
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

    def __init__(self, namespace: Namespace, folder: Path, exec_too: bool = False, **how: Any) -> None:
        super().__init__(folder, ())
        self.namespace = namespace
        namespace.kubectl("apply", "-f", "-", given=shop(self.secret, **how))
        where = {
            "kind": "Deployment",
            "name": "web",
            "namespace": namespace.name,
            "kubeconfig": str(namespace.least(exec_too)),
        }
        self.host_vars["web"] = {"app_keys_workload": where}
        self.vars.update(
            app_keys_soak=f"{LIFE + 2}s", app_keys_wait="60s", app_keys_timeout="120s", app_keys_settle="1s"
        )
        until(namespace.settled, 120)

    def done(self, playbook: str, *variables: str) -> Run:
        """Run a playbook that has to end well."""
        return self.run(playbook, *(word for one in variables for word in ("-e", one)), KUBECONFIG="/nowhere").ended(0)

    def adopted(self) -> None:
        """Take the keys over from kubectl."""
        self.done("adopt", f"app_keys_take_over={KUBECTL}")

    def during(self, playbook: str, *variables: str) -> subprocess.Popen[str]:
        """Start a playbook, and return as soon as the cluster rolls what it wrote."""
        before = self.generation()
        run = self.start(playbook, *(word for one in variables for word in ("-e", one)), KUBECONFIG="/nowhere")
        until(lambda: self.generation() > before or run.poll() is not None, 120)
        assert run.poll() is None, run.communicate()[0]
        return run

    def generation(self) -> int:
        """How often the workload was written."""
        found: Any = self.namespace.api.get(self.namespace.path("deployments", "web", "/apis/apps/v1"))
        return int(found["metadata"]["generation"])

    def pods(self, secret: str = "") -> List[str]:
        """The names of the pods that are not ending, those that take their key from such a Secret."""
        return [
            pod["metadata"]["name"]
            for pod in self.namespace.pods()
            if not pod["metadata"].get("deletionTimestamp") and secret in json.dumps(pod["spec"]["containers"])
        ]


def ended(run: subprocess.Popen[str]) -> Run:
    """Wait for a playbook that has to end well."""
    text, _none = run.communicate(timeout=400)
    return Run(run.returncode, text).ended(0)


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
