# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen next: the steps of playbooks and visits, and every fault that a profile has left."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Callable, Iterator, List, Tuple

from ansible_collections.phased.keys.plugins.module_utils.rules import members, steps
from ansible_collections.phased.keys.plugins.module_utils.rules import ring as rings
from ansible_collections.phased.keys.plugins.module_utils.rules import visit as rules
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint

from . import runs, visits
from .invariants import settle
from .looks import evidence, look
from .world import (
    ALIEN,
    FIRST,
    TICK,
    Book,
    File,
    Host,
    State,
    Violation,
    Worker,
    host_at,
    left_of,
    name_of,
    put,
    secret,
    spend,
    wall,
)

Event = Tuple[str, Callable[[State], State]]
# Longer than a soak, so that a step may open and close under it, and short enough to end.
WAIVED_FOR = 4


def events(state: State) -> Iterator[Event]:
    """Return everything that may happen now, each with what it makes of a state."""
    for who in range(len(state.runs)):
        yield from _operator(state, who)
    for host in state.hosts:
        yield from _visits(host, state)
        yield from _faults(state, host)
    yield from _told(state)
    # A tick is longer than a visit lasts, and makes what a run has seen too old.
    begun = any(visit.stage != "sent" for host in state.hosts for visit in host.visits)
    if not begun and (left_of(state, "slow") or not any(state.runs)):
        yield "time passes", _tick


def _tick(state: State) -> State:
    return (spend(state, "slow") if any(state.runs) else state)._replace(now=state.now + 1)


def happen(state: State, event: Event) -> State:
    """Let an event happen, and see that the state after it holds."""
    after = event[1](state)
    return after if after.hosts is state.hosts and after.now == state.now else settle(after)


def _operator(state: State, who: int) -> Iterator[Event]:
    name = "AB"[who]
    run = state.runs[who]
    if run is None:
        if state.books[runs.book_of(state, who)] is None:
            if left_of(state, "recover"):
                yield f"{name} recovers the keyring", lambda now: runs.recover(spend(now, "recover"), who)
                yield f"{name} adopts the fleet anew", lambda now: runs.recover(now, who, lost=False)
            return
        if who and not left_of(state, "runs of B"):
            return
        paid = (lambda now: spend(now, "runs of B")) if who else (lambda now: now)
        yield f"{name} runs rollout", lambda now: runs.begin(paid(now), who, "rollout")
        if left_of(state, "new"):
            yield f"{name} runs rollout new", lambda now: runs.begin(spend(paid(now), "new"), who, "rollout", True)
        for playbook in ("rollback", "prepare", "promote", "retire"):
            if left_of(state, playbook):
                yield f"{name} runs {playbook}", partial(_paid_run, who=who, playbook=playbook)
        return
    if run.stage != "wait":
        phase = runs.PHASES[run.playbook][run.phase]
        yield f"{name} goes on with {run.playbook}: {phase}, {run.stage}", lambda now: runs.step(now, who)
    if left_of(state, "crash"):
        yield f"the controller of {name} dies", lambda now: runs.end(spend(now, "crash"), who)
    if left_of(state, "lose"):
        for host in run.waiting:
            yield f"{name} loses the connection to {host}", partial(_lose, who=who, name=host)


def _paid_run(state: State, who: int, playbook: str) -> State:
    return runs.begin(spend(state, playbook), who, playbook)


def _lose(state: State, who: int, name: str) -> State:
    state = spend(state, "lose")
    return runs._gone_on(runs.lose(_orphan(state, who, name), who, name, cut=True), who)


def _orphan(state: State, who: int, name: str) -> State:
    host = host_at(state, name)
    alone = tuple(v._replace(owner=None) if v.owner == who else v for v in host.visits)
    return put(state, host._replace(visits=alone))


def _visits(host: Host, state: State) -> Iterator[Event]:
    for number, visit in visits.pieces(host):
        for how in visits.outcomes(visit):
            if how != "ok" and not left_of(state, _mishap(state, how)):
                continue
            words = "" if how == "ok" else f", and the restart ends: {how}"
            label = f"{host.name}: visit {number} of step {visit.token.counter} goes on from {visit.stage}{words}"
            yield label, partial(_go_on, name=host.name, number=number, how=how)


def _mishap(state: State, how: str) -> str:
    return "restart" if how == "stale" or left_of(state, "restart") else "mishap"


def _go_on(state: State, name: str, number: int, how: str) -> State:
    # Between the pieces of a visit nothing can happen that shows, but for the host's power failing.
    outcome = visits.go_on(
        spend(state, _mishap(state, how)) if how != "ok" else state, name, number, how, not left_of(state, "reboot")
    )
    if outcome.ended is None:
        return outcome.state
    return runs.deliver(outcome.state, name, outcome.ended, outcome.proven)


def _faults(state: State, host: Host) -> Iterator[Event]:
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
    if left_of(state, "deploy") and host.listed and host.reached:
        for who, book in enumerate(state.books):
            # Known limit: a copy that vouches for a joiner while the other one opens a step, which no host has seen yet.
            if book is not None and (not who or host.record or not any(state.runs)):
                yield f"{'AB'[who]} deploys to {name}", partial(deploy, who=who, name=name)
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
    keys = {key["fingerprint"] for book in state.books if book for key in book.ring["keys"]}
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


def deploy(state: State, who: int, name: str) -> State:
    """Run the role in somebody's deploy: it brings a host only to what is admissible."""
    state = spend(state, "deploy")
    state = runs.answering(state, who, [name])
    book = state.books[who]
    assert book is not None
    host, ring = host_at(state, name), book.ring
    sent = visits.send(state, host, ring, None, False, {})
    if sent is None or name in ring["members"]:
        return sent or state
    # A host that refuses the visit does not become a member; see action/env_keys.py.
    seen = evidence(look(state, host, ""))
    if rules.fence(rings.token(ring), seen["record"]) or rules.plan(rings.order(ring), seen, False).refuse:
        return state
    state = runs.write(state, who, members.register(ring, [name], wall(state)))
    state = visits.send(state, host, ring, None, False, {}) or state
    return _go_on(state, name, len(host.visits), "ok") if who and not host.visits else state


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
    return not fresh and not any(host.visits for host in state.hosts)


def _yesterdays(state: State, host: Host) -> List[Tuple[str, ...]]:
    """Return the settings of steps before: each key of the keyring alone, or with another."""
    book = state.books[0]
    # What signs with a key that is being let go of already is an accident by itself.
    held = [key["fingerprint"] for key in book.ring["keys"] if key["state"] in ("primary", "retiring")] if book else []
    pairs = [(one, other) for one in held for other in held if one != other]
    # That this host should accept less than others may sign with is an accident, too, unless it is mended first.
    needed = (
        {rings.primary(book.ring)["fingerprint"], *(book.ring["step"]["signing"] if rings.is_open(book.ring) else ())}
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


def _told(state: State) -> Iterator[Event]:
    """What an operator tells the keyring of hosts and keys, and what becomes of its file."""
    book = state.books[0]
    if left_of(state, "jump"):
        for jump in (-3, 3):
            yield (
                f"the controller's clock jumps by {jump}",
                lambda now, by=jump: spend(now._replace(skew=now.skew + by), "jump"),
            )
    if book is None:
        if left_of(state, "hand"):
            yield from _by_hand(state)
        return
    if left_of(state, "waive"):
        for host in state.hosts:
            if not host.reached and host.name in book.ring["members"]:
                yield f"{host.name} is drained and waived", partial(_waive, name=host.name)
    if left_of(state, "release"):
        for host in state.hosts:
            if not host.listed and host.name in book.ring["members"]:
                yield f"{host.name} is taken down and released", partial(_release, name=host.name)
    if left_of(state, "mark"):
        for key in book.ring["keys"]:
            if "compromised" not in key["marks"]:
                print_ = key["fingerprint"]
                yield f"{name_of(print_)} is marked as compromised", partial(_mark, key=print_)
    if left_of(state, "copy") and len(state.books) > 1 and state.books[1] is None:
        yield "the keyring is copied", _copy
    if len(state.books) > 1 and state.books[1] is not None and left_of(state, "restore"):
        yield "the copy is put back as the keyring", _restore
    if left_of(state, "lose keyring"):
        yield (
            "the keyring is lost",
            lambda now: spend(runs.end(now, 0), "lose keyring")._replace(lost="lost", books=(None, *now.books[1:])),
        )


def _by_hand(state: State) -> Iterator[Event]:
    """Somebody has begun to rotate by hand, and came to some point of it, a good or a bad one."""
    one, two = FIRST, fingerprint(secret(0, 2))
    held = [(one,), (two,), (one, two), (two, one)]
    for b_file, b_workers, c_keys in product(held, repeat=3):
        text = [" ".join(map(name_of, keys)) for keys in (b_file, b_workers, c_keys)]
        label = f"by hand b has {text[0]} in its file and {text[1]} in its workers, and c has {text[2]}"
        yield label, partial(_made, held=((b_file, b_workers), (c_keys, c_keys)))


def _made(state: State, held: Tuple[Tuple[Tuple[str, ...], Tuple[str, ...]], ...]) -> State:
    state = spend(state, "hand")
    hosts = []
    for host, (file, keys) in zip(state.hosts, held):
        workers = (Worker(keys[0], keys, -10),) * 2
        hosts.append(host._replace(file=File(file[0], file, 5, -10), workers=workers))
    after = state._replace(hosts=tuple(hosts), alive=())
    try:
        settle(after)
        settle(after._replace(hosts=tuple(visits.restarted(after, host, "ok") for host in hosts)))
    except Violation:
        # It is broken already: nothing is asked of it but that it is not adopted so.
        return state._replace(hosts=tuple(host._replace(serves=False) for host in hosts))
    return after


def _waive(state: State, name: str) -> State:
    book = state.books[0]
    assert book is not None
    reason = f"reason {left_of(state, 'waive')}"
    state = put(spend(state, "waive"), host_at(state, name)._replace(serves=False))
    return runs.write(state, 0, members.waive(book.ring, [name], reason, WAIVED_FOR * TICK, wall(state)))


def _release(state: State, name: str) -> State:
    book = state.books[0]
    assert book is not None
    host = host_at(state, name)
    state = put(
        spend(state, "release"), host._replace(workers=(), serves=False, visits=(), outsider=None, health="down")
    )
    fleet = [other.name for other in state.hosts if other.listed]
    return runs.write(state, 0, members.release(book.ring, [name], fleet, wall(state)))


def _mark(state: State, key: str) -> State:
    book = state.books[0]
    assert book is not None
    return runs.write(spend(state, "mark"), 0, steps.mark_compromised(book.ring, key, wall(state)))


def _copy(state: State) -> State:
    book = state.books[0]
    assert book is not None
    books = (Book(book.ring, state.lineages + 1), Book(book.ring, state.lineages + 2))
    return spend(state, "copy")._replace(books=books, lineages=state.lineages + 2, copied=book.ring["step"]["counter"])


def _restore(state: State) -> State:
    book = state.books[1]
    assert book is not None
    lineage = state.lineages + 1
    return spend(runs.end(state, 0), "restore")._replace(
        lost="restored", books=(Book(book.ring, lineage), None), lineages=lineage
    )
