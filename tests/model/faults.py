# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may befall a host: the net, its power, its clock, the inventory, and what other tools do to it."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterator, List, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings

from . import runs, visits
from .invariants import settle
from .world import ALIEN, File, Host, State, Violation, Worker, host_at, left_of, name_of, put, spend, wall

Event = Tuple[str, Callable[[State], State]]


def faults(state: State, host: Host) -> Iterator[Event]:
    """Return what may befall one host."""
    name = host.name
    if host.listed and host.reached and left_of(state, "cut"):
        yield f"{name} is cut off", lambda now: spend(put(now, host_at(now, name)._replace(reached=False)), "cut")
    if not host.reached:
        yield f"{name} is reached again", lambda now: put(now, host_at(now, name)._replace(reached=True))
    if left_of(state, "reboot") and (host.workers or host.health != "ok"):
        yield f"{name} reboots", partial(_reboot, name=name)
    if host.listed and host.record and left_of(state, "unlist"):
        yield f"{name} falls out of the inventory", partial(_listed, name=name, listed=False, cost="unlist")
    if not host.listed and (host.serves or (left_of(state, "join") and _known(host, state))):
        cost = "" if host.serves else "join"
        yield f"{name} comes into the inventory", partial(_listed, name=name, listed=True, cost=cost)
    if left_of(state, "jump host"):
        for jump in (-2, 2):
            yield f"the clock of {name} jumps by {jump}", partial(_jump, name=name, jump=jump)
    if left_of(state, "outsider") and not host.outsider:
        yield f"a process outside starts on {name}", partial(_outside, name=name)
    if left_of(state, "stray") and _quiet(state):
        for keys in _yesterdays(state, host):
            yield (
                f"a worker of {name} starts anew with {'+'.join(map(name_of, keys))}",
                partial(_stray, name=name, keys=keys),
            )
    if left_of(state, "alien") and ALIEN not in host.file.accepts and all(v.stage == "sent" for v in host.visits):
        yield f"another tool adds a key on {name}", partial(_alien, name=name, stays=True)
        yield (
            f"another tool adds a key on {name}, and takes it out of the file again",
            partial(_alien, name=name, stays=False),
        )
    if (left_of(state, "rewrite") or left_of(state, "harm")) and _quiet(state):
        for keys in _yesterdays(state, host):
            label = f"another tool writes {'+'.join(map(name_of, keys))} on {name}"
            yield label, partial(_rewrite, name=name, keys=keys, how="ok")
            if left_of(state, "reboot"):
                yield f"{label}, and restarts nothing", partial(_rewrite, name=name, keys=keys, how="old stay")


def _known(host: Host, state: State) -> bool:
    """Whether the image of a host that would join holds no key that the keyring has never heard of."""
    keys = {key["fingerprint"] for book in state.books if book for key in book.keyring["keys"]}
    return set(host.file.accepts) <= keys


def _listed(state: State, name: str, listed: bool, cost: str) -> State:
    return put(spend(state, cost), host_at(state, name)._replace(listed=listed))


def _reboot(state: State, name: str) -> State:
    """A host's power is gone for a moment: its visits are too, and its workers start with what the file says."""
    state = spend(state, "reboot")
    host = host_at(state, name)
    waited = [visit.owner for visit in host.visits if visit.owner is not None]
    state = put(state, visits.restarted(state, host._replace(visits=(), outsider=None), "ok"))
    for who in waited:
        state = runs._gone_on(runs.lose(state, who, name, cut=True), who)
    return state


def _jump(state: State, name: str, jump: int) -> State:
    host = host_at(state, name)
    return put(spend(state, "jump host"), host._replace(skew=host.skew + jump))


def _outside(state: State, name: str) -> State:
    host = host_at(state, name)
    return put(spend(state, "outsider"), host._replace(outsider=Worker(host.file.signs, host.file.accepts, state.now)))


def _alien(state: State, name: str, stays: bool) -> State:
    """Somebody else's rotation: a key that no keyring knows is accepted on one host, or by its workers alone."""
    host = host_at(state, name)
    file = File(host.file.signs, (*host.file.accepts, ALIEN), host.file.ident + 1, state.now + host.skew)
    after = visits.restarted(state, host._replace(file=file), "ok")
    return put(spend(state, "alien"), after if stays else after._replace(file=host.file))


def _quiet(state: State) -> bool:
    """Whether nobody relies on what a host was seen to do: else another tool's work is an accident that nothing can avert."""
    fresh = any(seen.at == state.now for run in state.runs if run for _name, seen in run.evidence)
    # Within one tick nobody can tell what was before the re-encryption began and what after it.
    keys = [key for book in state.books if book for key in book.keyring["keys"]]
    fresh = fresh or any(key["reencrypted"]["began"] == stamp(wall(state)) for key in keys if "reencrypted" in key)
    return not fresh and not any(host.visits for host in state.hosts)


def _yesterdays(state: State, host: Host) -> List[Tuple[str, ...]]:
    """Return the settings of steps before: each key of the keyring alone, or with another."""
    book = state.books[0]
    # What signs with a key that is being let go of already is an accident by itself.
    held = (
        [key["fingerprint"] for key in book.keyring["keys"] if key["state"] in ("primary", "retiring")] if book else []
    )
    pairs = [(one, other) for one in held for other in held if one != other]
    # That this host should accept less than others may sign with is an accident, too, unless it is fixed first.
    needed = (
        {
            keyrings.primary(book.keyring)["fingerprint"],
            *(book.keyring["step"]["signing"] if keyrings.is_open(book.keyring) else ()),
        }
        if book
        else set()
    )
    needed = set() if left_of(state, "harm") else needed
    found = [keys for keys in [*((key,) for key in held), *pairs] if needed <= set(keys)]
    return [keys for keys in found if set(keys) != set(host.file.accepts) or keys[0] != host.file.signs]


def _rewrite(state: State, name: str, keys: Tuple[str, ...], how: str) -> State:
    """Another tool puts yesterday's file back; what is wrong at once, after a restart, is an accident that nothing can avert."""
    host = host_at(state, name)
    file = File(keys[0], keys, host.file.ident + 1, state.now + host.skew)
    after = put(spend(spend(state, "rewrite"), "harm"), visits.restarted(state, host._replace(file=file), "ok"))
    try:
        settle(after)
    except Violation:
        return state
    return put(after, visits.restarted(state, host._replace(file=file), how))


def _stray(state: State, name: str, keys: Tuple[str, ...]) -> State:
    """One worker is started with the environment of before, whatever the file says."""
    host = host_at(state, name)
    after = put(spend(state, "stray"), host._replace(workers=(Worker(keys[0], keys, state.now), *host.workers[1:])))
    try:
        settle(after)
    except Violation:
        return state
    return after
