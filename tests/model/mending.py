# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No dead ends: once faults stop, `rollout`, run again and again, ends with one key on every host."""

from __future__ import annotations

from typing import Optional, Set

from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership

from . import adopting, runs, visits
from .invariants import settle
from .world import ALIEN, State, Violation, canon, host_at, put, wall

# Enough for a few soaks one after the other, and for clocks that have jumped.
ROUNDS = 18
STUCK = "there is no way out of this state: rollouts do not reach a closed step with one key on every host"


class Mender:
    """Remembers from where the end was reached before."""

    def __init__(self) -> None:
        self.good: Set[int] = set()
        self.bad: Set[int] = set()

    def stuck(self, state: State) -> Optional[str]:
        """Say why the end cannot be reached from a state; None where it is."""
        try:
            state = calm(state)
            if state.books[0] is None and not state.lost:
                adopted = adopting.recover(state, 0, lost=False)
                return None if adopted is state or self.reaches(adopted, 0) else STUCK
            if any(self.reaches(state, who) for who in range(len(state.books))):
                return None
            if state.lost == "restored" or unknown(state) or raced(state):
                recovered = adopting.recover(state, 0)
                if recovered is not state and self.reaches(recovered, 0):
                    return None
        except Violation as violation:
            return f"on the way out of this state: {violation}"
        return STUCK

    def reaches(self, state: State, who: int) -> bool:
        """Whether one operator's rollouts reach the end."""
        if state.books[who] is None:
            return False
        passed = []
        for _round in range(ROUNDS):
            known = hash((canon(state), who))
            if known in self.good:
                break
            if known in self.bad or known in passed:
                self.bad.update(passed)
                return False
            passed.append(known)
            state = rolled(state, who)
            if done(state, who):
                break
            state = settle(state._replace(now=state.now + 1))
        else:
            self.bad.update(passed)
            return False
        self.good.update(passed)
        return True


def unknown(state: State) -> bool:
    """Whether hosts have keys that the keyring does not know: a visit of the one that was lost came late, or it is lost."""
    book = state.books[0]
    if book is None:
        return True
    known = {key["fingerprint"] for key in book.keyring["keys"]}
    return bool(state.lost) and any(set(host.file.accepts) - known for host in state.hosts if host.listed)


def raced(state: State) -> bool:
    """Whether two copies of a keyring have both gone on: then one is recovered from the fleet."""
    counters = [book.keyring["step"]["counter"] for book in state.books if book]
    return len(counters) == 2 and state.copied is not None and min(counters) > state.copied


def calm(state: State) -> State:
    """End all faults: runs and visits have ended, every host is up and in the inventory, and people have mended theirs."""
    for who in range(len(state.runs)):
        state = runs.end(state, who)
    state = state._replace(runs=(None,), left=(), budget=tuple((name, 0) for name, _left in state.budget))
    for name in [host.name for host in state.hosts]:
        while any(visit.stage != "sent" for visit in host_at(state, name).visits):
            number, _visit = visits.pieces(host_at(state, name))[0]
            state = settle(visits.go_on(state, name, number).state)
        host = host_at(state, name)._replace(visits=(), outsider=None, reached=True, ending=())
        keyrings_here = {book.keyring["id"] for book in state.books if book}
        stranger = host.record is not None and bool(keyrings_here) and host.record.keyring not in keyrings_here
        gone = stranger or (host.health == "down" and not host.listed)
        host = host._replace(listed=not gone and (host.listed or host.record is not None))
        if ALIEN in host.file.accepts:
            kept = tuple(key for key in host.file.accepts if key != ALIEN)
            host = host._replace(file=host.file._replace(accepts=kept, ident=host.file.ident + 1))
        well = len(host.workers) == 2 and host.health == "ok" and all(ALIEN not in w.accepts for w in host.workers)
        state = settle(put(state, host if gone or well else visits.restarted(state, host, "ok")._replace(ending=())))
    return state


def rolled(state: State, who: int) -> State:
    """Run one whole rollout in which nothing goes wrong."""
    state = state._replace(runs=tuple(None for _number in range(who + 1)))
    book = state.books[who]
    assert book is not None
    fleet = [host.name for host in state.hosts if host.listed]
    away = [name for name in book.keyring["members"] if name not in fleet]
    state = runs.write(state, who, membership.release(book.keyring, away, fleet, wall(state)))
    state = runs.begin(state, who, "rollout")
    while state.runs[who]:
        run = state.runs[who]
        if run and run.stage == "wait":
            for name in run.waiting:
                while any(visit.owner == who for visit in host_at(state, name).visits):
                    outcome = visits.go_on(put(state, host_at(state, name)._replace(ending=())), name, 0)
                    state = outcome.state
                    if outcome.ended:
                        state = runs.deliver(state, name, outcome.ended, outcome.proven)
                    state = settle(state)
        else:
            state = settle(runs.step(state, who))
    return state


def done(state: State, who: int) -> bool:
    """Whether there is one key, on every host of the inventory, and the last step is closed."""
    book = state.books[who]
    assert book is not None
    keys = keyrings.in_state(book.keyring, "staged", "primary", "retiring", "dropping")
    if keyrings.is_open(book.keyring) or len(keys) != 1:
        return False
    want = (keys[0]["fingerprint"],)
    fleet = [host for host in state.hosts if host.listed]
    return all(holder.accepts == want for host in fleet for holder in [host.file, *host.workers])
