# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a keyring, and env files that somebody else changed: every host refuses, and nothing is overwritten."""

from __future__ import annotations

import shutil
from typing import Callable

import envfile
import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from conftest import Walk
from light_fleet import Fleet

After = Callable[..., Fleet]
FOREIGN = "a-key-that-somebody-wrote-by-hand-and-nobody-else-has-0123456789"


def test_a_keyring_copied_before_prepare_is_refused_by_every_host_after_promote(after: After, walk: Walk) -> None:
    fleet = after("promote")
    shutil.copy(walk.places["adopt"] / ".keyrings" / "shop.yml", fleet.keyring)
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    run = fleet.run("rollout").ended(2)
    for host in fleet.hosts:
        run.lists(host.name, "has seen step 3 (promote), and this keyring is at 1", "(adopt)")
    run.says("this keyring is a copy or a backup")
    for run in (fleet.deploy(), fleet.visit()):
        run.ended(2).says("fatal: [web1]", "this host has seen step 3 (promote", "it is a copy or a backup", "Nothing was changed")
    run.says("fatal: [web2]", "this host has seen step 3 (promote", "Nothing was changed")
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records


def test_two_copies_that_were_advanced_separately_cannot_both_be_used(after: After, walk: Walk) -> None:
    fleet = after("prepare")
    # The other copy opened a prepare of its own at the same counter, with another key.
    shutil.copy(walk.places["adopt"] / ".keyrings" / "shop.yml", fleet.keyring)
    fleet.open("prepare")
    before = fleet.unchanged()
    for playbook in ("rollout", "prepare", "promote"):
        fleet.run(playbook).ended(2)
        assert fleet.unchanged() == before
    run = fleet.visit().ended(2)
    for host in fleet.hosts:
        run.says(f"fatal: [{host.name}]", "step 2 was opened twice, from two copies of the keyring", "Nothing was changed")
    assert fleet.unchanged() == before


def test_a_keyring_of_another_origin_is_refused(after: After) -> None:
    fleet = after("adopt")
    fleet.keyring_file().replace({**fleet.ring()})
    ring = {**fleet.ring(), "ring": "0123456789abcdef"}
    fleet.keyring.unlink()
    fleet.keyring_file().create(ring)
    before = fleet.unchanged()
    run = fleet.run("rollout").ended(2)
    run.lists("web1", "its record is of another keyring").lists("web2", "use the keyring that this fleet was")
    assert fleet.unchanged() == before


@pytest.mark.parametrize("way", ["rollout", "deploy"])
def test_a_key_that_somebody_wrote_by_hand_is_named_and_left_alone(after: After, way: str) -> None:
    fleet = after("adopt")
    envfile.assign(fleet[1].env, SECRET_KEY=FOREIGN)
    before = fleet.unchanged()
    unknown = fingerprint(FOREIGN)
    if way == "rollout":
        run = fleet.run("rollout").ended(2)
    else:
        run = fleet.deploy().ended(2)
    run.says(f"holds the key {unknown}, which is not in the keyring. Nothing was changed", f"-e app_keys_replace={unknown}")
    assert FOREIGN not in run.text
    assert fleet.unchanged() == before
