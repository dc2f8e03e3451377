# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container of a pod is given by its spec: which of our settings, from where, and whether that can still be told.

The environment in a pod's spec cannot change once the pod is there, and an immutable Secret cannot change either. So the two
together say what the kubelet gave the container, whenever that was. Anything else may have been another value at that moment.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._host.rules.fingerprint import fingerprint
from .._host.rules.frameworks import Profile, SettingsError, decode

Object = Mapping[str, Any]  # what the API says, as plain data
# The objects that settings may come from, by kind and name, with texts in `data` (of a Secret too, which the API has in base64);
# null for one that is known not to be there.
Stock = Mapping[Tuple[str, str], Optional[Object]]
SECRET, CONFIG_MAP = "Secret", "ConfigMap"
# $(NAME) in a value takes in another variable; $$(NAME) is the text $(NAME).
_REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\([^)]*\)")


class Source(NamedTuple):
    """Where a container takes one setting from.

    kind      Secret or ConfigMap with its `name` and the `key` in it; "text": it stands in the spec, as `value`;
              "other": from something that is not looked at, which `name` says
    optional  whether the container starts without it
    own_entry whether it has an entry of its own in `env`; else all of the object is taken in (envFrom)
    """

    kind: str
    name: str = ""
    key: str = ""
    value: str = ""
    optional: bool = False
    own_entry: bool = True


class Given(NamedTuple):
    """What a container is given: keys in fingerprints, or the `problem` that keeps it from being told.

    doubt    why it is no proof though the keys are known: kind and text
    secrets  the Secrets that it takes settings from
    """

    signs: Optional[str] = None
    accepts: Sequence[str] = ()
    problem: Optional[Tuple[str, str]] = None
    doubt: Optional[Tuple[str, str]] = None
    secrets: Sequence[str] = ()


def containers(spec: Object) -> List[Object]:
    """Return all containers of a pod's spec, those that only prepare it too: they hold the key while they run."""
    return [
        *(spec.get("initContainers") or []),
        *(spec.get("containers") or []),
        *(spec.get("ephemeralContainers") or []),
    ]


def named_in(spec: Object) -> List[Tuple[str, str]]:
    """Return the objects that any container of a spec takes environment variables from, by kind and name."""
    found: Dict[Tuple[str, str], None] = {}
    for container in containers(spec):
        for entry in container.get("envFrom") or []:
            for kind, field in ((SECRET, "secretRef"), (CONFIG_MAP, "configMapRef")):
                if entry.get(field):
                    found[(kind, str(entry[field].get("name")))] = None
        for entry in container.get("env") or []:
            for kind, field in ((SECRET, "secretKeyRef"), (CONFIG_MAP, "configMapKeyRef")):
                ref = (entry.get("valueFrom") or {}).get(field)
                if ref:
                    found[(kind, str(ref.get("name")))] = None
    return list(found)


def sources(container: Object, names: Sequence[str], stock: Stock) -> Dict[str, Source]:
    """Return by setting where a container takes it from: `env` goes before `envFrom`, and of both the last entry counts."""
    found: Dict[str, Source] = {}
    for entry in container.get("envFrom") or []:
        for kind, field in ((SECRET, "secretRef"), (CONFIG_MAP, "configMapRef")):
            ref = entry.get(field)
            if not ref:
                continue
            prefix, optional = str(entry.get("prefix") or ""), bool(ref.get("optional"))
            holder = stock.get((kind, str(ref.get("name"))))
            for name in names:
                key = name[len(prefix) :] if name.startswith(prefix) else ""
                gone = holder is None and not optional and name not in found and bool(key)
                if key and (key in _data(holder) or gone):
                    found[name] = Source(kind, str(ref.get("name")), key, optional=optional, own_entry=False)
    for entry in container.get("env") or []:
        if entry.get("name") in names:
            found[str(entry["name"])] = _entry(entry)
    return found


def _entry(entry: Object) -> Source:
    where = entry.get("valueFrom") or {}
    for kind, field in ((SECRET, "secretKeyRef"), (CONFIG_MAP, "configMapKeyRef")):
        ref = where.get(field)
        if ref:
            return Source(kind, str(ref.get("name")), str(ref.get("key")), optional=bool(ref.get("optional")))
    if where:
        return Source("other", ", ".join(sorted(where)))
    value = str(entry.get("value") or "")
    if _REFERENCE.search(value):
        return Source("other", "a value that takes in another variable")
    return Source("text", value=value.replace("$$", "$"))


def _data(holder: Optional[Object]) -> Mapping[str, str]:
    return (holder or {}).get("data") or {}


def values(container: Object, names: Sequence[str], stock: Stock) -> Dict[str, str]:
    """Return the values of our settings that a container would start with now. These are keys: they go to no output."""
    found: Dict[str, str] = {}
    for name, source in sources(container, names, stock).items():
        holder = stock.get((source.kind, source.name))
        if source.kind == "text":
            found[name] = source.value
        elif holder is not None and source.key in _data(holder):
            found[name] = _data(holder)[source.key]
    return found


def given(profile: Profile, container: Object, stock: Stock, started: Optional[float] = None) -> Given:
    """Return what a container is given by its spec.

    `started` is since when it runs (epoch seconds); None for a template, or for a container that has not started.
    """
    where = sources(container, profile.names, stock)
    secrets = sorted({source.name for source in where.values() if source.kind == SECRET})
    problem, doubt = None, None
    for name, source in where.items():
        said = _problem(name, source, stock, started)
        problem = problem or said
        doubt = doubt or _doubt(name, source, stock)
    if problem:
        return Given(problem=problem, secrets=secrets)
    try:
        keys = decode(profile, values(container, profile.names, stock))
    except SettingsError as error:
        return Given(problem=(error.kind, str(error)), secrets=secrets)
    accepts = [fingerprint(key) for key in keys.accepts]
    return Given(fingerprint(keys.signs), accepts, doubt=doubt, secrets=secrets)


def _problem(name: str, source: Source, stock: Stock, started: Optional[float]) -> Optional[Tuple[str, str]]:
    """Say why it cannot be told at all what a setting was."""
    if source.kind == "text":
        return None
    if source.kind == "other":
        return "elsewhere", f"{name} comes from {source.name}, which is not looked at"
    holder = stock.get((source.kind, source.name))
    what = f"{source.kind} {source.name}"
    if holder is None or source.key not in _data(holder):
        if source.optional:
            return None
        return (
            "absent",
            f"{name} comes from {what}, {'which is not there' if holder is None else 'which has no ' + source.key}",
        )
    made = moment(holder["metadata"].get("creationTimestamp"))
    if started is not None and made is not None and made > started:
        return "recreated", f"{what} was made after this container had started from one of that name"
    return None


def _doubt(name: str, source: Source, stock: Stock) -> Optional[Tuple[str, str]]:
    """Say why what is known of a setting is no proof."""
    if source.kind == "text":
        return "literal", f"{name} stands in the spec as text, for everybody to read who may read pods"
    if source.kind == CONFIG_MAP:
        return "literal", f"{name} comes from ConfigMap {source.name}, for everybody to read who may read that"
    holder = stock.get((SECRET, source.name)) if source.kind == SECRET else None
    if source.kind == SECRET and source.optional and holder is None:
        return "mutable", f"{name} comes from Secret {source.name}, which may have been there when this started"
    if holder is not None and not holder.get("immutable"):
        return (
            "mutable",
            f"{name} comes from Secret {source.name}, which can be changed: what a container was given cannot be told",
        )
    return None


def moment(stamp: Any) -> Optional[float]:
    """Return a time of the API (RFC 3339) as epoch seconds; None where there is none."""
    if not isinstance(stamp, str) or not stamp:
        return None
    try:
        # Nine digits of a second, which Lease and some clusters write, are too many before Python 3.11.
        text = re.sub(r"(\.\d{6})\d*", r"\1", stamp).replace("Z", "+00:00")
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
