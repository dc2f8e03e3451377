# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's promise in real pods: the shop as a Deployment under load, rolled by the real playbooks with the guide's permissions."""

from __future__ import annotations

import time

from real_cluster import LIFE
from rolled_shop import KUBECTL, Clients


def test_ours_loses_nothing_where_the_naive_roll_loses_many(fleet, namespace):
    refused = fleet.run("adopt").ended(-1)
    refused.says(f"app_keys_take_over={KUBECTL}")
    with Clients(namespace) as ours:
        fleet.adopted()
        fleet.done("rollout", "app_keys_new=true")
        time.sleep(LIFE)
    assert list(fleet.states().values()) == ["retired", "primary"]
    assert (ours.lost, ours.counts["server_errors"]) == (0, 0) and ours.counts["crossings"] > 20, ours.counts
    with Clients(namespace) as naive:
        namespace.kubectl("set", "env", "deployment/web", "SECRET_KEY=another-key-set-by-hand-0123456789")
        namespace.kubectl("rollout", "status", "deployment/web")
        time.sleep(LIFE)
    assert naive.lost > 20, naive.counts
