# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rollout with a keyring in git, by runners whose folder is thrown away after each phase. The worked example of docs/stores.md."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import Any, Callable

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible_collections.phased.keys.plugins.module_utils._rules import soak
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from light_fleet import Fleet
from sealed import PASSWORD

pytestmark = pytest.mark.slow

BRANCH = "phased.keys/keyrings/shop"


def commits(fleet: Fleet) -> int:
    """How often the keyring was written."""
    counted = subprocess.run(
        ["git", "rev-list", "--count", BRANCH], cwd=fleet.folder / "ops.git", capture_output=True, check=True
    )
    return int(counted.stdout)


def keyring(fleet: Fleet) -> Any:
    """The keyring, as it lies in the repository."""
    loader = DataLoader()
    loader.set_vault_secrets([("default", VaultSecret(PASSWORD.encode()))])
    return stores.store_for(fleet.vars["app_keys_keyring"], loader).load()


def throw_away(fleet: Fleet) -> None:
    """Empty all that a runner has: what lies beside the inventory, its home, its temporary files."""
    shutil.rmtree(fleet.folder / ".keyrings", ignore_errors=True)
    for place in ("tmp", "home", "elsewhere"):
        shutil.rmtree(fleet.folder / place)
        (fleet.folder / place).mkdir()


def test_a_rollout_by_runners_that_keep_nothing(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    subprocess.run(["git", "init", "-q", "--bare", str(fleet.folder / "ops.git")], check=True)
    fleet.vars["app_keys_keyring"] = f"git+file://{fleet.folder}/ops.git//keyrings/shop.yml"
    fleet.restart()
    fleet.run("status").ended(2).says("there is no keyring at git+file://", "run phased.keys.adopt first")
    fleet.run("adopt").ended(0).says("ops.git//keyrings/shop.yml is written, with the key")
    for phase in ("prepare", "promote", "retire"):
        throw_away(fleet)
        if phase == "retire":
            time.sleep(max(0.0, soak.next_due(keyring(fleet)) - time.time()))
        before = commits(fleet)
        run = fleet.run(phase).ended(0)
        # Two writes for each phase, it opens and it closes, however many hosts there are.
        assert commits(fleet) == before + 2, run.text
        assert not (fleet.folder / ".keyrings").exists()
    states = {key["fingerprint"]: key["state"] for key in keyring(fleet)["keys"]}
    (new,) = [key for key, state in states.items() if state == "primary"]
    assert states[fleet.old] == "retired" and new != fleet.old
    assert all(host.has(new, []) for host in fleet.hosts)
    # A host that joins by a deploy of somebody else's is registered there too.
    throw_away(fleet)
    fleet.deploy().ended(0)
    fleet.run("status").ended(0)


def test_a_repository_that_cannot_be_reached_opens_nothing(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(("web1",))
    fleet.vars["app_keys_keyring"] = f"git+file://{fleet.folder}/nowhere.git//keyrings/shop.yml"
    fleet.restart()
    before = fleet[0].env.read_text()
    for playbook in ("adopt", "rollout"):
        fleet.run(playbook).ended(2).says(
            "cannot be read: git says", "there is no such repository, or it is hidden from this user"
        )
    assert fleet[0].env.read_text() == before and fleet[0].record() is None


def test_a_keyring_moves_into_git_in_the_middle_of_a_rollout_and_gets_another_secret(
    after: Callable[..., Fleet],
) -> None:
    fleet = after("prepare", ("web1", "web2"))
    subprocess.run(["git", "init", "-q", "--bare", str(fleet.folder / "ops.git")], check=True)
    place = f"git+file://{fleet.folder}/ops.git//keyrings/shop.yml"
    new = f"app_keys_copy_to={place}"
    fleet.run("keyring_copy").ended(2).says("app_keys_copy_to is not given")
    before = fleet.unchanged()
    fleet.run("keyring_copy", "--check", "-e", new).ended(0).says("would be moved from", "to git+file://")
    assert fleet.unchanged() == before
    fleet.run("keyring_copy", "-e", new).ended(0).says("is valid: set app_keys_keyring to that")
    fleet.run("keyring_copy", "-e", new).ended(0).says("has moved to git+file://", "already")
    fleet.run("promote").ended(2).says("the keyring has moved to git+file://", "set app_keys_keyring to that")
    fleet.vars["app_keys_keyring"] = place
    fleet.run("promote").ended(0)
    (fleet.folder / "another").write_text("another\n")
    both = ("--vault-id", f"new@{fleet.folder}/another")
    fleet.run("keyring_rekey", *both, "-e", "app_keys_rekey_to=old").ended(2).says(
        "no vault secret of that label was given (default, new)"
    )
    fleet.run("keyring_rekey", *both, "-e", "app_keys_rekey_to=new").ended(0).says(
        "is sealed with the vault secret new"
    )
    fleet.run("status").ended(2).says("is opened by none of the vault secrets", "it was sealed as new")
    fleet.run("status", *both).ended(0)
