# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load: clients that stay logged in, hop between the hosts with every request, and notice when they are logged out.

A request is *lost* when the application says that the session is anonymous or refuses the link, although nothing the
client did ended it. A connection that is refused or cut off is an *error*, never lost: the client asks another host, as
a load balancer would. What has lived out its life by the client's own clock is renewed, and not counted as lost.

Kinds of client, all of them on the same fleet:
  database, cookie   one session each, used all the time
  link               one reset link each, checked again and again
  seldom_*           the same three, but each thing rests for most of its life before it is used again: what was signed
                     by the old key just before the last host changed is first seen by hosts that sign with the new one
  parallel           a browser: 4 to 6 requests of one database session at once
  parallel_remedied  the same with the sessions of `shop/kept_sessions.py`
"""

from __future__ import annotations

import abc
import asyncio
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from browser import Answer, Balancer, GaveUp, Jar

MAIN, PARALLEL, REMEDIED = "main", "parallel", "parallel_remedied"
MARGIN = 1.5  # seconds before the end of its life at which a client renews: signatures count in whole seconds
STEADY = {"database": 24, "cookie": 24, "link": 12}
SELDOM = {"database": 24, "cookie": 24, "link": 12}
CLIENTS = sum(STEADY.values()) + sum(SELDOM.values())  # those that send one request at a time
BROWSERS = 4
BURST_EVERY = 1.2

# Group, phase -> requests, lost_sessions, refused_links, crossings, expired, errors, server_errors, logins
Counts = dict[tuple[str, str], Counter]


class Load:
    """All clients, in one thread with one event loop. The driver sets `phase`; what is sent counts for that phase."""

    def __init__(self, hosts: list[tuple[str, int]], password: str, life: float, rate: float) -> None:
        self.hosts = hosts
        self.password = password
        self.life = life
        self.rate = rate
        self.phase = "start"
        self.failure: str | None = None
        self.unusual: Counter = Counter()
        self.moments: list[tuple[float, str]] = []  # when the main clients saw which of timeline.SERIES
        self._counts: Counts = defaultdict(Counter)
        self._names = (f"user{number}" for number in range(10_000))
        self._chance = random.Random()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self, patience: float = 30) -> None:
        """Start all clients, and return when each of them has logged in."""
        self._thread.start()
        if not self._ready.wait(patience) or self.failure:
            raise GaveUp(self.failure or "the clients could not log in")

    def stop(self) -> None:
        """Let every client finish its request and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def counts(self) -> Counts:
        """Return a copy of all counters."""
        return {key: Counter(counter) for key, counter in list(self._counts.items())}

    def total(self, field: str, group: str = MAIN) -> int:
        """Return one counter over all phases."""
        return sum(counter[field] for key, counter in list(self._counts.items()) if key[0] == group)

    def _run(self) -> None:
        try:
            asyncio.run(self._all_clients())
        except Exception as error:
            first = getattr(error, "exceptions", [error])[0]  # a task group wraps what its tasks raised
            self.failure = f"{type(first).__name__}: {first}"
        self._ready.set()

    async def _all_clients(self) -> None:
        clients = list(self._make())
        for first in range(0, len(clients), 10):  # not all at once: the listen queues are short
            await asyncio.gather(*(client.begin() for client in clients[first : first + 10]))
        self._ready.set()
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(self._keep_going(client))

    def _make(self) -> Iterator[Client]:
        pause = sum(STEADY.values()) / self.rate
        steady, seldom = (pause * 0.5, pause * 1.5), (self.life * 0.55, self.life - MARGIN - 0.3)
        for kinds, pauses in ((STEADY, steady), (SELDOM, seldom)):
            for kind, number in kinds.items():
                for _number in range(number):
                    yield Link(self, pauses) if kind == "link" else Session(self, pauses, kind)
        for _number in range(BROWSERS):
            yield Browser(self, (BURST_EVERY * 0.5, BURST_EVERY * 1.5), "database", PARALLEL)
            yield Browser(self, (BURST_EVERY * 0.5, BURST_EVERY * 1.5), "kept", REMEDIED)

    async def _keep_going(self, client: Client) -> None:
        while not self._stopping.is_set():
            await self._rest(self._chance.uniform(*client.pauses))
            if not self._stopping.is_set():
                await client.act()

    async def _rest(self, seconds: float) -> None:
        """Sleep, in pieces short enough that the end of the run is noticed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            await asyncio.sleep(min(left, 0.5))

    def counter(self, group: str) -> Counter:
        return self._counts[group, self.phase]

    def next_name(self) -> str:
        return next(self._names)


class Client(abc.ABC):
    """Somebody with one thing that is signed. `begin` gets it, `act` uses it."""

    def __init__(self, load: Load, pauses: tuple[float, float], group: str = MAIN) -> None:
        self.load = load
        self.pauses = pauses
        self.group = group
        self.name = load.next_name()
        self.jar = Jar()
        self.balancer = Balancer(load.hosts, self._trouble)

    @abc.abstractmethod
    async def begin(self) -> None:
        """Get it; each kind of client has its own way."""

    @abc.abstractmethod
    async def act(self) -> None:
        """Use it; each kind of client has its own way."""

    def _trouble(self, error: Exception) -> None:
        self.load.counter(self.group)["errors"] += 1
        self._remember("errors")
        self.load.unusual[f"{type(error).__name__}: {error}" if not isinstance(error, OSError) else str(error)] += 1

    def _remember(self, what: str) -> None:
        if self.group == MAIN:
            self.load.moments.append((time.monotonic(), what))

    def worn_out(self) -> bool:
        """Tell whether what the client has is about to expire, so that a browser would have dropped it."""
        return not self.jar.value or self.jar.age > self.load.life - MARGIN

    def judge(self, counter: Counter, answer: Answer, key: str, born: float, kept: bool, lost: str) -> bool:
        """Count one answered request: kept, lost, or a failure of the server that is neither. Return `kept`."""
        if answer.status >= 500:
            counter["errors"] += 1
            counter["server_errors"] += 1
            self._remember("errors")
            self.load.unusual[f"status {answer.status}"] += 1
            return True
        counter["requests"] += 1
        self._remember("requests")
        if kept:
            counter["crossings"] += answer.content.get("key") != key
        elif time.monotonic() - born >= self.load.life - 1:
            counter["expired"] += 1  # stalled on a busy machine until it had truly expired
        else:
            counter[lost] += 1
            self._remember("lost")
        return kept

    async def _must(self, send: Callable, accept: Callable[[Answer], bool]) -> Answer:
        """Send until the application does what was asked (a login, a new link)."""
        for _try in range(20):
            answer = await send()
            if accept(answer):
                self.load.counter(self.group)["logins"] += 1
                return answer
            self.load.unusual[f"login or link refused with status {answer.status}"] += 1
            await asyncio.sleep(0.2)
        raise GaveUp(f"{self.name} cannot log in: status {answer.status}")


class Session(Client):
    """A logged-in user, one request after the other."""

    def __init__(self, load: Load, pauses: tuple[float, float], kind: str, group: str = MAIN) -> None:
        super().__init__(load, pauses, group)
        self.kind = kind

    async def begin(self) -> None:
        self.jar = Jar()
        form = {"name": self.name, "password": self.load.password}
        answer = await self._must(
            lambda: self.balancer.send(f"/{self.kind}/login", form=form),
            lambda answer: answer.content.get("user") == self.name and bool(answer.cookie),
        )
        self.jar.take(answer)

    async def act(self) -> None:
        if self.worn_out() or not await self.ask():
            await self.begin()

    async def ask(self) -> bool:
        """Ask who I am, and return whether the application still knows."""
        counter, key, born = self.load.counter(self.group), self.jar.key, self.jar.born
        answer = await self.balancer.send(f"/{self.kind}/me", self.jar)
        self.jar.take(answer)
        return self.judge(counter, answer, key, born, answer.content.get("user") == self.name, "lost_sessions")


class Browser(Session):
    """A browser that loads a page and its parts at once: several requests with the same cookie."""

    def __init__(self, load: Load, pauses: tuple[float, float], kind: str, group: str) -> None:
        super().__init__(load, pauses, kind, group)

    async def act(self) -> None:
        if self.worn_out():
            await self.begin()
        kept = await asyncio.gather(*(self.ask() for _number in range(random.randint(4, 6))))
        if not all(kept):
            await self.begin()


class Link(Client):
    """Somebody with a password-reset link in a mail."""

    async def begin(self) -> None:
        answer = await self._must(
            lambda: self.balancer.send("/reset/make", form={"name": self.name}),
            lambda answer: "link" in answer.content,
        )
        self.jar = Jar(answer.content["link"], answer.sent, answer.content["key"])

    async def act(self) -> None:
        if self.worn_out():
            await self.begin()
            return
        counter, key, born = self.load.counter(self.group), self.jar.key, self.jar.born
        answer = await self.balancer.send(self.jar.value)
        if not self.judge(counter, answer, key, born, bool(answer.content.get("valid")), "refused_links"):
            await self.begin()
