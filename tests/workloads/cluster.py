# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on loopback: an API over HTTP, controllers that roll pods, and a kubelet that gives containers their environment.

The kubelet's table of processes says what every container that lives was given: the truth that tests hold everything else against.
Like the real ones it lets pods that end serve on for their grace, serves a Secret that is deleted from its cache as long as an
object of a pod names it, and lets a set of before grow when the workload is scaled in the middle of a roll.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
import uuid
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import cluster_exec
import guide_role
from cluster_store import Object, Refused, Store, stamp

CORE, APPS, BATCH = "/api/v1", "/apis/apps/v1", "/apis/batch/v1"
TICK = 0.05


class Process(NamedTuple):
    """A container that lives: its pod, itself, and what it was given."""

    pod: str
    container: str
    env: Dict[str, str]


class Cluster:
    """A cluster with one namespace."""

    def __init__(self, namespace: str = "shop", grace: float = 1.0, start: float = 0.2, linger: float = 0.0) -> None:
        # `linger`: for how long the object of a pod is there after what ran in it has ended.
        self.namespace, self.grace, self.start, self.linger = namespace, grace, start, linger
        self.store = Store()
        self.store.create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": namespace}})
        self.processes: Dict[str, Dict[str, Process]] = {}  # by the uid of the pod, and container
        self.cache: Dict[str, Object] = {}  # Secrets that the kubelet has
        self.born: Dict[str, float] = {}
        self.crashing = False  # whether new pods crash
        self.frozen = False  # whether the controllers and the kubelet stand still
        self.asked: List[str] = []
        self.rules: Optional[List[Object]] = None  # of a Role, which are enforced where there are some
        # What an entrypoint makes of the environment that it was given, and whether the image has Python.
        self.entrypoint: Callable[[Dict[str, str]], Dict[str, str]] = dict
        self.python = True
        # What each version of any group has: an old cluster has CronJobs in v1beta1 alone.
        self.kinds = ["deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs", "leases"]
        self.old_kinds = ["cronjobs"]
        self._ended = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._threads = [threading.Thread(target=self._server.serve_forever), threading.Thread(target=self._run)]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def end(self) -> None:
        """End all that runs."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def kubeconfig(self, path: Path, context: str = "test") -> Path:
        """Write how the cluster is reached."""
        named = {"contexts": "context", "clusters": "cluster", "users": "user"}
        told: Dict[str, Any] = {
            "context": {"cluster": context, "user": context},
            "cluster": {"server": self.url},
            "user": {},
        }
        lists = {many: [{"name": context, one: told[one]}] for many, one in named.items()}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": context, **lists}))
        return path

    # --- what a person does ---

    def path(self, plural: str, name: str = "", group: str = CORE) -> str:
        """Return where an object is."""
        return f"{group}/namespaces/{self.namespace}/{plural}{'/' + name if name else ''}"

    def deploy(
        self,
        name: str,
        env: List[Object],
        replicas: int = 2,
        kind: str = "Deployment",
        manager: str = "kubectl-client-side-apply",
        env_from: Optional[List[Object]] = None,
    ) -> str:
        """Make a workload with one container, and return its path."""
        spec: Object = {
            "containers": [{"name": "app", "image": "app", "env": env, **({"envFrom": env_from} if env_from else {})}]
        }
        body: Object = {"kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": spec}}}
        batch = BATCH if "cronjobs" in self.kinds else f"{BATCH}beta1"
        group, plural = (batch, "cronjobs") if kind == "CronJob" else (APPS, f"{kind.lower()}s")
        if kind == "CronJob":
            spec["restartPolicy"] = "Never"
            body["spec"] = {"schedule": "@daily", "jobTemplate": {"spec": body["spec"]}}
        elif kind != "DaemonSet":
            body["spec"]["replicas"] = replicas
        self.store.create(self.path(plural, group=group), body, manager)
        return self.path(plural, name, group)

    def secret(self, name: str, immutable: bool = False, **data: str) -> None:
        """Make a Secret."""
        body = {
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": data,
            **({"immutable": True} if immutable else {}),
        }
        self.store.create(self.path("secrets"), body)

    def scale(self, path: str, replicas: int) -> None:
        """Scale a workload."""
        self.store.edit(path, lambda one: one["spec"].update(replicas=replicas), "autoscaler")

    def run_job(self, cron_job: str) -> str:
        """Start what a CronJob starts, and return the path of the Job."""
        owner = self.store.get(cron_job)
        name = f"{owner['metadata']['name']}-{uuid.uuid4().hex[:5]}"
        spec = copy.deepcopy(owner["spec"]["jobTemplate"]["spec"])
        body = {"kind": "Job", "metadata": {"name": name, "ownerReferences": [_owner(owner)]}, "spec": spec}
        job = self.store.create(self.path("jobs", group=BATCH), body)
        self._pod(job, name, spec["template"])
        return self.path("jobs", name, BATCH)

    def finish_job(self, path: str) -> None:
        """Let a Job's pods come to their end."""
        uid = self.store.get(path)["metadata"]["uid"]
        for pod in self.pods():
            if _owned(pod, uid):
                self.processes.pop(pod["metadata"]["uid"], None)
                self.store.edit(self._place(pod), lambda one: one["status"].update(phase="Succeeded"))

    # --- what is true ---

    def pods(self) -> List[Object]:
        """Return every pod."""
        return self.store.items(self.path("pods"))

    def living(self) -> List[Process]:
        """Return what lives at this moment."""
        with self.store.lock:
            return [process for of_pod in self.processes.values() for process in of_pod.values()]

    def wait(self, until: Any, seconds: float = 20.0) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, "it did not come to hold in time"
            time.sleep(TICK)

    def settled(self) -> bool:
        """Whether every pod that is wanted runs, and no other is there."""
        wanted = sum(self._wanted(one) for one in self._workloads())
        pods = [pod for pod in self.pods() if not _finished(pod)]
        ready = [
            pod
            for pod in pods
            if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        ]
        return len(pods) == len(ready) == wanted

    # --- controllers ---

    def _workloads(self) -> List[Object]:
        return [
            one
            for kind in ("deployments", "statefulsets", "daemonsets")
            for one in self.store.items(self.path(kind, group=APPS))
        ]

    def _wanted(self, workload: Object) -> int:
        return 2 if workload["kind"] == "DaemonSet" else int(workload["spec"].get("replicas", 1))

    def _run(self) -> None:
        while not self._ended.wait(TICK):
            if self.frozen:
                continue
            with self.store.lock:
                for workload in self._workloads():
                    if workload["kind"] == "Deployment":
                        self._deployment(workload)
                    else:
                        self._set(workload)
                for pod in self.pods():
                    self._kubelet(pod)

    def _deployment(self, workload: Object) -> None:
        meta, spec = workload["metadata"], workload["spec"]
        mark, wanted = _hash(spec["template"]), int(spec.get("replicas", 1))
        sets = [one for one in self.store.items(self.path("replicasets", group=APPS)) if _owned(one, meta["uid"])]
        new = next((one for one in sets if one["metadata"]["labels"]["hash"] == mark), None)
        if new is None and not spec.get("paused"):
            labels = {"hash": mark}
            owned = {"name": f"{meta['name']}-{mark}", "labels": labels, "ownerReferences": [_owner(workload)]}
            body = {"kind": "ReplicaSet", "metadata": owned, "spec": {"replicas": 0, "template": spec["template"]}}
            new = self.store.create(self.path("replicasets", group=APPS), body)
            sets.append(new)
        old = [one for one in sets if one is not new]
        sizes = {one["metadata"]["name"]: int(one["spec"]["replicas"]) for one in sets}
        pods = {name: self._of(self.store.objects[self.path("replicasets", name, APPS)]) for name in sizes}
        before = workload.get("status", {}).get("scaled", wanted)
        if any(sizes[one["metadata"]["name"]] for one in old) and wanted != before:
            largest = max(old, key=lambda one: sizes[one["metadata"]["name"]])["metadata"]["name"]
            sizes[largest] = max(0, sizes[largest] + wanted - before)  # in the middle of a roll the old one grows
        if new is not None:
            fresh = new["metadata"]["name"]
            total = sum(sizes.values())
            if not spec.get("paused"):
                sizes[fresh] = min(wanted, sizes[fresh] + max(0, wanted + 1 - total))
            ready = sum(_ready(pod) for of in pods.values() for pod in of)
            for one in old:
                name = one["metadata"]["name"]
                idle = sum(not _ready(pod) for pod in pods[name])
                sizes[name] -= min(idle, sizes[name])  # those that do not serve go first
                spare = ready - wanted
                down = max(0, min(sizes[name], spare)) if sizes[fresh] or not wanted else 0
                sizes[name] -= down if wanted else sizes[name]
                ready -= down
            if sizes[fresh] > wanted:
                sizes[fresh] = wanted
        for name, size in sizes.items():
            place = self.path("replicasets", name, APPS)
            if self.store.objects[place]["spec"]["replicas"] != size:
                self.store.edit(place, lambda one, size=size: one["spec"].update(replicas=size))
            self._fill(self.store.get(place), size)
        there = [pod for name in sizes for pod in self._of(self.store.objects[self.path("replicasets", name, APPS)])]
        updated = (
            len(self._of(self.store.objects[self.path("replicasets", new["metadata"]["name"], APPS)])) if new else 0
        )
        self._status(workload, {
            "observedGeneration": meta["generation"], "replicas": len(there), "updatedReplicas": updated,
            "availableReplicas": sum(_ready(pod) for pod in there), "scaled": wanted,
        })  # fmt: skip

    def _set(self, workload: Object) -> None:
        """A StatefulSet or a DaemonSet: pods of before end one at a time, and come again as they should be now."""
        mark, wanted = _hash(workload["spec"]["template"]), self._wanted(workload)
        strategy = workload["spec"].get("updateStrategy") or {}
        pods = self._of(workload, ending=True)
        names = {pod["metadata"]["name"] for pod in pods}
        for number in range(wanted):
            name = f"{workload['metadata']['name']}-{number}"
            if name not in names:
                self._pod(workload, name, workload["spec"]["template"], {"hash": mark})
        quiet = all(_ready(pod) for pod in pods)
        stale = [pod for pod in pods if pod["metadata"]["labels"]["hash"] != mark]
        for pod in pods:
            if int(pod["metadata"]["name"].rpartition("-")[2]) >= wanted:
                self._end(pod)
        if stale and quiet and strategy.get("type") != "OnDelete":
            self._end(stale[-1])
        updated = len(pods) - len(stale)
        revision = {"updateRevision": mark, "currentRevision": mark if not stale else "before"}
        ready = sum(_ready(pod) for pod in pods)
        self._status(workload, {
            "observedGeneration": workload["metadata"]["generation"], "replicas": len(pods), "readyReplicas": ready, **revision,
            "desiredNumberScheduled": wanted, "updatedNumberScheduled": updated, "numberAvailable": ready,
        })  # fmt: skip

    def _status(self, workload: Object, status: Object) -> None:
        kind = f"{workload['kind'].lower()}s"
        place = self.path(kind, workload["metadata"]["name"], APPS)
        if self.store.objects[place].get("status") != status:
            self.store.edit(place, lambda one: one.update(status=status))

    def _of(self, owner: Object, ending: bool = False) -> List[Object]:
        uid = owner["metadata"]["uid"]
        found = [pod for pod in self.pods() if _owned(pod, uid)]
        return found if ending else [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def _fill(self, owner: Object, size: int) -> None:
        pods = sorted(self._of(owner), key=_ready)
        for pod in pods[: max(0, len(pods) - size)]:
            self._end(pod)
        for _more in range(size - len(pods)):
            self._pod(owner, f"{owner['metadata']['name']}-{uuid.uuid4().hex[:5]}", owner["spec"]["template"])

    def _pod(self, owner: Object, name: str, template: Object, labels: Optional[Object] = None) -> None:
        meta = {"name": name, "labels": labels or {}, "ownerReferences": [_owner(owner)]}
        spec = {**copy.deepcopy(template["spec"]), "nodeName": "node-1"}
        body = {"kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": "Pending"}}
        made = self.store.create(self.path("pods"), body)
        self.born[made["metadata"]["uid"]] = time.monotonic() + self.start

    def _place(self, pod: Object) -> str:
        return self.path("pods", pod["metadata"]["name"])

    def _end(self, pod: Object) -> None:
        if not pod["metadata"].get("deletionTimestamp"):
            ends = stamp(time.time() + self.grace)
            self.store.edit(self._place(pod), lambda one: one["metadata"].update(deletionTimestamp=ends))
            self.born[f"end-{pod['metadata']['uid']}"] = time.monotonic() + self.grace

    # --- the kubelet ---

    def _kubelet(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if pod["metadata"].get("deletionTimestamp"):
            ended = self.born.get(f"end-{uid}", 0.0)
            if time.monotonic() > ended and self.processes.pop(uid, None):
                over = {"terminated": {"exitCode": 0}}
                self.store.edit(
                    self._place(pod),
                    lambda one: [each.update(state=over) for each in one["status"]["containerStatuses"]],
                )
            if time.monotonic() > ended + self.linger:
                self.store.delete(self._place(pod))
            return
        if pod["status"].get("phase") != "Pending" or time.monotonic() < self.born.get(uid, 0.0):
            return
        states = []
        for container in pod["spec"]["containers"]:
            env = self._environment(container)
            if env is None:
                waits = {
                    "name": container["name"],
                    "restartCount": 0,
                    "state": {"waiting": {"reason": "CreateContainerConfigError"}},
                }
                self.store.edit(
                    self._place(pod), lambda one, waits=waits: one["status"].update(containerStatuses=[waits])
                )
                return
            self.processes.setdefault(uid, {})[container["name"]] = Process(
                pod["metadata"]["name"], container["name"], env
            )
            states.append(
                {"name": container["name"], "restartCount": 0, "state": {"running": {"startedAt": stamp(time.time())}}}
            )
        phase = {
            "phase": "Running",
            "startTime": stamp(time.time()),
            "ready": not self.crashing,
            "containerStatuses": states,
        }
        self.store.edit(self._place(pod), lambda one: one.update(status=phase))

    def _environment(self, container: Object) -> Optional[Dict[str, str]]:
        """Return what a container is given; None where something that it needs is not there."""
        env: Dict[str, str] = {}
        for entry in container.get("envFrom") or []:
            held = self._secret(entry["secretRef"]["name"])
            if held is None:
                return None
            env.update({f"{entry.get('prefix', '')}{key}": value for key, value in held.items()})
        for entry in container.get("env") or []:
            ref = (entry.get("valueFrom") or {}).get("secretKeyRef")
            if not ref:
                env[entry["name"]] = entry.get("value", "")
                continue
            held = self._secret(ref["name"])
            if held is None or ref["key"] not in held:
                return None
            env[entry["name"]] = held[ref["key"]]
        return env

    def _secret(self, name: str) -> Optional[Dict[str, str]]:
        """Return a Secret as this kubelet has it: immutable ones are never asked for again while a pod is there that names them."""
        named = [
            pod
            for pod in self.pods()
            if f'"{name}"' in json.dumps(pod["spec"]) and pod["metadata"]["uid"] in self.processes
        ]
        if not named:
            self.cache.pop(name, None)
        found = self.cache.get(name) or self.store.objects.get(self.path("secrets", name))
        if found is None:
            return None
        if found.get("immutable"):
            self.cache[name] = found
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    # --- the API ---

    def _handler(self) -> Any:
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.answer()

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length) if length else b"{}"
                if self.headers.get("Upgrade") == "websocket":
                    return cluster.execute(self)
                try:
                    status, said = 200, cluster.call(self.command, self.path, json.loads(text or b"{}") or {})
                except Refused as error:
                    status, said = error.status, error.body
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler

    def execute(self, handler: Any) -> None:
        """Answer an exec."""
        parts = urllib.parse.urlsplit(handler.path)
        query = urllib.parse.parse_qs(parts.query)
        self.asked.append(f"EXEC {parts.path}")
        if self.rules is not None and not guide_role.allows(self.rules, self.namespace, "GET", parts.path):
            handler.send_error(403)
            return
        name, container = parts.path.split("/")[-2], query["container"][0]
        given = [one.env for one in self.living() if (one.pod, one.container) == (name, container)]
        cluster_exec.serve(handler, query["command"], [self.entrypoint(env) for env in given], self.python)

    def call(self, verb: str, target: str, body: Object) -> Any:
        """Answer one request."""
        parts = urllib.parse.urlsplit(target)
        path, query = urllib.parse.unquote(parts.path), dict(urllib.parse.parse_qsl(parts.query))
        self.asked.append(f"{verb} {path}")
        if self.rules is not None and not guide_role.allows(self.rules, self.namespace, verb, path):
            raise Refused(403, "Forbidden", f"{verb} {path} is forbidden")
        group = re.fullmatch(r"/apis/([a-z0-9.]+)", path)
        if group:
            versions = [{"groupVersion": f"{group[1]}/{version}"} for version in ("v1", "v1beta1")]
            return {"kind": "APIGroup", "preferredVersion": versions[0], "versions": versions}
        version = re.fullmatch(r"/apis/([a-z0-9.]+)/(v[a-z0-9]+)", path)
        if version:
            has = self.kinds if version[2] == "v1" else self.old_kinds
            return {"kind": "APIResourceList", "resources": [{"name": name} for name in has]}
        collection = re.fullmatch(r".*/v1(?:beta1)?(/namespaces/[^/]+)?/[a-z]+", path) and not re.fullmatch(
            r"/api/v1/namespaces/[^/]+", path
        )
        if verb == "GET" and collection:
            return {"kind": "List", "metadata": {}, "items": self.store.items(path, query.get("labelSelector", ""))}
        if verb == "GET":
            return self.store.get(path)
        if verb == "POST":
            return self.store.create(path, body)
        if verb == "PUT":
            return self.store.replace(path, body)
        if verb == "PATCH":
            return self.store.apply(path, body, query["fieldManager"], query.get("force") == "true")
        self.store.delete(path, (body.get("preconditions") or {}).get("uid", ""))
        return {"kind": "Status", "status": "Success"}


def _owner(owner: Object) -> Object:
    return {
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }


def _owned(thing: Object, uid: str) -> bool:
    return any(one["uid"] == uid for one in thing["metadata"].get("ownerReferences") or [])


def _hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]


def _ready(pod: Object) -> bool:
    return bool(pod["status"].get("ready")) and not pod["metadata"].get("deletionTimestamp")


def _finished(pod: Object) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")
