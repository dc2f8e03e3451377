# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real clusters: that of PHASED_TEST_KUBECONFIG, which `make kubernetes` sets. KUBECONFIG is never looked at."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Iterator

import light_fleet
import load
import pytest
from real_cluster import Namespace
from rolled_shop import SELDOM, STEADY, Shop


@pytest.fixture(autouse=True)
def measures(monkeypatch: Any) -> None:
    """Only clients that need no database, and time enough."""
    monkeypatch.setattr(load, "STEADY", STEADY)
    monkeypatch.setattr(load, "SELDOM", SELDOM)
    monkeypatch.setattr(load, "BROWSERS", 0)
    # Every step waits for pods that start and end one after the other.
    monkeypatch.setattr(light_fleet, "RUN_LIMIT", 400.0)


@pytest.fixture
def fleet(namespace: Namespace, tmp_path: Path) -> Iterator[Shop]:
    """The shop in three pods, applied as text by kubectl."""
    made = Shop(namespace, tmp_path / "fleet")
    yield made
    made.end()


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    """A namespace of a real cluster, deleted at the end."""
    given = os.environ.get("PHASED_TEST_KUBECONFIG")
    if not given:
        pytest.skip("no cluster is named in PHASED_TEST_KUBECONFIG: `make kubernetes` brings one up")
    if not shutil.which("kubectl"):
        pytest.fail("PHASED_TEST_KUBECONFIG names a cluster, and there is no kubectl here to apply the shop with")
    made = Namespace(Path(given), tmp_path)
    yield made
    made.remove()


@pytest.fixture
def node() -> int:
    """The first process of our own cluster: only that one's node may be broken."""
    own = os.environ.get("PHASED_OWN_CLUSTER")
    if not own:
        pytest.skip("nodes are broken in our own cluster only")
    return int(own)
