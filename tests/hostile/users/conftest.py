# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A place that other users of the machine reach, and programs that they run; each is ended by its pid."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List

import pytest
from attacker import SECRET, USER, put

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: List[Any]) -> None:
    """Skip what needs root, where we are not."""
    for item in items:
        if os.geteuid() != 0 and HERE in Path(item.path).parents:
            item.add_marker(pytest.mark.skip(reason="needs root, to be attacked by somebody who is not"))


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what a visit sets for its process."""
    kept = {
        number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)
    }
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user of the machine reaches, unlike those of pytest: `root` in it is root's, `home` the user's."""
    folder = Path(tempfile.mkdtemp(prefix="phased-hostile-"))
    folder.chmod(0o755)
    for name, owner in (("root", 0), ("home", USER)):
        (folder / name).mkdir()
        os.chown(folder / name, owner, owner)
    put(folder / "root/secret", f"{SECRET}\n", 0, 0o600)
    put(folder / "root/state/none", "", 0)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def user() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start a program as the user, or Python code: it has begun when it has printed a line. It is ended with the test."""
    begun: List["subprocess.Popen[bytes]"] = []

    def start(what: Any, **options: Any) -> "subprocess.Popen[bytes]":
        argv = ["/usr/bin/env", "python3", "-c", what] if isinstance(what, str) else what
        given = {
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": "/",
            "user": USER,
            "group": USER,
            "extra_groups": [],
            **options,
        }
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, **given)
        begun.append(child)
        if isinstance(what, str):
            assert child.stdout and child.stdout.readline(), "the user's program did not begin"
        return child

    yield start
    for child in begun:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate(timeout=10)
