# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place for the hosts' addresses and ports: loopback addresses that follow each other, ports free on all."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import socket
from collections.abc import Collection, Sequence

from errors import HostsError

FIRST = os.environ.get("PHASED_HOSTS_ADDRESS", "127.99.1.11")
PORTS = os.environ.get("PHASED_HOSTS_PORTS", "20000-29999")
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


def addresses(number: int, first: str = FIRST) -> list[str]:
    """Return this many addresses; one that is not on the loopback is an error, for the hosts' sshd lets people in."""
    found = [ipaddress.IPv4Address(first) + count for count in range(number)]
    if any(address not in LOOPBACK for address in found):
        raise HostsError(f"{first} and the {number} addresses from there on are not all in {LOOPBACK}")
    return [str(address) for address in found]


def free_port(on: Sequence[str], without: Collection[int] = (), ports: str = PORTS) -> int:
    """Return a port that is free on all addresses. Random, so that two fleets that start at once hardly meet."""
    first, last = (int(text) for text in ports.split("-"))
    for port in random.sample(range(first, last + 1), min(200, last + 1 - first)):
        if port in without:
            continue
        with contextlib.ExitStack() as sockets:
            try:
                for address in on:
                    sockets.enter_context(socket.socket()).bind((address, port))
            except OSError:
                continue
            return port
    raise HostsError(f"no free port on {on[0]} to {on[-1]} among {ports}")
