# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a keyring is started, and when it is not. (A key of awkward characters is adopted in test_canary.)"""

from __future__ import annotations

import secrets
from typing import Callable

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from light_fleet import KEY, Fleet, Run

After = Callable[..., Fleet]


@pytest.fixture
def fleet(new_fleet: Callable[..., Fleet]) -> Fleet:
    """A fleet that runs with a key and has no keyring."""
    made = new_fleet()
    made.restart()
    return made


def refused(fleet: Fleet, *arguments: str) -> Run:
    """Run adopt, and see that it writes nothing."""
    before = fleet.unchanged()
    run = fleet.run("adopt", *arguments).ended(2)
    assert fleet.unchanged() == before
    assert not fleet.keyring.exists()
    return run


def test_adopt_makes_a_first_key_where_no_host_has_one_and_nothing_runs(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(("web1",))
    fleet[0].env.write_text("# nothing yet\nDEBUG=off\n")
    fleet.run("adopt").ended(0).says("with a first key", "signs on 1 hosts").says("nothing is in flight")
    (key,) = fleet.ring()["keys"]
    assert (key["state"], key["origin"], len(key["secret"])) == ("primary", "generated", 64)
    assert fleet[0].env.read_text().startswith("# nothing yet\nDEBUG=off\nSECRET_KEY=")
    assert fleet[0].has(key["fingerprint"], [])
    # The host is content: what is started from the file now is what was proven.
    fleet[0].restart()
    fleet.run("status").ended(0).says("nothing is in flight").says("1 of 1 host have their record")


def test_hosts_that_disagree_are_listed_and_nothing_is_written(fleet: Fleet) -> None:
    other = f"second-{secrets.token_urlsafe(32)}"
    fleet.write_env(other, 1)
    fleet[1].restart()
    run = refused(fleet).says("the keys of shop cannot be adopted: 0 of 2 hosts are ready")
    run.lists("web1", f"signs with {fingerprint(KEY)}").lists("web2", f"signs with {fingerprint(other)}", "make the hosts agree")
    run.says("Nothing was written.")
    assert KEY not in run.text
    # The file of a host and its own workers can disagree just as well.
    fleet.write_env(KEY, 1)
    run = refused(fleet)
    run.lists("web2", fingerprint(KEY)).lists("web2", fingerprint(other))


def test_a_keyring_that_exists_is_never_overwritten(after: After) -> None:
    fleet = after("adopt")
    before, inode = fleet.unchanged(), fleet.keyring.stat().st_ino
    fleet.run("adopt").ended(0).says("adopt: there is a keyring already", "and it is never overwritten")
    assert fleet.unchanged() == before
    # Not even one that no secret opens any more.
    fleet.password.write_text("forgotten\n")
    fleet.run("adopt").ended(2).says("is opened by none of the vault secrets that were given")
    assert (fleet.unchanged(), fleet.keyring.stat().st_ino) == (before, inode)


def test_a_fleet_that_was_rolled_with_a_keyring_that_is_lost_is_not_adopted_anew(after: After) -> None:
    fleet = after("adopt")
    ring = fleet.ring()["ring"]
    fleet.keyring.unlink()
    refused(fleet).lists("web1", f"was rolled with the keyring {ring}").lists("web2", "use that keyring")


def test_adopt_asks_how_it_is_known_that_the_application_reads_its_fallbacks(fleet: Fleet) -> None:
    del fleet.vars["app_keys_app_check"]
    refused(fleet).says("app_keys_app_check is not set", "Nothing was written.")


def test_an_application_that_fails_its_check_is_not_adopted(fleet: Fleet) -> None:
    fleet.vars["app_keys_app_check"] = "echo the fallbacks are never read; exit 1"
    run = refused(fleet).says("cannot be adopted: 0 of 2 hosts are ready")
    run.lists("web1", "the application check failed", "never read").lists("web2", "the application check failed")
    fleet.vars["app_keys_app_check"] = 'test "$SECRET_KEY,$SECRET_KEY_FALLBACKS" = "$PHASED_KEYS_PRIMARY,$PHASED_KEYS_FALLBACK"'
    fleet.run("adopt", "--check").ended(0).says("adopt: a keyring would be written to", fingerprint(KEY))
    assert not fleet.keyring.exists()


def test_a_weak_key_is_adopted_only_when_that_is_asked_for(fleet: Fleet) -> None:
    weak = secrets.token_hex(4)
    fleet.write_env(weak)
    fleet.restart()
    run = refused(fleet).says("the fleet's key is too weak", "it has 8 characters", "-e app_keys_allow_weak=true")
    assert weak not in run.text
