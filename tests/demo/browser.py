# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of a browser that the load needs: one HTTP request on a connection of its own, and a session cookie.

The server closes every connection after its answer, as gunicorn's sync workers do, so nothing is kept open here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlencode

COOKIE = "sessionid"
PATIENCE = 20  # seconds for one answer
TRIES = 300  # hosts asked in turn before a client gives up: a whole fleet that is down must not hang the run


class GaveUp(Exception):
    """No host answered for a long time: the fleet is down, and the run means nothing."""


@dataclass
class Answer:
    """What the application said."""

    status: int
    content: dict[str, Any]
    cookie: str | None  # the session cookie that it sets; "" where it deletes the cookie; None where it says nothing
    sent: float  # when the request left, by the client's clock


@dataclass
class Jar:
    """A session cookie as a browser keeps it, with what the client knows about it."""

    value: str = ""
    born: float = 0.0  # not later than the moment at which the server signed it
    key: str = ""  # fingerprint of the key it was signed with

    def take(self, answer: Answer) -> None:
        """Replace or delete the cookie as the answer says."""
        if answer.cookie is not None:
            self.value, self.born, self.key = answer.cookie, answer.sent, answer.content.get("key", "")

    @property
    def age(self) -> float:
        return time.monotonic() - self.born


@dataclass
class Balancer:
    """A load balancer without stickiness: every request goes to a random host, and to another if that one is down."""

    hosts: list[tuple[str, int]]
    on_error: Callable[[Exception], None]
    chance: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        for address, _port in self.hosts:
            if not ipaddress.ip_address(address).is_loopback:
                raise ValueError(f"{address} is not on this machine; the load is sent to loopback addresses only")

    async def send(self, path: str, jar: Jar | None = None, form: dict[str, str] | None = None) -> Answer:
        """Send one request, again and again until some host answers; every failed try is reported to `on_error`."""
        cookie = jar.value if jar else ""
        last = None
        for _try in range(TRIES):
            host = self.chance.choice([host for host in self.hosts if host != last] or self.hosts)
            try:
                async with asyncio.timeout(PATIENCE):
                    return await exchange(host, path, cookie, form)
            except (OSError, EOFError, ValueError, KeyError) as error:
                self.on_error(error)
                last = host
                await asyncio.sleep(self.chance.uniform(0.02, 0.1))
        raise GaveUp(f"no host answered {path.split('?')[0]} in {TRIES} tries")


async def exchange(host: tuple[str, int], path: str, cookie: str, form: dict[str, str] | None) -> Answer:
    """Send one request to one host and read the whole answer; OSError, EOFError or ValueError where there is none."""
    body = urlencode(form or {}).encode()
    head = [f"{'GET' if form is None else 'POST'} {path} HTTP/1.1", f"Host: {host[0]}", "Connection: close"]
    if cookie:
        head.append(f"Cookie: {COOKIE}={cookie}")
    if form is not None:
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    sent = time.monotonic()
    reader, writer = await asyncio.open_connection(*host)
    try:
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        raw = await reader.read()
    finally:
        writer.close()
    top, separator, content = raw.partition(b"\r\n\r\n")
    if not separator:
        raise EOFError("the connection was closed before an answer")
    status, *headers = top.decode("latin-1").split("\r\n")
    given = {name.lower(): value.strip() for name, _colon, value in (line.partition(":") for line in headers)}
    if len(content) != int(given["content-length"]):
        raise EOFError("the connection was closed within an answer")
    is_json = given.get("content-type", "").startswith("application/json")
    set_cookies = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("set-cookie:")]
    return Answer(int(status.split()[1]), json.loads(content) if is_json else {}, session_cookie(set_cookies), sent)


def session_cookie(set_cookies: list[str]) -> str | None:
    """Return what these Set-Cookie headers make of the session cookie: a value, "" for deleted, None for untouched."""
    for text in set_cookies:
        parsed: SimpleCookie = SimpleCookie()
        try:
            parsed.load(text)
        except CookieError:
            continue
        if COOKIE in parsed:
            morsel = parsed[COOKIE]
            return "" if morsel["max-age"] == "0" else morsel.value
    return None
