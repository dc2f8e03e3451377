# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool that tells its keys: `word_server.py WHERE SAYS...`, a main process that serves nobody and a worker for each of SAYS.

WHERE is a port of 127.0.0.1 or the path of a socket. Each of SAYS is JSON of what that worker answers; "pid" in it is put in unless it is there.
Words in place of JSON: `redirect`, `stream` (without an end), `drip` (a byte now and then), `silent`, `broken`, `big`, `none` (closes),
`chunked`. All environments are overwritten, as setproctitle does it, unless there is a variable KEEP.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import time


def overwrite() -> None:
    """Write zeros over the environment that /proc shows."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    ctypes.memset(start, 0, end - start)


def answer(connection: socket.socket, says: str) -> None:
    """Answer one request."""
    connection.settimeout(5)
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(4096)
        if not part:
            return
        got += part
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    if says == "redirect":
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    elif says in ("stream", "drip"):
        connection.sendall(head + b"\r\n")
        while True:
            connection.sendall(b"x" * (1 if says == "drip" else 65536))
            time.sleep(0.2 if says == "drip" else 0)
    elif says == "silent":
        time.sleep(30)
    elif says == "broken":
        connection.sendall(b"HTTP/1.1 500 Internal\r\n\r\nhunter2")
    elif says == "big":
        connection.sendall(head + b"Content-Length: 99999999\r\n\r\n{}")
    elif says == "chunked":
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    elif says != "none":
        body = json.dumps({"pid": os.getpid(), **json.loads(says)}).encode()
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def serve(listener: socket.socket, says: str) -> None:
    """Answer one request after the other."""
    while True:
        connection, _address = listener.accept()
        try:
            answer(connection, says)
        except OSError:
            pass
        finally:
            connection.close()


def main() -> None:
    """Start the workers, say their pids, and wait."""
    where, *all_say = sys.argv[1:]
    if where.isdigit():
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(where)))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where)
    listener.listen(64)
    if "UID" in os.environ:
        os.setresuid(*[int(os.environ["UID"])] * 3)
    pids = []
    ready, done = os.pipe()
    for says in all_say:
        pid = os.fork()
        if not pid:
            if "KEEP" not in os.environ:
                overwrite()
            os.write(done, b".")
            serve(listener, says)
        pids.append(pid)
    if "KEEP" not in os.environ:
        overwrite()
    # Whoever looks before they are overwritten sees environments.
    for _pid in pids:
        os.read(ready, 1)
    sys.stdout.write(
        json.dumps({"port": listener.getsockname()[1], "pids": pids}) + "\n"
        if where.isdigit()
        else json.dumps({"pids": pids}) + "\n"
    )
    sys.stdout.flush()
    time.sleep(300)


if __name__ == "__main__":
    main()
