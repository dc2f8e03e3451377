# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Situations for the tests of the rules: keyrings at a step, and the evidence of hosts.

Every builder makes what is in order; a test says only what is not. `at("promote")` is a keyring with
promote open, `at("promoted")` the same with promote closed. `seen(keyring)` is a host that does exactly
what the keyring's open step asks.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.phased.keys.plugins.module_utils._host.rules import pools
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import next_step, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Conditions, Count, Looks, Survey

T0 = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
SOAK = {"seconds": 14 * DAY, "source": "the default of django"}
FLEET = ("web-1", "web-2", "web-3")
NONCE = "survey-1"
PATH = "/etc/shop.env"
UID = 33

SECRETS = [f"not-a-secret-{number}-abcdefghijklmnopqrstuvwxyz" for number in range(8)]
FP = [fingerprint(secret) for secret in SECRETS]
# The key that a fleet has, the one that it is rolled to, the one after, and one that is in no keyring.
OLD, NEW, NEXT, ALIEN = FP[1], FP[2], FP[3], fingerprint("a key that no keyring of these tests knows")

# When each step of the first rollout opens; each closes ten minutes later.
OPENED = {"adopt": T0, "prepare": T0 + HOUR, "promote": T0 + 2 * HOUR, "retire": T0 + 15 * DAY}
CLOSED = {step: moment + 10 * MINUTE for step, moment in OPENED.items()}
DONE = {"adopted": "adopt", "prepared": "prepare", "promoted": "promote", "retired": "retire"}


def adopt(members: Sequence[str] = FLEET, secrets: Sequence[str] = (SECRETS[1],), now: float = T0) -> Dict[str, Any]:
    """A keyring with the step adopt open; keys after the first are accepted by the fleet already."""
    return steps.adopt(
        "shop", "ring-1", "n1", steps.Start(secrets, "adopted"), members, {"framework": "django", "settings": {}}, SOAK, {"how": "trust"}, now
    )  # fmt: skip


def opened(keyring: Mapping[str, Any], step: str, now: float, number: int = 2) -> Dict[str, Any]:
    """The keyring with `step` open; prepare stages the key `SECRETS[number]`."""
    key = SECRETS[number] if step == "prepare" else None
    nonce = f"n{keyring['step']['counter'] + 1}"
    return steps.open_step(dict(keyring), step, now, nonce, key, SOAK if step in ("promote", "rollback") else None)


def at(name: str, members: Sequence[str] = FLEET) -> Dict[str, Any]:
    """The keyring of a first rollout from OLD to NEW: at an open step, or after it ("promoted")."""
    last = DONE.get(name, name)
    keyring = adopt(members)
    for step in next_step.ROLLOUT:
        if step != "adopt":
            keyring = opened(keyring, step, OPENED[step])
        if step == last and name not in DONE:
            return keyring
        keyring = steps.close_step(keyring, CLOSED[step])
        if step == last:
            return keyring
    raise AssertionError(name)


def rolled(keyring: Mapping[str, Any], now: float, number: int) -> Dict[str, Any]:
    """The keyring after prepare and promote of one more key, each closed at `now`."""
    for step in ("prepare", "promote"):
        keyring = steps.close_step(opened(keyring, step, now, number), now)
    return dict(keyring)


def states(keyring: Mapping[str, Any]) -> Dict[str, str]:
    """The state of each key, by fingerprint."""
    return {key["fingerprint"]: key["state"] for key in keyring["keys"]}


def trouble(kind: str) -> Dict[str, str]:
    """Why the keys of a worker or a file could not be seen."""
    return {"kind": kind, "text": f"the text for {kind}"}


def holds(signs: Optional[str], *others: str, problem: Optional[str] = None) -> Dict[str, Any]:
    """What a worker or a file does with keys."""
    if problem:
        return {"signs": None, "accepts": [], "problem": trouble(problem)}
    return {"signs": signs, "accepts": [key for key in (signs, *others) if key], "problem": None}


def worker(
    pid: int, *keys: Optional[str], problem: Optional[str] = None, started: float = T0 - DAY, parent: int = 0
) -> Dict[str, Any]:
    """One process of the application: the first key signs, all are accepted."""
    signs, *others = keys or (None,)
    return {
        "pid": pid,
        "parent": parent,
        "ticks": pid * 10,
        "started": started,
        "command": "gunicorn: worker",
        "uids": [UID],
        "idle": False,
        **holds(signs, *others, problem=problem),
    }


def identity(changed: float) -> Dict[str, Any]:
    """What tells one writing of a file from another."""
    return {"inode": int(changed), "changed": changed, "modified": changed, "size": 64}


def env_file(
    *keys: Optional[str], path: str = PATH, problem: Optional[str] = None, changed: Optional[float] = T0 - 2 * DAY
) -> Dict[str, Any]:
    """An env file; `changed=None` is one that is not there."""
    signs, *others = keys or (None,)
    return {
        "path": path,
        "identity": None if changed is None else identity(changed),
        "links": 0 if changed is None else 1,
        "unusable": {},
        **holds(signs, *others, problem=problem),
    }


def unit(
    active: str = "active", load: str = "loaded", name: str = "shop.service", sub: str = "running", **changes: Any
) -> Dict[str, Any]:
    """A unit as the service manager shows it."""
    entry = {"name": name, "load": load, "active": active, "sub": sub, "restarts": 0}
    return {**entry, "on_demand": False, "restart_delay": 0.1, "sources": [], **changes}


def record(keyring: Mapping[str, Any], /, **changes: Any) -> Dict[str, Any]:
    """What a host remembers after a proven visit of the open step."""
    order = keyrings.order(dict(keyring))
    token = keyrings.token(dict(keyring))
    return {
        "schema": 1, "name": keyring["name"], "keyring": token.keyring, "counter": token.counter, "nonce": token.nonce,
        "step": keyring["step"]["name"], "state": "proven", "at": T0, "signs": order.signs, "workers": 2, "stopped": {},
        "files": {PATH: identity(T0 - 2 * DAY)}, "leaked": [], "linked": {}, "stamps": {}, "pools": [0, 0], "uids": [],
        "member": None, **changes,
    }  # fmt: skip


def seen(keyring: Mapping[str, Any], *keys: str, **changes: Any) -> Dict[str, Any]:
    """The evidence of a host whose file and two workers hold `keys`, or else what the open step asks.

    It does not tell where its record is (`state`), for two hosts have to differ in that.
    """
    order = keyrings.order(dict(keyring))
    held = keys or tuple(order.accepts)
    entry = {
        "nonce": NONCE, "asked": 1000.0, "now": T0, "ticks": 10**6, "machine": "boot-1/4026531836", "proof": "environ",
        "workers": [worker(101, *held), worker(102, *held)], "files": [env_file(*held)], "others": [], "units": [unit()],
        "settled": True, "unsettled": [], "visit": None, "record": record(keyring), "record_of": None, "state": "",
        "restart": "shop.service", **changes,
    }  # fmt: skip
    entry["workers"] = [{"by": entry["proof"], **one} for one in entry["workers"]]
    return {"lasting": len(entry["workers"]), "pools": pools.pools(entry["workers"]), **entry}


def idle(keyring: Mapping[str, Any], **changes: Any) -> Dict[str, Any]:
    """The evidence of a host with nothing running and no active unit."""
    return seen(
        keyring,
        **{"workers": [], "units": [unit("inactive", sub="dead")], "record": record(keyring, workers=0), **changes},
    )


def outsider(pid: int = 900, signs: Optional[str] = OLD) -> Dict[str, Any]:
    """A process outside app_keys_processes that holds one of our keys."""
    return {
        "pid": pid, "ticks": pid * 10, "started": T0, "command": "celery worker", "uids": [UID], "signs": signs,
        "holds": [signs] if signs else [], "more": 0,
    }  # fmt: skip


def fleet_of(
    keyring: Mapping[str, Any], members: Sequence[str] = FLEET, **odd: Optional[Mapping[str, Any]]
) -> Dict[str, Any]:
    """The evidence of a fleet in which all is well but for `odd` (`web_2=...`; None: no evidence)."""
    found: Dict[str, Any] = {}
    for number, member in enumerate(members):
        entry = odd.get(member.replace("-", "_"), seen(keyring, machine=f"boot-{number}/1", state=f"boot-{number}/2:3"))
        if entry is not None:
            found[member] = dict(entry)
    return found


def survey(now: float = 1010.0, nonce: str = NONCE, max_age: float = 300.0, **absent: str) -> Conditions:
    """The conditions of one look at the fleet, ten seconds old."""
    return Conditions(nonce, now, max_age, {member.replace("_", "-"): text for member, text in absent.items()})


def surveyed(
    keyring: Any, fleet: Sequence[str], evidence: Mapping[str, Any], look: Optional[Conditions] = None
) -> Survey:
    """A fleet as a run has seen it, held against a keyring."""
    return Survey(keyring, Looks(fleet, evidence, look or survey()))


def counting(keyring: Any, count: Count, evidence: Optional[Mapping[str, Any]] = None, now: float = T0) -> Survey:
    """A survey that has counted this, whatever was seen."""
    found = surveyed(keyring, FLEET, evidence or {}, survey()._replace(clock=now))
    found.count = count
    return found


def texts(findings: Mapping[str, Sequence[Any]], member: str = "web-2") -> List[str]:
    """What was seen of one member."""
    return [finding.seen for finding in findings.get(member, [])]
