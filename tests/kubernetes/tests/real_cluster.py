# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real cluster, in namespaces that a test makes and deletes, and the shop as a Deployment in one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import guide_role
from ansible_collections.phased.keys.plugins.plugin_utils._workload import client
from ansible_collections.phased.keys.plugins.plugin_utils._workload.api import ApiTrouble

IMAGE = os.environ.get("PHASED_TEST_IMAGE", "localhost/phased-shop:1")
LIFE = 8  # seconds that a session of the shop lives
RBAC = "/apis/rbac.authorization.k8s.io/v1"
MARK = "phased-keys-test"


class Namespace:
    """A namespace of its own name, as its administrator sees it; nothing outside of it is touched."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.kubeconfig, self.folder = kubeconfig, folder
        self.api = client.Cluster(kubeconfig=str(kubeconfig))
        self.name = f"{MARK}-{secrets.token_hex(4)}"
        meta = {"name": self.name, "labels": {MARK: "true"}}
        self.api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        until(lambda: self.api.get(f"/api/v1/namespaces/{self.name}/serviceaccounts/default"), 30)

    def remove(self) -> None:
        """Delete it with all that is in it, and wait until its pods are gone."""
        path = f"/api/v1/namespaces/{self.name}"
        found = self.api.get(path)
        if found:
            self.api.delete(path, found["metadata"]["uid"])

        def gone() -> bool:
            for pod in self.pods():
                # Nobody waits for what it serves any more; it may be gone by now.
                with contextlib.suppress(ApiTrouble):
                    self.call("DELETE", self.path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 1})
            return not self.api.get(path)

        until(gone, 180, self.told)

    def path(self, plural: str, name: str = "", group: str = "/api/v1") -> str:
        """Return where something of the namespace is."""
        return f"{group}/namespaces/{self.name}/{plural}{'/' + name if name else ''}"

    def call(self, verb: str, path: str, body: Any = None, kind: str = client.JSON, **query: str) -> Any:
        """Ask the API for anything."""
        return self.api._call(verb, path, body, query, kind)

    def merge(self, path: str, body: Any, **query: str) -> Any:
        """Change fields of an object."""
        return self.call("PATCH", path, body, "application/merge-patch+json", **query)

    def kubectl(self, *words: str, given: Optional[Dict[str, Any]] = None) -> str:
        """Run kubectl as a person would, and return what it said."""
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--namespace={self.name}", *words], env={**os.environ, "HOME": str(self.folder)},
            input=json.dumps(given) if given else "", capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def pods(self) -> List[Dict[str, Any]]:
        """Return every pod."""
        return self.api.items(self.path("pods"))

    def serving(self) -> Iterator[str]:
        """Return the addresses of the pods that serve: those that are ready, and those that end."""
        for pod in self.pods():
            status = pod["status"]
            ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or [])
            if status.get("podIP") and (ready or pod["metadata"].get("deletionTimestamp")):
                yield status["podIP"]

    def told(self) -> str:
        """Say what pods and Secrets there are, for a person who looks at a test that failed."""
        found = [f"secret {one['metadata']['name']}" for one in self.api.items(self.path("secrets"))]
        for pod in self.pods():
            states = [one.get("state") for one in pod["status"].get("containerStatuses") or []]
            env = pod["spec"]["containers"][0]["env"]
            refs = {one["valueFrom"]["secretKeyRef"]["name"] for one in env if "valueFrom" in one}
            found.append(f"{pod['metadata']['name']} {pod['metadata'].get('deletionTimestamp')} {refs} {states}")
        return "\n".join(found)

    def settled(self, name: str = "web") -> bool:
        """Whether a Deployment has all the pods that it wants, and no other is there."""
        found = self.api.get(self.path("deployments", name, "/apis/apps/v1"))
        if not found:
            return False
        status, wanted = found.get("status") or {}, found["spec"]["replicas"]
        observed = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
        all_there = status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted
        mine = [pod for pod in self.pods() if pod["metadata"]["labels"].get("app") == name]
        return observed and all_there and len(mine) == wanted

    def least(self, exec_too: bool = False) -> Path:
        """Make a service account with exactly the permissions of the guide, and return how it logs in."""
        role = guide_role.role(exec_too)
        role["metadata"]["namespace"] = self.name
        name = role["metadata"]["name"]
        self.call("POST", self.path("roles", group=RBAC), role)
        self.call(
            "POST",
            self.path("serviceaccounts"),
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
        )
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        }  # fmt: skip
        self.call("POST", self.path("rolebindings", group=RBAC), binding)
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token = self.call("POST", self.path("serviceaccounts", f"{name}/token"), asked)["status"]["token"]
        settings = self.api._settings
        cluster = {
            "server": settings.host,
            **({"certificate-authority": settings.ssl_ca_cert} if settings.ssl_ca_cert else {}),
        }
        told = {"cluster": cluster, "user": {"token": token}, "context": {"cluster": "test", "user": "test"}}
        named = {"clusters": "cluster", "users": "user", "contexts": "context"}
        lists = {many: [{"name": "test", one: told[one]}] for many, one in named.items()}
        place = self.folder / "least.conf"
        place.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "test", **lists}))
        place.chmod(0o600)
        return place


def shop(key: str, name: str = "web", replicas: int = 3, drain: int = 2, **env: str) -> Dict[str, Any]:
    """Return the shop as a Deployment with this key as text; a pod that ends serves on for `drain` seconds first."""
    variables = [{"name": "SECRET_KEY", "value": key}, {"name": "SHOP_LIFE", "value": str(LIFE)}]
    variables += [{"name": each, "value": value} for each, value in env.items()]
    container = {
        "name": "shop", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "env": variables, "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8000}, "periodSeconds": 1, "timeoutSeconds": 5},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(drain)]}}},
        "securityContext": {"runAsUser": 1000},
    }  # fmt: skip
    spec = {"terminationGracePeriodSeconds": 20, "automountServiceAccountToken": False, "containers": [container]}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }  # fmt: skip


def until(holds: Callable[[], Any], seconds: float = 60.0, otherwise: Callable[[], str] = str) -> Any:
    """Wait until something holds, and return it; where it does not in time, say what there is `otherwise`."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"it did not come to hold in time {otherwise()}"
        time.sleep(0.2)
    return found
