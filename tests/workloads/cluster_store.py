# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server of Kubernetes keeps, as far as a rollout meets it: versions, conflicts, immutable Secrets, and who owns which field.

An object is kept under its path. Whoever writes one says as which manager; of what is applied by one manager and owned by
another with another value the API says so, as server-side apply does. Answers of the real one (1.20) were the pattern.
"""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple

Object = Dict[str, Any]
Path = Tuple[Any, ...]
KEYED = ("containers", "initContainers", "env")  # lists whose items have names


class Refused(Exception):
    """An answer that is no success: its status, and what it says."""

    def __init__(self, status: int, reason: str, message: str, causes: Optional[List[Object]] = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "kind": "Status",
            "status": "Failure",
            "reason": reason,
            "code": status,
            "message": message,
            "details": {"causes": causes or []},
        }


def stamp(moment: float) -> str:
    """Return a moment as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def leaves(value: Any, at: Path = ()) -> Iterator[Tuple[Path, Any]]:
    """Return every field that has a value, with its place; items of lists with names by their names."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from leaves(one, (*at, name))
    elif isinstance(value, list) and value and at and at[-1] in KEYED:
        for one in value:
            yield from leaves({k: v for k, v in one.items() if k != "name"}, (*at, ("name", one["name"])))
            yield (*at, ("name", one["name"]), "name"), one["name"]
    else:
        yield at, value


def put(thing: Any, at: Path, value: Any) -> None:
    """Put a value at its place."""
    for place, name in enumerate(at[:-1]):
        if isinstance(name, tuple):
            thing = next((one for one in thing if one["name"] == name[1]), None) or _added(thing, name[1])
        else:
            empty: Any = [] if isinstance(at[place + 1], tuple) else {}
            thing = thing.setdefault(name, empty)
    thing[at[-1]] = value


def _added(items: List[Object], name: str) -> Object:
    items.append({"name": name})
    return items[-1]


def take(thing: Any, at: Path) -> None:
    """Take a field away, and what is empty then."""
    name = at[0]
    if isinstance(name, tuple):
        one = next((one for one in thing if one["name"] == name[1]), None)
        if one is None:
            return
        if at[1:] == ("name",):
            thing.remove(one)
        else:
            take(one, at[1:])
        return
    if not isinstance(thing, dict) or name not in thing:
        return
    if len(at) == 1:
        del thing[name]
    else:
        take(thing[name], at[1:])
        if thing[name] in ({}, []):
            del thing[name]


class Store:
    """All objects, under one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.objects: Dict[str, Object] = {}
        self.fields: Dict[str, Dict[str, Set[Path]]] = {}  # by object: manager -> what it owns
        self.version = 100
        self.writes: List[Tuple[str, str]] = []

    def get(self, path: str) -> Object:
        """Return an object; Refused where there is none."""
        with self.lock:
            if path not in self.objects:
                raise Refused(404, "NotFound", f"{path.rpartition('/')[2]} not found")
            return copy.deepcopy(self.objects[path])

    def items(self, path: str, selector: str = "") -> List[Object]:
        """Return all objects of a kind."""
        wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
        with self.lock:
            found = [one for place, one in self.objects.items() if place.rpartition("/")[0] == path]
            return copy.deepcopy(
                [one for one in found if wanted.items() <= (one["metadata"].get("labels") or {}).items()]
            )

    def create(self, path: str, body: Object, manager: str = "client") -> Object:
        """Make an object in a collection."""
        with self.lock:
            place = f"{path}/{body['metadata']['name']}"
            if place in self.objects:
                raise Refused(409, "AlreadyExists", f"{body['metadata']['name']} already exists")
            thing = copy.deepcopy(body)
            thing["metadata"].update(uid=str(uuid.uuid4()), generation=1, creationTimestamp=stamp(time.time()))
            if thing.get("kind") == "Secret":
                import base64

                texts = thing.pop("stringData", {})
                coded = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
                thing["data"] = {**thing.get("data", {}), **coded}
            self.fields[place] = {manager: {at for at, _leaf in leaves({"spec": thing.get("spec") or {}})}}
            return self._keep(place, thing)

    def replace(self, place: str, body: Object, manager: str = "client") -> Object:
        """Write an object in place of the one with its version."""
        with self.lock:
            old = self.get(place)
            version = body["metadata"].get("resourceVersion")
            if version and version != old["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", "the object has been modified")
            if old.get("immutable") and (body.get("data"), body.get("immutable")) != (old.get("data"), True):
                raise Refused(422, "Invalid", "field is immutable when `immutable` is set")
            return self._change(place, old, copy.deepcopy(body), manager)

    def edit(self, place: str, change: Callable[[Object], None], manager: str = "client") -> Object:
        """Change an object as it is now."""
        with self.lock:
            old = self.get(place)
            new = copy.deepcopy(old)
            change(new)
            return self._change(place, old, new, manager)

    def _change(self, place: str, old: Object, new: Object, manager: str) -> Object:
        """Keep what has changed; whoever has changed a field owns it, and nobody else does."""
        before = dict(leaves({"spec": old.get("spec") or {}}))
        after = dict(leaves({"spec": new.get("spec") or {}}))
        written = {at for at, value in after.items() if before.get(at) != value}
        gone = set(before) - set(after)
        owned = self.fields[place]
        if written or gone:
            for fields in owned.values():
                fields -= written | gone
            owned.setdefault(manager, set()).update(written)
        return self._keep(place, new, old)

    def apply(self, place: str, body: Object, manager: str, force: bool) -> Object:
        """Apply fields as a manager."""
        with self.lock:
            old = self.get(place)
            version = body["metadata"].get("resourceVersion")
            if version and version != old["metadata"]["resourceVersion"]:
                raise Refused(409, "Conflict", "the object has been modified")
            wanted = dict(leaves({"spec": body["spec"]}))
            present = dict(leaves({"spec": old["spec"]}))
            owned = self.fields[place]
            clashes = [
                (other, at)
                for other, fields in owned.items()
                for at, value in wanted.items()
                if other != manager and at in fields and present.get(at, "") != value
            ]
            if clashes and not force:
                causes = [
                    {
                        "reason": "FieldManagerConflict",
                        "message": f'conflict with "{other}" using apps/v1',
                        "field": "." + ".".join(str(name) for name in at),
                    }
                    for other, at in clashes
                ]
                raise Refused(409, "Conflict", f"Apply failed with {len(clashes)} conflicts", causes)
            new = copy.deepcopy(old)
            for other, at in clashes:
                owned[other].discard(at)
            mine = owned.get(manager, set())
            kept = set().union(*[fields for other, fields in owned.items() if other != manager] or [set()])
            for at in sorted(mine - set(wanted) - kept, key=len, reverse=True):
                take(new, at)
            for at, value in wanted.items():
                put(new, at, value)
            owned[manager] = set(wanted)
            _validated(new)
            for at, value in wanted.items():
                if at[-1] == "value" and not value:
                    take(new, at)  # an empty text is none: only who applied it is kept
            return self._keep(place, new, old)

    def delete(self, place: str, uid: str = "") -> None:
        """Take an object away."""
        with self.lock:
            old = self.get(place)
            if uid and old["metadata"]["uid"] != uid:
                raise Refused(409, "Conflict", "the UID in the precondition does not match")
            del self.objects[place]

    def _keep(self, place: str, thing: Object, old: Optional[Object] = None) -> Object:
        self.version += 1
        if old is not None and thing.get("spec") != old.get("spec"):
            thing["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        thing["metadata"]["managedFields"] = [
            {
                "manager": manager,
                "operation": "Apply" if manager == "phased.keys" else "Update",
                "fieldsV1": _fields(owned),
            }
            for manager, owned in self.fields.get(place, {}).items()
            if owned
        ]
        self.objects[place] = thing
        return copy.deepcopy(thing)


def _validated(thing: Object) -> None:
    for at, value in leaves(thing.get("spec") or {}):
        if at[-1] == "value" and value:
            holder: Any = thing["spec"]
            for name in at[:-1]:
                holder = (
                    next(one for one in holder if one["name"] == name[1]) if isinstance(name, tuple) else holder[name]
                )
            if holder.get("valueFrom"):
                raise Refused(422, "Invalid", "valueFrom: may not be specified when `value` is not empty")


def _fields(owned: Set[Path]) -> Object:
    found: Object = {}
    for at in owned:
        place = found
        for name in at:
            key = (
                "k:" + json.dumps({"name": name[1]}, separators=(",", ":")) if isinstance(name, tuple) else f"f:{name}"
            )
            place = place.setdefault(key, {})
    return found
