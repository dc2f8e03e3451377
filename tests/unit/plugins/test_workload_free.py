# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever has no workload pays nothing for it: nothing of it is imported, and it is in nothing that travels to hosts."""

from __future__ import annotations

import subprocess
import sys

from ansible_collections.phased.keys.plugins.plugin_utils import _program

LOADED = """
import sys
from ansible_collections.phased.keys.plugins.action import active_fingerprint, env_keys, gate, keyring
print([name for name in sys.modules if "kubernetes" in name or "_workload" in name or "_rules.workload" in name or "pod_spec" in name])
"""


def test_the_actions_import_nothing_of_it():
    ran = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_hosts_get_nothing_of_it():
    assert not [name for name in _program._texts() if "workload" in name or "pod_spec" in name]
