# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which phase a rotation is in, read from what the hosts' env files say, and from nothing the playbook prints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import envfile


def phase(first_key: str, settings: list[dict[str, str]]) -> str | None:
    """Return the phase of a fleet whose hosts have these settings and all signed with `first_key` at first.

    A phase begins with the first host that takes its step: as soon as one host signs with the new key it is promote.
    """
    changed = [values.get("SECRET_KEY") != first_key for values in settings]
    both = [bool(values.get("SECRET_KEY_FALLBACKS")) for values in settings]
    if all(changed):
        return "soak" if all(both) else "retire" if any(both) else "retired"
    if any(changed):
        return "promote"
    return "prepare" if any(both) else None


class Watch:
    """Look at the env files five times a second and tell `on_change` when the phase is another one."""

    def __init__(self, files: list[Path], on_change: Callable[[str], None]) -> None:
        self.files = files
        self.now: str | None = None
        self._on_change = on_change
        self._first_key = envfile.read(files[0])["SECRET_KEY"]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="phases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopping.wait(0.2):
            try:
                found = phase(self._first_key, [envfile.read(path) for path in self.files])
            except OSError:  # a run that is being taken down
                continue
            if found and found != self.now:
                self.now = found
                self._on_change(found)
