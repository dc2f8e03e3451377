# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of a keyring, and env files that somebody else changed: every host refuses, and nothing is overwritten."""

from __future__ import annotations

import secrets
from typing import Callable

import envfile
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import Fleet

After = Callable[..., Fleet]
FOREIGN = f"by-hand-{secrets.token_urlsafe(32)}"


def test_a_keyring_copied_before_prepare_is_refused_by_every_host_after_promote(after: After) -> None:
    fleet = after("promote", keyring="adopt")
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    run = fleet.run("rollout").ended(2)
    for host in fleet.hosts:
        run.lists(host.name, "has seen step 3 (promote), and this keyring is at 1", "(adopt)")
    run.says("this keyring is a copy or a backup")
    for run in (fleet.deploy(), fleet.visit()):
        run.ended(2).says(
            "fatal: [web1]", "this host has seen step 3 (promote", "it is a copy or a backup", "Nothing was changed"
        )
    run.says("fatal: [web2]", "this host has seen step 3 (promote", "Nothing was changed")
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records


def test_a_keyring_from_when_adopt_was_open_writes_no_host_that_was_set_up_anew(after: After) -> None:
    """The first member by name begins with a new keyring; of a copy from that moment another member tells."""
    fleet = after("promote", keyring="adopt")
    fleet.edit(lambda keyring: [member.update(proven=None) for member in keyring["members"].values()] and None)
    fleet.edit(lambda keyring: keyring["step"].update(closed=None))
    fleet[0].record_file.unlink()
    fleet[0].stop()
    fleet[0].env.write_text("# new here\n")
    before = fleet.unchanged()
    fleet.visit().ended(2)
    assert fleet.unchanged() == before
    fleet.deploy("--limit", "web1").ended(2).says(
        "web1 has no record, and web2 has seen step 3 (promote)", "Nothing was changed"
    )
    assert fleet.unchanged() == before


def test_two_copies_that_were_advanced_separately_cannot_both_be_used(after: After) -> None:
    # The other copy opened a prepare of its own at the same counter, with another key.
    fleet = after("prepare", keyring="adopt")
    fleet.open("prepare")
    before = fleet.unchanged()
    run = fleet.run("rollout").ended(2)
    run.lists("web1", "has seen step 2 (prepare), and this keyring is at 2").lists("web2", "has seen step 2 (prepare)")
    run = fleet.visit().ended(2)
    for host in fleet.hosts:
        run.says(
            f"fatal: [{host.name}]", "step 2 was opened twice, from two copies of the keyring", "Nothing was changed"
        )
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
    run.says(
        f"holds the key {unknown}, which is not in the keyring. Nothing was changed", f"-e app_keys_replace={unknown}"
    )
    assert FOREIGN not in run.text
    assert fleet.unchanged() == before
