# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit, as _host/visit.py makes it, cut into the pieces between which anything may happen.

    sent ── lock, look, note ──► noted ── write ──► written ── restart ──► restarted ── prove ──► (ended, proven)
                                                                               └─ put back ──► restored ──► (ended)

What is done is told here once more; what is decided, the rules decide.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules import history
from ansible_collections.phased.keys.plugins.module_utils._host.rules import visit as rules
from ansible_collections.phased.keys.plugins.module_utils._keyring_shapes import Keyring
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership

from .looks import evidence, look, record
from .world import ALIEN, T0, TICK, File, Host, Record, Seen, State, Violation, Visit, Worker, frozen, host_at, put

# How a restart may end: all well, the old workers still there, nothing left, one worker of before left over,
# one worker too few, workers that come and go.
RESTARTS = ("ok", "old stay", "down", "stale", "one", "flapping")
REPLACED: Sequence[str] = ()


class Outcome:
    """What a visit's piece leads to: the state, and if the visit has ended its result for whoever waits."""

    def __init__(self, state: State, ended: Optional[Visit] = None, proven: bool = False) -> None:
        self.state, self.ended, self.proven = state, ended, proven


def send(
    state: State, host: Host, keyring: Keyring, owner: Optional[int], converge: bool, told: Any
) -> Optional[State]:
    """Send a visit to a host; None where the controller refuses it. `told` are records that this run's survey has seen.

    A host that has no record and would be changed is held against others first: see action/env_keys.py and join.yml.
    """
    voucher = membership.vouched(keyring, host.name, told)
    if voucher.refuse:
        return None
    order = frozen(keyrings.order(keyring))
    vouched = voucher.ok
    if host.record is None and not vouched and joins(order, host, converge, state):
        asked = membership.vouchers(keyring, host.name, [other.name for other in state.hosts if other.listed])[:3]
        found = {name: record(host_at(state, name).record) for name in asked if host_at(state, name).reached}
        voucher = membership.vouched(keyring, host.name, found)
        if voucher.refuse or not voucher.ok:
            return None
        vouched = True
    visit = Visit(owner, keyrings.token(keyring), order, keyring["step"]["name"], converge, vouched)
    return put(state, host._replace(visits=(*host.visits, visit)))


def joins(order: Any, host: Host, converge: bool, state: State) -> bool:
    """Whether nothing may be done before somebody has vouched for the keyring."""
    # As in _host/visit.py: a refusal comes first, and whether anything has to be changed is not asked.
    return not rules.plan(order, evidence(look(state, host, "")), converge, REPLACED).refuse


def pieces(host: Host) -> List[Tuple[int, Visit]]:
    """Return the visits that can go on: the one that has the lock, or else any that waits for it."""
    begun = [(number, visit) for number, visit in enumerate(host.visits) if visit.stage != "sent"]
    return begun or list(enumerate(host.visits))


def outcomes(visit: Visit) -> Sequence[str]:
    """Return how the next piece may end."""
    restarts = (visit.stage == "written" and visit.restart) or visit.stage == "restored"
    return RESTARTS if restarts else ("ok",)


def go_on(state: State, name: str, number: int, how: str = "ok", fused: bool = False) -> Outcome:
    """Do the next piece of a visit; `fused` with those after it that show nowhere else."""
    outcome = _piece(state, name, number, how)
    if not fused or outcome.ended:
        return outcome
    stage = host_at(outcome.state, name).visits[number].stage
    if host_at(outcome.state, name).ending:
        return outcome  # pods may be gone at any time, and that shows
    if stage == "noted" or (stage == "restarted" and how == "ok"):
        return go_on(outcome.state, name, number, "ok", fused)
    return outcome


def _piece(state: State, name: str, number: int, how: str) -> Outcome:
    host = host_at(state, name)
    visit = host.visits[number]
    piece = {"sent": _begin, "noted": _write, "written": _restart, "restarted": _prove, "restored": _restore}[
        visit.stage
    ]
    return piece(state, host, number, visit, how)


def _begin(state: State, host: Host, number: int, visit: Visit, how: str) -> Outcome:
    before = look(state, host, "")._replace(visiting=False)
    seen = evidence(before)
    plan = rules.plan(visit.order, seen, visit.converge, REPLACED)
    if host.workload:
        # A new template is rolled by the cluster; without one there is nothing that would start anything anew.
        plan = plan._replace(restart=plan.write)
    if rules.fence(visit.token, seen["record"]) or plan.refuse:
        return _end(state, host, number, False)
    visit = visit._replace(before=before, write=plan.write, restart=plan.restart)
    if not plan.write and not plan.restart:
        if rules.unproven(visit.order, seen, visit.converge, seen):
            return _end(state, host, number, False)
        if visit.converge:
            host = _proven(state, host, visit)
        return _end(state, host, number, True)
    if host.record is None and not visit.vouched:
        return _end(state, host, number, False)
    if host.record and host.record.keyring != visit.token.keyring:
        raise Violation(f"{host.name} was rolled with another keyring, and is visited from this one")
    host = host._replace(record=_note(state, host, visit, "visiting"))
    return Outcome(_stay(state, host, number, visit._replace(stage="noted" if plan.write else "written")))


def _write(state: State, host: Host, number: int, visit: Visit, how: str) -> Outcome:
    order = visit.order
    unknown = [key for key in host.file.accepts if key not in order.known]
    if unknown:
        # The file is as it is now, and not as it was when the visit began.
        return _stay_with_old(state, host, number, visit)
    host = host._replace(file=_file(state, host, order.signs, order.accepts))
    return Outcome(_stay(state, host, number, visit._replace(stage="written")))


def _file(state: State, host: Host, signs: str, accepts: Sequence[str]) -> File:
    if ALIEN in host.file.accepts and ALIEN not in accepts:
        raise Violation(
            f"a visit overwrites a key on {host.name} which no keyring knows, and which may be the only copy"
        )
    return File(signs, tuple(accepts), host.file.ident + 1, state.now + host.skew)


def restarted(state: State, host: Host, how: str) -> Host:
    """Return a host after a restart of its application."""
    new = Worker(host.file.signs, host.file.accepts, state.now)
    workers: Dict[str, Tuple[Worker, ...]] = {
        "ok": (new, new), "down": (), "one": (new,), "flapping": (new, new), "old stay": host.workers,
        "stale": (*host.workers[:1], new),
    }  # fmt: skip
    health = {"down": "down", "flapping": "flapping", "old stay": host.health}.get(how, "ok")
    # Of those that hold the same keys one stands for all.
    old = {worker[:2]: worker for worker in (*host.ending, *host.workers) if host.workload}
    ending = tuple(worker for keys, worker in sorted(old.items()) if keys != new[:2])
    return host._replace(workers=workers[how], health=health, ending=ending)


def _restart(state: State, host: Host, number: int, visit: Visit, how: str) -> Outcome:
    if visit.restart:
        if any(ALIEN in worker.accepts for worker in host.workers) and ALIEN not in host.file.accepts:
            raise Violation(
                f"a visit restarts the workers of {host.name}, which alone hold a key that no keyring knows"
            )
        host = restarted(state, host, how)
    failed = visit.restart and how in ("old stay", "down")
    return Outcome(_stay(state, host, number, visit._replace(stage="restarted", failed=failed)))


def _prove(state: State, host: Host, number: int, visit: Visit, how: str) -> Outcome:
    assert visit.before is not None
    before = evidence(visit.before)
    found = visit.failed or rules.unproven(visit.order, _now(state, host), visit.converge, before)
    if not found:
        if len(host.workers) < len(visit.before.host.workers) or host.health != "ok":
            raise Violation(
                f"{host.name} counts as proven with fewer workers than before, or with workers that do not last"
            )
        return _end(state, _proven(state, host, visit), number, True)
    file = visit.before.host.file
    # A file that somebody meddles with stays; and whoever was down with the old settings gets the new ones.
    kept = ALIEN in host.file.accepts or bool(rules.down(before))
    if kept or not visit.write or not visit.order.may_restore(file.signs, file.accepts):
        return _stay_with_old(state, host, number, visit)
    order = visit.order
    if ({file.signs} - {order.signs} | set(file.accepts) - set(order.accepts)) & set(order.leaked):
        raise Violation(f"a visit that failed brings a leaked key back on {host.name}")
    host = host._replace(file=_file(state, host, file.signs, file.accepts))
    if visit.restart:
        return Outcome(_stay(state, host, number, visit._replace(stage="restored")))
    return _stay_with_old(state, host, number, visit)


def _restore(state: State, host: Host, number: int, visit: Visit, how: str) -> Outcome:
    return _stay_with_old(state, restarted(state, host, how), number, visit)


def _stay_with_old(state: State, host: Host, number: int, visit: Visit) -> Outcome:
    return _end(state, host._replace(record=_note(state, host, visit, "unproven")), number, False)


def _now(state: State, host: Host) -> Mapping[str, Any]:
    return evidence(look(state, host, "")._replace(visiting=False))


def _proven(state: State, host: Host, visit: Visit) -> Host:
    """Write the record of a proof."""
    assert visit.before is not None
    before = evidence(visit.before)
    signs = visit.order.signs if visit.converge else host.file.signs
    past = history.after(before, signs, T0 + (state.now + host.skew) * TICK)
    kept = _note(state, host, visit, "proven")._replace(
        signs=signs,
        workers=rules.remembered(before, _now(state, host))["workers"],
        stopped=tuple(sorted((key, round((at - T0) / TICK)) for key, at in past.items() if at > T0 - 1000 * TICK)),
        file=host.file[2:],
    )
    return host._replace(record=kept)


def _note(state: State, host: Host, visit: Visit, how: str) -> Record:
    """Return the record with this visit's token, and what it said before of the last proof."""
    assert visit.before is not None
    token, at, old = visit.token, state.now + host.skew, visit.before.host.record
    if old is None:
        old = Record(token.keyring, token.counter, token.nonce, visit.step, how, at, None, 0, (), None)
    said = {
        "keyring": token.keyring,
        "counter": token.counter,
        "nonce": token.nonce,
        "step": visit.step,
        "state": how,
        "at": at,
    }
    return old._replace(**said, leaked=tuple(visit.order.leaked))


def _stay(state: State, host: Host, number: int, visit: Visit) -> State:
    visits = tuple(visit if place == number else other for place, other in enumerate(host.visits))
    return put(state, host._replace(visits=visits))


def _end(state: State, host: Host, number: int, proven: bool) -> Outcome:
    visit = host.visits[number]
    visits = tuple(other for place, other in enumerate(host.visits) if place != number)
    if proven and any(set(worker.accepts) - set(visit.order.may_accept) for worker in host.workers):
        raise Violation(f"{host.name} counts as proven, and accepts a key that is let go of")
    # Whoever was set aside or joins is sent requests once somebody hears that a visit has proven it.
    heard = proven and host.reached and (visit.owner is not None or not visit.converge)
    return Outcome(put(state, host._replace(visits=visits, serves=host.serves or heard)), visit, proven)


def worse(before: Optional[Seen], host: Host) -> bool:
    """Whether a visit left a host with less than it found."""
    if before is None:
        return False
    return len(host.workers) < len(before.host.workers) or (host.health != "ok" and before.host.health == "ok")


def fails(visit: Visit, proven: bool) -> bool:
    """Whether the playbook takes a visit that ended as failed: a host that was down is no worse for an urgent one."""
    was_down = visit.before is not None and bool(rules.down(evidence(visit.before)))
    return not proven and not (visit.order.incident and was_down and visit.restart)
