# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload of the model as the API of its cluster shows it, and what the real look makes of that."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._rules import workload_look
from ansible_collections.phased.keys.plugins.module_utils._rules.pod_spec import SECRET
from ansible_collections.phased.keys.plugins.module_utils._rules.workload import Seen as ApiSeen
from ansible_collections.phased.keys.plugins.module_utils._rules.workload import Target
from ansible_collections.phased.keys.plugins.module_utils._rules.workload_look import Kept

from .world import T0, TICK, File, Host, Seen, Worker, secrets_by_name

DJANGO = frameworks.profile("django", {})
GRACE = 30.0  # seconds that a pod may end in: less than a tick
Object = Dict[str, Any]


def evidence(seen: Seen, record: Optional[Object]) -> Object:
    """Return the evidence of a look at a workload, by the rules that look at real ones."""
    host = seen.host
    target = Target("Deployment", host.name, "shop")
    api = _api(host, T0 + (seen.at + host.skew) * TICK)
    if record is not None and host.record and host.record.file:
        # The template that was proven, as a look at it says.
        then = _api(host._replace(file=File("", (), *host.record.file)), 0.0)
        (file,) = workload_look._files(target, DJANGO, then, ())
        record = {**record, "files": {file["path"]: file["identity"]}}
    kept: Any = Kept(record, "record", None, 77 if seen.visiting else None)  # type: ignore[arg-type]
    found = workload_look.evidence(target, DJANGO, api, kept, list(secrets_by_name()), seen.nonce)
    return {**found, "asked": seen.at * TICK}


def _api(host: Host, now: float) -> ApiSeen:
    """Return what the API shows of it: the template and each pod name a Secret that nobody can change."""
    template = _secret(f"template-{host.file.ident}", host.file, host.file.changed + host.skew)
    every = [*((worker, False) for worker in host.workers), *((worker, True) for worker in host.ending)]
    given = [
        _secret(f"pod-{number}", worker, worker.started + host.skew) for number, (worker, _ends) in enumerate(every)
    ]
    pods = [_pod(number, worker, host.skew, now if ends else None) for number, (worker, ends) in enumerate(every)]
    stock = {(SECRET, one["metadata"]["name"]): one for one in [template, *given]}
    wanted = len(host.workers)
    meta = {
        "name": host.name,
        "uid": host.name,
        "generation": host.file.ident,
        "creationTimestamp": stamp(T0 - 200 * TICK),
    }
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), wanted)
    workload = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
        "spec": {"replicas": wanted, "template": {"spec": _spec(template["metadata"]["name"])}},
        "status": {**counts, "observedGeneration": host.file.ident},
    }  # fmt: skip
    set_of_pods = {"metadata": {"name": "set", "uid": "set"}, "spec": {"replicas": wanted}}
    return ApiSeen(workload, [set_of_pods], pods, stock, host.name, now)


def _secret(name: str, held: Any, made: int) -> Object:
    known = secrets_by_name()
    others = ",".join(known[key] for key in held.accepts if key != held.signs)
    data = {"SECRET_KEY": known.get(held.signs, ""), "SECRET_KEY_FALLBACKS": others}
    meta = {"name": name, "uid": name, "creationTimestamp": stamp(T0 + made * TICK)}
    return {"metadata": meta, "immutable": True, "data": data}


def _spec(secret: str) -> Object:
    names: Sequence[str] = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")
    env = [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}} for name in names]
    return {"nodeName": "node", "containers": [{"name": "app", "env": env}]}


def _pod(number: int, worker: Worker, skew: int, ends: Optional[float]) -> Mapping[str, Any]:
    meta: Object = {
        "name": f"pod-{number}",
        "uid": f"pod-{number}",
        "creationTimestamp": stamp(T0 + (worker.started + skew) * TICK),
    }
    meta["ownerReferences"] = [{"kind": "ReplicaSet", "name": "set", "uid": "set", "controller": True}]
    if ends is not None:
        meta["deletionTimestamp"] = stamp(ends + GRACE)
    running = {"running": {"startedAt": meta["creationTimestamp"]}}
    status = {"phase": "Running", "containerStatuses": [{"name": "app", "restartCount": 0, "state": running}]}
    return {"metadata": meta, "spec": _spec(f"pod-{number}"), "status": status}
