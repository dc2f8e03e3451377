# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen next: steps of playbooks and visits, and the faults that a profile has left."""

from __future__ import annotations

from functools import partial
from typing import Callable, Iterator, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules import visit as rules
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership

from . import adopting, runs, visits
from .faults import faults
from .invariants import settle
from .looks import evidence, look
from .told import told
from .world import Host, State, host_at, left_of, put, spend, wall

Event = Tuple[str, Callable[[State], State]]


def events(state: State) -> Iterator[Event]:
    """Return everything that may happen now, each with what it makes of a state."""
    for who in range(len(state.runs)):
        yield from _operator(state, who)
    for host in state.hosts:
        yield from _visits(host, state)
        if host.ending:
            yield f"the pods of {host.name} that end are gone", partial(_gone, name=host.name)
        yield from _deploys(state, host)
        yield from faults(state, host)
    yield from told(state)
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
                yield f"{name} recovers the keyring", lambda now: adopting.recover(spend(now, "recover"), who)
                yield f"{name} adopts the fleet anew", lambda now: adopting.recover(now, who, lost=False)
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


def _gone(state: State, name: str) -> State:
    return put(state, host_at(state, name)._replace(ending=()))


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


def _deploys(state: State, host: Host) -> Iterator[Event]:
    name = host.name
    if left_of(state, "deploy") and host.listed and host.reached:
        for who, book in enumerate(state.books):
            # Known limit: a copy that vouches for a joiner while the other one opens a step, which no host has seen yet.
            if book is not None and (not who or host.record or not any(state.runs)):
                yield f"{'AB'[who]} deploys to {name}", partial(_deploy, who=who, name=name)


def _deploy(state: State, who: int, name: str) -> State:
    """Run the role in somebody's deploy: it brings a host only to what is admissible."""
    state = spend(state, "deploy")
    state = runs.answering(state, who, [name])
    book = state.books[who]
    assert book is not None
    host, keyring = host_at(state, name), book.keyring
    sent = visits.send(state, host, keyring, None, False, {})
    if sent is None or name in keyring["members"]:
        return sent or state
    # A host that refuses the visit does not become a member; see action/env_keys.py.
    seen = evidence(look(state, host, ""))
    if rules.fence(keyrings.token(keyring), seen["record"]) or rules.plan(keyrings.order(keyring), seen, False).refuse:
        return state
    state = runs.write(state, who, membership.register(keyring, [name], wall(state)))
    state = visits.send(state, host, keyring, None, False, {}) or state
    return _go_on(state, name, len(host.visits), "ok") if who and not host.visits else state
