# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole rollouts of profiles that write their keys otherwise than as one list or two settings: in slots, and as a map with a pointer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.new_keys import new_key
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text, frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import Fleet

pytestmark = pytest.mark.slow


def given(fleet: Fleet, profile: frameworks.Profile) -> List[Dict[str, str]]:
    """Our settings in each env file, and in the environment of each worker."""
    found: List[Dict[str, str]] = []
    for host in fleet.hosts:
        found.append(dict(env_text.read(host.env.read_text(), "systemd", profile.names)))
        for pid in host.pids():
            pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
            said = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            found.append({name: said[name] for name in profile.names if name in said})
    return found


@pytest.mark.parametrize("framework", ["authjs", "tornado"])
def test_a_fleet_goes_from_its_key_to_a_new_one_and_lets_go_of_it(
    framework: str, new_fleet: Callable[..., Fleet]
) -> None:
    profile = frameworks.profile(framework)
    fleet = new_fleet(("web1", "web2"))
    fleet.vars["app_keys_framework"] = framework
    fleet.write_inventory()
    old = new_key(profile.key)
    values = frameworks.encode(profile, frameworks.Keys(old, [old]))
    for host in fleet.hosts:
        host.env.write_text(env_text.rewrite("DEBUG=off\n", "systemd", dict(values)))
        host.restart()
    fleet.run("adopt").ended(0).says(f"with the key {fingerprint(old)}")
    assert fleet.keyring()["profile"]["outputs"][0]["way"] == profile.outputs[0].way
    fleet.run("prepare").ended(0)
    for said in given(fleet, profile):
        keys = frameworks.decode(profile, said)
        assert keys.signs == old and len(keys.accepts) == 2
    fleet.run("rollout").ended(0)
    everywhere: List[Any] = [frameworks.decode(profile, said) for said in given(fleet, profile)]
    assert len({(keys.signs, *keys.accepts) for keys in everywhere}) == 1 and len(everywhere) > 4
    assert everywhere[0].accepts == [everywhere[0].signs] and everywhere[0].signs != old
    assert "DEBUG=off\n" in fleet[0].env.read_text()
