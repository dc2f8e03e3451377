# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory that the processes of one run share."""

from __future__ import annotations

import os

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _forks as forks
from ansible_collections.phased.keys.plugins.plugin_utils._forks import HEAD, Shared


def test_what_one_fork_puts_another_finds() -> None:
    shared = Shared(4096)
    child = os.fork()
    if not child:
        shared.put(b"the file's text", b"what it says")
        os._exit(0)
    os.waitpid(child, 0)
    assert shared.get(b"the file's text") == b"what it says"
    assert shared.get(b"another text") is None


def test_nothing_is_found_in_memory_that_nobody_has_written() -> None:
    assert Shared(4096).get(b"") is None


def test_a_value_that_two_have_written_over_each_other_is_not_found() -> None:
    shared = Shared(4096)
    shared.put(b"key", b"value")
    assert shared.memory is not None
    shared.memory[HEAD.size + 1 : HEAD.size + 2] = b"A"
    assert shared.get(b"key") is None


def test_a_value_that_is_too_large_is_not_kept() -> None:
    shared = Shared(4096)
    shared.put(b"key", b"v" * 4096)
    assert shared.get(b"key") is None
    shared.put(b"key", b"v" * (4096 - HEAD.size))
    assert shared.get(b"key") is not None


def test_without_memory_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> None:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(forks.mmap, "mmap", none)
    shared = forks.Shared()
    shared.put(b"key", b"value")
    assert shared.get(b"key") is None
