# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keyring may do next, and what it becomes when it does.

`decide` answers; `open_step` and `close_step` return the keyring as it is afterwards. They take the
proof of the fleet for granted: `evidence` counts it, and only the gate asks both.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import frameworks
from . import ring as rings
from .durations import epoch, seconds, stamp, words
from .fingerprint import fingerprint
from .ring import Ring, RingError

# The steps of a whole rollout, in their order. `adopt` stands first because one that was cut off
# before every host had its record is finished before anything else.
ROLLOUT = ("adopt", "prepare", "promote", "retire")
# After which steps a step may open; the gate closes the one before, or refuses. A retire follows any
# step, as long as a key is retiring and none is on its way in.
OPENS_AFTER = {
    "prepare": ("adopt", "promote", "retire", "withdraw"),
    "promote": ("prepare",),
}
SAYS = {
    "adopt": "have a record and the settings of the keyring",
    "prepare": "accept {key} in every worker",
    "promote": "sign with {key} in every worker",
    "retire": "have let go of what was retired",
}


class Decision(NamedTuple):
    """What is to be done about a step: `do` is open, resume, skip, wait or refuse, and `text` says why."""

    do: str
    text: str


def decide(ring: Ring, step: str, goal: str, now: float, max_age: float = 86400, new: bool = False) -> Decision:
    """Say what is to be done about `step` by a playbook whose goal is `goal` (a step, or `rollout`).

    `max_age` (seconds) and `new` say when a rollout begins anew.
    """
    current = ring["step"]
    open_now = current["closed"] is None
    if step == current["name"] and open_now:
        return Decision("resume", f"{step} is open since {current['opened']}")
    if step == "adopt":
        return Decision("skip", "the keyring is adopted")
    if open_now and goal == "rollout" and ROLLOUT.index(step) < _position(current["name"]):
        return Decision("skip", f"{current['name']} is already open")
    if not _follows(ring, step):
        return _no_way(ring, step, goal, now)
    if step == "prepare" and goal == "rollout":
        return _begin(ring, now, max_age, new)
    if step == "retire":
        return _retire(ring, now)
    return Decision("open", f"{step} is next")


def open_step(
    ring: Ring,
    step: str,
    now: float,
    nonce: str,
    new_key: Optional[Mapping[str, str]] = None,
    soak: Optional[Mapping[str, Any]] = None,
) -> Ring:
    """Return the keyring with `step` open.

    `new_key` (id and secret) is what prepare stages. `soak` (seconds and source) is what promote
    gives to the key that it turns into a retiring one.
    """
    ring = copy.deepcopy(ring)
    old = rings.primary(ring)
    moved = old
    before = None
    if step == "prepare":
        if new_key is None:
            raise RingError("prepare needs a new key")
        moved = _key(new_key["id"], new_key["secret"], "staged", "generated", now)
        ring["keys"].append(moved)
    elif step == "promote":
        if soak is None or not rings.in_state(ring, "staged"):
            raise RingError("promote needs a staged key and a soak for the one before")
        moved = rings.in_state(ring, "staged")[0]
        _move(old, "retiring", now)
        old["soak"] = dict(soak)
        _move(moved, "primary", now)
        before = old["fingerprint"]
    elif step == "retire":
        for key in due(ring, now):
            _move(key, "dropping", now)
            moved = key
    else:
        raise RingError(f"{step} is not a step that opens")
    ring["step"] = {
        "name": step, "counter": ring["step"]["counter"] + 1, "nonce": nonce, "key": moved["fingerprint"],
        "before": before, "opened": stamp(now), "closed": None,
    }  # fmt: skip
    _note(ring, now, f"{step} opened", key=moved["fingerprint"])
    return ring


def close_step(ring: Ring, now: float) -> Ring:
    """Return the keyring after the closing count of its open step: every member was proven."""
    ring = copy.deepcopy(ring)
    step = ring["step"]
    # A step that was closed before is counted again for members that joined since.
    step["closed"] = step["closed"] or stamp(now)
    for member in ring["members"].values():
        member["proven"] = step["counter"]
    if step["name"] in ("adopt", "promote"):
        # No worker signs with these any more. (Fallbacks that an adopted fleet had soak from here too.)
        for key in rings.in_state(ring, "retiring"):
            key["times"].setdefault("soaking", stamp(now))
    if step["name"] == "retire":
        for key in rings.in_state(ring, "dropping"):
            _move(key, "retired", now)
            key["times"]["ended"] = stamp(now)
            # The record stays, so that the key is known should it turn up again.
            key["secret"] = None
    _note(ring, now, f"{step['name']} closed: all {len(ring['members'])} members are proven", key=step["key"])
    return ring


def adopt(
    name: str,
    ring_id: str,
    nonce: str,
    secrets: Sequence[str],
    origin: str,
    members: Sequence[str],
    form: Mapping[str, Any],
    soak: Mapping[str, Any],
    app_check: Mapping[str, Any],
    now: float,
) -> Ring:
    """Return a first keyring, with the step `adopt` open.

    `secrets` begins with the key that signs; the others are accepted by the whole fleet already and
    soak for `soak`. `form` is the framework with its settings, `app_check` how it is known that the
    application reads its fallbacks.
    """
    profile = frameworks.profile(form["framework"], form["settings"])
    for secret in secrets:
        # Each of them will be a fallback one day: now is the time to find out that it cannot.
        frameworks.encode(profile, frameworks.Keys("another", ["another", secret]))
    keys = [_key("k1", secrets[0], "primary", origin, now)]
    for number, secret in enumerate(secrets[1:], 2):
        keys.insert(0, _key(f"k{number}", secret, "retiring", origin, now))
        keys[0]["soak"] = dict(soak)
    ring: Ring = {
        "kind": rings.KIND, "schema": rings.SCHEMA, "name": name, "ring": ring_id, "revision": 0,
        "framework": form["framework"], "settings": dict(form["settings"]), "app_check": dict(app_check),
        "keys": keys,
        "step": {
            "name": "adopt", "counter": 1, "nonce": nonce, "key": keys[-1]["fingerprint"],
            "before": None, "opened": stamp(now), "closed": None,
        },
        "members": {}, "waivers": [], "journal": [],
    }  # fmt: skip
    _note(ring, now, f"adopted with a key that was {origin}", key=keys[-1]["fingerprint"])
    return register(ring, members, now)


def register(ring: Ring, members: Sequence[str], now: float) -> Ring:
    """Return the keyring with these members too; a member that is there already stays as it is."""
    joining = [member for member in members if member not in ring["members"]]
    if not joining:
        return ring
    ring = copy.deepcopy(ring)
    for member in joining:
        ring["members"][member] = {"since": stamp(now), "proven": None}
    _note(ring, now, "registered", members=joining)
    return ring


def next_id(ring: Ring) -> str:
    """Return the id of the next key: k1, k2, and so on."""
    return f"k{len(ring['keys']) + 1}"


def due(ring: Ring, now: float) -> List[Dict[str, Any]]:
    """Return the retiring keys whose soak is over by the controller's clock."""
    return [key for key, over in _soaking(ring) if over <= now]


def over_at(key: Mapping[str, Any]) -> Optional[float]:
    """Return the moment at which a retiring key's soak is over; None while it has not begun."""
    if "soaking" not in key["times"]:
        return None
    return epoch(key["times"]["soaking"]) + float(key["soak"]["seconds"])


def next_due(ring: Ring) -> Optional[float]:
    """Return the earliest moment at which a retire may open; None where nothing soaks."""
    return min((over for _key, over in _soaking(ring)), default=None)


def soak_of(value: Any, framework: str, framework_soak: Optional[str]) -> Dict[str, Any]:
    """Return the soak in seconds with its source; RingError where nobody has said how long it is."""
    if value is not None:
        return {"seconds": seconds(value, "app_keys_soak"), "source": "app_keys_soak"}
    if framework_soak is None:
        raise RingError(
            f"nothing says how long something signed may live: {framework} sets no end. "
            "Set app_keys_soak to the longest life of anything that the application signs or encrypts, for example 30d"
        )
    return {"seconds": seconds(framework_soak, "soak"), "source": f"the default of {framework}"}


def at_rest(ring: Ring) -> bool:
    """Whether no rollout is in flight."""
    return ring["step"]["closed"] is not None and not rings.in_state(ring, "staged", "retiring", "dropping")


def next_text(ring: Ring, now: float) -> str:
    """Say in one line what comes next."""
    step = ring["step"]
    if step["closed"] is None:
        return f"{step['name']} is open since {step['opened']}: run phased.keys.rollout to finish it"
    if step["name"] == "prepare":
        return "promote is next: run phased.keys.rollout, or phased.keys.promote"
    moment = next_due(ring)
    if moment is None:
        return "nothing is in flight"
    if moment <= now:
        return "the soak is over: run phased.keys.rollout, or phased.keys.retire"
    return f"retire is due in {words(moment - now)}, at {stamp(moment)}: run phased.keys.rollout again then"


def _soaking(ring: Ring) -> List[Tuple[Dict[str, Any], float]]:
    found = [(key, over_at(key)) for key in rings.in_state(ring, "retiring")]
    return [(key, over) for key, over in found if over is not None]


def _position(step: str) -> int:
    return ROLLOUT.index(step) if step in ROLLOUT else len(ROLLOUT)


def _follows(ring: Ring, step: str) -> bool:
    current = ring["step"]
    if step == "retire":
        promoted = current["closed"] is not None or current["name"] == "promote"
        return promoted and bool(rings.in_state(ring, "retiring")) and not rings.in_state(ring, "staged")
    return current["name"] in OPENS_AFTER[step]


def _no_way(ring: Ring, step: str, goal: str, now: float) -> Decision:
    current = ring["step"]
    if step == current["name"]:
        return Decision("skip", f"done, every member was proven at {current['closed']}")
    if goal == "rollout":
        return Decision("skip", next_text(ring, now))
    wanted = {
        "prepare": "a key is staged already: promote it first",
        "promote": "no key is staged: run phased.keys.prepare first",
        "retire": _why_no_retire(ring),
    }[step]
    state = "still open" if current["closed"] is None else f"closed at {current['closed']}"
    return Decision("refuse", f"{wanted}. The last step is {current['name']}, {state}")


def _why_no_retire(ring: Ring) -> str:
    if rings.in_state(ring, "staged"):
        return "a staged key is on its way: promote it first"
    if rings.in_state(ring, "retiring"):
        return "the step before has to be finished first"
    return "no key is retiring: there is nothing to let go of"


def _begin(ring: Ring, now: float, max_age: float, new: bool) -> Decision:
    """Whether a rollout starts: a re-run and a deploy never rotate twice."""
    if new:
        return Decision("open", "a new rollout was asked for with app_keys_new")
    if rings.in_state(ring, "retiring"):
        return Decision("skip", "a rollout is in flight")
    if ring["step"]["name"] == "adopt":
        return Decision("open", "no rollout has been done yet")
    age = now - epoch(ring["step"]["closed"] or ring["step"]["opened"])
    if age > max_age:
        return Decision("open", f"the last rollout ended {words(age)} ago, more than app_keys_max_age")
    return Decision(
        "skip",
        f"nothing to do: the last rollout ended at {ring['step']['closed']}, {words(max(0, age))} ago, and "
        f"app_keys_max_age is {words(max_age)}. To start a new one all the same, give -e app_keys_new=true",
    )


def _retire(ring: Ring, now: float) -> Decision:
    moment = next_due(ring)
    if moment is None or moment <= now:
        return Decision("open", "retire is next")
    return Decision("wait", f"waiting for the soak: {next_text(ring, now)}")


def _key(key_id: str, secret: str, state: str, origin: str, now: float) -> Dict[str, Any]:
    return {
        "id": key_id, "fingerprint": fingerprint(secret), "state": state, "origin": origin,
        "times": {"created": stamp(now), state: stamp(now)}, "marks": ["weak"] if rings.weakness(secret) else [], "secret": secret,
    }  # fmt: skip


def _move(key: Dict[str, Any], state: str, now: float) -> None:
    key["state"] = state
    key["times"][state] = stamp(now)


def _note(ring: Ring, now: float, event: str, **details: Any) -> None:
    ring["journal"].append({"at": stamp(now), "event": event, "counter": ring["step"]["counter"], **details})
