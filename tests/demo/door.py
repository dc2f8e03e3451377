# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the little balancer to drain a host, or to let it serve again, and wait until it has.

    python tests/demo/door.py PORT drain|undrain HOST

Both rotations of the demo ask here: the naive one calls `ask`, and the task files around a visit run this file. It
imports next to nothing, and is up at once on a busy machine.
"""

from __future__ import annotations

import socket
import sys

LOOPBACK = "127.0.0.1"
PATIENCE = 60  # seconds; the balancer itself gives up earlier


def ask(port: int, action: str, host: str) -> None:
    """Return when it is so; OSError where it is not."""
    with socket.create_connection((LOOPBACK, port), timeout=PATIENCE) as line:
        line.sendall(f"POST /{action}/{host} HTTP/1.1\r\n\r\n".encode())
        status = line.makefile("rb").readline().decode("latin-1").strip()
    if " 200 " not in status:
        raise OSError(f"the balancer does not {action} {host}: {status or 'no answer'}")


if __name__ == "__main__":
    try:
        ask(int(sys.argv[1]), *sys.argv[2:])
    except OSError as error:
        sys.exit(str(error))
