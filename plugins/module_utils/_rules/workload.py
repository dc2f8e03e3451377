# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workload as the API shows it: its kind, its template, its pods, how far its roll is, and why a visit would refuse it.

`KINDS` holds one entry for each kind of workload, and nothing else knows a kind by its name.
"""

from __future__ import annotations

import hashlib
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from .._host.rules.durations import stamp
from .pod_exec import Told
from .pod_spec import Object, moment

# So long after a pod should have ended it still counts as ending, in seconds: deleted objects outlive their processes a little.
LATE = 60.0
FINISHED = ("Succeeded", "Failed")


class Roll(NamedTuple):
    """How far a workload is with its template: whether that is `done`, how many pods are `wanted` and `serving`, and that in words."""

    done: bool
    wanted: int
    serving: int
    said: str


class Kind(NamedTuple):
    """A kind of workload.

    group     of the API; `plural` its name there
    template  where the pod template is in the object
    through   the kind that stands between it and its pods, by group and plural; None where it owns them itself
    roll      how far it is
    held      why it would not take a new template to all of its pods by itself, or None
    on_demand whether its pods come and go by themselves, and end by themselves: what runs keeps what it was given
    """

    group: str
    plural: str
    template: Sequence[str]
    through: Optional[Tuple[str, str]]
    roll: Callable[[Object, Sequence[Object]], Roll]
    held: Callable[[Object], Optional[str]]
    on_demand: bool = False


class Target(NamedTuple):
    """The workload that a member is (`app_keys_workload`)."""

    kind: str
    name: str
    namespace: str
    containers: Sequence[str] = ()

    @property
    def called(self) -> str:
        """The workload in words, as kubectl takes it."""
        return f"{self.kind.lower()}/{self.name}"

    def kubectl(self, words: str) -> str:
        """Return a command about it."""
        return f"kubectl -n {self.namespace} {words}"


class Seen(NamedTuple):
    """What the API showed at one moment.

    workload    null where there is none
    between     the objects between the workload and its pods that are its own (ReplicaSets, Jobs)
    pods        every pod of the namespace; read after the workload
    stock       what their containers take settings from
    namespace   the namespace's own id, which no other cluster has
    now         by the API's clock, epoch seconds
    told        what containers say of themselves, where they are asked; null where they are not
    """

    workload: Optional[Object]
    between: Sequence[Object]
    pods: Sequence[Object]
    stock: Mapping[Tuple[str, str], Optional[Object]]
    namespace: str
    now: float
    told: Optional[Told] = None


def number(text: str) -> int:
    """Return a number for an id of the API: evidence tells workers apart by numbers."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def template(kind: Kind, workload: Object) -> Object:
    """Return the spec of the pods that a workload makes."""
    found: Any = workload
    for name in kind.template:
        found = found.get(name) or {}
    return dict(found)


def owner(thing: Object) -> Mapping[str, Any]:
    """Return the owner that controls an object; empty where nothing does."""
    references = thing["metadata"].get("ownerReferences") or []
    return next((one for one in references if one.get("controller")), {})


def owned(seen: Seen) -> Set[str]:
    """Return the ids of those objects whose pods are the workload's."""
    if seen.workload is None:
        return set()
    return {seen.workload["metadata"]["uid"], *(one["metadata"]["uid"] for one in seen.between)}


def ends(pod: Object) -> Optional[float]:
    """Return when a pod that is being deleted has to have ended; None for one that is not."""
    return moment(pod["metadata"].get("deletionTimestamp"))


def living(pod: Object) -> bool:
    """Whether a pod may run, or may begin to: until it is gone a pod that is being deleted serves."""
    return (pod.get("status") or {}).get("phase") not in FINISHED


def _deployment(workload: Object, sets: Sequence[Object]) -> Roll:
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    wanted = int(spec.get("replicas", 1))
    updated, there = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    serving = int(status.get("availableReplicas", 0))
    # A set of before that still wants pods makes them anew as soon as it can.
    wanting = sum(int((one.get("spec") or {}).get("replicas", 0)) for one in sets)
    done = _observed(workload) and updated == there == serving == wanted == wanting
    return Roll(done, wanted, serving, f"{updated} of {wanted} pods updated, {there} there, {serving} available")


def _stateful_set(workload: Object, _between: Sequence[Object]) -> Roll:
    spec, status = workload.get("spec") or {}, workload.get("status") or {}
    wanted, there = int(spec.get("replicas", 1)), int(status.get("replicas", 0))
    ready = int(status.get("readyReplicas", 0))
    updated = status.get("updateRevision") == status.get("currentRevision")
    said = f"{'all' if updated else 'not all'} of {wanted} pods updated, {there} there, {ready} ready"
    return Roll(_observed(workload) and updated and there == ready == wanted, wanted, ready, said)


def _daemon_set(workload: Object, _between: Sequence[Object]) -> Roll:
    status = workload.get("status") or {}
    wanted, updated = int(status.get("desiredNumberScheduled", 0)), int(status.get("updatedNumberScheduled", 0))
    serving = int(status.get("numberAvailable", 0))
    done = _observed(workload) and updated == serving == wanted
    return Roll(done, wanted, serving, f"{updated} of {wanted} pods updated, {serving} available")


def _cron_job(workload: Object, jobs: Sequence[Object]) -> Roll:
    running = sum(int((job.get("status") or {}).get("active", 0)) for job in jobs)
    said = "suspended" if (workload.get("spec") or {}).get("suspend") else f"{running} pods run now"
    return Roll(True, 0, running, said)


def _observed(workload: Object) -> bool:
    seen = (workload.get("status") or {}).get("observedGeneration", 0)
    return int(seen) >= int(workload["metadata"].get("generation", 0))


def _paused(workload: Object) -> Optional[str]:
    return "is paused" if (workload.get("spec") or {}).get("paused") else None


def _strategy(workload: Object) -> Optional[str]:
    strategy = (workload.get("spec") or {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return "has updateStrategy OnDelete, with which pods of before stay"
    partition = (strategy.get("rollingUpdate") or {}).get("partition")
    return f"has partition {partition}, below which pods of before stay" if partition else None


POD = ("spec", "template", "spec")
KINDS: Dict[str, Kind] = {
    "Deployment": Kind("apps", "deployments", POD, ("apps", "replicasets"), _deployment, _paused),
    "StatefulSet": Kind("apps", "statefulsets", POD, None, _stateful_set, _strategy),
    "DaemonSet": Kind("apps", "daemonsets", POD, None, _daemon_set, _strategy),
    "CronJob": Kind(
        "batch", "cronjobs", ("spec", "jobTemplate", *POD), ("batch", "jobs"), _cron_job, lambda _: None, on_demand=True
    ),
}  # fmt: skip


def refused(target: Target, seen: Seen, keys: Callable[[Object], bool]) -> Optional[str]:
    """Say why a visit may not begin to change a workload, and what to do; None where it may.

    `keys` tells whether a container holds settings of ours.
    """
    if seen.workload is None:
        return f"{target.called} is not there: correct app_keys_workload"
    kind, meta = KINDS[target.kind], seen.workload["metadata"]
    if meta.get("deletionTimestamp"):
        return f"{target.called} is being deleted: take it out of the inventory, and release it when it is gone"
    above = owner(seen.workload)
    if above:
        return (
            f"{target.called} is made by {above.get('kind')} {above.get('name')}, whose operator would put its own template back: "
            "let that one refer to the keys, or take it out of the fleet"
        )
    held = kind.held(seen.workload)
    if held:
        return f"{target.called} {held}: a roll would never end. Change that, and run again"
    names = {str(one.get("name")) for one in _all(template(kind, seen.workload))}
    unknown = [name for name in target.containers if name not in names]
    if unknown:
        return f"{target.called} has no container {', '.join(unknown)}: correct app_keys_workload.containers"
    if not targets(target, seen, keys):
        return f"no container of {target.called} has our settings: name those that should with app_keys_workload.containers"
    return _lost(target, seen)


def targets(target: Target, seen: Seen, keys: Callable[[Object], bool]) -> List[Object]:
    """Return the containers of the template that get the keys: those that are named, else those that have settings of ours."""
    if seen.workload is None:
        return []
    return [
        one
        for one in _all(template(KINDS[target.kind], seen.workload))
        if (one.get("name") in target.containers if target.containers else keys(one))
    ]


def _all(spec: Object) -> List[Object]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _lost(target: Target, seen: Seen) -> Optional[str]:
    """Say that a pod should have ended long ago: its node may be lost, and the pod may serve there."""
    mine = owned(seen)
    for pod in seen.pods:
        end = ends(pod)
        if living(pod) and end is not None and end + LATE < seen.now and owner(pod).get("uid") in mine:
            name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName")
            return (
                f"pod {name} of {target.called} should have ended at {stamp(end)}, and is still there: node {node} may be lost, and the pod may "
                "serve on it. Bring the node back, or see that it is off and delete the node object; never delete the pod by force"
            )
    return None
