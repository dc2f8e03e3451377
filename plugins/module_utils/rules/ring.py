# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring as data: what it must look like, and what its keys mean for every host.

A keyring is a plain dictionary, as it stands in the file. Nothing here changes one: that is for
`steps`, and only the gate calls it.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from .durations import epoch, stamp
from .fingerprint import PATTERN, fingerprint
from .order import Order, Token

KIND = "phased.keys/keyring"
SCHEMA = 1

# staged     accepted, has never signed
# primary    signs
# retiring   accepted, used to sign, and what it signed may still be alive
# dropping   retire has opened: some hosts may accept it no longer, so there is no way back
# retired    its secret is destroyed, the record stays
# withdrawn  rolled back, and never used again
STATES = ("staged", "primary", "retiring", "dropping", "retired", "withdrawn")
ENDED = ("retired", "withdrawn")
STEPS = ("adopt", "prepare", "promote", "retire", "rollback", "withdraw")
# What a key may be marked with, for good:
# weak          too short or too plain, and adopted all the same because that was asked for
# rolled_back   taken back before it had signed, or by a rollback: it never signs again
# compromised   it has leaked: it never signs again, and its soak is waived
MARKS = ("weak", "rolled_back", "compromised")

# A key of fewer characters, or of fewer different ones, can be guessed. Django's own check
# (security.W009) wants 50 and 5; shorter keys of other origin are in use and are adopted with advice.
LEAST_LENGTH = 16
LEAST_DIFFERENT = 5

Ring = Dict[str, Any]


class RingError(ValueError):
    """A keyring that cannot be used; the text says why, without a secret."""


def token(ring: Ring) -> Token:
    """Return the token of the open step."""
    return Token(ring["ring"], ring["step"]["counter"], ring["step"]["nonce"])


def is_open(ring: Ring) -> bool:
    """Whether the last step still waits for its closing count."""
    return bool(ring["step"]["closed"] is None)


def find(ring: Ring, fingerprint: Optional[str]) -> Optional[Dict[str, Any]]:
    """Return the key with this fingerprint; None where the keyring never held it."""
    return next((key for key in ring["keys"] if key["fingerprint"] == fingerprint), None)


def primary(ring: Ring) -> Dict[str, Any]:
    """Return the key that signs."""
    return in_state(ring, "primary")[0]


def in_state(ring: Ring, *states: str) -> List[Dict[str, Any]]:
    """Return the keys in these states, the newest first."""
    return [key for key in reversed(ring["keys"]) if key["state"] in states]


def order(ring: Ring) -> Order:
    """Return what the open step asks of every host."""
    step = ring["step"]
    signs = primary(ring)["fingerprint"]
    accepts = [signs] + _names(in_state(ring, "staged", "retiring"))
    may_sign, must_accept = [signs], set(accepts) - set(_names(in_state(ring, "staged")))
    if is_open(ring):
        # While the hosts are on their way from one signing key to another, both sign somewhere, and
        # what is on its way to every host is not accepted everywhere.
        may_sign += [key for key in step["signing"] if key != signs]
        must_accept -= set(step["spreading"])
    leaked = [key["fingerprint"] for key in ring["keys"] if "compromised" in key["marks"]]
    may_accept = set(accepts) | set(_names(in_state(ring, "dropping")))
    return Order(
        signs=signs,
        accepts=accepts,
        may_sign=may_sign,
        must_accept=sorted(must_accept),
        may_accept=sorted(may_accept),
        known=sorted(key["fingerprint"] for key in ring["keys"]),
        leaked=sorted(leaked),
        urgent=step["excuses"] is not None or bool(may_accept & set(leaked)),
    )


def secrets(ring: Ring, fingerprints: Sequence[str]) -> Dict[str, str]:
    """Return the secrets behind fingerprints, for the one place that writes them."""
    return {key["fingerprint"]: key["secret"] for key in ring["keys"] if key["fingerprint"] in fingerprints}


def public(ring: Ring) -> Ring:
    """Return the keyring without a secret: what may be shown."""
    return {**ring, "keys": [{k: v for k, v in key.items() if k != "secret"} for key in ring["keys"]]}


def weakness(secret: str) -> Optional[str]:
    """Return why a key is too weak to be used, or None."""
    if len(secret) < LEAST_LENGTH:
        return f"it has {len(secret)} characters, and at least {LEAST_LENGTH} are needed"
    if len(set(secret)) < LEAST_DIFFERENT:
        return f"it has {len(set(secret))} different characters, and at least {LEAST_DIFFERENT} are needed"
    if secret.startswith("django-insecure-"):
        return "it begins with django-insecure-, as a key that startproject made and that stands in a repository"
    return None


def check(ring: Any, name: Optional[str] = None) -> Ring:
    """Return `ring` if it is a keyring that this release can work with, else RingError.

    `name` is the application that it should belong to.
    """
    if not isinstance(ring, Mapping) or ring.get("kind") != KIND:
        raise RingError("this is not a keyring of phased.keys")
    if not isinstance(ring.get("schema"), int) or ring["schema"] < 1:
        raise RingError(f"the keyring has no usable schema version: {ring.get('schema')!r}")
    if ring["schema"] > SCHEMA:
        raise RingError(
            f"the keyring has schema {ring['schema']}, and this release of phased.keys knows up to {SCHEMA}: "
            "use the release that wrote it, or a newer one"
        )
    _fields(ring, "the keyring", FIELDS)
    if name is not None and ring["name"] != name:
        raise RingError(f"the keyring belongs to the application {ring['name']!r}, not to {name!r}")
    _fields(ring["step"], "the open step", STEP_FIELDS)
    if ring["step"]["name"] not in STEPS:
        raise RingError(f"the open step is {ring['step']['name']!r}; known are {', '.join(STEPS)}")
    for field in ("closed", "excuses"):
        if field not in ring["step"]:
            raise RingError(f"the open step has no {field}, not even null")
    if ring["step"]["closed"] is not None:
        _moment(ring["step"]["closed"], "the open step")
    _check_keys(ring["keys"])
    for member, entry in ring["members"].items():
        _fields(entry, f"member {member}", {"since": str})
    for waiver in ring["waivers"]:
        _fields(waiver, "a waiver", WAIVER_FIELDS)
    return dict(ring)


FIELDS = {
    "name": str, "ring": str, "revision": int, "framework": str, "settings": dict, "keys": list, "step": dict,
    "members": dict, "waivers": list, "app_check": dict, "journal": list,
}  # fmt: skip
# signing: keys that may sign somewhere while the step is open. spreading: keys that are not accepted everywhere yet.
# excuses (a counter, or null): a member that was proven then or later does not hold up the others, reachable or not.
STEP_FIELDS = {
    "name": str, "counter": int, "nonce": str, "key": str, "opened": str, "signing": list, "spreading": list,
}  # fmt: skip
# since: counter of the step that brought the key; a member that was proven then or later accepts it.
KEY_FIELDS = {
    "id": str, "fingerprint": str, "state": str, "origin": str, "times": dict, "marks": list, "since": int,
}  # fmt: skip
WAIVER_FIELDS = {"member": str, "reason": str, "since": str, "until": str}


def _check_keys(keys: Sequence[Any]) -> None:
    seen: Set[str] = set()
    for number, key in enumerate(keys, 1):
        label = f"key number {number}"
        _fields(key, label, KEY_FIELDS)
        if key["state"] not in STATES:
            raise RingError(f"{label} has the state {key['state']!r}; known are {', '.join(STATES)}")
        if not PATTERN.match(key["fingerprint"]):
            raise RingError(f"{label} has no usable fingerprint")
        label = f"key {key['fingerprint']}"
        if key["fingerprint"] in seen:
            raise RingError(f"{label} stands in the keyring twice")
        seen.add(key["fingerprint"])
        for moment in key["times"].values():
            _moment(moment, label)
        if key["state"] not in ENDED:
            _check_secret(key, label)
        if key["state"] == "retiring":
            _check_soak(key.get("soak"), label)
    for state in ("primary", "staged"):
        found = [key["fingerprint"] for key in keys if key["state"] == state]
        if len(found) > 1:
            raise RingError(f"the keyring has {len(found)} keys that are {state} ({', '.join(found)}), not one")
        if state == "primary" and not found:
            raise RingError("the keyring has no primary key")


def _check_soak(soak: Any, label: str) -> None:
    length = soak.get("seconds") if isinstance(soak, Mapping) else None
    if not isinstance(length, (int, float)) or isinstance(length, bool) or not 0 <= length < math.inf:
        raise RingError(f"{label} has no usable soak")


def _check_secret(key: Mapping[str, Any], label: str) -> None:
    secret = key.get("secret")
    if not isinstance(secret, str) or not secret:
        raise RingError(f"{label} is {key['state']} and has no secret: it is empty, null or not a text")
    if fingerprint(secret) != key["fingerprint"]:
        raise RingError(f"{label} has a secret with another fingerprint: the keyring was edited or damaged")
    weak = weakness(secret)
    if weak and "weak" not in key["marks"]:
        raise RingError(f"{label} is too weak: {weak}")


def _fields(entry: Any, label: str, fields: Mapping[str, type]) -> None:
    if not isinstance(entry, Mapping):
        raise RingError(f"{label} is not a mapping")
    for field, kind in fields.items():
        if not isinstance(entry.get(field), kind) or isinstance(entry.get(field), bool):
            raise RingError(f"{label} has no usable {field}")
    for field in ("opened", "since", "until"):
        if fields.get(field) is str:
            _moment(entry[field], label)


def _moment(text: Any, label: str) -> None:
    try:
        epoch(text)
    except (TypeError, ValueError):
        raise RingError(f"{label} has a time that is none: {text!r}") from None


def note(ring: Ring, now: float, event: str, **details: Any) -> None:
    """Add an entry to the journal of a keyring that is being changed."""
    ring["journal"].append({"at": stamp(now), "event": event, "counter": ring["step"]["counter"], **details})


def _names(keys: Sequence[Mapping[str, Any]]) -> List[str]:
    return [key["fingerprint"] for key in keys]
