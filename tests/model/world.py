# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a small fleet, all of it plain values that are never changed in place.

Time is counted in ticks. A tick is longer than evidence may be old and than a visit may last, and a soak is a
few of them. Two states that differ only in absolute times, or in counters by a constant, are one: `canon`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Dict, NamedTuple, Optional, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import epoch
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order, Token
from ansible_collections.phased.keys.plugins.module_utils._keyring_shapes import Keyring
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership

T0 = 1_700_000_000.0
TICK = 1000.0
EVIDENCE_MAX_AGE = 300.0
PATH = "/etc/shop.env"
NEVER = -99
FOREVER = 10**6  # until when something lives that no clock ends, in ticks
SOAK_TICKS = 2
Keys = Tuple[str, ...]


class Worker(NamedTuple):
    """A process: what it was given when it started (in ticks of true time)."""

    signs: str
    accepts: Keys
    started: int


class File(NamedTuple):
    """An env file; `ident` tells one writing from another, `changed` is when, by the host's clock."""

    signs: str
    accepts: Keys
    ident: int
    changed: int


class Record(NamedTuple):
    """What _host/record.py keeps; times by the host's clock."""

    keyring: str
    counter: int
    nonce: str
    step: str
    state: str
    at: int
    signs: Optional[str]
    workers: int
    stopped: Tuple[Tuple[str, int], ...]
    file: Optional[Tuple[int, int]]
    leaked: Keys = ()


class Visit(NamedTuple):
    """A visit on its way: it waits for the host's lock (`sent`), or has come to `stage`.

    owner   the controller that waits for its result; None where that is dead, or has lost the host
    """

    owner: Optional[int]
    token: Token
    order: Order
    step: str
    converge: bool
    vouched: bool
    stage: str = "sent"
    before: Optional["Seen"] = None
    write: bool = False
    restart: bool = False
    failed: bool = False


class Host(NamedTuple):
    """One host.

    listed   in the inventory        reached  Ansible reaches it      serves  the load balancer sends it requests
    health   ok, down (its unit failed) or flapping (its workers come and go)
    outsider a process that is not among the application's named ones and serves too
    skew     of its clock, in ticks
    workload whether it is no host but a workload of a cluster: looks show what its API says, a new template is rolled
    ending   pods of a workload that are being deleted: they serve until they are gone
    """

    name: str
    listed: bool
    reached: bool
    serves: bool
    file: File
    workers: Tuple[Worker, ...]
    record: Optional[Record] = None
    visits: Tuple[Visit, ...] = ()
    health: str = "ok"
    outsider: Optional[Worker] = None
    skew: int = 0
    workload: bool = False
    ending: Tuple[Worker, ...] = ()


class Seen(NamedTuple):
    """A look at a host: the host as it was at a tick, in whose survey, and whether a visit was in flight."""

    host: Host
    at: int
    nonce: str
    visiting: bool


class Book:
    """A keyring file: the real dictionary, and the lineage of copies that it belongs to."""

    __slots__ = ("keyring", "lineage", "static", "times")

    def __init__(self, keyring: Keyring, lineage: int) -> None:
        # Of the journal the rules read only who was released or waived; the rest would make each copy longer.
        told = ("released", membership.WAIVED)
        keyring = {**keyring, "journal": [entry for entry in keyring["journal"] if entry["event"] in told]}
        self.keyring, self.lineage = keyring, lineage
        step = keyring["step"]
        times = []
        keys = []
        for key in keyring["keys"]:
            marks = tuple(sorted(key["marks"]))
            after = key.get("after")
            anew = key.get("reencrypted")
            keys.append(
                (key["fingerprint"], key["state"], marks, key["since"], after, key["secret"] is None, bool(anew))
            )
            if key["state"] == "retiring":
                times.append((key["fingerprint"], key["times"].get("soaking")))
            if key["state"] == "staged" and "spread" in key:
                times.append((key["fingerprint"], key["times"].get("spreading")))
            if anew:
                times.append((f"{key['fingerprint']} anew", anew["began"]))
        times += [(waiver["member"] + waiver["reason"], waiver["until"]) for waiver in keyring["waivers"]]
        names = ("name", "counter", "nonce", "key", "skippable_since")
        asked = tuple(step[name] for name in names) + (tuple(step["signing"]), tuple(step["partly_accepted"]))
        proven = tuple(sorted((name, entry["proven"]) for name, entry in keyring["members"].items()))
        self.static = (
            lineage,
            keyring["id"],
            tuple(keys),
            asked,
            step["closed"] is None,
            proven,
            len(keyring["journal"]),
        )
        self.times = tuple((name, None if text is None else int((epoch(text) - T0) // TICK)) for name, text in times)

    def __hash__(self) -> int:
        return hash((self.static, self.times))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Book) and (self.static, self.times) == (other.static, other.times)


class Run(NamedTuple):
    """A playbook under way: see `runs`. `flight`: whether it found a rollout in flight; `hurt`: a visit left its host worse.
    `anew`: with which key it has what is at rest encrypted anew, and since when."""

    playbook: str
    new: bool
    begin: bool
    flight: bool
    fleet: Tuple[str, ...]
    nonce: str
    phase: int = 0
    stage: str = "ask"
    evidence: Tuple[Tuple[str, Seen], ...] = ()
    queue: Tuple[Tuple[str, ...], ...] = ()
    waiting: Tuple[str, ...] = ()
    visited: Tuple[str, ...] = ()
    lost: Tuple[str, ...] = ()
    cut: Tuple[str, ...] = ()
    hurt: bool = False
    anew: Optional[Tuple[str, int]] = None


class State(NamedTuple):
    """Everything.

    alive    the things that were signed: a key, and until when
    copied   the counter at which the keyring was copied
    lost     how the keyring that was used came to be gone: `lost`, or an old one was `restored`
    given_up keys that have leaked and whose letting go has opened: what they signed may end
    left     evidence of the run before
    soak     how long what is signed lives
    at_rest  whether what is signed is stored, and lives until it is encrypted anew
    spread   for how many ticks some who verify go by the keys of before
    published  the keys that every worker accepts, each since when it has done so without a break
    """

    now: int
    skew: int
    hosts: Tuple[Host, ...]
    books: Tuple[Optional[Book], ...]
    runs: Tuple[Optional[Run], ...]
    alive: Tuple[Tuple[str, int], ...]
    budget: Tuple[Tuple[str, int], ...]
    lineages: int = 0
    copied: Optional[int] = None
    lost: str = ""
    given_up: Tuple[str, ...] = ()
    left: Tuple[Tuple[str, Seen], ...] = ()
    soak: int = SOAK_TICKS
    at_rest: bool = False
    spread: int = 0
    published: Tuple[Tuple[str, int], ...] = ()


class Violation(Exception):
    """What must never happen has happened."""


@lru_cache(maxsize=None)
def secret(lineage: int, number: int) -> str:
    """Return the secret that a lineage makes as its key number `number`; the first keys are everybody's."""
    return f"not-a-secret-{'' if number <= 1 else lineage}-{number}-abcdefghijklmnopqrstuvwxyz"


@lru_cache(maxsize=None)
def name_of(key: Optional[str]) -> str:
    """Return how a trace names a key: k2, or k2' and so on where a copy of the keyring made it."""
    for number in range(7):
        for lineage in range(6):
            if key == fingerprint(secret(lineage, number)):
                return f"k{number}" + "'" * (lineage if number > 1 else 0)
    return str(key)


ALIEN = fingerprint(secret(0, 0))
FIRST = fingerprint(secret(0, 1))


@lru_cache(maxsize=None)
def secrets_by_name() -> Dict[str, str]:
    """Return the secret behind every fingerprint of the model."""
    made = [secret(lineage, number) for number in range(7) for lineage in range(6)]
    return {fingerprint(text): text for text in made}


def wall(state: State) -> float:
    """The controller's wall clock."""
    return T0 + (state.now + state.skew) * TICK


def soak_of(state: State) -> Dict[str, Any]:
    """The soak in the form that the rules take it."""
    return {"seconds": state.soak * TICK, "source": "the model"}


def host_at(state: State, name: str) -> Host:
    """Return a host by name."""
    return next(host for host in state.hosts if host.name == name)


def put(state: State, host: Host) -> State:
    """Return the state with this host instead of the one of its name."""
    return state._replace(hosts=tuple(host if old.name == host.name else old for old in state.hosts))


def spend(state: State, what: str) -> State:
    """Return the state with one fault less to come."""
    return state._replace(budget=tuple((name, left - (name == what)) for name, left in state.budget))


def left_of(state: State, what: str) -> int:
    """Return how many faults of a kind may still happen."""
    return next((left for name, left in state.budget if name == what), 0)


def frozen(order: Order) -> Order:
    """Return an order that can be hashed."""
    return Order(*(tuple(field) if isinstance(field, list) else field for field in order))


def age(moment: Optional[int], now: int) -> Optional[int]:
    """Return a time as seen from now: what is older than any soak is all the same.

    Never negative: -1 and -2 have the same hash in Python.
    """
    return None if moment is None else max(moment - now + SOAK_TICKS + 1, 0)


@lru_cache(maxsize=200_000)
def _host(host: Host, now: int, base: int) -> Tuple[Any, ...]:
    clock = now + host.skew
    record = host.record
    kept: Any = None
    same = True
    if record:
        stopped = tuple((key, age(at, clock)) for key, at in record.stopped if at > clock - SOAK_TICKS)
        # When the record was written, and when workers started, matters once the file is another one.
        same = record.file == host.file[2:] and not host.skew
        kept = (record.keyring, record.counter - base, record.nonce, record.step, record.state)
        kept += (record.signs, record.workers, record.leaked, stopped, same, same or age(record.at, clock))
    started = [worker.started == now if same else age(worker.started, now) for worker in host.workers]
    workers = tuple((worker.signs, worker.accepts, since) for worker, since in zip(host.workers, started))
    outside = host.outsider and host.outsider[:2]
    ending = tuple(worker[:2] for worker in host.ending)
    state = (host.name, host.listed, host.reached, host.serves, host.health, outside, ending)
    return state + (host.file.signs, host.file.accepts, workers, kept, tuple(_visit(v, now, base) for v in host.visits))


def _visit(visit: Visit, now: int, base: int) -> Tuple[Any, ...]:
    return (*visit[:1], visit.token.counter - base, *visit[1:7], _seen(visit.before, now, base), *visit[8:])


def _seen(seen: Optional[Seen], now: int, base: int) -> Any:
    # What a soak makes of a look depends on the host's clock at that look.
    return seen and (_host(seen.host, seen.at, base), age(seen.at, now), seen.visiting)


def _run(run: Optional[Run], now: int, base: int) -> Any:
    if run is None:
        return None
    looks = tuple((name, _seen(seen, now, base), seen.nonce == run.nonce) for name, seen in run.evidence)
    anew = run.anew and (run.anew[0], age(run.anew[1], now))
    return (*run[:5], *run[6:8], looks, *run[9:-1], anew)


def _since(state: State, host: Host) -> Tuple[Tuple[str, bool], ...]:
    """Return of each key that a host has signed with whether that was after a re-encryption began, however long ago both are."""
    book = state.books[0]
    began = (
        [int((epoch(key["reencrypted"]["began"]) - T0) // TICK) for key in book.keyring["keys"] if "reencrypted" in key]
        if book
        else []
    )
    stopped = host.record.stopped if host.record else ()
    return tuple((key, at - host.skew > max(began, default=NEVER) - state.skew) for key, at in stopped)


def canon(state: State) -> Tuple[Any, ...]:
    """Return what tells two states apart."""
    now, clock = state.now, state.now + state.skew
    books = tuple(book and (book.static, tuple((n, age(t, clock)) for n, t in book.times)) for book in state.books)
    return (
        tuple(_host(host, now, 0) for host in state.hosts),
        books,
        tuple(_run(run, now, 0) for run in state.runs),
        tuple((key, until if until >= FOREVER else until - now) for key, until in state.alive),
        tuple((key, min(now - since, state.spread)) for key, since in state.published) if state.spread else (),
        tuple(_since(state, host) for host in state.hosts) if state.at_rest else (),
        tuple((name, _seen(seen, now, 0)) for name, seen in state.left),
        state.budget,
        state.copied,
        state.lost,
        state.given_up,
    )


def describe(state: State) -> str:
    """Return the fleet and its keyrings in a few short lines."""
    lines = []
    for number, book in enumerate(state.books):
        lines.append(f"keyring {'AB'[number]}: " + ("none" if book is None else _ring_text(book.keyring)))
    for host in state.hosts:
        lines.append(f"{host.name}: {_host_text(host, state)}")
    for number, run in enumerate(state.runs):
        if run:
            lines.append(f"operator {'AB'[number]}: {run.playbook}{' new' * run.new}, phase {run.phase}, {run.stage}")
    lives = {
        key: "ever" if until >= FOREVER else str(until - state.now) for key, until in state.alive if until > state.now
    }
    alive = ", ".join(f"{name_of(key)} for {how_long}" for key, how_long in lives.items())
    return "\n".join(lines + [f"alive: {alive or 'nothing'}; time {state.now}"])


def _holds(keys: Any) -> str:
    others = " ".join(name_of(key) for key in keys.accepts if key != keys.signs)
    return f"{name_of(keys.signs)}" + (f"+{others.replace(' ', '+')}" if others else "")


def _ring_text(keyring: Keyring) -> str:
    step = keyring["step"]
    keys = ", ".join(f"{name_of(k['fingerprint'])} {'/'.join([k['state'], *k['marks']])}" for k in keyring["keys"])
    ended = "open" if keyrings.is_open(keyring) else "closed"
    aside = f"; waived: {', '.join(waiver['member'] for waiver in keyring['waivers'])}" if keyring["waivers"] else ""
    return f"{step['counter']} {step['name']} {ended}; {keys}; members {' '.join(sorted(keyring['members']))}{aside}"


def _host_text(host: Host, state: State) -> str:
    text = f"file {_holds(host.file)}; workers {' '.join(_holds(worker) for worker in host.workers) or 'none'}"
    if host.record:
        text += f"; record {host.record.counter} {host.record.step} {host.record.state}"
    else:
        text += "; no record"
    odd = {"not in the inventory": not host.listed, "cut off": not host.reached, "serves nobody": not host.serves}
    odd[host.health] = host.health != "ok"
    text += "".join(f"; {words}" for words, is_so in odd.items() if is_so)
    if host.outsider:
        text += f"; outside {_holds(host.outsider)}"
    if host.ending:
        text += f"; ending {' '.join(map(_holds, host.ending))}"
    for visit in host.visits:
        who = "nobody" if visit.owner is None else "AB"[visit.owner]
        text += f"; visit of {visit.token.counter} {visit.step} for {who}: {visit.stage}"
    return text
