# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout with a cross-proof: what one host's application made another one's verifies, and revocation is shown or refused."""

from __future__ import annotations

import contextlib
import http.server
import sys
import threading
from pathlib import Path
from typing import Any, Iterator, List

import envfile
import pytest
from crossing_app import made
from light_fleet import Fleet

pytestmark = pytest.mark.slow

APP = Path(__file__).resolve().parent / "crossing_app.py"


@contextlib.contextmanager
def balancer(fleet: Fleet, asked: List[str], keeps: List[str]) -> Iterator[str]:
    """One that hands everything to the first host's application, and its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            token = self.rfile.read(int(self.headers["Content-Length"])).decode().strip()
            asked.append(token)
            values = envfile.read(fleet[0].env)
            keys = [values["SECRET_KEY"], *values.get("SECRET_KEY_FALLBACKS", "").split(","), *keeps]
            body = b"verified" if token in [made(key) for key in keys if key] else b"refused"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_all: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/verify"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_rollout_with_a_cross_proof(new_fleet: Any) -> None:
    fleet: Fleet = new_fleet()
    fleet.restart()
    asked: List[str] = []
    keeps: List[str] = []
    with balancer(fleet, asked, keeps) as url:
        for host in fleet.hosts:
            host.env.chmod(0o600)
        fleet.vars["app_keys_cross_proof"] = {
            "sign": f"exec {sys.executable} {APP} sign {fleet.folder}",
            "verify": [sys.executable, str(APP), "verify", str(fleet.folder)],
            "through": url,
        }  # fmt: skip
        fleet.vars["app_keys_wait"] = "0s"
        fleet.run("adopt").ended(0)

        # A sign that does not work, and one that tells too much, is said without what it says.
        (fleet.folder / "crashes").touch()
        run = fleet.run("prepare").ended(-1).lists(fleet[0].name, "made no token: the command ended with exit status 1")
        assert fleet.secret not in run.text and fleet.keyring()["step"]["closed"] is None
        (fleet.folder / "crashes").unlink()
        (fleet.folder / "talks").touch()
        run = fleet.run("prepare").ended(-1).lists(fleet[0].name, "not one line of at most 4096 printable")
        assert fleet.secret not in run.text
        (fleet.folder / "talks").unlink()

        # The next run has nobody to visit, and takes the cross-proof all the same.
        fleet.run("promote").ended(-1).says("promote is not safe yet: prepare is open, and closes with its cross-proof")
        run = (
            fleet.run("prepare")
            .ended(0)
            .says("prepare: 2 of 2 hosts", "cross-proof: 2 of 2 verify what another host's application made")
        )
        probe = made(fleet.secret)
        assert fleet.keyring()["keys"][0]["probe"] == probe and probe in asked
        assert probe.encode() not in fleet.keyring_path.read_bytes()
        run = fleet.run("promote", "-vvv").ended(0).says("promote: 2 of 2 hosts", "cross-proof: 2 of 2 verify")
        assert "probe." not in run.text
        assert probe not in fleet.run("status", "-vvv").ended(0).text

        # An application that keeps the old key is found at retire, which stays open; first by a host, then through the balancer alone.
        (fleet.folder / "keeps").write_text(fleet.secret)
        fleet.run("rollout").ended(-1).says("retire is not complete by its cross-proof").lists(
            fleet[0].name, f"still verifies a token that {fleet.old} signed"
        )
        (fleet.folder / "keeps").unlink()
        keeps.append(fleet.secret)
        fleet.run("rollout").ended(-1).lists("the balancer", f"still verifies a token that {fleet.old} signed")
        assert fleet.states()[fleet.old] == "dropping" and not fleet.destroyed(fleet.old)
        keeps.clear()
        fleet.run("rollout").ended(0).says("retire: 2 of 2 hosts", f"all refuse what {fleet.old} signed")
        assert fleet.states()[fleet.old] == "retired" and all("probe" not in key for key in fleet.keyring()["keys"])
        left = [
            path for path in (fleet.folder / "tmp").rglob("*") if path.is_file() and probe.encode() in path.read_bytes()
        ]
        assert left == []
