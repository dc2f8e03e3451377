# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence of a workload, in the shape of a host's: what the API showed at one moment, or at two."""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, cast

from .._host.rules.frameworks import Profile
from .._shapes import EnvFile, Evidence, Identity, Outsider, Record, Unit, Worker
from . import pod_exec, pod_spec, workload
from .pod_exec import Question
from .pod_spec import SECRET, Given, Object
from .workload import KINDS, Seen, Target

PROOF, ASKED = "pod_spec", "pod_exec"
# The Secrets that we make; see `workload_change.secret_name`.
OURS = re.compile(r"-keys-[0-9]+-[0-9a-f]{8}\Z")
# What keeps a container from starting at all, as the kubelet says it: it waits for something that is not there.
NOT_STARTED = (
    "CreateContainerConfigError",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
)


class Kept(NamedTuple):
    """What the cluster keeps of our visits: the record, where it is, whose it is if it is another member's, and the visit under way."""

    record: Optional[Record]
    place: str
    of_another: Optional[str] = None
    visit: Optional[int] = None


class _Container(NamedTuple):
    """A container of a pod that may hold our settings: its spec, since when it runs (None: it does not yet), and what it was given.

    `runs`: whether the API says that it does, and not that it comes or goes.
    """

    spec: Object
    started: Optional[float]
    given: Given
    runs: bool


def evidence(target: Target, profile: Profile, seen: Seen, kept: Kept, known: Collection[str], nonce: str) -> Evidence:
    """Return what a look at a workload shows.

    `known` are the keys by fingerprint that the caller knows: what is known and no proof is a problem, since a visit can mend
    it; what is not known is shown, so that it is adopted, or that nobody overwrites it.
    """
    mine = workload.owned(seen)
    ours = {str(one["name"]) for one in workload.targets(target, seen, lambda one: holds(profile, seen, one))}
    workers: List[Worker] = []
    others: List[Outsider] = []
    for pod in filter(workload.living, seen.pods):
        if workload.owner(pod).get("uid") in mine:
            workers += [_worker(pod, container, known, seen) for container in _containers(pod, profile, seen, ours)]
        else:
            for container in _containers(pod, profile, seen):
                others += _outsider(pod, container, known)
    unit = _unit(target, seen, workers)
    return {
        "nonce": nonce,
        "now": seen.now,
        "ticks": int(seen.now * 100),
        "machine": f"kubernetes/{seen.namespace}",
        "proof": PROOF if seen.told is None else ASKED,
        "workers": workers,
        "files": _files(target, profile, seen, known),
        "others": others,
        "units": [unit],
        "settled": True,
        "unsettled": [],
        "lasting": len(workers),
        # How many pods there are is the workload's own business.
        "pools": [],
        "record": kept.record,
        "record_of": kept.of_another,
        "visit": kept.visit,
        "state": f"kubernetes/{seen.namespace}/{kept.place}",
        "restart": f"{target.called} ({target.kubectl('rollout restart ' + target.called)})",
    }


def compared(first: Evidence, second: Evidence) -> Evidence:
    """Return the second look with what the two say together: pods may come and go, and none may have been started anew."""
    earlier = {worker["pid"] for worker in first["workers"]}
    restarts = {worker["pid"]: worker["ticks"] for worker in first["workers"]}
    again = [worker for worker in second["workers"] if restarts.get(worker["pid"], worker["ticks"]) != worker["ticks"]]
    lasting = [worker for worker in second["workers"] if worker["pid"] in earlier]
    states = [[(unit["name"], unit["active"]) for unit in seen["units"]] for seen in (first, second)]
    return {
        **second,
        "settled": not again and states[0] == states[1],
        "unsettled": sorted(worker["pid"] for worker in again),
        "lasting": len(lasting),
    }


def holds(profile: Profile, seen: Seen, container: Object) -> bool:
    """Whether a container takes any of our settings from anywhere."""
    return bool(pod_spec.sources(container, profile.names, seen.stock))


def _containers(pod: Object, profile: Profile, seen: Seen, ours: Collection[str] = ()) -> List[_Container]:
    """Return the containers of a pod that hold our settings or will as soon as they start, and those of the names that should."""
    status = pod.get("status") or {}
    states = {
        one["name"]: one
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for one in status.get(field) or []
    }
    first = {one.get("name") for one in (pod.get("spec") or {}).get("initContainers") or []}
    found = []
    for container in pod_spec.containers(pod.get("spec") or {}):
        if not holds(profile, seen, container) and container.get("name") not in ours:
            continue
        state = states.get(container["name"]) or {}
        prepares = container["name"] in first and container.get("restartPolicy") != "Always"
        if _over(pod, state, prepares):
            continue
        started = _started(pod, state)
        given = pod_spec.given(profile, container, seen.stock, started)
        if started is None and given.problem and given.problem[0] == "absent":
            continue  # it cannot start: nothing runs, and nothing of it can sign or refuse
        runs = "running" in (state.get("state") or {}) and workload.ends(pod) is None
        found.append(_Container(container, started, given, runs))
    return found


def _over(pod: Object, status: Object, prepares: bool) -> bool:
    """Whether a container has ended for good. The API says `terminated` for a moment of one that is started anew, too."""
    ended = (status.get("state") or {}).get("terminated")
    if not ended:
        return False
    policy = "OnFailure" if prepares else (pod.get("spec") or {}).get("restartPolicy", "Always")
    done = policy == "Never" or (policy == "OnFailure" and ended.get("exitCode") == 0)
    return done or workload.ends(pod) is not None


def _started(pod: Object, status: Object) -> Optional[float]:
    """Return since when a container runs; None for one that has certainly never started.

    For more than a second a process runs of which the API says that it is being created: only a reason says that it is not.
    """
    state = status.get("state") or {}
    waits = (state.get("waiting") or {}).get("reason")
    if not (pod.get("spec") or {}).get("nodeName") or waits in NOT_STARTED:
        return None
    for source in (state.get("running"), state.get("terminated"), (status.get("lastState") or {}).get("terminated")):
        started = pod_spec.moment((source or {}).get("startedAt"))
        if started is not None:
            return started
    return pod_spec.moment((pod.get("status") or {}).get("startTime")) or _made(pod)


def _made(pod: Object) -> float:
    return pod_spec.moment(pod["metadata"].get("creationTimestamp")) or 0.0


def _called(pod: Object, container: Object) -> str:
    ending = ", terminating" if workload.ends(pod) is not None else ""
    above = workload.owner(pod)
    job = f" of job/{above['name']}" if above.get("kind") == "Job" else ""
    return f"pod {pod['metadata']['name']} ({container['name']}{ending}){job}"


def _pid(pod: Object, container: Object) -> int:
    return workload.number(f"{pod['metadata']['uid']}/{container['name']}")


def _restarts(pod: Object, name: str) -> int:
    status = pod.get("status") or {}
    every = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return next((int(one.get("restartCount", 0)) for one in every if one["name"] == name), 0)


def questions(target: Target, profile: Profile, seen: Seen) -> List[Question]:
    """Return the containers of the workload that can be asked: those that come or go are known by their specs alone."""
    mine = workload.owned(seen)
    ours = {str(one["name"]) for one in workload.targets(target, seen, lambda one: holds(profile, seen, one))}
    found = []
    for pod in filter(workload.living, seen.pods):
        if workload.owner(pod).get("uid") in mine:
            for container in _containers(pod, profile, seen, ours):
                if container.runs:
                    values = pod_spec.values(container.spec, profile.names, seen.stock)
                    where = pod_exec.place(pod, container.spec)
                    found.append(Question(where, str(pod["metadata"]["name"]), str(container.spec["name"]), values))
    return found


def _worker(pod: Object, container: _Container, known: Collection[str], seen: Seen) -> Worker:
    told = (seen.told or {}).get(pod_exec.place(pod, container.spec))
    holder = _holder(container.given, known)
    if holder["problem"] and holder["problem"]["kind"] in ("absent", "empty"):
        holder["problem"]["kind"] = "lacking"  # what is to be done is not what it is on a host
    if told is not None and holder["problem"] is None:
        holder = {"signs": None, "accepts": [], "problem": {"kind": told[0], "text": told[1]}}
    entry = {
        "pid": _pid(pod, container.spec),
        "parent": 0,
        "ticks": _restarts(pod, container.spec["name"]),
        "started": _made(pod) if container.started is None else container.started,
        "command": str(container.spec["name"]),
        "called": _called(pod, container.spec),
        "uids": [],
        "by": ASKED if seen.told is not None and container.runs else PROOF,
        "idle": False,
        **holder,
    }
    return cast("Worker", entry)


def _outsider(pod: Object, container: _Container, known: Collection[str]) -> List[Outsider]:
    """Return a container of a pod that belongs to no workload of ours, if it holds a key of ours."""
    held = [key for key in container.given.accepts if key in known]
    if not held:
        return []
    signs = container.given.signs
    entry = {
        "pid": _pid(pod, container.spec),
        "ticks": _restarts(pod, container.spec["name"]),
        "started": _made(pod) if container.started is None else container.started,
        "command": str(container.spec["name"]),
        "called": _called(pod, container.spec),
        "uids": [],
        "signs": signs if signs in known else None,
        "holds": held,
        "more": 0,
    }
    return [cast("Outsider", entry)]


def _holder(given: Given, known: Collection[str]) -> Dict[str, Any]:
    """Return what is said of a container's keys; a doubt about keys that are known is a problem, which a visit mends."""
    problem = given.problem
    if problem is not None and problem[0] == "absent" and any(OURS.search(name) for name in given.secrets):
        problem = ("deleted", problem[1])
    if problem is None and given.doubt and all(key in known for key in given.accepts):
        problem = given.doubt
    if problem is not None:
        return {"signs": None, "accepts": [], "problem": {"kind": problem[0], "text": problem[1]}}
    return {"signs": given.signs, "accepts": list(given.accepts), "problem": None}


def _files(target: Target, profile: Profile, seen: Seen, known: Collection[str]) -> List[EnvFile]:
    """Return what the template says, container by container: it is what pods that are still to come are given."""
    if not workload.targets(target, seen, lambda one: holds(profile, seen, one)):
        why = "is not there" if seen.workload is None else f"has no container with {profile.primary}"
        problem = {"kind": "absent", "text": f"{target.called} {why}"}
        blank: Dict[str, Any] = {"signs": None, "accepts": [], "problem": problem}
        return [cast("EnvFile", {"path": target.called, "identity": None, "links": 0, "unusable": {}, **blank})]
    found = []
    for container in workload.targets(target, seen, lambda one: holds(profile, seen, one)):
        given = pod_spec.given(profile, container, seen.stock)
        said = _holder(given, known)
        if said["problem"] and said["problem"]["kind"] == "deleted":
            said["problem"]["kind"] = "absent"  # a visit writes it
        entry = {
            "path": f"{target.called} ({container['name']})",
            "identity": _identity(profile, seen, container),
            "links": 1,
            "unusable": {},
            **said,
        }
        found.append(cast("EnvFile", entry))
    return found


def _identity(profile: Profile, seen: Seen, container: Object) -> Identity:
    """Return what tells one template from another: the Secret that it refers to, else how often it was written."""
    source = pod_spec.sources(container, profile.names, seen.stock).get(profile.primary)
    holder = seen.stock.get((SECRET, source.name)) if source and source.kind == SECRET else None
    meta = (holder or seen.workload or {})["metadata"]
    sign = f"{meta['uid']}/{'' if holder else meta.get('generation', 0)}"
    made = pod_spec.moment(meta.get("creationTimestamp")) or 0.0
    return {"inode": workload.number(sign), "changed": made, "modified": made, "size": 0}


def _unit(target: Target, seen: Seen, workers: List[Worker]) -> Unit:
    """Return the workload as the unit that its pods run in."""
    mine = workload.owned(seen)
    pods = [pod for pod in seen.pods if workload.owner(pod).get("uid") in mine]
    restarts = sum(_restarts(pod, one["name"]) for pod in pods for one in pod_spec.containers(pod.get("spec") or {}))
    entry: Dict[str, Any] = {
        "name": target.called,
        "load": "not-found",
        "active": "inactive",
        "sub": "",
        "restarts": restarts,
        "on_demand": False,
        "restart_delay": None,
        "sources": [],
        "advice": f"look at: {target.kubectl('describe ' + target.called)}",
    }
    if seen.workload is None:
        return cast("Unit", entry)
    kind = KINDS[target.kind]
    roll = kind.roll(seen.workload, seen.between)
    idle = not workers and not roll.wanted
    if idle and roll.done:
        active = "inactive"
    elif roll.done or (kind.on_demand and workers):
        active = "active"
    else:
        active = "reloading" if roll.serving else "activating"
    # With nobody wanted it rests, and its template is what its next pod is given.
    entry.update(load="loaded", active=active, sub=roll.said, on_demand=kind.on_demand or not roll.wanted)
    return cast("Unit", entry)


def named(seen_pods: Sequence[Object], template: Mapping[str, Any]) -> List[Tuple[str, str]]:
    """Return what the pods of a namespace and a template take environment variables from."""
    found = dict.fromkeys(pod_spec.named_in(template))
    for pod in seen_pods:
        if workload.living(pod):
            found.update(dict.fromkeys(pod_spec.named_in(pod.get("spec") or {})))
    return list(found)
