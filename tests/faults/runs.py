# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of ansible-playbook as an operator starts it: it can be stopped before any task, killed, and asked what it said."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import procs

CHECKOUT = Path(__file__).resolve().parents[2]
TOO_LONG = 180


def until(so: Callable[[], Any], what: str, seconds: float = 60.0, pause: float = 0.01) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + seconds
    while not (found := so()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(pause)
    return found


class Run:
    """One run, from its start on. `stops` are tasks as `NAME#NUMBER` before which it waits for `go`.

    `playbook` is one of the collection's, or the path of another; `below` a command that becomes the one behind it.
    """

    def __init__(
        self, number: int, folder: Path, inventory: Path, password: Path, playbook: str, arguments: Sequence[str],
        env: Mapping[str, str], stops: Sequence[str], below: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.folder = folder / f"run-{number}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.log = self.folder / "log"
        self.stops = stops
        command = [*below, str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory)]
        named = playbook if "/" in playbook else f"phased.keys.{playbook}"
        command += ["--vault-password-file", str(password), named, *arguments]
        self.began = time.monotonic()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder,
                env={**environment(folder), "PHASED_STOPS": "\n".join(stops), "PHASED_STOPS_IN": str(self.folder), **env},
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def said(self) -> str:
        """What it said, wherever lines were broken; the two columns of a refusal's table one after the other, too."""
        return re.sub(r"\s+", " ", "\n".join([self.text, *columns(self.text)]))

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def wait(self) -> Run:
        self.process.wait(TOO_LONG)
        self.seconds = time.monotonic() - self.began
        return self

    def kill(self) -> None:
        """Kill what the operator started, and only that, with -9: what it has started on the hosts runs on."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.returncode == -signal.SIGKILL, (
            f"it had ended with {self.process.returncode} before\n{self.text}"
        )

    def reached(self, index: int = 0) -> None:
        """Wait until it has come to one of its stops."""
        until(lambda: (self.folder / f"stop-{index}").exists() or self.code is not None, self.stops[index])
        assert (self.folder / f"stop-{index}").exists(), f"it never came to {self.stops[index]}\n{self.text}"

    def go(self, index: int = 0) -> None:
        (self.folder / f"go-{index}").touch()

    def ended(self, code: int) -> Run:
        """See that it ended with this code; -1 stands for any but 0."""
        assert self.code == code or (code < 0 and (self.code or 0) > 0), f"ended with {self.code}\n{self.text}"
        return self

    def says(self, *parts: str) -> Run:
        """See that all these parts are in what it said, wherever lines were broken."""
        for part in parts:
            assert part in self.said, f"nothing says {part!r}\n{self.text}"
        return self

    def refuses(self, host: str, *parts: str) -> Run:
        """See that it ended with an error that names the host, what was seen there and what to do."""
        return self.ended(-1).says(host, *parts)


def columns(text: str) -> list[str]:
    """Return the cells of a refusal's table, each as one text."""
    cells: list[list[str]] = []
    at = 0
    for line in text.splitlines():
        if "  -> " in line and line.startswith("  web"):
            at = line.index("-> ")
            cells += [[], []]
        elif not line.startswith("    "):
            at = 0
        if at:
            cells[-2].append(line[:at])
            cells[-1].append(line[at:].removeprefix("-> "))
    return ["\n".join(cell) for cell in cells]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Ansible finds this checkout's collection, and nothing of the user's own."""
    for name in ("tmp", "home"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(CHECKOUT / ".config" / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).resolve().parent / "callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "stops",
        "ANSIBLE_NOCOLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        # A run that outlives the suite is found by this, and ended with the fleet.
        procs.FLEET_MARK: str(folder),
    }
