# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`exec` of the cluster on loopback: the websocket that the official client opens, and a command that sees a container's processes.

The command is run as it comes, on this machine; only what it is told to take for /proc is a folder with the container's processes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STDOUT, STATUS = b"\x01", b"\x03"


def serve(handler: Any, command: List[str], processes: List[Dict[str, str]], python: bool) -> None:
    """Answer one exec: `processes` are the environments of what runs in the container; without `python` its image has none."""
    key = handler.headers["Sec-WebSocket-Key"]
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    handler.send_response(101)
    for name, value in (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ):
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    if python:
        handler.wfile.write(frame(STDOUT + ran(command, processes)))
        status: Dict[str, Any] = {"status": "Success"}
    else:
        status = {"status": "Failure", "message": 'exec failed: "python3": executable file not found in $PATH'}
    handler.wfile.write(frame(STATUS + json.dumps(status).encode()))
    handler.wfile.write(frame(b"\x03\xe8", 0x8))


def ran(command: List[str], processes: List[Dict[str, str]]) -> bytes:
    """Return what a command prints that sees these processes."""
    with tempfile.TemporaryDirectory() as folder:
        for number, env in enumerate(processes, 1):
            place = Path(folder, str(number))
            place.mkdir()
            (place / "stat").write_text(f"{number} (app) S 0 1 1")
            (place / "environ").write_bytes(b"".join(f"{name}={value}\0".encode() for name, value in env.items()))
        words = [sys.executable, *command[1:-1], folder]
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, env={"PATH": os.defpath}).stdout


def frame(data: bytes, kind: int = 0x2) -> bytes:
    """Return a frame of a server."""
    size = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return bytes([0x80 | kind]) + size + data
