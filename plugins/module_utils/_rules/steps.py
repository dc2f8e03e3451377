# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keyring becomes when a step opens and when it closes.

Whether a step may open is asked of `next_step` and `evidence` before; only the gate calls what is here.
A key changes its state when the gate opens the step, before the first host hears of it.
"""

from __future__ import annotations

import copy
from typing import List, NamedTuple, Optional, Sequence, cast

from .._host.rules import frameworks
from .._host.rules.durations import stamp
from .._host.rules.fingerprint import fingerprint
from .._keyring_shapes import Details, Form, Key, Keyring, Soak, Spread, State, Verified
from .._shapes import StepName
from . import at_rest, in_force, membership, next_step
from . import keyring as keyrings
from .keyring import KeyringError, note


def open_step(
    keyring: Keyring,
    step: str,
    now: float,
    nonce: str,
    new_key: Optional[str] = None,
    soak: Optional[Soak] = None,
    go: Optional[Sequence[str]] = None,
    spread: Optional[Spread] = None,
    keep_sealed: float = 0.0,
    bring_back: Optional[str] = None,
) -> Keyring:
    """Return the keyring with `step` open.

    `new_key` (its secret) is what prepare stages. `soak` (seconds and source) is what promote and rollback give to the key
    that they turn into a retiring one. `go` are the fingerprints of the keys that retire and withdraw let go of, of those
    that may go; without it they let go of all of them. `spread` (see `spread`) goes to the key that comes or goes, and the secret of one
    that goes is kept for `keep_sealed` seconds after it has ended. `bring_back` is the fingerprint of a key that has ended, which prepare
    stages in the place of a new one.
    """
    opening = OPENING.get(step)
    if opening is None:
        raise KeyringError(f"{step} is not a step that opens")
    keyring = copy.deepcopy(keyring)
    last = keyring["step"]
    signing = {keyrings.primary(keyring)["fingerprint"], *(last["signing"] if keyrings.is_open(keyring) else [])}
    partly_accepted = set(last["partly_accepted"] if keyrings.is_open(keyring) else [])
    skippable_since = _skippable_since(keyring, step)
    moved = [
        key["fingerprint"]
        for key in opening(
            keyring, _Opening(now, last["counter"] + 1, new_key, soak, go, spread, keep_sealed, bring_back)
        )
    ]
    if step == "prepare":
        partly_accepted.update(moved)
    moved = keyrings.leaked_first(keyring, moved)
    keyring["step"] = {
        "name": cast(StepName, step), "counter": last["counter"] + 1, "nonce": nonce, "key": moved[0],
        "lets_go": moved if step in ("retire", "withdraw") else [],
        "signing": sorted(signing | {keyrings.primary(keyring)["fingerprint"]}), "partly_accepted": sorted(partly_accepted),
        "skippable_since": skippable_since, "opened": stamp(now), "closed": None,
    }  # fmt: skip
    note(keyring, now, f"{step} opened", **_named(keyring))
    return keyring


def _named(keyring: Keyring) -> Details:
    """Return which keys the step is about, for the journal."""
    gone = keyrings.let_go(keyring)
    about: Details = {"key": keyrings.step_keys(keyring)[0]}
    if gone:
        about["lets_go"] = gone
    return about


def _skippable_since(keyring: Keyring, step: str) -> Optional[int]:
    """Return since which counter a member must have been proven, to be visited later without holding up the others.

    None: there is no excuse. Whoever was proven when the new key came accepts both keys.
    """
    if not next_step.opens_unproven(keyring, step):
        return None
    return int(keyrings.primary(keyring)["since"]) if step == "rollback" else 0


# Those that a step moves: one, or all that it lets go of.
Keys = Sequence[Key]


class _Opening(NamedTuple):
    """What the steps need beside the keyring."""

    now: float
    counter: int
    new_key: Optional[str]
    soak: Optional[Soak]
    go: Optional[Sequence[str]]
    spread: Optional[Spread]
    keep_sealed: float
    bring_back: Optional[str]


def _prepare(keyring: Keyring, given: _Opening) -> Keys:
    if given.bring_back is not None:
        return _bring_back(keyring, given.bring_back, given)
    if given.new_key is None:
        raise KeyringError("prepare needs a new key")
    key = _key(next_id(keyring), given.new_key, "staged", "generated", given.now, given.counter)
    _spreads(key, given)
    keyring["keys"].append(key)
    return [key]


def _bring_back(keyring: Keyring, fingerprint: str, given: _Opening) -> Keys:
    """Have hosts accept a key once more that has ended, for what it encrypted."""
    wrong = at_rest.why_not_back(keyring, fingerprint)
    key = keyrings.find(keyring, fingerprint)
    if wrong or key is None:
        raise KeyringError(wrong or "there is no such key")
    key["marks"].append("brought_back")
    key["since"] = given.counter
    for moment in ("spreading", "ended"):
        key["times"].pop(moment, None)
    _spreads(key, given)
    _move(key, "staged", given.now)
    return [key]


def _promote(keyring: Keyring, given: _Opening) -> Keys:
    staged = keyrings.in_state(keyring, "staged")
    if not staged or "compromised" in staged[0]["marks"]:
        raise KeyringError("promote needs a staged key that has not leaked")
    if at_rest.brought_back(keyring):
        raise KeyringError("promote needs a staged key that is no old one")
    staged[0]["after"] = keyrings.primary(keyring)["fingerprint"]
    return _sign_with(keyring, staged[0], given)


def _rollback(keyring: Keyring, given: _Opening) -> Keys:
    why = next_step.why_no_rollback(keyring)
    new = keyrings.primary(keyring)
    old = keyrings.find(keyring, new.get("after"))
    if why or old is None:
        raise KeyringError(f"there is no key to go back to: {why}")
    new["marks"].append("rolled_back")
    return _sign_with(keyring, old, given)


def _sign_with(keyring: Keyring, key: Key, given: _Opening) -> Keys:
    """Have `key` sign from now on, and the one before only be accepted."""
    if given.soak is None:
        raise KeyringError("the key that is not to sign any more needs a soak")
    before = keyrings.primary(keyring)
    _move(before, "retiring", given.now)
    before["soak"] = given.soak.copy()
    # Whatever soaked before signs again, or may: its clock begins anew.
    before["times"].pop("soaking", None)
    key["times"].pop("soaking", None)
    # What is at rest was encrypted with another key since, and who confirmed something did so of what was to come then.
    for one in (before, key):
        one.pop("reencrypted", None)
        one.pop("confirmed", None)
    _move(key, "primary", given.now)
    return [key]


def _let_go(keyring: Keyring, given: _Opening) -> Keys:
    """Have hosts accept no longer what may be let go of: retired keys, and keys that are taken back."""
    keys = [key for key in next_step.may_go(keyring, given.now) if given.go is None or key["fingerprint"] in given.go]
    if not keys:
        raise KeyringError("there is no key to let go of")
    for key in keys:
        if key["state"] == "staged":
            key["marks"].append("rolled_back")
        elif given.keep_sealed:
            key["keep_sealed"] = given.keep_sealed
        _spreads(key, given)
        _move(key, "dropping", given.now)
    return keys


def _spreads(key: Key, given: _Opening) -> None:
    """Have a key that comes or goes known to spread for so long; one that does not has no such field."""
    key.pop("spread", None)
    if given.spread:
        key["spread"] = given.spread.copy()


OPENING = {
    "prepare": _prepare,
    "promote": _promote,
    "rollback": _rollback,
    "retire": _let_go,
    "withdraw": _let_go,
}


def close_step(keyring: Keyring, now: float) -> Keyring:
    """Return the keyring after the closing count of its open step: every member that is not waived was proven.

    So nothing signs with a retiring key any more, and nothing accepts a dropping one.
    """
    keyring = copy.deepcopy(keyring)
    step = keyring["step"]
    # A step that was closed before is counted again for members that joined since.
    step["closed"] = step["closed"] or stamp(now)
    waived = {waiver["member"]: None for waiver in membership.open_waivers(keyring, now)}
    for name, member in keyring["members"].items():
        if name not in waived:
            member["proven"] = step["counter"]
    for key in keyrings.in_state(keyring, "retiring"):
        key["times"].setdefault("soaking", stamp(now))
    for key in keyrings.in_state(keyring, "staged"):
        if "spread" in key:
            key["times"].setdefault("spreading", stamp(now))
    for key in keyrings.in_state(keyring, "dropping"):
        _move(key, "withdrawn" if "rolled_back" in key["marks"] else "retired", now)
        key["times"]["ended"] = stamp(now)
    if not waived:
        # The record stays, so that the key is known should it turn up again. A host that is waived may need the secret.
        for key in keyrings.over(keyring, now):
            key["secret"] = None
            key.pop("probe", None)
    proven = len(keyring["members"]) - len(waived)
    about = _named(keyring)
    if waived:
        about["waived"] = list(waived)
    note(keyring, now, f"{step['name']} closed: {'all ' if not waived else ''}{proven} members are proven", **about)
    return keyring


class Start(NamedTuple):
    """What a keyring begins with.

    secrets    of its keys; the first signs, the others are accepted by workers of the fleet and soak for `soak`
    gone       of keys that some hosts accept and that are not to be accepted any more
    signing    fingerprints of all keys that workers sign with now
    partly_accepted  fingerprints of keys that not every worker accepts now
    leaked     fingerprints of keys that are compromised
    origin     where the keys come from: adopted, generated or recovered
    counter    of the step that the keyring begins with, later than any that a host has seen
    """

    secrets: Sequence[str]
    origin: str
    gone: Sequence[str] = ()
    signing: Sequence[str] = ()
    partly_accepted: Sequence[str] = ()
    leaked: Sequence[str] = ()
    counter: int = 1


def adopt(
    name: str,
    keyring_id: str,
    nonce: str,
    start: Start,
    fleet: Sequence[str],
    application: Form,
    soak: Soak,
    app_check: Verified,
    now: float,
) -> Keyring:
    """Return a first keyring, with the step `adopt` open.

    `application` is the framework with its settings, `app_check` how it is known that the application reads its fallbacks.
    """
    profile = frameworks.profile(application["framework"], application["settings"])
    for secret in start.secrets:
        # Each of them will be a fallback one day: now is the time to find out that it cannot. (The hosts are asked before.)
        if frameworks.unprintable(secret):
            raise KeyringError(f"the key {fingerprint(secret)} {frameworks.unprintable(secret)}")
        frameworks.encode(profile, frameworks.Keys("another", ["another", secret]))
    accepted: List[State] = ["retiring"]
    leaving: List[State] = ["dropping"]
    states: List[State] = ["primary", *(accepted * (len(start.secrets) - 1)), *(leaving * len(start.gone))]
    keys: List[Key] = []
    for number, (secret, state) in enumerate(zip([*start.secrets, *start.gone], states), 1):
        key = _key(f"k{number}", secret, state, start.origin, now, start.counter)
        if state == "retiring":
            key["soak"] = soak.copy()
        if key["fingerprint"] in start.leaked:
            key["marks"].append("compromised")
        # The newest last: the one that signs.
        keys.insert(0, key)
    signs = keys[-1]["fingerprint"]
    gone = [key["fingerprint"] for key in keys if key["state"] == "dropping"]
    keyring: Keyring = {
        "kind": keyrings.KIND, "schema": keyrings.SCHEMA, "name": name, "id": keyring_id, "revision": 0,
        "framework": application["framework"], "settings": application["settings"].copy(), "app_check": app_check.copy(),
        "keys": keys,
        "step": {
            "name": "adopt", "counter": start.counter, "nonce": nonce, "key": signs, "lets_go": [],
            "signing": sorted({signs, *start.signing}), "partly_accepted": sorted(start.partly_accepted),
            "skippable_since": None, "opened": stamp(now), "closed": None,
        },
        "members": {}, "waivers": [], "journal": [], "profile": in_force.of(application["framework"], application["settings"]),
    }  # fmt: skip
    keyring["step"]["lets_go"] = keyrings.leaked_first(keyring, gone)
    note(keyring, now, f"begun with a key that was {start.origin}", **_named(keyring))
    return membership.register(keyring, fleet, now)


def beside(keyring: Keyring, packages: Sequence[str], now: float) -> Keyring:
    """Return a first keyring that says for which packages the operator answers, though they speak against it."""
    if packages:
        note(keyring, now, f"adopted beside {', '.join(packages)}, for which the operator answers")
    return keyring


def mark_compromised(keyring: Keyring, leaked: str, now: float) -> Keyring:
    """Return the keyring with this key marked: it never becomes the signing one, and its soak is waived."""
    key = keyrings.find(keyring, leaked)
    if key is None:
        known = ", ".join(key["fingerprint"] for key in keyrings.in_state(keyring, *keyrings.STATES))
        raise KeyringError(f"app_keys_compromised names {leaked}, which this keyring never held; it holds {known}")
    if "compromised" in key["marks"]:
        return keyring
    keyring = copy.deepcopy(keyring)
    for key in keyring["keys"]:
        if key["fingerprint"] == leaked:
            key["marks"].append("compromised")
    note(keyring, now, next_step.MARKED, key=leaked)
    return keyring


def next_id(keyring: Keyring) -> str:
    """Return the id of the next key: k1, k2, and so on."""
    return f"k{len(keyring['keys']) + 1}"


def _key(key_id: str, secret: str, state: State, origin: str, now: float, counter: int) -> Key:
    return {
        "id": key_id, "fingerprint": fingerprint(secret), "state": state, "origin": origin, "since": counter,
        "times": {"created": stamp(now), state: stamp(now)}, "marks": ["weak"] if keyrings.weakness(secret) else [], "secret": secret,
    }  # fmt: skip


def _move(key: Key, state: State, now: float) -> None:
    key["state"] = state
    key["times"][state] = stamp(now)
