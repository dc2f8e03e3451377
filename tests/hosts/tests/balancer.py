# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy in front of a fleet of real hosts, on a loopback address of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import addresses
import machine
from played import Played

CONFIG = """
global
  stats socket {socket} mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend shop_in
  bind {address}:{port}
  default_backend shop
backend shop
  balance roundrobin
  option httpchk GET /healthz
  http-check send hdr Host shop
  default-server check inter 1s fall 2 rise 1
{servers}
"""


class HAProxy:
    """HAProxy, from `with` to its end; `place` is where the clients find it."""

    def __init__(self, fleet: Played) -> None:
        machine.provide(["haproxy"])
        on = addresses.addresses(len(fleet.hosts.places) + 1)[-1]
        self.place = (on, addresses.free_port([on]))
        # A socket's path has to be short.
        self.socket = Path(f"/tmp/phased-haproxy-{os.getpid()}.sock")
        servers = "\n".join(f"  server {host.name} {host.address}:{host.app_port}" for host in fleet.hosts.places)
        config = fleet.folder / "haproxy.cfg"
        config.write_text(CONFIG.format(socket=self.socket, address=on, port=self.place[1], servers=servers))
        balancer = {
            "ansible_connection": "local",
            "ansible_become": False,
            "ansible_python_interpreter": sys.executable,
        }
        # JSON is YAML: a second file of the inventory's folder.
        inventory = {"balancers": {"hosts": {"lb1": balancer}}}
        fleet.hosts.inventory.with_name("balancers.yml").write_text(json.dumps(inventory))
        fleet.inventory = fleet.hosts.inventory.parent
        # It ends with this process, killed or not.
        self.command = ["setpriv", "--pdeathsig", "KILL", "haproxy", "-db", "-f", str(config)]

    def __enter__(self) -> HAProxy:
        path = {**os.environ, "PATH": machine.search_path()}
        self._running = subprocess.Popen(self.command, env=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._running.poll() is None and time.monotonic() < deadline, "HAProxy does not answer"
            time.sleep(0.1)
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.kill()
        self._running.wait()
        self.socket.unlink(missing_ok=True)

    def status(self, server: str) -> str:
        """Return what HAProxy thinks of a server."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(b"show stat\n")
            rows = b"".join(iter(lambda: line.recv(65536), b"")).decode().splitlines()
        return next(row.split(",")[17] for row in rows if row.startswith(f"shop,{server},"))

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.place[0]}:{self.place[1]}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False
