# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the application over HTTP, on this very host: over loopback or a unix socket, several times at once.

At once, since an idle pool would hand one question after the other to the same worker: connections are opened first and spoken on
later, and a worker that has taken one takes no other until that was answered. No proxy is asked, no redirect followed, and what
comes is bounded, in bytes and in time. Whoever listens there has to be root or a user of the application's: any other user of the
host can take a port that is free while the application is down (rule 17).

Sources: RFC 9110, RFC 9112, tcp(7), unix(7), proc_pid_net(5), and the kernel's net/ipv4/tcp_ipv4.c (listeners are listed first).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import Any, Callable, Collection, List, Optional, Sequence, Set, Tuple, Union

from .rules import proofs, word

ONE = 2.0  # seconds for one answer
_HELD = 0.01  # between opening the connections and speaking: so long all workers have to take one each
_LISTENS = "0A"  # TCP_LISTEN in the kernel's tcp_states.h
_LONGEST_LINE = 512
_FOREIGN = "the listener there belongs to uid {uid}, and the application runs as uid {ours}: nobody else speaks for it"

Dial = Callable[[float], socket.socket]
Said = Union[bytes, str]


class Refused(word.WordError):
    """Nobody may be asked there; the text says why."""


def http(url: str, header: Optional[str], uids: Collection[int], sends: Optional[bytes] = None) -> proofs.Asking:
    """Return what asks at a URL of this host; `header` is what Host says, `uids` are the application's, and what it `sends` is a POST's body."""
    host, port, page = proofs.place(url)

    def dial(seconds: float) -> socket.socket:
        failed: Optional[OSError] = None
        for family, address in _addresses(host, port):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(seconds)
                connection.connect(address)
                return connection
            except OSError as error:
                connection.close()
                failed = error
        raise failed or OSError("no such address")

    shown = f"[{host}]" if ":" in host else host
    request = _request(page, header or f"{shown}:{port}", sends)
    return _asking(dial, request, lambda: _see_listeners(port, uids), lambda connection: None)


def unix(
    path: str, page: str, header: Optional[str], uids: Collection[int], sends: Optional[bytes] = None
) -> proofs.Asking:
    """Return what asks at a unix socket."""

    def dial(seconds: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(seconds)
            connection.connect(path)
        except OSError:
            connection.close()
            raise
        return connection

    def see(connection: socket.socket) -> None:
        # Of a listening socket these are the credentials of who called listen(2).
        given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _see_owners({struct.unpack("3i", given)[1]}, uids)

    request = _request(page, header or "localhost", sends)
    return _asking(dial, request, lambda: None, see)


def _asking(
    dial: Dial, request: bytes, before: Callable[[], None], see: Callable[[socket.socket], None]
) -> proofs.Asking:
    def ask(number: int, seconds: float) -> Sequence[Said]:
        end = time.monotonic() + min(seconds, ONE)
        said: List[Said] = []
        opened: List[socket.socket] = []
        try:
            before()
            for _one in range(number):
                try:
                    opened.append(dial(max(0.05, end - time.monotonic())))
                    see(opened[-1])
                except word.WordError:
                    raise
                except OSError as error:
                    said.append(f"nothing can be asked there: {error.strerror or 'it takes too long'}")
                    break
            time.sleep(_HELD if len(opened) > 1 else 0)
            for connection in opened:
                _send(connection, request)
            said += [_received(connection, end) for connection in opened]
            before()
        except word.WordError as error:
            return [str(error)]
        finally:
            for connection in opened:
                connection.close()
        return said

    return ask


def exchange(dial: Dial, page: str, host: str, sends: bytes, seconds: float) -> Said:
    """Return the answer to one POST over a connection that `dial` opens, or what went wrong: with the same bounds, wherever that leads."""
    end = time.monotonic() + seconds
    try:
        with dial(seconds) as connection:
            _send(connection, _request(page, host, sends))
            return _received(connection, end)
    except OSError as error:
        return f"nothing can be asked there: {error.strerror or error}"


def _send(connection: socket.socket, request: bytes) -> None:
    with contextlib.suppress(OSError):  # who has closed it already is found out when it is read
        connection.sendall(request)


def _received(connection: socket.socket, end: float) -> Said:
    """Return the answer, or what is wrong with it."""
    raw = b""
    try:
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return "its answer does not end in time" if raw else word.SILENT
            connection.settimeout(left)
            part = connection.recv(word.LARGEST + 1 - len(raw))
            raw += part
            found = word.body(raw, ended=not part)
            if found is not None:
                return found
    except socket.timeout:
        return "its answer does not end in time" if raw else word.SILENT
    except OSError as error:
        return f"the connection broke: {error.strerror}"
    except word.WordError as error:
        return str(error)


def _request(page: str, host: str, sends: Optional[bytes]) -> bytes:
    # In HTTP/1.0 nobody answers in pieces, and the connection ends with the answer.
    lines = [f"{'GET' if sends is None else 'POST'} {page} HTTP/1.0", f"Host: {host}", "Connection: close"]
    lines += [] if sends is None else ["Content-Type: text/plain", f"Content-Length: {len(sends)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (sends or b"")


def _addresses(host: str, port: int) -> List[Tuple[int, Tuple[Any, ...]]]:
    """Return the addresses that a host's name stands for; Refused where one is not of this host. These very ones are connected to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"{host} has no address here: {error}") from None
    kept = [(int(family), tuple(address)) for family, _type, _proto, _name, address in found]
    for family, address in kept:
        if not (str(address[0]).startswith("127.") if family == socket.AF_INET else address[0] == "::1"):
            raise Refused(f"{host} stands for {address[0]}, which is no address of this host alone")
    return sorted(kept)


def _see_listeners(port: int, uids: Collection[int]) -> None:
    """See that whoever listens at a port is the application, or root. Where nobody does here, root has had the kernel send it elsewhere."""
    found: Set[int] = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/self/net/{name}", "rb") as file:
                file.readline(_LONGEST_LINE)
                while True:
                    fields = file.readline(_LONGEST_LINE).split()
                    if len(fields) < 8 or fields[3].decode() != _LISTENS:
                        break
                    if int(fields[1].rpartition(b":")[2], 16) == port:
                        found.add(int(fields[7]))
        except OSError:
            continue  # no IPv6 here
    _see_owners(found, uids)


def _see_owners(found: Collection[int], uids: Collection[int]) -> None:
    allowed = {0, os.geteuid(), *uids}
    foreign = sorted(set(found) - allowed)
    if foreign:
        ours = ", ".join(map(str, sorted(set(uids)))) or "nobody knows which"
        raise Refused(_FOREIGN.format(uid=foreign[0], ours=ours))
