# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long hosts sign with different keys in promote, for several ways to make batches.

From the start of the first worker that signs with the new key to that of the last one, by the workers' own start times; the
restart takes a second, as an application's does.
"""

from __future__ import annotations

import json
from typing import Any

from figures import batches
from variants import Bench

SERIALS = ([1, "25%"], [1, "50%"], [1, "100%"], [1, 10])
RESTART = 1.0


def measure(bench: Bench) -> dict[str, Any]:
    """Promote once with each kind of batches and return how far apart the workers started."""
    bench.hosts.slow(RESTART)
    hosts = len(bench.hosts.names)
    found = []
    for serial in SERIALS:
        at_once = ["-e", json.dumps({"app_keys_serial": "100%"})]
        bench.playbook("prepare", *at_once, "-e", "app_keys_new=true")
        bench.playbook("promote", "-e", json.dumps({"app_keys_serial": serial}))
        started = bench.hosts.started()
        bench.playbook("retire", *at_once)
        found.append({"serial": serial, "batches": batches(hosts, serial), "seconds": max(started) - min(started)})
    return {"hosts": hosts, "forks": bench.forks, "restart": RESTART, "serials": found}
