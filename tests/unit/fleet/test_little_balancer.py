# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's balancer: hosts in turn, nobody to a drained one, and an answer at the door when that is so."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from browser import exchange
from door import LOOPBACK
from little_balancer import Host, LittleBalancer, read_hosts

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Application:
    """Two hosts and the balancer before them. A request is answered when `go` says so."""

    def __init__(self) -> None:
        self.asked: Counter = Counter()
        self.go = asyncio.Event()
        self.well = True
        self.arrived = asyncio.Event()

    def host(self, name: str) -> Any:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/healthz" in head:
                writer.write(ANSWER if self.well else ANSWER.replace(b"200", b"500"))
            else:
                self.asked[name] += 1
                self.arrived.set()
                await self.go.wait()
                writer.write(ANSWER)
            writer.close()

        return answer

    async def ask(self) -> int:
        """Send one request through the balancer."""
        return (await exchange(self.front, "/", "", None)).status


@contextlib.asynccontextmanager
async def running(patience: float = 5) -> AsyncIterator[tuple[Application, LittleBalancer]]:
    application = Application()
    servers = [await asyncio.start_server(application.host(name), LOOPBACK, 0) for name in ("web1", "web2")]
    places = [server.sockets[0].getsockname() for server in servers]
    balancer = LittleBalancer(
        {name: Host(*place) for name, place in zip(("web1", "web2"), places, strict=True)}, patience
    )
    front = await asyncio.start_server(balancer.client, LOOPBACK, 0)
    application.front = front.sockets[0].getsockname()
    try:
        yield application, balancer
    finally:
        for server in (front, *servers):
            server.close()


def test_hosts_are_asked_in_turn():
    async def tried() -> None:
        async with running() as (application, _balancer):
            application.go.set()
            assert {await application.ask() for _number in range(10)} == {200}
            assert application.asked == {"web1": 5, "web2": 5}

    asyncio.run(tried())


def test_a_drain_answers_when_the_last_request_has_ended_and_nobody_new_is_sent_there():
    async def tried() -> None:
        async with running() as (application, balancer):
            first = [asyncio.create_task(application.ask()) for _number in range(2)]
            while application.asked.total() < 2:
                await asyncio.sleep(0.01)
            draining = asyncio.create_task(balancer.asked("POST", "/drain/web1"))
            await asyncio.sleep(0.1)
            assert not draining.done()  # one is still on it
            application.go.set()
            assert await draining == 200
            assert [await one for one in first] == [200, 200]
            for _number in range(6):
                await application.ask()
            assert application.asked == {"web1": 1, "web2": 7}
            assert await balancer.asked("POST", "/undrain/web1") == 200
            for _number in range(4):
                await application.ask()
            assert application.asked == {"web1": 3, "web2": 9}

    asyncio.run(tried())


def test_a_client_that_leaves_does_not_end_the_request_on_the_host():
    async def tried() -> None:
        async with running() as (application, balancer):
            gone = asyncio.create_task(application.ask())
            await application.arrived.wait()
            gone.cancel()
            await asyncio.wait([gone])
            await asyncio.sleep(0.1)
            (name,) = application.asked
            draining = asyncio.create_task(balancer.asked("POST", f"/drain/{name}"))
            await asyncio.sleep(0.1)
            assert not draining.done()
            application.go.set()
            assert await draining == 200

    asyncio.run(tried())


def test_what_does_not_come_true_is_said_and_the_host_stays_drained():
    async def tried() -> None:
        async with running(patience=0.2) as (application, balancer):
            application.well = False
            assert await balancer.asked("POST", "/drain/web1") == 200
            assert await balancer.asked("POST", "/undrain/web1") == 504
            assert balancer.hosts["web1"].drained
            asking = asyncio.create_task(application.ask())
            await application.arrived.wait()
            assert await balancer.asked("POST", "/drain/web2") == 504
            application.go.set()
            assert await asking == 200
            assert await application.ask() == 503  # nobody is left
            assert application.asked == {"web2": 1}

    asyncio.run(tried())


def test_a_host_that_is_down_and_not_drained_is_an_error_of_the_client():
    async def tried() -> None:
        async with running() as (application, balancer):
            application.go.set()
            balancer.hosts["web1"].port = 1  # nobody listens there
            seen: Counter = Counter()
            for _number in range(4):
                try:
                    seen[await application.ask()] += 1
                except (OSError, EOFError):
                    seen["error"] += 1
            assert seen == {200: 2, "error": 2}

    asyncio.run(tried())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/drain/web9", 404), ("POST", "/", 404), ("POST", "/drain/web1/more", 404), ("GET", "/drain/web1", 405)],
)
def test_the_door_does_nothing_else(method, path, status):
    balancer = LittleBalancer({"web1": Host(LOOPBACK, 1)})
    assert asyncio.run(balancer.asked(method, path)) == status
    assert not balancer.hosts["web1"].drained


def test_hosts_elsewhere_are_refused():
    assert read_hosts(["web1=127.99.0.11:80"])["web1"].port == 80
    with pytest.raises(ValueError, match="loopback"):
        read_hosts(["web1=192.0.2.1:80"])
