# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters on loopback for the tests of workloads; whatever a test starts is ended with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest
from cluster import Cluster
from workload_shop import Shop


@pytest.fixture
def new_cluster() -> Iterator[Any]:
    """Make a cluster."""
    made = []

    def new(**options: Any) -> Cluster:
        made.append(Cluster(**options))
        return made[-1]

    yield new
    for one in made:
        one.end()


@pytest.fixture
def cluster(new_cluster: Any) -> Cluster:
    """A cluster."""
    return new_cluster()


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Shop:
    """A Deployment whose key stands in its template as text."""
    return Shop(cluster, tmp_path)
