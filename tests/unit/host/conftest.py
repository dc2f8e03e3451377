# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes for the tests of `module_utils/_host`; each is ended by its pid, whatever happens."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import age, arguments, engines, look, record
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Token
from fake_engine import Fake
from shop_env import OLD
from visited import Host

IMPORT = "from ansible_collections.phased.keys.plugins.module_utils._host import files\n"
Start = Callable[..., "subprocess.Popen[bytes]"]


def command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program, and return once it runs: `start(argv, env)`, or `start(code, env)` for Python code.

    Python code says that it is ready by printing a line.
    """
    begun: List["subprocess.Popen[bytes]"] = []

    def _start(
        what: Any, env: Optional[Dict[str, str]] = None, arguments: Sequence[str] = (), **options: Any
    ) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-c", what, *arguments] if isinstance(what, str) else what
        child = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True, **options)
        begun.append(child)
        if isinstance(what, str):
            assert child.stdout is not None
            child.stdout.readline()
        else:
            # A program that has begun has no command line yet, for a moment on a busy machine.
            end = time.monotonic() + 5
            while child.poll() is None and not command_line(child.pid) and time.monotonic() < end:
                time.sleep(0.001)
        return child

    yield _start
    for child in begun:
        # The session is ours, and its number is taken for as long as the child is not reaped.
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.wait(10)
        if child.stdout:
            child.stdout.close()


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something is so."""

    def _until(so: Callable[[], Any], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not so():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)

    return _until


@pytest.fixture
def elsewhere(start: Start) -> Any:
    """Run Python code in a process of its own, with the collection to import from."""

    def _elsewhere(code: str, *arguments: str) -> Any:
        return start(IMPORT + code, {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, arguments)

    return _elsewhere


class Shop:
    """One host in a folder: an env file, a pid file, a record, and real processes."""

    def __init__(self, folder: pathlib.Path, start: Start) -> None:
        self.folder = folder
        self.env, self.pid_file = folder / "env", folder / "shop.pid"
        self.begin = start
        (folder / "state").mkdir()

    def app(self, **changes: Any) -> Dict[str, Any]:
        """The application's variables."""
        given = {
            "name": "shop", "env_file": [str(self.env)], "processes": {"pid_file": str(self.pid_file)}, "settle": "0s",
            "timeout": "5s", "state_dir": str(self.folder / "state"), "restart_command": "true", **changes,
        }  # fmt: skip
        return arguments.application(given)

    def write(self, *keys: str) -> None:
        """Write the env file: the first key signs."""
        lines = [f"SECRET_KEY={keys[0]}"] + [f"SECRET_KEY_FALLBACKS={','.join(keys[1:])}"] * bool(keys[1:])
        self.env.write_text("\n".join(lines) + "\n")

    def note(self, **fields: Any) -> None:
        """Write the record of a visit that ended well; by itself it holds the stamps of now."""
        kept = {"stamps": age.stamps([str(self.env)], {}), **fields}
        record.save(str(self.folder / "state"), "shop", Token("ring", 1, "n"), "prepare", "proven", kept)

    def run(self, what: Any, env: Optional[Dict[str, str]] = None, *arguments: str, **options: Any) -> int:
        """Start the application, and have the pid file name it; returns its pid."""
        child = self.begin(what, env or {}, arguments, **options)
        self.pid_file.write_text(f"{child.pid}\n")
        return int(child.pid)

    def look(self, known: Sequence[str] = (), **changes: Any) -> Dict[str, Any]:
        return look.look_once(self.app(**changes), known, "nonce")

    def worker(self, pid: int, **changes: Any) -> Dict[str, Any]:
        """What a look says of one process."""
        found = [worker for worker in self.look(**changes)["workers"] if worker["pid"] == pid]
        assert found, f"{pid} is no worker"
        return dict(found[0])


@pytest.fixture
def shop(tmp_path: pathlib.Path, start: Start) -> Shop:
    """A host of one's own."""
    return Shop(tmp_path, start)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[Host]:
    """A host to be visited in this process; what a visit does to signals is undone after it."""
    kept = {
        number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
    }
    found = Host(tmp_path)
    try:
        yield found
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        found.end()


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """An env file in a folder of its own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shop.env").write_text(OLD)
    return tmp_path / "etc/shop.env"


@pytest.fixture
def fake(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Engines that are in a folder which is all there is of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(engines, "PATH", str(folder))
    return Fake(folder)
