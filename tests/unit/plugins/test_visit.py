# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit that goes wrong ends in a state that the rules allow; each host of a fleet has another kind of bad luck."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from light_fleet import KEY, OTHER_LINES, Fleet, Run

After = Callable[..., Fleet]
# Where a step's visits begin, by the step that they belong to.
BEFORE = {"prepare": "adopt", "promote": "prepare", "retire": "promote"}
# How a host's restart goes, and what is said of it.
ILLS = {
    "web1": ("broken", "once", "the restart command: exit code 1", "the restart failed, as it was told"),
    "web2": ("deadly", "once", "the restart command: exit code 1", "as it was told"),
    "web3": ("deadly", "", "THE APPLICATION MAY BE DOWN ON THIS HOST", ""),
    "web4": ("lone", "", "2 workers run, and before there were 3", ""),
    "web5": ("keeps", "", "started", "does not accept"),
}
