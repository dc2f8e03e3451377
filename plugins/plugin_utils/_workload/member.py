# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member that is a workload: where its objects are in the cluster, one look at them, and what the cluster keeps of our visits."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Collection, Dict, List, Mapping, Optional, Tuple

from ...module_utils._host import record as records
from ...module_utils._host.rules import variables
from ...module_utils._host.rules.frameworks import Profile
from ...module_utils._rules import pod_exec, pod_spec, workload, workload_change, workload_look
from ...module_utils._rules.pod_exec import Question, Told
from ...module_utils._rules.pod_spec import CONFIG_MAP, SECRET, Object
from ...module_utils._rules.workload import KINDS, Seen, Target
from ...module_utils._rules.workload_look import Kept
from ...module_utils._shapes import Evidence
from .api import Api, ApiTrouble

PLURAL = {SECRET: "secrets", CONFIG_MAP: "configmaps"}
# How long a roll may take where neither app_keys_timeout nor the workload says it, in seconds.
PROGRESS, GRACE = 600.0, 30.0
# How long the object of a pod that has ended may be waited for, and how far apart two looks for it are, in seconds.
LINGER, PAUSE = 60.0, 1.0
# How many containers are asked at once, and how long one may take to answer, in seconds.
AT_ONCE, ANSWER = 8, 30.0


class Member:
    """One workload, as the application's variables (`params`: those of a module) say it."""

    def __init__(self, api: Api, params: Mapping[str, Any]) -> None:
        known = {name: value for name, value in params.items() if value is not None and name in variables.VARIABLES}
        self.values = variables.read({variables.PREFIX + name: value for name, value in known.items()})
        if not self.values["name"]:
            raise variables.VariableError("app_keys_name is not set")
        said = self.values["workload"]
        self.api = api
        self.name: str = self.values["name"]
        self.member = str(params.get("host") or "")
        self.profile: Profile = variables.profile_of(self.values)
        self.target = Target(said["kind"], said["name"], said["namespace"], tuple(said["containers"]))
        self.kind = KINDS[self.target.kind]
        self.kept_name = workload_change.kept_name(self.name, self.target)
        self._timeout = float(self.values["timeout"]) if "timeout" in known else None

    # --- where things are ---

    def core(self, plural: str, name: str = "") -> str:
        """Return the path of an object of the core group."""
        return f"/api/v1/namespaces/{self.target.namespace}/{plural}{'/' + name if name else ''}"

    def of_group(self, group: str, plural: str, name: str = "") -> str:
        """Return the path of an object of another group."""
        return (
            f"{self.api.group(group, plural)}/namespaces/{self.target.namespace}/{plural}{'/' + name if name else ''}"
        )

    @property
    def path(self) -> str:
        """The path of the workload."""
        return self.of_group(self.kind.group, self.kind.plural, self.target.name)

    # --- looks ---

    def see(self) -> Seen:
        """Return what there is: the workload first, so that no pod is older than what it is held against."""
        found = self.api.get(self.path)
        between: List[Object] = []
        if found is not None:
            # A list's items have no kind of their own, and an old cluster gives none to a single object either.
            found = {
                "kind": self.target.kind,
                "apiVersion": self.api.group(self.kind.group, self.kind.plural)[len("/apis/") :],
                **found,
            }
            if self.kind.through:
                every = self.api.items(self.of_group(*self.kind.through))
                uid = found["metadata"]["uid"]
                between = [one for one in every if workload.owner(one).get("uid") == uid]
        pods = self.api.items(self.core("pods"))
        template = workload.template(self.kind, found) if found is not None else {}
        stock = {one: self._taken(*one) for one in workload_look.named(pods, template)}
        namespace = self.api.get(f"/api/v1/namespaces/{self.target.namespace}")
        if namespace is None:
            raise ApiTrouble(f"there is no namespace {self.target.namespace}: correct app_keys_workload")
        seen = Seen(found, between, pods, stock, str(namespace["metadata"]["uid"]), self.api.now())
        return seen._replace(told=self.ask(seen)) if self.values["proof"] == workload_look.ASKED else seen

    def ask(self, seen: Seen) -> Told:
        """Return what the containers say of themselves, several asked at once: each answer takes as long as Python does to start."""
        every = workload_look.questions(self.target, self.profile, seen)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            told = list(pool.map(self._ask, every))
        return {one.place: said for one, said in zip(every, told)}

    def _ask(self, one: Question) -> Optional[Tuple[str, str]]:
        nonce, names = secrets.token_hex(16), self.profile.names
        try:
            said = self.api.execute(
                self.target.namespace, one.pod, one.container, pod_exec.command(nonce, names), ANSWER
            )
        except ApiTrouble as error:
            return pod_exec.UNASKED, str(error)
        return pod_exec.judged(one, names, nonce, said)

    def _taken(self, kind: str, name: str) -> Optional[Object]:
        found = self.api.get(self.core(PLURAL[kind], name))
        return found if found is None or kind == CONFIG_MAP else decoded(found)

    def evidence(self, seen: Seen, kept: Kept, known: Collection[str], nonce: str) -> Evidence:
        """Return the evidence of what was seen."""
        return workload_look.evidence(self.target, self.profile, seen, kept, known, nonce)

    def look(self, known: Collection[str], nonce: str) -> Evidence:
        """Return one look, or two that say more where a worker is young."""
        first = self.evidence(self.see(), self.kept(), known, nonce)
        settle = self.values["settle"]
        if any(first["now"] - worker["started"] < settle + 1 for worker in first["workers"]):
            time.sleep(settle)
            return workload_look.compared(first, self.evidence(self.see(), self.kept(), known, nonce))
        return first

    def holds(self, seen: Seen, container: Object) -> bool:
        """Whether a container takes any of our settings from anywhere."""
        return workload_look.holds(self.profile, seen, container)

    def containers(self, seen: Seen) -> List[Object]:
        """Return the containers that get the keys."""
        return workload.targets(self.target, seen, lambda one: self.holds(seen, one))

    def keys(self, seen: Seen) -> Dict[str, str]:
        """Return the values of our settings in the template. These are keys."""
        found: Dict[str, str] = {}
        for one in self.containers(seen):
            for name, value in pod_spec.values(one, self.profile.names, seen.stock).items():
                found[f"{one['name']}/{name}"] = value
        return found

    def own_secrets(self) -> List[Object]:
        """Return the Secrets that visits of this workload have made, with texts in them."""
        found = self.api.items(self.core("secrets"), workload_change.selector(self.target, self.name))
        return [decoded(one) for one in found]

    def tidy(self, ended: Collection[str]) -> List[str]:
        """Delete those of them that hold keys that have ended, as soon as nothing refers to one; return their names.

        An object of a pod is there for some seconds longer than what runs in it: that is waited for.
        """
        removed: List[str] = []
        deadline = time.monotonic() + LINGER
        while True:
            made = self.own_secrets()
            # Looked at after them: what is named later is none of these.
            seen = self.see()
            names = workload_change.removable(self.profile, self.target, seen, made, ended)
            for one in made:
                if one["metadata"]["name"] in names:
                    self.api.delete(self.core("secrets", one["metadata"]["name"]), str(one["metadata"]["uid"]))
            removed += names
            stays = [pod for pod in seen.pods if workload.ends(pod) is None]
            later = workload_change.removable(self.profile, self.target, seen._replace(pods=stays), made, ended)
            if set(later) <= set(names) or time.monotonic() >= deadline:
                return removed
            time.sleep(PAUSE)

    # --- what is kept of visits ---

    def kept(self) -> Kept:
        """Return the record, and whether a visit is under way."""
        found, _version, _notes = self.record()
        own, whose = records.of_member(found, self.member) if found else (None, None)
        return Kept(own, self.kept_name, whose, self.visitor())

    def record(self) -> Tuple[Any, Optional[Object], Dict[str, Any]]:
        """Return the record, the object that it is in, and what that notes besides; nothing where no visit has been."""
        found = self.api.get(self.core("configmaps", self.kept_name))
        if found is None:
            return None, None, {}
        data = found.get("data") or {}
        where = f"ConfigMap {self.kept_name}"
        remove = self.target.kubectl(f"delete configmap {self.kept_name}")
        try:
            notes = json.loads(data.get("notes") or "{}")
        except ValueError:
            notes = {}
        return records.read(data.get("record") or "", where, remove), found, notes if isinstance(notes, dict) else {}

    def visitor(self) -> Optional[int]:
        """Return the pid, on its controller, of the visit that holds the lock; None where none does."""
        spec = (self.api.get(self.lease_path) or {}).get("spec") or {}
        return int(spec["holderIdentity"].split("/")[1]) if held(spec, self.api.now()) else None

    @property
    def lease_path(self) -> str:
        """The path of the lock."""
        return self.of_group("coordination.k8s.io", "leases", self.kept_name)

    # --- time ---

    def timeout(self, seen: Seen) -> float:
        """Return how long a roll may take, in seconds: app_keys_timeout, else what the workload says of itself."""
        if self._timeout is not None:
            return self._timeout
        spec = (seen.workload or {}).get("spec") or {}
        grace = workload.template(self.kind, seen.workload or {}).get("terminationGracePeriodSeconds")
        return float(spec.get("progressDeadlineSeconds") or PROGRESS) + float(GRACE if grace is None else grace)


def decoded(secret: Object) -> Object:
    """Return a Secret with texts in `data`."""
    return {**secret, "data": {key: _text(value) for key, value in (secret.get("data") or {}).items()}}


def _text(value: Any) -> str:
    try:
        return base64.b64decode(str(value)).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return ""


def held(spec: Mapping[str, Any], now: float) -> bool:
    """Whether a Lease that says so is held now."""
    holder = str(spec.get("holderIdentity") or "")
    since = pod_spec.moment(spec.get("renewTime"))
    lasts = float(spec.get("leaseDurationSeconds") or 0)
    known = holder.count("/") == 2 and holder.split("/")[1].isdigit()
    return known and since is not None and now < since + lasts


def written(moment: float) -> str:
    """Return a moment as a Lease has it."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
