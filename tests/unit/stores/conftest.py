# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each test meets every kind of store: stand-ins and a git folder, in `make stores` real servers (PHASED_STORES=real)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, Iterator

import builders
import pytest
import store_kinds
from ansible import constants as C
from ansible_collections.phased.keys.plugins.plugin_utils import _remote_store as remote_store
from sealed import vault_loader as loader
from store_kinds import Kind

KINDS = store_kinds.chosen(os.environ.get("PHASED_STORES", "fast"))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have nobody wait for long, and each test have a run folder of its own."""
    monkeypatch.setattr(remote_store, "PAUSES", (0.001,))
    monkeypatch.setattr(remote_store, "READING", 0.2)
    monkeypatch.setitem(vars(C), "DEFAULT_LOCAL_TMP", str(tmp_path / "run"))


@pytest.fixture(params=KINDS, ids=[name for name, _kind in KINDS])
def kind(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kind]:
    """A store of each kind, with no keyring in it."""
    made = request.param[1](tmp_path, monkeypatch)
    yield made
    made.end()


@pytest.fixture
def first(kind: Kind) -> Dict[str, Any]:
    """The keyring that lies there, just written."""
    return kind.keyring(loader()).create(builders.at("prepared", ("web1", "web2")))
