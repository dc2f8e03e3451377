# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's load, smaller, with one request at a time per session; every failed connection is kept with its host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import browser
from browser import Answer, Balancer, GaveUp, Jar, exchange
from load import MARGIN, Client, Link, Load, Session

STEADY = {"database": 4, "cookie": 4, "link": 2}
SELDOM = {"database": 3, "cookie": 3, "link": 2}
LOST = ("lost_sessions", "refused_links")


class FaultLoad(Load):
    """Clients that hop between the hosts while those are broken."""

    def __init__(self, hosts: list[tuple[str, int]], password: str, life: float, rate: float) -> None:
        super().__init__(hosts, password, life, rate)
        self.errors: list[tuple[float, str, str]] = []  # when, address, what

    def _make(self) -> Iterator[Client]:
        pause = sum(STEADY.values()) / self.rate
        steady, seldom = (pause * 0.5, pause * 1.5), (self.life * 0.55, self.life - MARGIN - 0.3)
        for kinds, pauses in ((STEADY, steady), (SELDOM, seldom)):
            for kind, number in kinds.items():
                for _number in range(number):
                    client = Link(self, pauses) if kind == "link" else Session(self, pauses, kind)
                    client.balancer = TellingBalancer(self.hosts, client._trouble, tell=self._tell)
                    yield client

    def _tell(self, address: str, error: Exception) -> None:
        self.errors.append((time.monotonic(), address, f"{type(error).__name__}: {error}"))

    def lost(self) -> int:
        return sum(self.total(field) for field in LOST)


class TellingBalancer(Balancer):
    """Tells which host did not answer."""

    def __init__(
        self,
        hosts: list[tuple[str, int]],
        on_error: Callable[[Exception], None],
        *,
        tell: Callable[[str, Exception], None],
    ) -> None:
        super().__init__(hosts, on_error)
        self.tell = tell

    async def send(self, path: str, jar: Jar | None = None, form: dict[str, str] | None = None) -> Answer:
        cookie, last = jar.value if jar else "", None
        for _try in range(browser.TRIES):
            host = self.chance.choice([host for host in self.hosts if host != last])
            try:
                async with asyncio.timeout(browser.PATIENCE):
                    return await exchange(host, path, cookie, form)
            except (OSError, EOFError, ValueError, KeyError) as error:
                self.tell(host[0], error)
                self.on_error(error)
                last = host
                await asyncio.sleep(self.chance.uniform(0.02, 0.1))
        raise GaveUp(f"no host answered {path.split('?')[0]} in {browser.TRIES} tries")
