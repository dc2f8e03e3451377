# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one of the collection's playbooks as an operator would, with everything it writes kept in one folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import procs
from fleet import Fleet

CHECKOUT = Path(__file__).resolve().parents[2]
ANSIBLE_PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"


def environment(folder: Path, fleet: Fleet) -> dict[str, str]:
    """Return an environment in which Ansible finds this checkout's collection and touches nothing outside `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "collections" / "ansible_collections" / "phased" / "keys"
    if not link.is_symlink():
        link.parent.mkdir(parents=True)
        link.symlink_to(CHECKOUT)
    for name in ("tmp", "home"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "ansible.cfg").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        # Its progress is what the demo shows, and what README shows of it.
        "ANSIBLE_STDOUT_CALLBACK": "phased.keys.rollout",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",  # Ansible does not start in a locale of another encoding
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        # What the playbook starts is the fleet's: taking the fleet down ends it as well.
        procs.FLEET_MARK: str(fleet.folder),
    }


class Playbook:
    """One run of ansible-playbook. Its output goes to `log`, each line also to `on_line`."""

    def __init__(self, name: str, fleet: Fleet, folder: Path, log: Path, on_line: Callable[[str], None]) -> None:
        self.name = name
        self.log = log
        self._on_line = on_line
        # A group of its own: Ctrl-C reaches the demo alone, which then ends the playbook in an orderly way.
        self._process = subprocess.Popen(
            [str(ANSIBLE_PLAYBOOK), "-i", str(fleet.inventory), "--vault-password-file", str(fleet.vault_password)]
            + [name],
            env=environment(folder, fleet), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="playbook", daemon=True)
        self._reader.start()

    def wait(self, deadline: float, also: Callable[[], None]) -> int:
        """Wait for the end, calling `also` now and then (it may raise); TimeoutError after `deadline`."""
        while self._process.poll() is None:
            also()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} took too long")
            time.sleep(0.1)
        self._reader.join(5)
        return self._process.returncode

    def stop(self) -> None:
        """End it, if it still runs; what it started on the hosts ends with the fleet."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("w") as log:
            for line in self._process.stdout:
                log.write(line)
                log.flush()
                self._on_line(line.rstrip())

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
