# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's load balancer: requests go to the hosts in turn, and not to a host that is drained.

    python tests/demo/little_balancer.py web1=127.99.0.11:20000 web2=127.99.0.12:20000 ...

It says on its first line of output where it listens (JSON: `front` for clients, `door` for whoever drains), both on
loopback. The door understands

    POST /drain/web1      nobody new is sent there; answers when the last request on it has ended
    POST /undrain/web1    answers when the host passes its health check, and is sent requests again

200 when that is so, 504 when it was not within 30 seconds (a drained host stays drained then). A host that is down and
not drained is still sent requests, as by any balancer between two of its health checks: these clients see an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from door import LOOPBACK

PATIENCE = 30.0  # seconds for the last request to end, and for the health check
PAUSE = 0.05  # seconds between two health checks
CHUNK = 65536


@dataclass
class Host:
    """One host behind the balancer."""

    address: str
    port: int
    drained: bool = False
    busy: int = 0  # requests in flight
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.address).is_loopback:
            raise ValueError(f"{self.address} is not on this machine; the load is sent to loopback addresses only")
        self.idle.set()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one request for as long as it is in flight."""
        self.busy += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.busy -= 1
            if not self.busy:
                self.idle.set()


class LittleBalancer:
    """Hosts by name, and what clients and the door ask of them."""

    def __init__(self, hosts: dict[str, Host], patience: float = PATIENCE) -> None:
        self.hosts = hosts
        self.patience = patience
        self._turn = 0

    def next_host(self) -> Host | None:
        """Return the host whose turn it is; None where all are drained."""
        ready = [host for host in self.hosts.values() if not host.drained]
        self._turn += 1
        return ready[self._turn % len(ready)] if ready else None

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one client's connection on to a host, which closes it after its answer."""
        host = self.next_host()
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if host is None:
                await reader.read(CHUNK)  # closing what was not read would cut off the answer
                writer.write(response(HTTPStatus.SERVICE_UNAVAILABLE))
                return
            with host.one_more():
                await relay(reader, writer, *await asyncio.open_connection(host.address, host.port))

    async def door(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request at the door."""
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, *_version = head.split("\r\n")[0].split(" ")
            writer.write(response(await self.asked(method, path)))
            await writer.drain()

    async def asked(self, method: str, path: str) -> HTTPStatus:
        """Do what was asked at the door."""
        _root, action, name, *more = [*path.split("/"), "", ""]
        does = {"drain": self.drain, "undrain": self.undrain}.get(action)
        host = self.hosts.get(name)
        if does is None or host is None or any(more):
            return HTTPStatus.NOT_FOUND
        if method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED
        try:
            async with asyncio.timeout(self.patience):
                await does(host)
        except TimeoutError:
            return HTTPStatus.GATEWAY_TIMEOUT
        return HTTPStatus.OK

    async def drain(self, host: Host) -> None:
        """Send nobody new there, and wait until the last request has ended."""
        host.drained = True
        await host.idle.wait()

    async def undrain(self, host: Host) -> None:
        """Wait until the host passes its health check, and let it serve again."""
        while not await healthy(host):
            await asyncio.sleep(PAUSE)
        host.drained = False


async def relay(
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    host: asyncio.StreamReader,
    to_host: asyncio.StreamWriter,
) -> None:
    """Pass bytes on in both directions until the host has closed; a client that leaves earlier ends nothing."""
    with contextlib.closing(to_host):
        asking = asyncio.create_task(pump(client, to_host))
        try:
            await pump(host, to_client)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass everything on. Where nobody takes it any more it is still read, for the request is in flight until it ends."""
    while data := await reader.read(CHUNK):
        with contextlib.suppress(OSError):
            writer.write(data)
            await writer.drain()


async def healthy(host: Host) -> bool:
    """Tell whether the application says that it is well."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(host.address, host.port)
        with contextlib.closing(writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    return False


def response(status: HTTPStatus) -> bytes:
    """Return an answer without content."""
    return f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


def read_hosts(words: list[str]) -> dict[str, Host]:
    """Return hosts by name from `name=address:port`."""
    found = {}
    for word in words:
        name, _equals, place = word.partition("=")
        address, _colon, port = place.rpartition(":")
        found[name] = Host(address, int(port))
    return found


async def serve(balancer: LittleBalancer) -> None:
    """Listen, say where, and serve until the end of the process."""
    # Everybody at once is a few hundred connections, while a busy machine keeps this process waiting.
    front = await asyncio.start_server(balancer.client, LOOPBACK, 0, backlog=512)
    door = await asyncio.start_server(balancer.door, LOOPBACK, 0)
    ports = {name: server.sockets[0].getsockname()[1] for name, server in (("front", front), ("door", door))}
    print(json.dumps(ports), flush=True)
    await asyncio.gather(front.serve_forever(), door.serve_forever())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(LittleBalancer(read_hosts(sys.argv[1:]))))
