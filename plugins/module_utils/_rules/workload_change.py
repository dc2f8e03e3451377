# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a visit writes for a workload, and what it takes away: names, entries of `env`, whose those are, and Secrets that have ended."""

from __future__ import annotations

import re
from typing import Any, Collection, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .._host.rules.fingerprint import fingerprint
from .._host.rules.frameworks import Keys, Profile, SettingsError, decode
from . import pod_spec, workload
from .pod_spec import SECRET, Object
from .workload import KINDS, Seen, Target

MANAGER = "phased.keys"  # as which we own the entries
LONGEST = 253
NAME, MEMBER, COUNTER, STEP = (f"phased.keys/{word}" for word in ("name", "workload", "counter", "step"))
_CONFLICT = re.compile(r'conflict with "([^"]*)"')


class Entries(NamedTuple):
    """The entries of `env` of one container that are ours: by setting the Secret and the key in it; `blank` have a text to be emptied."""

    container: str
    prepares: bool
    secrets: Mapping[str, Sequence[str]]
    blank: Collection[str] = ()


def secret_name(target: Target, counter: int, nonce: str) -> str:
    """Return the name of a step's Secret: `nonce` is new with every Secret, since a name that comes again may bring an old value back."""
    ending = f"-keys-{counter}-{nonce[:8]}"
    return target.name[: LONGEST - len(ending)].rstrip("-.") + ending


def kept_name(name: str, target: Target) -> str:
    """Return the name of the record and of the lock of an application's workload."""
    sign = format(workload.number(f"{name}/{target.kind}/{target.name}"), "012x")
    return f"phased-keys-{target.name[:200].rstrip('-.')}-{sign}"


def label(target: Target) -> str:
    """Return what the objects that we make for a workload are labelled with: 63 characters at most."""
    whole = f"{target.kind.lower()}.{target.name}"
    return whole if len(whole) <= 63 else format(workload.number(whole), "012x")


def secret(target: Target, name: str, application: str, counter: int, step: str, values: Mapping[str, str]) -> Object:
    """Return the Secret of a step, without what is in it: `values` go there as texts (`stringData`)."""
    labels = {NAME: f"a{application}"[:60] + "z", MEMBER: label(target), COUNTER: str(counter), STEP: step}
    meta = {"name": name, "namespace": target.namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": SECRET,
        "metadata": meta,
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(values),
    }


def selector(target: Target, application: str) -> str:
    """Return what the Secrets of an application's workload are found by."""
    return f"{NAME}=a{application[:59]}z,{MEMBER}={label(target)}"


def referring(profile: Profile, target: Target, seen: Seen, containers: Sequence[Object], name: str) -> List[Entries]:
    """Return the entries that let these containers take all of our settings from the Secret with this name."""
    found = []
    for one in containers:
        texts = [
            source for source, said in pod_spec.sources(one, profile.names, seen.stock).items() if said.kind == "text"
        ]
        refs = {setting: (name, setting) for setting in profile.names}
        found.append(Entries(str(one["name"]), _prepares(target, seen, one), refs, texts))
    return found


def as_before(profile: Profile, target: Target, seen: Seen, containers: Sequence[Object]) -> Optional[List[Entries]]:
    """Return the entries that these containers had when this was seen; None where they were no references, which are not put back."""
    found = []
    for one in containers:
        where = pod_spec.sources(one, profile.names, seen.stock)
        if any(source.own_entry and source.kind != SECRET for source in where.values()):
            return None
        refs = {setting: (source.name, source.key) for setting, source in where.items() if source.own_entry}
        found.append(Entries(str(one["name"]), _prepares(target, seen, one), refs))
    return found


def _prepares(target: Target, seen: Seen, container: Object) -> bool:
    first = workload.template(KINDS[target.kind], seen.workload or {}).get("initContainers") or []
    return any(one.get("name") == container.get("name") for one in first)


def applied(target: Target, seen: Seen, entries: Sequence[Entries]) -> Object:
    """Return what is applied to the workload as it was seen: our entries, and nothing else of it. A later change makes it refused."""
    there = seen.workload or {}
    spec: Dict[str, Any] = {}
    for one in entries:
        env = [
            {
                "name": setting,
                **({"value": ""} if setting in one.blank else {}),
                "valueFrom": {"secretKeyRef": {"name": ref[0], "key": ref[1]}},
            }
            for setting, ref in one.secrets.items()
        ]
        where = "initContainers" if one.prepares else "containers"
        spec.setdefault(where, []).append({"name": one.container, "env": env})
    for name in reversed(KINDS[target.kind].template):
        spec = {name: spec}
    meta = {
        "name": target.name,
        "namespace": target.namespace,
        "resourceVersion": there["metadata"]["resourceVersion"],
    }
    return {"apiVersion": there["apiVersion"], "kind": target.kind, "metadata": meta, **spec}


def conflicting(causes: Sequence[Mapping[str, Any]]) -> Dict[str, List[str]]:
    """Return who else owns entries that we would write, by the causes that the API gives for a conflict: manager and fields."""
    found: Dict[str, List[str]] = {}
    for cause in causes:
        match = _CONFLICT.search(str(cause.get("message", "")))
        found.setdefault(match.group(1) if match else "an unknown manager", []).append(str(cause.get("field", "")))
    return found


def owners(profile: Profile, target: Target, seen: Seen, containers: Sequence[Object]) -> List[str]:
    """Return who else owns the entries of `env` that hold our settings, by what the API keeps of it."""
    if seen.workload is None:
        return []
    found: Dict[str, None] = {}
    for entry in seen.workload["metadata"].get("managedFields") or []:
        fields: Any = entry.get("fieldsV1") or {}
        for name in KINDS[target.kind].template:
            fields = fields.get(f"f:{name}") or {}
        for one in containers:
            where = "f:initContainers" if _prepares(target, seen, one) else "f:containers"
            env = ((fields.get(where) or {}).get(f'k:{{"name":"{one["name"]}"}}') or {}).get("f:env") or {}
            for setting in profile.names:
                held = env.get(f'k:{{"name":"{setting}"}}') or {}
                if {"f:value", "f:valueFrom"} & set(held) and entry.get("manager") != MANAGER:
                    found[str(entry.get("manager"))] = None
    return list(found)


def owned_by_others(target: Target, managers: Sequence[str], again: Collection[str]) -> str:
    """Say who owns entries of ours, and what to do; `again` are those who have taken them back."""
    who = ", ".join(managers)
    if set(managers) & set(again):
        return (
            f"{who} has written the keys of {target.called} again, which were taken over once: take SECRET entries out of what {who} applies "
            "(docs/docsite has a section on it), then run again. Nothing was changed"
        ).replace("SECRET entries", "the entries of `env` that hold keys")
    return (
        f"the entries of `env` in {target.called} that hold its keys belong to {who}: if they may be taken from there, take them out of what {who} "
        f"applies, in the order that the guide says, and give -e app_keys_take_over={','.join(managers)} once. Nothing was changed"
    )


def removable(
    profile: Profile, target: Target, seen: Seen, secrets: Sequence[Object], ended: Collection[str]
) -> List[str]:
    """Return those of our Secrets that may be deleted: one whose keys have `ended`, that nothing refers to that there is.

    As long as an object of a pod is there the kubelet may keep the Secret, and would serve it from its cache: it is not
    enough that the pod has ended.
    """
    named = {name for pod in seen.pods for kind, name in pod_spec.named_in(pod.get("spec") or {}) if kind == SECRET}
    if seen.workload is not None:
        named |= {name for _kind, name in pod_spec.named_in(workload.template(KINDS[target.kind], seen.workload))}
    return [
        str(one["metadata"]["name"])
        for one in secrets
        if one["metadata"]["name"] not in named and set(_keys(profile, one)) & set(ended)
    ]


def _keys(profile: Profile, one: Object) -> Sequence[str]:
    try:
        held: Keys = decode(profile, one.get("data") or {})
    except SettingsError:
        return ()
    return [fingerprint(key) for key in held.accepts]
