# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a keyring is started, and when it is not. (A key of awkward characters is adopted in test_canary.)"""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]
NewFleet = Callable[..., Fleet]


def running(new_fleet: Callable[..., Fleet], *names: str) -> Fleet:
    """A fleet that runs with a key and has no keyring."""
    fleet = new_fleet(names or ("web1", "web2"))
    fleet.restart()
    return fleet


def refused(fleet: Fleet, *arguments: str) -> Run:
    """Run adopt, and see that it writes nothing."""
    before = fleet.unchanged()
    run = fleet.run("adopt", *arguments).ended(2).says("Nothing was written.")
    assert fleet.unchanged() == before
    assert not fleet.keyring_path.exists()
    assert fleet.secret not in run.text
    return run


def test_adopt_makes_a_first_key_where_no_host_has_one_and_nothing_runs(new_fleet: NewFleet) -> None:
    fleet = new_fleet(("web1",))
    fleet[0].env.write_text("# nothing yet\nDEBUG=off\n")
    # The host is content with a file: there is nothing to prove.
    fleet.run("adopt").ended(0).says("with a first key", "signs on 1 hosts").says("1 of 1 host have their record")
    (key,) = fleet.keyring()["keys"]
    assert (key["state"], key["origin"], len(key["secret"])) == ("primary", "generated", 64)
    assert fleet[0].env.read_text().startswith("# nothing yet\nDEBUG=off\nSECRET_KEY=")
    assert fleet[0].has(key["fingerprint"], [])
    assert fleet[0].record()["state"] == "proven"


def test_hosts_that_disagree_are_listed_and_nothing_is_written(new_fleet: NewFleet) -> None:
    fleet = running(new_fleet, "web1", "web2", "web3")
    other = f"second-{secrets.token_urlsafe(32)}"
    fleet.write_env(other, 1, 2)
    # The file of web3 does not agree with its own workers, either.
    fleet[1].restart()
    run = refused(fleet).says("the keys of shop cannot be adopted: 0 of 3 hosts are ready")
    run.lists("web1", "let it accept", fingerprint(other)).lists("web1", f"signs with {fleet.old}")
    run.lists("web2", f"signs with {fingerprint(other)}")
    run.lists("web3", fleet.old).lists("web3", fingerprint(other))
    assert other not in run.text


@pytest.mark.slow
def test_a_keyring_that_exists_is_never_overwritten_nor_made_anew_for_a_fleet_that_was_rolled(after: After) -> None:
    fleet = after("adopt")
    before, inode = fleet.unchanged(), fleet.keyring_path.stat().st_ino
    fleet.run("adopt").ended(0).says("adopt: there is a keyring already", "and it is never overwritten")
    assert (fleet.unchanged(), fleet.keyring_path.stat().st_ino) == (before, inode)
    keyring = fleet.keyring()["id"]
    fleet.keyring_path.unlink()
    refused(fleet).lists("web1", f"was rolled with the keyring {keyring}").lists("web2", "use that keyring")


def test_an_adoption_that_was_cut_off_after_its_first_host_is_finished_by_the_next_run(after: After) -> None:
    fleet = after("adopt", ("web1", "web2", "web3"))

    def cut_off(keyring: Dict[str, Any]) -> None:
        keyring["step"]["closed"] = None
        for entry in keyring["members"].values():
            entry["proven"] = None

    fleet.edit(cut_off)
    for host in fleet.hosts[1:]:
        host.record_file.unlink()
    # The one that has its record is not visited again, and speaks for the others all the same.
    fleet.run("adopt").ended(0).says("adopt: 3 of 3 hosts have their record and hold the keys of the keyring")
    assert {host.record()["state"] for host in fleet.hosts} == {"proven"}


def test_adopt_asks_how_it_is_known_that_the_application_reads_its_fallbacks(new_fleet: NewFleet) -> None:
    fleet = running(new_fleet, "web1")
    del fleet.vars["app_keys_app_check"]
    refused(fleet).says("app_keys_app_check is not set", "Nothing was written.")


def test_an_application_that_fails_its_check_is_not_adopted(new_fleet: NewFleet) -> None:
    fleet = running(new_fleet)
    fleet.host_vars["web2"]["app_keys_app_check"] = "echo the fallbacks are never read; exit 1"
    check = 'test "$SECRET_KEY,$SECRET_KEY_FALLBACKS" = "$PHASED_KEYS_PRIMARY,$PHASED_KEYS_FALLBACK"'
    fleet.vars["app_keys_app_check"] = check
    run = refused(fleet).says("cannot be adopted: 1 of 2 hosts are ready")
    run.lists("web2", "the application check failed", "never read")
    del fleet.host_vars["web2"]["app_keys_app_check"]
    fleet.run("adopt", "--check").ended(0).says("adopt: a keyring would be written to", fleet.old)
    assert not fleet.keyring_path.exists()


def test_a_weak_key_is_adopted_only_when_that_is_asked_for(new_fleet: NewFleet) -> None:
    fleet = new_fleet(("web1",))
    weak = secrets.token_hex(4)
    fleet.write_env(weak)
    fleet.restart()
    run = refused(fleet).says("the fleet's key is too weak", "it has 8 characters", "-e app_keys_allow_weak=true")
    assert weak not in run.text


@pytest.mark.slow
def test_a_broken_version_of_one_host_is_refused_by_name_until_somebody_answers_for_it(new_fleet: NewFleet) -> None:
    fleet = running(new_fleet, "web1", "web2")
    with tempfile.TemporaryDirectory() as made:
        # Where anybody may read it: workers of root are asked for their packages as nobody.
        Path(made).chmod(0o755)
        for name, version in (("Django", "4.1.7"), ("wagtail", "6.0")):
            info = Path(made) / f"{name}-{version}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        fleet[1].env.write_text(fleet[1].env.read_text() + f"PYTHONPATH={made}\n")
        fleet[1].restart()
        run = refused(fleet).says("the keys of shop cannot be adopted: 1 of 2 hosts are ready")
        run.lists("web2", "has Django 4.1.7: it refuses sessions across promote in both directions")
        run.lists("web2", "app_keys_allow_packages=Django")
        run = fleet.run("adopt", "-e", "app_keys_allow_packages=Django").ended(0)
        run.says("web2 has wagtail 6.0: the URLs of its view for images").says("web1 shows no version of Django")
    assert "adopted beside Django 4.1.7, for which the operator answers" in fleet.events()
