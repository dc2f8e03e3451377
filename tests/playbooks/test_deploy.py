# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in somebody's deploy playbook: it never rotates, at whatever step the rollout is."""

from __future__ import annotations

from typing import Callable

import pytest
from light_fleet import Fleet

After = Callable[..., Fleet]
# What the deploy finds: the step that was walked last, and one that is open since, with no host visited yet.
FOUND = {
    "steady": ("adopt", ""),
    "prepare is open": ("adopt", "prepare"),
    "prepare is closed": ("prepare", ""),
    "promote is open": ("prepare", "promote"),
    "promote is closed": ("promote", ""),
    "retire is open": ("promote", "retire"),
    "retire is closed": ("retire", ""),
}


@pytest.mark.parametrize("found", FOUND)
def test_a_deploy_changes_nothing_and_makes_no_key(after: After, found: str) -> None:
    step, open_step = FOUND[found]
    fleet = after(step, ("web1",))
    if open_step:
        fleet.open(open_step)
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    # Ten times over, in the middle of a rollout.
    times = 10 if found == "promote is closed" else 1
    run = fleet.deploy(times=times).ended(0).says("Bring the host to the keys")
    assert run.recap("changed") == {"web1": 0}
    assert run.recap("ok")["web1"] >= 2 * times
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records


def test_a_deploy_writes_the_file_of_a_new_host_and_mends_one_that_lacks_a_key(after: After) -> None:
    fleet = after("promote", ("web1", "web2", "web3"))
    new = fleet.key("primary")
    # On web2 somebody put back an older env file: it holds a key of ours, and is not admissible any more.
    fleet.write_env(fleet.secret, 1)
    fleet[1].restart()
    # On web3 nothing runs yet.
    keyring = fleet.keyring()
    del keyring["members"]["web3"]
    fleet.keyring_file().replace(keyring)
    fleet[2].stop()
    fleet[2].env.write_text("# new here\n")
    fleet[2].record_file.unlink()
    keys = fleet.states()
    run = fleet.deploy(times=2).ended(0)
    assert run.recap("changed") == {"web1": 0, "web2": 1, "web3": 1}
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
    assert fleet[2].env.read_text().startswith("# new here\nSECRET_KEY=")
    assert fleet[2].pids() == []
    assert sorted(fleet.keyring()["members"]) == ["web1", "web2", "web3"]
    assert fleet.states() == keys


def test_a_deploy_that_brings_a_retired_key_back_is_told_so(after: After) -> None:
    fleet = after("retire")
    new = fleet.key("primary")
    fleet.write_env(fleet.secret, 0)
    fleet[0].restart()
    run = fleet.deploy().ended(0)
    run.says("[WARNING]", "web1:", f"held {fleet.old}, which has ended").says(
        "Take SECRET_KEY and SECRET_KEY_FALLBACKS out"
    )
    assert fleet[0].has(new, []) and fleet[1].has(new, [])
    assert "web2:" not in run.text.partition("[WARNING]")[2].partition("PLAY RECAP")[0]
    assert "has ended" not in fleet.deploy().ended(0).text


def test_a_host_that_lost_its_record_gets_one_in_a_deploy(after: After) -> None:
    fleet = after("adopt")
    fleet[0].record_file.unlink()
    before = fleet.unchanged()
    fleet.deploy().ended(0)
    assert fleet[0].record()["state"] == "proven" and fleet[0].record()["counter"] == 1
    assert fleet.unchanged() == before
    fleet.run("status").ended(0).says("2 of 2 hosts have their record")


def test_a_host_that_loses_its_record_after_the_survey_is_visited_all_the_same(after: After) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[1])
    fleet[0].tell("then", "rm ../web2/state/shop.json")
    new = fleet.key("staged")
    fleet.run("promote").ended(0).says("promote: 2 of 2 hosts sign with")
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
