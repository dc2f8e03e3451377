# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster for tests: that of PHASED_TEST_KUBECONFIG, else one that is started here, in namespaces of its own (needs root).

    python tests/kubernetes/with_cluster.py ready             make what our own cluster needs; ends with 3 where this machine cannot
    python tests/kubernetes/with_cluster.py run -- COMMAND    run a command beside a cluster, and end that

The command gets PHASED_TEST_KUBECONFIG; beside our own cluster it runs in that one's network, and PHASED_OWN_CLUSTER is the process
id of the cluster's first process: with that tests may break the node. KUBECONFIG is never looked at.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent))

import own_cluster
from places import BIN, ClusterError, MissingError

MISSING = 3
GIVEN, OWN = "PHASED_TEST_KUBECONFIG", "PHASED_OWN_CLUSTER"


def run(command: list[str]) -> int:
    """Run a command beside a cluster; return how it ended."""
    settings = {name: value for name, value in os.environ.items() if name not in (OWN, "KUBECONFIG")}
    if settings.get(GIVEN):
        return _run(command, settings)
    with own_cluster.cluster() as cluster:
        settings.update({GIVEN: str(cluster.kubeconfig), OWN: str(cluster.first)})
        settings["PATH"] = f"{settings.get('PATH', os.defpath)}:{BIN}"  # kubectl
        return _run([*cluster.inside("net"), *command], settings)


def _run(command: list[str], settings: dict[str, str]) -> int:
    with subprocess.Popen(command, env=settings, preexec_fn=own_cluster.end_with_parent) as started:
        try:
            return started.wait()
        finally:
            started.kill()


def main(words: list[str]) -> int:
    """Do what is asked; return the exit status."""
    if words[:1] == ["ready"] and len(words) == 1:
        own_cluster.parts()
        return 0
    if words[:2] == ["run", "--"] and len(words) > 2:
        return run(words[2:])
    print(__doc__, file=sys.stderr)
    return 2


def _interrupted(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupted)
    try:
        sys.exit(main(sys.argv[1:]))
    except MissingError as error:
        print(f"no cluster of our own can be had: {error}", file=sys.stderr)
        sys.exit(MISSING)
    except ClusterError as error:
        sys.exit(f"with_cluster.py: {error}")
