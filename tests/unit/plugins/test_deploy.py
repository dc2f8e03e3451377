# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in somebody's deploy playbook: it never rotates, at whatever step the rollout is."""

from __future__ import annotations

from typing import Callable

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from light_fleet import KEY, Fleet

After = Callable[..., Fleet]
# What the deploy finds: the step that was walked last, and one that is open since, with no host visited yet.
FOUND = {
    "steady": ("adopt", "", 10),
    "prepare is open": ("adopt", "prepare", 2),
    "prepare is closed": ("prepare", "", 2),
    "promote is open": ("prepare", "promote", 2),
    "promote is closed": ("promote", "", 2),
    "retire is open": ("promote", "retire", 2),
    "retire is closed": ("retire", "", 2),
}


@pytest.mark.parametrize("found", FOUND)
def test_a_deploy_changes_nothing_and_makes_no_key(after: After, found: str) -> None:
    step, open_step, times = FOUND[found]
    fleet = after(step)
    if open_step:
        fleet.open(open_step)
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    run = fleet.deploy(times=times).ended(0)
    assert run.recap("changed") == {"web1": 0, "web2": 0}
    assert run.recap("ok")["web2"] == 2 * times  # a visit, and what includes it
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records


def test_a_deploy_to_a_new_host_where_nothing_runs_yet_writes_the_file_and_is_content(after: After) -> None:
    fleet = after("promote", ("web1", "web2", "web3"))
    ring = fleet.ring()
    del ring["members"]["web3"]
    fleet.keyring_file().replace(ring)
    fleet[2].stop()
    fleet[2].env.write_text("# new here\n")
    fleet[2].record_file.unlink()
    keys = fleet.states()
    run = fleet.deploy(times=2).ended(0)
    assert run.recap("changed") == {"web1": 0, "web2": 0, "web3": 1}
    assert fleet[2].has(fleet.key("primary"), [fingerprint(KEY)])
    assert fleet[2].env.read_text().startswith("# new here\nSECRET_KEY=")
    assert fleet[2].pids() == []
    assert sorted(fleet.ring()["members"]) == ["web1", "web2", "web3"]
    assert fleet.states() == keys


def test_a_deploy_mends_a_host_that_has_not_got_a_key_that_others_sign_with(after: After) -> None:
    fleet = after("promote")
    # Somebody's older env file: it holds a key of ours, and is not admissible any more.
    fleet.write_env(KEY, 1)
    fleet[1].restart()
    run = fleet.deploy().ended(0)
    assert run.recap("changed") == {"web1": 0, "web2": 1}
    assert fleet[1].has(fleet.key("primary"), [fingerprint(KEY)])
