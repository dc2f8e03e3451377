# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet in the middle of somebody's rotation by hand is taken over where it stands, or told host by host why not."""

from __future__ import annotations

import secrets
from typing import Callable, Sequence, Tuple

import envfile
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import Fleet

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

NewFleet = Callable[..., Fleet]
# What a host's env file and workers hold: the key that signs, then the others.
Held = Sequence[str]


def by_hand(new_fleet: NewFleet, *hosts: Tuple[str, Held]) -> Tuple[Fleet, str]:
    """A fleet without a keyring that holds its `old` and a `new` key in these ways; and the new one's fingerprint."""
    fleet = new_fleet([name for name, _held in hosts])
    keys = {"old": fleet.secret, "new": f"new-{secrets.token_urlsafe(32)}"}
    for host, (_name, held) in zip(fleet.hosts, hosts):
        signs, *others = [keys[name] for name in held]
        envfile.assign(host.env, SECRET_KEY=signs, SECRET_KEY_FALLBACKS=",".join(others))
    fleet.restart()
    return fleet, fingerprint(keys["new"])


@pytest.mark.slow
def test_a_fallback_that_is_left_over_on_some_hosts_soaks_on_all_of_them_and_is_retired(new_fleet: NewFleet) -> None:
    fleet, new = by_hand(new_fleet, ("web1", ["new", "old"]), ("web2", ["new"]))
    run = fleet.run("adopt").ended(0).says(f"with the key {new}: {new} signs on 2 hosts")
    run.says(f"some hosts do not accept {fleet.old} yet, and will")
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
    assert {key["origin"] for key in fleet.keyring()["keys"]} == {"adopted"}
    # It is a rollout that is finished, and not a reason to begin another.
    fleet.run("rollout").ended(0)
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert all(host.has(new, []) for host in fleet.hosts)


def test_hosts_that_sign_with_different_keys_which_all_accept_come_to_sign_with_one(new_fleet: NewFleet) -> None:
    fleet, new = by_hand(new_fleet, ("web1", ["new", "old"]), ("web2", ["old", "new"]), ("web3", ["new", "old"]))
    before = fleet.unchanged()
    for arguments in (["--check"], []):
        assert fleet.unchanged() == before
        run = fleet.run("adopt", *arguments).ended(0)
        run.says(f"some hosts sign with {fleet.old}, and will sign with {new}")
    # The key of most hosts; the other one's soak begins when the last host has stopped signing with it.
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)


def test_hosts_that_refuse_what_another_signs_are_named_and_nothing_is_written(new_fleet: NewFleet) -> None:
    fleet, new = by_hand(new_fleet, ("web1", ["new", "old"]), ("web2", ["old"]), ("web3", ["old", "new"]))
    before = fleet.unchanged()
    run = fleet.run("adopt").ended(2).says("the keys of shop cannot be adopted: 2 of 3 hosts are ready")
    run.lists("web2", f"signs with {fleet.old}", "and does", f"accept {new}", "with which web1 signs")
    run.lists("web2", "-> let it accept", "restart it").says("Nothing was written.")
    assert "\n  web1 " not in run.text and "\n  web3 " not in run.text
    assert fleet.unchanged() == before
    assert not fleet.keyring_path.exists()


def test_a_worker_that_was_not_restarted_and_refuses_what_another_signs_is_named_by_its_pid(
    new_fleet: NewFleet,
) -> None:
    fleet, new = by_hand(new_fleet, ("web1", ["new", "old"]))
    fleet[0].tell("stale", f"SECRET_KEY='{fleet.secret}' SECRET_KEY_FALLBACKS=")
    fleet[0].restart()
    (stale,) = [pid for pid in fleet[0].pids() if new not in fleet[0].given(pid).accepts]
    fleet.run("adopt").ended(2).lists("web1", f"pid {stale} signs with {fleet.old}", "does", f"accept {new}")
    assert not fleet.keyring_path.exists()


WEAK = {
    "it has 8 characters": lambda: secrets.token_hex(4),
    "it begins with django-insecure-": lambda: f"django-insecure-{secrets.token_urlsafe(32)}",
}


@pytest.mark.parametrize("why", WEAK)
def test_a_weak_key_is_adopted_only_when_asked_for_and_is_to_be_rolled_at_once(new_fleet: NewFleet, why: str) -> None:
    fleet = new_fleet(("web1",))
    weak = WEAK[why]()
    fleet.write_env(weak)
    fleet.restart()
    run = fleet.run("adopt").ended(2).says(f"the fleet's key is too weak: {fingerprint(weak)}: {why}")
    run.says("Nothing was written. To adopt it all the same, give -e app_keys_allow_weak=true")
    assert not fleet.keyring_path.exists()
    run = fleet.run("adopt", "-e", "app_keys_allow_weak=true").ended(0)
    run.says(f"{fingerprint(weak)} is too weak to stay: roll it at once with phased.keys.rollout")
    assert weak not in run.text
    (key,) = fleet.keyring()["keys"]
    assert (key["marks"], key["state"]) == (["weak"], "primary")
