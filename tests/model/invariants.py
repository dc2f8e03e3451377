# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold: in every state, and whenever a keyring changes. Nothing here asks the rules; it is what they are for."""

from __future__ import annotations

from typing import Dict, List, Optional, Set, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import epoch
from ansible_collections.phased.keys.plugins.module_utils._keyring_shapes import Keyring

from .world import FOREVER, Book, Host, Run, State, Violation, Worker, name_of, wall


def serving(state: State) -> List[Tuple[str, Worker]]:
    """Return every process that the load balancer may ask."""
    found = []
    for host in state.hosts:
        if host.serves:
            found += [(host.name, worker) for worker in (*host.workers, *host.ending)]
            found += [(host.name, host.outsider)] if host.outsider else []
    return found


def settle(state: State) -> State:
    """Let every serving worker sign something, drop what has expired, and see that all is accepted."""
    workers = serving(state)
    signed = {worker.signs for _name, worker in workers}
    accepted = (
        set(workers[0][1].accepts).intersection(*(worker.accepts for _name, worker in workers)) if workers else signed
    )
    alive: Dict[str, int] = {key: until for key, until in state.alive if until > state.now}
    alive.update(dict.fromkeys(signed, FOREVER if state.at_rest else state.now + state.soak))
    if state.spread and workers:
        state = _spread(state, signed, accepted)
    if accepted.issuperset(alive):
        return state._replace(alive=tuple(sorted(alive.items())))
    ended = set(state.given_up)
    for name, worker in workers:
        for key in signed - set(worker.accepts):
            signer = next(other for other, its in workers if its.signs == key)
            raise Violation(f"a worker of {name} does not accept {name_of(key)}, with which a worker of {signer} signs")
        for key in set(alive) - set(worker.accepts) - ended:
            raise Violation(f"a worker of {name} does not accept {name_of(key)}, and what it signed is still alive")
    return state._replace(alive=tuple(sorted(alive.items())))


def _spread(state: State, signed: Set[str], accepted: Set[str]) -> State:
    """Let those who verify and keep what they have read look anywhere, and see that they know by now what is signed with."""
    since = {key: dict(state.published).get(key, state.now) for key in accepted}
    for key in signed & accepted:
        if since[key] > state.now - state.spread:
            raise Violation(
                f"{name_of(key)} signs, and who has read the keys {state.spread} ticks ago does not know it"
            )
    return state._replace(published=tuple(sorted(since.items())))


def given_up(state: State, book: Book) -> State:
    """Remember the keys that have leaked and whose letting go this keyring has opened: what they signed may end; not what is at rest."""
    gone = (
        set()
        if state.at_rest
        else {
            key["fingerprint"]
            for key in book.keyring["keys"]
            if "compromised" in key["marks"] and key["state"] in ("dropping", "retired", "withdrawn")
        }
    )
    return state._replace(given_up=tuple(sorted({*state.given_up, *gone})))


def changed(state: State, old: Optional[Book], new: Book, run: Optional[Run]) -> None:
    """See that a keyring became what it may become; `run` is the playbook that wrote it."""
    if old is None:
        return
    before, after = _keys(old.keyring), _keys(new.keyring)
    signs, signed = _primary(new.keyring), _primary(old.keyring)
    marks = after[signs]["marks"]
    if "rolled_back" in marks:
        raise Violation(f"{name_of(signs)} was rolled back, and is to sign")
    if signs != signed and "compromised" in marks:
        raise Violation(f"{name_of(signs)} is compromised, and becomes the key that signs")
    for key, entry in after.items():
        if entry["secret"] is None and before.get(key, entry)["secret"] is not None:
            _destroyed(state, new, key)
    if [key["state"] for key in new.keyring["keys"]].count("staged") > 1:
        raise Violation("two keys are on their way in at once")
    if len(after) > len(before):
        _begins(old.keyring, run)
    if new.keyring["step"]["closed"] and (not old.keyring["step"]["closed"] or old.static[3] != new.static[3]):
        _closes(state, new)


def _closes(state: State, book: Book) -> None:
    """A step closes over the whole fleet: every member does what it asks, in each worker and on disk."""
    keyring = book.keyring
    names = {
        s: {key["fingerprint"] for key in keyring["keys"] if key["state"] == s}
        for s in ("staged", "retiring", "dropping")
    }
    signs, aside = _primary(keyring), waived(book, state)
    for name in aside:
        if keyring["members"][name]["proven"] == keyring["step"]["counter"]:
            raise Violation(f"{name} is set aside, and counts as proven")
    for host in state.hosts:
        if host.name not in keyring["members"] or host.name in aside or _elsewhere(host, book):
            continue
        what = f"{keyring['step']['name']} closes, and {host.name}"
        for holder in [host.file, *host.workers, *host.ending]:
            wants = {signs} | names["staged"] | names["retiring"]
            if holder.signs != signs or not wants <= set(holder.accepts) or set(holder.accepts) & names["dropping"]:
                raise Violation(f"{what} does not do what it asks")
        record = host.record
        if record is None or record[:4] != (keyring["id"], *book.static[3][1:3], keyring["step"]["name"]):
            raise Violation(f"{what} was not visited at this step")
        if record.state != "proven":
            raise Violation(f"{what} was left by its last visit without a proof")


def _elsewhere(host: Host, book: Book) -> bool:
    """Whether another copy of the keyring has gone on with this host since it was looked at: then this one gets no further."""
    counter, nonce = book.static[3][1:3]
    record = host.record
    return record is not None and (record.counter > counter or (record.counter == counter and record.nonce != nonce))


def waived(book: Book, state: State) -> Set[str]:
    """Return who is set aside by the controller's clock."""
    return {waiver["member"] for waiver in book.keyring["waivers"] if epoch(waiver["until"]) > wall(state)}


def _destroyed(state: State, book: Book, key: str) -> None:
    for name, worker in serving(state):
        if key in worker.accepts:
            raise Violation(f"the secret of {name_of(key)} is destroyed, and a worker of {name} still has it")
    if waived(book, state):
        raise Violation(f"the secret of {name_of(key)} is destroyed while somebody is set aside")


def _begins(keyring: Keyring, run: Optional[Run]) -> None:
    """A rollout begins when it is asked for in a run that found none in flight, after adopt, or because the key has leaked."""
    keys = _keys(keyring)
    if run is None or run.playbook == "prepare" or "compromised" in keys[_primary(keyring)]["marks"]:
        return
    if run.new and not run.flight:
        return
    origin = keys[_primary(keyring)]["origin"]
    if (
        not run.new
        and keyring["step"]["name"] == "adopt"
        and origin != "recovered"
        and all(key["state"] != "retiring" for key in keys.values())
    ):
        return
    raise Violation("a re-run begins a second rollout that nobody has asked for")


def _keys(keyring: Keyring) -> Dict[str, Dict[str, object]]:
    return {key["fingerprint"]: key for key in keyring["keys"]}


def _primary(keyring: Keyring) -> str:
    return next(str(key["fingerprint"]) for key in keyring["keys"] if key["state"] == "primary")
