# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host for visits in this very process: a real env file, a real application, a real restart command.

The application is a shell with two children that sleep, given what the env file says. A test says what goes wrong in a
file `then`, which the restart reads first: it may call `stop` and `run`, and `exit`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host import arguments, visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order, Token

SECRETS = [f"not-a-secret-{number}-abcdefghijklmnopqrst" for number in range(4)]
OLD, NEW, NEXT, ALIEN = (fingerprint(secret) for secret in SECRETS)
SECRET = {fingerprint(secret): secret for secret in SECRETS}
KNOWN = [OLD, NEW, NEXT]
RESTART = """
cd {folder}; echo restart >> log
stop() {{ [ ! -s pid ] || kill -9 -$(cat pid); rm -f pid; }}
run() {{
    set -a; . ${{FROM:-./env}}; VISITED={folder}; set +a
    setsid /bin/sh -c "${{APP:-sleep 300 & sleep 300 & wait}}" </dev/null >/dev/null 2>&1 &
    echo $! > pid
}}
[ ! -e then ] || . ./then
stop; run
"""


def order(signs: str, *others: str, admits: Sequence[Tuple[str, ...]] = (), **changes: Any) -> Order:
    """What a step asks for; beside that it admits these settings too."""
    settings = [(signs, *others), *admits]
    fields: Dict[str, Any] = {
        "signs": signs, "accepts": [signs, *others], "may_sign": sorted({one[0] for one in settings}),
        "must_accept": sorted(set.intersection(*map(set, settings))), "may_accept": sorted({key for one in settings for key in one}),
        "known": KNOWN, "leaked": [], "incident": False,
    }  # fmt: skip
    return Order(**{**fields, **changes})


# Where the host is at OLD alone: the step before promote, promote itself, and what a host does that is at neither.
PREPARE = order(OLD, NEW, admits=[(OLD,)])
PROMOTE = order(NEW, OLD, admits=[(OLD, NEW)])


class Host:
    """One host, and an application on it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.env, self.state = folder / "env", folder / "state"
        (folder / "restart").write_text(RESTART.format(folder=folder))
        self.variables: Dict[str, Any] = {
            "name": "shop", "env_file": [str(self.env)], "restart_command": ["/bin/sh", str(folder / "restart")],
            "processes": [{"pid_file": str(folder / "pid")}], "timeout": "3s", "settle": "0.1s", "state_dir": str(self.state),
        }  # fmt: skip

    # --- the world ---

    def write(self, *keys: str, path: Optional[pathlib.Path] = None) -> None:
        """Write an env file with these keys, the first of which signs."""
        signs, *others = (SECRET[key] for key in keys)
        (path or self.env).write_text(f"A=1\nSECRET_KEY={signs}\nSECRET_KEY_FALLBACKS={','.join(others)}\nZ='2 3'\n")

    def file(self) -> Tuple[str, int, int]:
        """The env file, and what tells whether it was written again."""
        found = self.env.stat()
        return self.env.read_text(), found.st_ino, found.st_mtime_ns

    def start(self) -> None:
        """Start the application, or restart it."""
        subprocess.run(["/bin/sh", str(self.folder / "restart")], check=True)
        (self.folder / "log").unlink()
        self.until(lambda: len(self.pids()) > 2)

    def goes(self, *keys: str) -> None:
        """Run with these keys, as a visit of before has left it."""
        self.write(*keys)
        self.start()

    def then(self, script: str) -> None:
        """Let a restart do this first."""
        (self.folder / "then").write_text(script + "\n")

    def mend(self) -> None:
        """Let it do nothing else any more."""
        (self.folder / "then").unlink()

    def restarts(self) -> int:
        """How often it was restarted."""
        log = self.folder / "log"
        return len(log.read_text().splitlines()) if log.exists() else 0

    def pids(self) -> List[int]:
        """The processes of the application, of the present one and of any before."""
        mark, found = f"VISITED={self.folder}".encode(), []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if mark in pathlib.Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
        return sorted(found)

    def end(self) -> None:
        """End all of it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def until(self, so: Any) -> None:
        """Wait until something is so."""
        end = time.monotonic() + 20
        while not so():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

    # --- visits ---

    def request(self, order: Order = PROMOTE, counter: int = 3, **changes: Any) -> visit.Request:
        """What a visit is asked for."""
        fields: Dict[str, Any] = {
            "app": arguments.application({name: value for name, value in self.variables.items() if value is not None}),
            "order": order, "token": Token("ring-1", counter, f"n{counter}"), "step": "promote", "nonce": "survey-1",
            "converge": True, "replace": [], "secrets": SECRET, "vouched": True,
        }  # fmt: skip
        return visit.Request(**{**fields, **changes})

    def visit(self, order: Order = PROMOTE, check: bool = False, **changes: Any) -> Dict[str, Any]:
        """Visit the host, and return the answer; no secret is in it."""
        answer = visit.visit(self.request(order, **changes), check)
        assert not [secret for secret in SECRETS if secret in json.dumps(answer)]
        return answer

    def record(self) -> Dict[str, Any]:
        """The record; an empty one where there is none."""
        path = self.state / "shop.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def proven(self, *keys: str, counter: int = 2) -> None:
        """Let the host be proven with these keys by a visit of an earlier step."""
        self.goes(*keys)
        assert self.visit(order(*keys), counter=counter, step="prepare")["proven"]


def plain(text: str) -> str:
    """A message that names functions as the code does: while mutants are tested they have other names."""
    return re.sub(r"x(?:_|ǁ[^ǁ]+ǁ)(\w+?)__mutmut_\w+", r"\1", text)


def holds(answer: Dict[str, Any]) -> List[List[str]]:
    """What each env file and worker of an answer accepts, the key that signs first."""
    seen = answer["evidence"]
    return [
        [holder["signs"], *sorted(set(holder["accepts"]) - {holder["signs"]})]
        for holder in [*seen["files"], *seen["workers"]]
    ]
