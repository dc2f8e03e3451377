# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts of an application that stores what its keys encrypt: retire waits until that is encrypted anew, whatever the clock says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.plugin_utils._new_key import new_key
from light_fleet import Fleet
from playbook_run import until

pytestmark = pytest.mark.slow
New = Callable[..., Fleet]
STORED = Path(__file__).resolve().parent / "stored.py"


def does(fleet: Fleet, what: str) -> List[str]:
    """The command that has the application do something."""
    return [sys.executable, str(STORED), str(fleet.folder), what]


def rows(fleet: Fleet, what: str, *keys: str) -> int:
    """Have it done by hand, with these keys."""
    environment = {"SECRET_KEY": keys[0], "SECRET_KEY_FALLBACKS": ",".join(keys[1:])}
    return subprocess.run(does(fleet, what), env=environment, check=False, capture_output=True).returncode


def runs(fleet: Fleet) -> List[str]:
    return (fleet.folder / "runs").read_text().split()


def secret(fleet: Fleet, key: str) -> str:
    return str(keyrings.find(fleet.keyring(), key)["secret"])


@pytest.fixture
def shop(new_fleet: New) -> Fleet:
    """A fleet whose keys encrypt five rows."""
    fleet = new_fleet()
    fleet.secret = new_key("fernet")
    fleet.old = fingerprint(fleet.secret)
    fleet.write_env()
    fleet.restart()
    fleet.vars.update(
        app_keys_settings={"key": "fernet", "at_rest": [{"what": "the rows of the shop"}]},
        app_keys_soak="0s",
    )
    assert rows(fleet, "store", fleet.secret) == 0
    fleet.run("adopt").ended(0)
    return fleet


def encrypts(fleet: Fleet, **more: Any) -> Dict[str, Any]:
    """What app_keys_reencrypt says of it."""
    return {"host": "web2", "run": does(fleet, "rotate"), "proof": does(fleet, "read"), **more}


def test_19_a_whole_rollout_with_a_re_encryption_that_is_cut_off_in_the_middle(shop: Fleet) -> None:
    shop.vars["app_keys_reencrypt"] = encrypts(shop)
    (shop.folder / "hold").touch()
    run = shop.start("rollout")
    pid = int(until(lambda: (shop.folder / "held").exists() and (shop.folder / "held").read_text(), 100))
    new = shop.key("primary")
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert shop.states() == {shop.old: "retiring", new: "primary"}
    # What was begun goes on on the host, under its lock: nobody begins it a second time beside that.
    shop.vars["app_keys_timeout"] = "2s"
    shop.run("rollout").ended(-1).says("a visit of it is still running")
    assert runs(shop).count("rotate") == 1
    os.kill(pid, signal.SIGKILL)
    (shop.folder / "hold").unlink()
    shop.vars["app_keys_timeout"] = "20s"
    assert rows(shop, "read", secret(shop, new)) != 0, "half of it needs the old key"
    run = shop.run("rollout").ended(0)
    run.says("reencrypt: 2 of 2 hosts sign with", "the rows of the shop", f"is encrypted with {new} by web2")
    run.says(f"what is at rest is encrypted with {new}, which web2 has shown")
    run.says(f"retire: 2 of 2 hosts have let go of {shop.old}")
    assert runs(shop)[1:] == ["rotate", "read", "rotate", "read"]
    assert rows(shop, "read", secret(shop, new)) == 0
    assert shop.states() == {shop.old: "retired", new: "primary"}
    assert [event for event in shop.events() if "encrypt" in event] == [
        *["re-encryption began on web2"] * 2, "re-encrypted by web2",
    ]  # fmt: skip
    # The secret stays sealed, and no host has it.
    assert secret(shop, shop.old) == shop.secret and all(host.has(new, []) for host in shop.hosts)
    before = shop.unchanged()
    shop.run("rollout").ended(0).says("prepare: nothing to do")
    assert shop.unchanged() == before
    # Something was forgotten: the key is accepted once more, and never signs.
    shop.run("prepare", "-e", f"app_keys_bring_back={shop.old}").ended(0)
    assert all(host.has(new, [shop.old]) for host in shop.hosts)
    shop.run("rollout", "-e", "app_keys_new=true").ended(0)
    shop.run("rollback").ended(0)
    assert shop.states() == {shop.old: "withdrawn", new: "primary"} and not shop.destroyed(shop.old)
    shop.edit(lambda keyring: keyrings.find(keyring, shop.old).update(keep_sealed=0.001))
    shop.run("rollout").ended(0)
    assert shop.destroyed(shop.old)


def test_19_without_it_retire_waits_for_a_word_that_names_the_key_that_signs(shop: Fleet) -> None:
    run = shop.run("rollout").ended(0)
    new = shop.key("primary")
    run.says("promote is open", "what is at rest (the rows of the shop) has to be encrypted anew before retire")
    run.says(f"retire: {shop.old} is needed until what is at rest (the rows of the shop) is encrypted anew", new)
    before = shop.unchanged()
    shop.run("retire").ended(0).says(f"{shop.old} is needed until")
    shop.run("rollout", "-e", f"app_keys_reencrypted={shop.old}").ended(-1).says(
        f"app_keys_reencrypted is {shop.old}, and the key that signs is {new}", "Nothing was changed"
    )
    assert shop.unchanged() == before
    assert rows(shop, "rotate", secret(shop, new), shop.secret) == 0
    shop.run("rollout", "-e", f"app_keys_reencrypted={new}").ended(0).says("app_keys_reencrypted says so")
    assert shop.states() == {shop.old: "retired", new: "primary"}
    assert rows(shop, "read", secret(shop, new)) == 0


def test_19_a_proof_that_fails_keeps_the_old_key_and_shows_no_secret(shop: Fleet) -> None:
    # What only says that it has encrypted anew.
    shop.vars["app_keys_reencrypt"] = encrypts(shop, run="true")
    run = shop.run("rollout").ended(-1)
    new = shop.key("primary")
    run.says(
        "what is at rest was not encrypted anew on web2", "app_keys_reencrypt.proof", "row 1 cannot be read with ***"
    )
    assert secret(shop, new) not in run.text
    assert shop.states() == {shop.old: "retiring", new: "primary"}
    assert all(host.has(new, [shop.old]) for host in shop.hosts)


def test_19_a_leaked_key_waits_for_it_too_and_its_soak_is_waived(shop: Fleet) -> None:
    shop.vars.update(app_keys_reencrypt=encrypts(shop), app_keys_soak="30d")
    leaked = ["-e", f"app_keys_compromised={shop.old}", "-e", f"app_keys_confirm={shop.old}"]
    run = shop.run("rollout", *leaked).ended(0)
    run.says("the rows of the shop", "is encrypted anew first").says("which web2 has shown")
    new = shop.key("primary")
    assert shop.states() == {shop.old: "retired", new: "primary"}
    assert rows(shop, "read", secret(shop, new)) == 0
