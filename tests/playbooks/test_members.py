# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that join in any phase, and hosts that leave."""

from __future__ import annotations

from typing import Callable

import pytest
from light_fleet import Fleet
from walk import slow

After = Callable[..., Fleet]
# The step that was walked last, one that is open since with no host visited, and what a host without a key gets.
# Whoever comes with the key of before is left as it is where that is safe, and else gets the same.
PHASES = {
    "steady": ("adopt", "", "primary", []),
    "prepare is open": ("adopt", "prepare", "primary", ["staged"]),
    "prepare is closed": ("prepare", "", "primary", ["staged"]),
    "promote is open": ("prepare", "promote", "primary", ["retiring"]),
    "promote is closed": ("promote", "", "primary", ["retiring"]),
    "retire is open": ("promote", "retire", "primary", []),
    "retire is closed": ("retire", "", "primary", []),
}
SAFE_WITH_THE_KEY_OF_BEFORE = ("steady", "prepare is open", "prepare is closed")


QUICK = ("prepare is open", "promote is open", "promote is closed", "retire is open")


@pytest.mark.parametrize("phase", [phase if phase in QUICK else slow(phase) for phase in PHASES])
def test_a_host_that_joins_in_a_deploy_gets_what_is_safe_in_that_phase(after: After, phase: str) -> None:
    step, open_step, signs, accepts = PHASES[phase]
    fleet = after(step, ("web1", "web2", "web3"))
    # The image of web2 has the key of before the rollout, that of web3 has none.
    secret = fleet.secret
    fleet.join(1, secret)
    fleet.join(2)
    if open_step:
        fleet.open(open_step)
    keys, before = fleet.states(), fleet.unchanged()[1]
    fleet.deploy().ended(0)
    joined = (fleet.key(signs), [fleet.key(state) for state in accepts])
    assert fleet[2].has(*joined)
    if phase in SAFE_WITH_THE_KEY_OF_BEFORE:
        assert fleet.unchanged()[1]["web2"] == before["web2"]
    else:
        assert fleet[1].has(*joined)
    assert sorted(fleet.keyring()["members"]) == ["web1", "web2", "web3"]
    assert fleet.states() == keys
    assert fleet.unchanged()[1]["web1"] == before["web1"]


def test_a_host_from_an_image_whose_key_was_retired_gets_the_keys_of_now(after: After) -> None:
    fleet = after("retire")
    fleet.join(1, fleet.secret)
    fleet.deploy("--limit", "web2").ended(0)
    assert fleet[1].has(fleet.key("primary"), [])


def test_a_host_that_joins_in_the_middle_of_a_rollout_is_brought_along_by_the_next_run(after: After) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet.join(1, fleet.secret)
    fleet.run("promote").ended(2).lists("web2", "has no record of a visit")
    fleet.run("rollout").ended(0).says("promote: 2 of 2 hosts sign with")
    assert all(host.has(fleet.key("primary"), [fleet.old]) for host in fleet.hosts)
    assert fleet.keyring()["members"]["web2"]["proven"] == fleet.keyring()["step"]["counter"]


@pytest.mark.parametrize("image", ["no key", "a key that the backup admits"])
def test_a_host_that_joins_with_a_keyring_from_a_backup_is_refused_since_a_recorded_one_knows_better(
    after: After, image: str
) -> None:
    fleet = after("promote", keyring="prepare")
    fleet.join(1, *([] if image == "no key" else [fleet.secret]))
    before = fleet.unchanged()
    run = fleet.deploy("--limit", "web2").ended(2)
    run.says(
        "fatal: [web2]", "web2 has no record, and web1 has seen step 3 (promote), and this keyring is at 2 (prepare)"
    )
    run.says("Nothing was changed: this keyring is a copy or a backup")
    assert fleet.unchanged() == before
    assert fleet[1].record() is None


def test_a_host_that_joins_is_refused_while_nobody_can_vouch_for_the_keyring(after: After) -> None:
    fleet = after("promote")
    fleet.join(1)
    fleet.down(0)
    before = fleet.unchanged()
    run = fleet.deploy("--limit", "web2").ended(2)
    run.says("web2 has no record, and no host that has one vouches for this keyring")
    assert fleet.unchanged() == before
    fleet[0].mend("down")
    fleet.deploy("--limit", "web2").ended(0)
    assert fleet[1].has(fleet.key("primary"), [fleet.old])


@pytest.mark.slow
def test_a_host_that_left_the_inventory_is_missed_until_it_is_released_by_name(after: After) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    gone = fleet.host_vars.pop("web2")
    fleet[1].stop()
    before = fleet.unchanged()
    run = fleet.run("promote").ended(2).lists("web2", "is a member by the keyring and not in the inventory")
    run.lists("web2", "its workers may", "release it", "with -e app_keys_release=web2")
    assert fleet.unchanged() == before
    fleet.run("promote", "-e", "app_keys_release=web2").ended(0).says("promote: 1 of 1 host sign with")
    assert list(fleet.keyring()["members"]) == ["web1"]
    assert "released" in fleet.events()
    # Back again it joins, with what it had when it left.
    fleet.host_vars["web2"] = gone
    fleet[1].restart()
    fleet.run("rollout").ended(0).says("2 of 2 hosts sign with")
    assert fleet[1].has(fleet.key("primary"), [fleet.old])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("web2", "app_keys_release names web2, which is in the inventory: take it out of the inventory first"),
        ("web9", "app_keys_release names web9, which is no member; members are web1, web2"),
    ],
)
def test_only_a_member_that_is_not_in_the_inventory_is_released(after: After, name: str, said: str) -> None:
    fleet = after("prepare")
    before = fleet.unchanged()
    fleet.run("promote", "-e", f"app_keys_release={name}").ended(2).says(said)
    assert fleet.unchanged() == before
