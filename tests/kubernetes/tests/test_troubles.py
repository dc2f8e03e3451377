# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on in a cluster while a key is rolled: scaling, pods that are deleted by force, a node that does not answer, a crash loop, an undo."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from own_cluster import children
from real_cluster import LIFE, until
from rolled_shop import Clients, ended


@contextlib.contextmanager
def stopped_kubelet(first: int) -> Iterator[None]:
    """Stop the node's kubelet: what runs there runs on, and nobody hears of it."""
    (kubelet,) = (pid for pid in children(first) if Path(f"/proc/{pid}/comm").read_text().strip() == "kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kubelet, signal.SIGCONT)


def test_scaling_forced_deletes_and_a_stopped_kubelet_in_the_middle_lose_nothing(fleet, namespace, node):
    with Clients(namespace) as clients:
        fleet.adopted()
        run = fleet.during("prepare", "app_keys_new=true")
        namespace.kubectl("scale", "deployment/web", "--replicas=4")
        ended(run)
        assert len(fleet.pods("-keys-")) == 4
        run = fleet.during("promote")
        namespace.kubectl("delete", "pod", fleet.pods()[0], "--force", "--grace-period=0")
        with stopped_kubelet(node):
            time.sleep(15)
            assert run.poll() is None, "pods that cannot be asked are not proven"
        ended(run)
        time.sleep(LIFE)
    assert (clients.lost, clients.counts["server_errors"]) == (0, 0) and clients.counts["crossings"] > 5, clients.counts


def test_a_crash_loop_is_refused_and_an_undo_after_the_end_starts_nothing(fleet, namespace):
    with Clients(namespace) as clients:
        fleet.adopted()
        namespace.kubectl("set", "env", "deployment/web", "SHOP_LIFE=nonsense")
        until(lambda: "CrashLoopBackOff" in str(namespace.pods()), 90)
        refused = fleet.run(
            "prepare", "-e", "app_keys_new=true", "-e", "app_keys_timeout=20s", KUBECONFIG="/nowhere"
        ).ended(-1)
        refused.says("deployment/web is reloading")
        namespace.kubectl("set", "env", "deployment/web", f"SHOP_LIFE={LIFE}")
        until(namespace.settled, 120)
        fleet.done("rollout")
        assert list(fleet.states().values()) == ["retired", "primary"]
        serving = sorted(fleet.pods())
        namespace.kubectl("rollout", "undo", "deployment/web")
        until(lambda: "CreateContainerConfigError" in str(namespace.pods()), 90, namespace.told)
        time.sleep(LIFE)
        assert set(serving) <= set(fleet.pods())
        refused = fleet.run("rollout", KUBECONFIG="/nowhere").ended(-1)
        # Which name that is, each version of kubectl says otherwise.
        (manager,) = re.findall(r"give -e app_keys_take_over=(\S+) once", refused.text)[:1]
        fleet.done("rollout", f"app_keys_take_over={manager}")
        until(namespace.settled, 120)
    assert (clients.lost, clients.counts["server_errors"]) == (0, 0), clients.counts
