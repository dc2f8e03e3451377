# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be known of the machine to judge a measurement: nothing that names it."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

# Said with the results, for they decide them.
SETTINGS = {
    "app_keys_serial": [1, "25%"],
    "app_keys_settle": "0s: a pause on purpose, 2s by default, measured by itself",
    "app_keys_bake": "0s: a pause on purpose, 10s by default after the first batch of each phase",
    "app_keys_soak": "0s: waited for on purpose",
    "pipelining": True,
    "ssh": "ControlPersist; every run begins without connections",
}


def facts() -> dict[str, Any]:
    """Return the date, the machine and the versions."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
            "kernel": ".".join(platform.release().split(".")[:2]),
            "load_before": round(os.getloadavg()[0], 1),
        },
        "versions": {"ansible-core": metadata.version("ansible-core"), "python": platform.python_version()},
    }


def cpu_model(text: str) -> str:
    """Return the processor's name as /proc/cpuinfo has it, or the architecture where it has none."""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()
