# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook under way, as playbooks/parts/phase.yml and the actions do it, cut where the controller may die.

    ask and look ──► open ──► batch ──► (wait for its visits) ──► batch ... ──► look ──► close ──► the next phase
                       └────► encrypt anew ──► tell ──► the next phase

What a step asks, opens, refuses and closes is the gate's answer, and the gate is the real one.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._keyring_shapes import Keyring
from ansible_collections.phased.keys.plugins.module_utils._rules import at_rest, gate, membership, next_step, soak
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Conditions, Looks, Survey

from . import invariants, visits
from .looks import evidence, look
from .world import (
    EVIDENCE_MAX_AGE,
    FOREVER,
    T0,
    TICK,
    Book,
    Run,
    State,
    Violation,
    Visit,
    host_at,
    put,
    secret,
    soak_of,
    wall,
)

PHASES: Dict[str, Sequence[str]] = {
    "rollout": ("current", "prepare", "promote", "reencrypt", "retire"),
    "rollback": ("rollback",),
    "prepare": ("prepare",),
    "promote": ("promote",),
    "retire": ("reencrypt", "retire"),
    "adopt": ("current",),
}
# `rollout` does not begin by age in the model: only when it is asked to, or after adopt.
EVER = 1e9
# All hosts at once, but for the first batch, which the rules make one host.
SERIAL = ["100%"]
FACTS = "facts"


def begin(state: State, who: int, playbook: str, new: bool = False) -> State:
    """Start a playbook."""
    keyring = _ring(state, who)
    may = next_step.may_begin(keyring, 0.0, wall(state))
    flight = keyring["step"]["closed"] is None or any(key["state"] in ("staged", "dropping") for key in keyring["keys"])
    fleet = tuple(host.name for host in state.hosts if host.listed)
    # A fact cache may hand over what a run before has seen.
    run = Run(playbook, new, may, flight, fleet, f"run {who}", evidence=state.left)
    return _ask(_run(state, who, run), who, run)


def step(state: State, who: int) -> State:
    """Do the next piece of the playbook that this operator runs."""
    run = _of(state, who)
    stages = {"open": _open, "batch": _batch, "count": _count, "close": _close, "encrypt": _encrypt, "tell": _tell}
    return stages[run.stage](state, who, run)


def write(state: State, who: int, keyring: Keyring, run: Optional[Run] = None) -> State:
    """Write an operator's keyring."""
    place = book_of(state, who)
    old = state.books[place]
    if old is not None and keyring is old.keyring:
        return state
    keyrings.check(keyring, "shop")
    book = Book(keyring, old.lineage if old else state.lineages)
    invariants.changed(state, old, book, run)
    state = invariants.given_up(state, book)
    return state._replace(books=tuple(book if number == place else other for number, other in enumerate(state.books)))


def book_of(state: State, who: int) -> int:
    """Return which keyring file an operator uses: their own copy, or the one that all use."""
    return who if who < len(state.books) else 0


def _ring(state: State, who: int) -> Keyring:
    book = state.books[book_of(state, who)]
    assert book is not None
    return book.keyring


def _of(state: State, who: int) -> Run:
    run = state.runs[who]
    assert run is not None
    return run


def _run(state: State, who: int, run: Optional[Run]) -> State:
    return state._replace(runs=tuple(run if number == who else other for number, other in enumerate(state.runs)))


def end(state: State, who: int) -> State:
    """End a run: its visits go on, and nobody waits for them."""
    run = state.runs[who]
    if run and any(name == FACTS for name, _left in state.budget):
        state = state._replace(left=tuple((name, seen._replace(nonce="before")) for name, seen in run.evidence))
    for host in state.hosts:
        if any(visit.owner == who for visit in host.visits):
            visits_left = tuple(v._replace(owner=None) if v.owner == who else v for v in host.visits)
            state = put(state, host._replace(visits=visits_left))
    return _run(state, who, None)


def _next(state: State, who: int, run: Run) -> State:
    if run.phase + 1 == len(PHASES[run.playbook]):
        return end(state, who)
    run = run._replace(phase=run.phase + 1, stage="ask", queue=(), waiting=())
    return _ask(_run(state, who, run), who, run)


def _wish(state: State, who: int, run: Run, phase: str) -> PhaseRequest:
    keyring = _ring(state, who)
    book = state.books[book_of(state, who)]
    assert book is not None
    goal = "rollout" if run.playbook == "rollout" else run.playbook
    fresh, length = None, None
    if phase in ("prepare", "promote", "rollback"):
        fresh = secret(book.lineage, len(keyring["keys"]) + 1)
        length = soak_of(state)
    nonce = f"{book.lineage}.{keyring['step']['counter'] + 1}"
    late = {"seconds": state.spread * TICK, "source": "the model"} if state.spread else None
    return PhaseRequest(phase, goal, nonce, EVER, run.new and run.begin, length, fresh, spread=late)


def _looks(run: Run) -> Dict[str, Any]:
    return {name: evidence(seen) for name, seen in run.evidence if name in run.fleet}


def _survey(state: State, run: Run, keyring: Keyring) -> Survey:
    conditions = Conditions(run.nonce, state.now * TICK, EVIDENCE_MAX_AGE, {}, wall(state), run.cut)
    return Survey(keyring, Looks(run.fleet, _looks(run), conditions))


def _see(state: State, run: Run, names: Sequence[str]) -> Run:
    """Look at hosts; of one that is not reached nothing is known any more."""
    known = dict(run.evidence)
    cut = set(run.cut)
    for name in names:
        host = host_at(state, name)
        known.pop(name, None)
        if host.reached:
            known[name] = look(state, host, run.nonce)
        else:
            cut.add(name)
    return run._replace(evidence=tuple(sorted(known.items())), cut=tuple(sorted(cut)))


def _all(state: State, run: Run) -> Run:
    return _see(state, run, [name for name in run.fleet if name not in run.lost])


def _ask(state: State, who: int, run: Run) -> State:
    # What only reads the keyring is one with what follows: others may do theirs before it or after it.
    keyring = _ring(state, who)
    phase = PHASES[run.playbook][run.phase]
    if phase == "reencrypt":
        if not at_rest.due(keyring):
            return _next(state, who, run)
    else:
        decision = gate.ask(keyring, _wish(state, who, run, phase), wall(state))
        if decision.action == "refuse":
            return end(state, who)
        if decision.action in ("skip", "wait"):
            return _next(state, who, run)
    seen = _looks(run)
    complete = _survey(state, run, keyring).count.complete
    if not complete or _short(state, keyring, phase, seen):
        run = _all(state, run)
    return _run(state, who, run._replace(stage="open"))


def answering(state: State, who: int, names: Sequence[str]) -> State:
    """End the waivers of hosts that answer: see action/gate.py and action/env_keys.py."""
    return write(state, who, membership.end_waivers(_ring(state, who), names, wall(state)))


def _open(state: State, who: int, run: Run) -> State:
    state = answering(state, who, list(_looks(run)))
    keyring = _ring(state, who)
    if PHASES[run.playbook][run.phase] == "reencrypt":
        return _begin_anew(state, who, run, keyring)
    request = _wish(state, who, run, PHASES[run.playbook][run.phase])
    try:
        verdict = gate.opening(_survey(state, run, keyring), request)
    except keyrings.KeyringError:
        return end(state, who)
    if verdict.outcome == "refuse":
        return end(state, who)
    if verdict.keyring["step"]["closed"] and verdict.keyring is not keyring:
        _lasts(state, run, verdict.keyring)
    state = write(state, who, verdict.keyring, run)
    if verdict.outcome != "visit":
        return _next(state, who, run)
    queue = _batches(list(verdict.visit))
    return _run(state, who, run._replace(stage="batch" if queue else "count", queue=queue))


def _begin_anew(state: State, who: int, run: Run, keyring: Keyring) -> State:
    """Have the first host encrypt anew what is at rest, if the gate says so."""
    verdict = gate.reencrypting(_survey(state, run, keyring), run.fleet[0], None)
    if verdict.outcome != "visit":
        return end(state, who) if verdict.outcome == "refuse" else _next(state, who, run)
    state = write(state, who, verdict.keyring, run)
    key, began = keyrings.primary(keyring)["fingerprint"], state.now + state.skew
    return _run(state, who, run._replace(stage="encrypt", anew=(key, began)))


def _encrypt(state: State, who: int, run: Run) -> State:
    """All that is at rest is encrypted with the key of the first host's file, and what is stored meanwhile is read with that alone."""
    host, (key, _began) = host_at(state, run.fleet[0]), run.anew or ("", 0)
    if not host.reached or host.file.signs != key:
        return end(state, who)
    state = state._replace(alive=((key, FOREVER),))
    if {worker.signs for _name, worker in invariants.serving(state)} - {key}:
        return end(state, who)
    return _run(state, who, run._replace(stage="tell"))


def _tell(state: State, who: int, run: Run) -> State:
    """Write down that it was done."""
    key, began = run.anew or ("", 0)
    try:
        keyring = at_rest.done(_ring(state, who), key, run.fleet[0], T0 + began * TICK, wall(state))
    except keyrings.KeyringError:
        return end(state, who)
    return _next(write(state, who, keyring, run), who, run._replace(anew=None))


def _batches(names: List[str]) -> Tuple[Tuple[str, ...], ...]:
    """Cut the visits as Ansible does with `serial`."""
    found = []
    sizes = proofs.batch_sizes(SERIAL)
    while names:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        number = len(names) if size == "100%" else int(size)
        found.append(tuple(names[:number]))
        names = names[number:]
    return tuple(found)


def _batch(state: State, who: int, run: Run) -> State:
    keyring = _ring(state, who)
    batch = [name for name in run.queue[0] if name not in run.lost]
    old = proofs.stale(_survey(state, run, keyring).looks)
    run = _see(state, run, old) if old else run
    seen = _looks(run)
    lost = {name: [Finding("lost", "")] for name in run.lost}
    counter = keyring["step"]["counter"]
    visited = [name for name in run.visited if (seen.get(name, {}).get("record") or {}).get("counter") == counter]
    if proofs.batch_findings(_survey(state, run, keyring), lost, visited, batch):
        return end(state, who)
    flying = [name for name, seen_ in run.evidence if seen_.visiting and name not in batch]
    if flying:
        raise Violation(f"a batch begins while {', '.join(flying)} is being visited")
    if run.hurt:
        raise Violation("another host is visited after a visit that left its host with fewer workers than before")
    run = run._replace(stage="wait", queue=run.queue[1:], waiting=tuple(batch))
    state = _run(state, who, run)
    # Of the survey the first record that is there says enough: see action/env_keys.py.
    told = {name: look_["record"] for name, look_ in list(seen.items())[:1]}
    for name in batch:
        host = host_at(state, name)
        known = _ring(state, who)
        if name not in known["members"]:
            state = write(state, who, membership.register(known, [name], wall(state)), run)
        state = answering(state, who, [name] if host.reached else [])
        sent = visits.send(state, host, _ring(state, who), who, True, told) if host.reached else None
        if sent is not None:
            state = sent
        else:
            state = lose(state, who, name, cut=not host.reached)
    return _gone_on(state, who)


def lose(state: State, who: int, name: str, cut: bool) -> State:
    """Tell a run that it has lost a host: its visit failed, or, where the host is `cut` off, nobody knows."""
    run = _of(state, who)
    known = tuple((other, seen) for other, seen in run.evidence if other != name or not cut)
    lost = tuple(sorted({*run.lost, name}))
    cuts = tuple(sorted({*run.cut, name} if cut else run.cut))
    waiting = tuple(other for other in run.waiting if other != name)
    return _run(state, who, run._replace(evidence=known, lost=lost, cut=cuts, waiting=waiting))


def deliver(state: State, name: str, visit: Visit, proven: bool) -> State:
    """Hand a visit's result to the run that waits for it."""
    who = visit.owner
    if who is None or state.runs[who] is None:
        return state
    run = _of(state, who)
    host = host_at(state, name)
    if not host.reached:
        state = lose(state, who, name, cut=True)
        return _gone_on(state, who)
    seen = look(state, host, run.nonce)._replace(visiting=False)
    known = tuple(sorted({**dict(run.evidence), name: seen}.items()))
    waiting = tuple(other for other in run.waiting if other != name)
    run = run._replace(evidence=known, waiting=waiting, visited=tuple(sorted({*run.visited, name})))
    run = run._replace(hurt=run.hurt or (visit.restart and visits.worse(visit.before, host)))
    state = _run(state, who, run)
    if visits.fails(visit, proven):
        state = lose(state, who, name, cut=False)
    return _gone_on(state, who)


def _gone_on(state: State, who: int) -> State:
    run = _of(state, who)
    if run.waiting or run.stage != "wait":
        return state
    return _run(state, who, run._replace(stage="batch" if run.queue else "count"))


def _count(state: State, who: int, run: Run) -> State:
    keyring = _ring(state, who)
    phase = PHASES[run.playbook][run.phase]
    seen = _looks(run)
    complete = _survey(state, run, keyring).count.complete
    if complete and not _short(state, keyring, phase, seen):
        return _close(state, who, run)
    return _run(state, who, _all(state, run)._replace(stage="close"))


def _short(state: State, keyring: Keyring, phase: str, seen: Dict[str, Any]) -> bool:
    """Whether a key that is due has not soaked long enough on a host: a new look may show that it has."""
    return phase == "retire" and bool(proofs.soak_findings(seen, soak.due(keyring, wall(state))))


def _close(state: State, who: int, run: Run) -> State:
    state = answering(state, who, list(_looks(run)))
    verdict = gate.closing(_survey(state, run, _ring(state, who)))
    if verdict.outcome == "refuse":
        return end(state, who)
    if verdict.keyring is not _ring(state, who):
        _lasts(state, run, verdict.keyring)
    return _next(write(state, who, verdict.keyring, run), who, run)


def _lasts(state: State, run: Run, keyring: Keyring) -> None:
    """See that a step is not closed over a host on which the application does not run."""
    for name, seen in run.evidence:
        proven = keyring["members"].get(name, {}).get("proven") == keyring["step"]["counter"]
        if proven and (seen.host.health != "ok" or not seen.host.workers) and seen.at == state.now:
            raise Violation(f"{keyring['step']['name']} closes, and the application of {name} does not run steadily")
