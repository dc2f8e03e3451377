# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search for secrets in what a run leaves behind, and in the process list while it runs."""

from __future__ import annotations

import base64
import json
import os
import shlex
import threading
from pathlib import Path
from typing import Dict, List, Sequence, Set
from urllib.parse import quote

import envfile

# Put in front of every Python of a run: what it sends to the system log goes to a file instead, since a machine for tests
# need not have a log.
SYSLOG = """
import os, syslog
def _log(*arguments):
    with open(os.environ["PHASED_TEST_SYSLOG"], "a") as log:
        log.write(repr(arguments) + "\\n")
syslog.syslog = _log
"""


def forms(secret: str) -> Dict[str, str]:
    """The ways in which a secret may be written."""
    found = {
        "as it is": secret,
        "in JSON": json.dumps(secret)[1:-1],
        "quoted for a shell": shlex.quote(secret)[1:-1],
        "quoted for systemd": envfile.quote(secret)[1:-1],
        "quoted by Python": repr(secret)[1:-1],
        "for a URL": quote(secret, safe=""),
        "in hex": secret.encode().hex(),
        "its middle": secret[12:-12],
    }
    for shift in range(3):
        # Wherever in a longer text it stands; what it shares with its neighbours is left out.
        whole = base64.b64encode(b"?" * shift + secret.encode()).decode().rstrip("=")
        found[f"in base64, shifted by {shift}"] = whole[4 if shift else 0 : -2]
    return found


class Search:
    """Knows some secrets, and says where it finds them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.needles = {
            (number, form): text.encode()
            for number, secret in enumerate(secrets)
            for form, text in forms(secret).items()
        }

    def text(self, data: bytes) -> List[str]:
        """Say in which forms secrets are in some bytes."""
        return [f"secret {number} {form}" for (number, form), needle in self.needles.items() if needle in data]

    def files(self, folder: Path, but: Set[Path]) -> Dict[str, List[str]]:
        """Say in which files below a folder secrets are; no link is followed."""
        found = {}
        for place, _folders, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                if path not in but and path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(folder))] = self.text(path.read_bytes())
        return {path: what for path, what in found.items() if what}


class Processes:
    """Reads the command line of every process again and again, from `with` to its end."""

    def __init__(self) -> None:
        self.seen: Set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Processes:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._over.wait(0.02):
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{name}/cmdline", "rb") as file:
                        self.seen.add(file.read())
                except OSError:  # it has ended meanwhile
                    continue
