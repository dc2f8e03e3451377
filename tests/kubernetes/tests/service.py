# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before the pods, as a Service does: requests go to any pod that serves, in turn, and from a pod that is gone to another.

It is told late of pods that end, as the nodes of a cluster are: they serve until they are gone, and are asked until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterable

from little_balancer import relay

EVERY = 0.3  # seconds between two looks at the pods
PORT = 8000
TRIES = 60


class Service:
    """Serves on loopback, in a thread of its own, while it is entered; `pods` returns the addresses of those that serve."""

    def __init__(self, pods: Callable[[], Iterable[str]]) -> None:
        self.pods = pods
        self.port = 0
        self.addresses: list[str] = []
        self._ready, self._over = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._look, daemon=True),
            threading.Thread(target=self._run, daemon=True),
        ]

    def __enter__(self) -> Service:
        self.addresses = list(self.pods())
        for thread in self._threads:
            thread.start()
        assert self._ready.wait(30), "the service does not listen"
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            # The API may be asked too much for a moment; what was seen last is good until then.
            with contextlib.suppress(Exception):
                self.addresses = list(self.pods())

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._client, "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        while not self._over.is_set():
            await asyncio.sleep(0.1)
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            for _try in range(TRIES):
                with contextlib.suppress(OSError, IndexError, TimeoutError):
                    async with asyncio.timeout(2):
                        pod = await asyncio.open_connection(random.choice(self.addresses), PORT)
                    break
                await asyncio.sleep(0.1)
            else:
                return
            await relay(reader, writer, *pod)
