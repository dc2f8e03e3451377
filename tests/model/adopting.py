# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adopt: a keyring is made from what the fleet does, for a first time or because it was lost."""

from __future__ import annotations

from typing import Dict, Optional, Sequence

from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Conditions, Looks

from .looks import evidence, look
from .runs import book_of
from .world import (
    EVIDENCE_MAX_AGE,
    TICK,
    Book,
    Seen,
    State,
    Violation,
    host_at,
    name_of,
    secrets_by_name,
    soak_of,
    wall,
)


def recover(state: State, who: int, lost: bool = True) -> State:
    """Make a keyring from the fleet, as `adopt` does (where one was `lost`, with app_keys_recover); the same state if it is refused."""
    fleet = [host.name for host in state.hosts if host.listed]
    seen: Dict[str, Seen] = {h.name: look(state, h, "adopt") for h in state.hosts if h.listed and h.reached}
    looks = {name: evidence(one) for name, one in seen.items()}
    conditions = Conditions("adopt", state.now * TICK, EVIDENCE_MAX_AGE, {}, wall(state))
    plan = adoption.judge(Looks(fleet, looks, conditions), recover=lost)
    if plan.findings or not plan.accepts:
        return state
    _adopts(fleet, state, plan.keyring)
    known = secrets_by_name()
    held = set(host_at(state, str(plan.source)).file.accepts)
    if not {*plan.accepts, *plan.gone} <= held:
        raise Violation(f"{plan.source} is asked for keys that it does not have")
    start = steps.Start(
        secrets=[known[key] for key in plan.accepts], gone=[known[key] for key in plan.gone], signing=plan.signing,
        partly_accepted=plan.partly_accepted, origin="recovered", leaked=plan.leaked, counter=plan.counter + 1,
    )  # fmt: skip
    lineage = state.lineages + 1
    form = {"framework": "django", "settings": {}}
    keyring = steps.adopt(
        "shop",
        plan.keyring or "another ring",
        f"{lineage}.{plan.counter + 1}",
        start,
        fleet,
        form,
        soak_of(state),
        {"how": "trust"},
        wall(state),
    )
    book = Book(keyrings.check(keyring, "shop"), lineage)
    leaked = {key for host in state.hosts if host.listed and host.record for key in host.record.leaked}
    for key in keyring["keys"]:
        if key["fingerprint"] in leaked and "compromised" not in key["marks"]:
            raise Violation(
                f"{name_of(key['fingerprint'])} has leaked, and the keyring that is recovered does not know it"
            )
    return write_first(state, who, book)._replace(lineages=lineage)


def write_first(state: State, who: int, book: Book) -> State:
    """Put a keyring where there was none."""
    place = book_of(state, who)
    return state._replace(books=tuple(book if number == place else other for number, other in enumerate(state.books)))


def _adopts(fleet: Sequence[str], state: State, keyring: Optional[str]) -> None:
    """See that a fleet may be adopted: all of it is known, it refuses nothing of its own, and has no other keyring."""
    hosts = [host_at(state, name) for name in fleet]
    signed = {holder.signs for host in hosts for holder in (host.file, *host.workers)}
    for host in hosts:
        if not host.reached or any(visit.stage != "sent" for visit in host.visits):
            raise Violation(f"{host.name} is adopted, and nobody knows what it does")
        if host.record and host.record.keyring != keyring:
            raise Violation(f"a second keyring is begun for {host.name}, which was rolled with another")
        if host.outsider or host.health != "ok":
            raise Violation(f"{host.name} is adopted with processes of which nobody knows what they hold")
        for holder in (host.file, *host.workers):
            if signed - set(holder.accepts):
                raise Violation(f"{host.name} is adopted, and refuses what another host signs")
