# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a cluster, as its API shows them, for the tests of the rules about workloads."""

from __future__ import annotations

import datetime
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.phased.keys.plugins.module_utils._rules.workload import Seen, Target

T0 = 1_700_000_000.0
NAMESPACE = "shop"
TARGET = Target("Deployment", "web", NAMESPACE)


def stamp(moment: float) -> str:
    """A time as the API writes it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def secret(name: str, made: float = T0, immutable: bool = True, **data: str) -> Dict[str, Any]:
    """A Secret with these texts in it, which the API has in base64 and the rules as they are."""
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": stamp(made)}
    return {"kind": "Secret", "metadata": meta, "data": dict(data), **({"immutable": True} if immutable else {})}


def config_map(name: str, **data: str) -> Dict[str, Any]:
    """A ConfigMap with these texts in it."""
    return {
        "kind": "ConfigMap",
        "metadata": {"name": name, "uid": f"uid-{name}", "creationTimestamp": stamp(T0)},
        "data": data,
    }


def stock(*objects: Mapping[str, Any]) -> Dict[Any, Any]:
    """What containers take settings from."""
    return {(one["kind"], one["metadata"]["name"]): one for one in objects}


def entry(name: str, secret_name: str, key: str = "", **more: Any) -> Dict[str, Any]:
    """An entry of `env` that refers to a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key or name, **more}}}


def text(name: str, value: str) -> Dict[str, Any]:
    """An entry of `env` whose value stands there."""
    return {"name": name, "value": value}


def container(*env: Mapping[str, Any], name: str = "app", **more: Any) -> Dict[str, Any]:
    """A container with these entries."""
    return {"name": name, "env": list(env), **more}


def refers(secret_name: str, name: str = "app") -> Dict[str, Any]:
    """A container as our visits leave it."""
    return container(entry("SECRET_KEY", secret_name), entry("SECRET_KEY_FALLBACKS", secret_name), name=name)


def state(name: str = "app", what: str = "running", restarts: int = 0, at: float = T0, **more: Any) -> Dict[str, Any]:
    """The status of a container."""
    if what == "waiting":
        return {"name": name, "restartCount": restarts, "state": {"waiting": more}}
    return {"name": name, "restartCount": restarts, "state": {what: {"startedAt": stamp(at), **more}}}


def pod(
    name: str,
    *containers: Mapping[str, Any],
    states: Optional[List[Mapping[str, Any]]] = None,
    owner: str = "uid-rs",
    phase: str = "Running",
    ends: Optional[float] = None,
    node: str = "node-1",
    **spec: Any,
) -> Dict[str, Any]:
    """A pod of the ReplicaSet of `web`, unless it has another `owner`; `ends`: it is being deleted."""
    meta: Dict[str, Any] = {"name": name, "uid": f"uid-{name}", "creationTimestamp": stamp(T0)}
    if owner:
        meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": "x", "uid": owner, "controller": True}]
    if ends is not None:
        meta["deletionTimestamp"] = stamp(ends)
    known = [state(one["name"]) for one in containers] if states is None else states
    return {
        "metadata": meta,
        "spec": {"containers": list(containers), **({"nodeName": node} if node else {}), **spec},
        "status": {"phase": phase, "startTime": stamp(T0), "containerStatuses": known},
    }


def deployment(*containers: Mapping[str, Any], replicas: int = 2, **status: Any) -> Dict[str, Any]:
    """A Deployment `web` that is through with its roll, but for what `status` says."""
    done = {"observedGeneration": 3, "updatedReplicas": replicas, "replicas": replicas, "availableReplicas": replicas}
    meta = {"name": "web", "uid": "uid-web", "generation": 3, "creationTimestamp": stamp(T0)}
    template = {"spec": {"containers": list(containers)}}
    return {
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"replicas": replicas, "template": template},
        "status": {**done, **status},
    }


def replica_set(uid: str = "uid-rs", replicas: int = 2) -> Dict[str, Any]:
    """A ReplicaSet of `web`."""
    owners = [{"kind": "Deployment", "name": "web", "uid": "uid-web", "controller": True}]
    return {"metadata": {"name": uid, "uid": uid, "ownerReferences": owners}, "spec": {"replicas": replicas}}


def seen(workload: Optional[Mapping[str, Any]], *pods: Mapping[str, Any], between: Any = None, **more: Any) -> Seen:
    """What the API showed; `objects`: what settings are taken from."""
    sets = [replica_set(replicas=(workload or {"spec": {}})["spec"].get("replicas", 2))] if between is None else between
    return Seen(workload, sets, pods, stock(*more.get("objects", ())), "ns-1", more.get("now", T0 + 100))
