# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the keyring from outside of playbooks: what operators tell it, its copies, and its loss."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Callable, Iterator, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError

from . import runs, visits
from .invariants import settle
from .world import (
    FIRST,
    TICK,
    Book,
    File,
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


def told(state: State) -> Iterator[Event]:
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
            if not host.reached and host.name in book.keyring["members"]:
                yield f"{host.name} is drained and waived", partial(_waive, name=host.name)
    if left_of(state, "release"):
        for host in state.hosts:
            if host.name in book.keyring["members"]:
                yield f"{host.name} is taken down and released", partial(_release, name=host.name)
    if left_of(state, "mark"):
        for key in book.keyring["keys"]:
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
    return runs.write(state, 0, membership.waive(book.keyring, [name], reason, WAIVED_FOR * TICK, wall(state)))


def _release(state: State, name: str) -> State:
    book = state.books[0]
    assert book is not None
    host, before = host_at(state, name), spend(state, "release")
    state = put(before, host._replace(workers=(), serves=False, visits=(), outsider=None, health="down", ending=()))
    fleet = [other.name for other in before.hosts if other.listed]
    if host.listed:
        try:
            membership.release(book.keyring, [name], fleet, wall(state))
        except KeyringError:
            return before
        raise Violation(f"{name} is released while it is in the inventory, where the next visit would write it")
    return runs.write(state, 0, membership.release(book.keyring, [name], fleet, wall(state)))


def _mark(state: State, key: str) -> State:
    book = state.books[0]
    assert book is not None
    return runs.write(spend(state, "mark"), 0, steps.mark_compromised(book.keyring, key, wall(state)))


def _copy(state: State) -> State:
    book = state.books[0]
    assert book is not None
    books = (Book(book.keyring, state.lineages + 1), Book(book.keyring, state.lineages + 2))
    return spend(state, "copy")._replace(
        books=books, lineages=state.lineages + 2, copied=book.keyring["step"]["counter"]
    )


def _restore(state: State) -> State:
    book = state.books[1]
    assert book is not None
    lineage = state.lineages + 1
    return spend(runs.end(state, 0), "restore")._replace(
        lost="restored", books=(Book(book.keyring, lineage), None), lineages=lineage
    )
