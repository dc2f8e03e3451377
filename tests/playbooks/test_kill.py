# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`kill -9` of ansible-playbook, in the middle of each phase, of an adoption, of a recovery and of an emergency: the next run
finishes the same, and nothing is lost.
"""

from __future__ import annotations

import os
import secrets
import signal
from typing import Any, Callable, List

import envfile
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from light_fleet import Fleet, Host
from playbook_run import until

pytestmark = pytest.mark.slow
After = Callable[..., Fleet]
RECOVER = ("-e", "app_keys_recover=true")
LONG = {"app_keys_soak": "1h", "app_keys_wait": "0s"}


def kill_when(fleet: Fleet, so: Callable[[], Any], playbook: str, *arguments: str) -> None:
    """Start a playbook, and kill the process that the operator started as soon as something is so."""
    run = fleet.start(playbook, *arguments)

    def now() -> Any:
        assert run.poll() is None, run.communicate()[0]
        return so()

    until(now)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


def visiting(host: Host, phase: str) -> bool:
    """Whether a host is being visited at this step."""
    record = host.record()
    return record is not None and (record["step"], record["state"]) == (phase, "visiting")


def kill_in(fleet: Fleet, phase: str, *arguments: str) -> None:
    """Kill a rollout while the first host is being visited in this phase."""
    kill_when(fleet, lambda: visiting(fleet[0], phase), "rollout", *arguments)


def slowly(fleet: Fleet) -> None:
    """Have every restart take longer than the next run takes to look."""
    for host in fleet.hosts:
        host.tell("slow", "2.5")


def quickly(fleet: Fleet) -> None:
    """Take that back."""
    for host in fleet.hosts:
        host.mend("slow")


def opened(fleet: Fleet) -> List[str]:
    """The steps that were opened, in their order."""
    return [event for event in fleet.events() if event.endswith("opened")]


def test_a_rollout_that_is_killed_in_every_phase_ends_as_the_same_rollout(after: After) -> None:
    fleet = after("adopt")
    old = fleet.old
    slowly(fleet)
    kill_in(fleet, "prepare")
    new = fleet.key("staged")
    kill_in(fleet, "promote")
    assert fleet.states() == {old: "retiring", new: "primary"}
    kill_in(fleet, "retire")
    assert fleet.states() == {old: "dropping", new: "primary"}
    quickly(fleet)
    fleet.run("rollout").ended(0).says("retire: 2 of 2 hosts have let go of", "no rollout is in progress")
    assert fleet.states() == {old: "retired", new: "primary"}
    assert fleet.keyring()["keys"][0]["secret"] is None
    assert all(host.has(new, []) for host in fleet.hosts)
    assert opened(fleet) == ["prepare opened", "promote opened", "retire opened"]


# --- adopt ----------------------------------------------------------------------


def by_hand(fleet: Fleet) -> str:
    """Return the fingerprint of a key that two of three hosts sign with, in a rotation by hand: the third accepts it."""
    new = f"new-{secrets.token_urlsafe(32)}"
    for host, (signs, other) in zip(fleet.hosts, [(fleet.secret, new), (new, fleet.secret), (new, fleet.secret)]):
        envfile.assign(host.env, SECRET_KEY=signs, SECRET_KEY_FALLBACKS=other)
    fleet.restart()
    return fingerprint(new)


@pytest.mark.parametrize("playbook", ["adopt", "rollout"])
@pytest.mark.parametrize("moment", ["the keyring is written", "a host is being visited"])
def test_an_adoption_that_is_killed_is_finished_by_the_next_run(
    new_fleet: Callable[..., Fleet], moment: str, playbook: str
) -> None:
    fleet = new_fleet(("web1", "web2", "web3"))
    new = by_hand(fleet)
    fleet.vars.update(LONG)
    slowly(fleet)
    if moment == "the keyring is written":
        kill_when(fleet, fleet.keyring_path.exists, "adopt")
        assert [host.record() for host in fleet.hosts] == [None] * 3
    else:
        # The one that is brought to the key of the others comes first.
        kill_when(fleet, lambda: visiting(fleet[0], "adopt"), "adopt")
        assert [host.record() for host in fleet.hosts[1:]] == [None] * 2
    begun = fleet.keyring()
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}
    assert keyrings.is_open(begun)
    quickly(fleet)
    run = fleet.run(playbook).ended(0).says("adopt: 3 of 3 hosts have their record and hold the keys of the keyring")
    assert fleet.keyring()["id"] == begun["id"]
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}, run.text
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
    assert {host.record()["state"] for host in fleet.hosts} == {"proven"}
    assert opened(fleet) == []


def test_a_first_key_of_an_adoption_that_is_killed_is_the_key_of_the_next_run(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(("web1", "web2"))
    for host in fleet.hosts:
        host.env.write_text("# nothing yet\n")
    kill_when(fleet, fleet.keyring_path.exists, "adopt")
    first = fleet.key("primary")
    fleet.run("adopt").ended(0).says("adopt: 2 of 2 hosts have their record")
    assert fleet.states() == {first: "primary"}
    assert all(host.has(first, []) for host in fleet.hosts)


# --- recovery --------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["the keyring is written", "a host is being visited"])
@pytest.mark.parametrize("again", [("adopt", *RECOVER), ("adopt",), ("rollout",)], ids=" ".join)
def test_a_recovery_that_is_killed_is_finished_by_the_next_run(after: After, moment: str, again: Any) -> None:
    fleet = after("prepare", ("web1", "web2", "web3"))
    fleet.vars.update(LONG)
    fleet.open("promote")
    fleet.visit("--limit", "web1").ended(0)
    lost, new = fleet.keyring(), fleet.key("primary")
    fleet.keyring_path.unlink()
    slowly(fleet)
    if moment == "the keyring is written":
        kill_when(fleet, fleet.keyring_path.exists, "adopt", *RECOVER)
    else:
        kill_when(fleet, lambda: visiting(fleet[1], "adopt"), "adopt", *RECOVER)
    begun = fleet.keyring()
    assert (begun["id"], keyrings.is_open(begun)) == (lost["id"], True)
    quickly(fleet)
    fleet.run(*again).ended(0).says("adopt: 3 of 3 hosts have their record and hold the keys of the keyring")
    assert fleet.keyring()["step"]["counter"] == begun["step"]["counter"] > lost["step"]["counter"]
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
    # Done, it is a keyring like any other: nothing is recovered in its place.
    fleet.run("adopt", *RECOVER).ended(2).says("there is a keyring, ", "and it is never overwritten")


# --- an emergency ------------------------------------------------------------------


def leaked(key: str) -> List[str]:
    """The extra variables of an emergency that is confirmed."""
    return ["-e", f"app_keys_compromised={key}", "-e", f"app_keys_confirm={key}"]


def marked(fleet: Fleet, key: str) -> bool:
    """Whether the keyring says that a key has leaked."""
    return "compromised" in keyrings.find(fleet.keyring(), key)["marks"]


def test_an_emergency_that_is_killed_at_every_turn_goes_on_without_being_asked_again(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(LONG)
    old = fleet.old
    slowly(fleet)
    kill_when(fleet, lambda: marked(fleet, old), "rollout", *leaked(old))
    assert fleet.states() == {old: "primary"}
    # From here on nobody says again what has leaked, and nobody confirms it.
    kill_in(fleet, "prepare")
    new = fleet.key("staged")
    kill_in(fleet, "promote")
    assert fleet.states() == {old: "retiring", new: "primary"}
    kill_in(fleet, "retire")
    assert fleet.states() == {old: "dropping", new: "primary"}
    quickly(fleet)
    fleet.run("rollout").ended(0).says(
        f"retire: 2 of 2 hosts have let go of {old} in every worker; no rollout is in progress"
    )
    assert fleet.states() == {old: "retired", new: "primary"}
    assert marked(fleet, old)
    assert fleet.destroyed(old)
    assert all(host.has(new, []) for host in fleet.hosts)
    assert opened(fleet) == ["prepare opened", "promote opened", "retire opened"]
    assert fleet.events().count("marked as compromised") == 1


def test_an_emergency_of_a_key_that_soaks_that_is_killed_while_it_is_retired_is_finished(after: After) -> None:
    fleet = after("promote")
    fleet.vars.update(LONG)
    fleet.soak("retiring", 3600)
    new = fleet.key("primary")
    slowly(fleet)
    kill_in(fleet, "retire", *leaked(fleet.old))
    assert fleet.states() == {fleet.old: "dropping", new: "primary"}
    quickly(fleet)
    fleet.run("rollout").ended(0).says(f"retire: 2 of 2 hosts have let go of {fleet.old} in every worker")
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert all(host.has(new, []) for host in fleet.hosts)


@pytest.mark.parametrize("moment", ["it is marked", "it is taken back"])
def test_an_emergency_of_a_key_that_never_signed_that_is_killed_takes_it_back_all_the_same(
    after: After, moment: str
) -> None:
    fleet = after("prepare")
    new = fleet.key("staged")
    slowly(fleet)
    if moment == "it is marked":
        kill_when(fleet, lambda: marked(fleet, new), "rollout", *leaked(new))
    else:
        kill_in(fleet, "withdraw", *leaked(new))
        assert fleet.states() == {fleet.old: "primary", new: "dropping"}
    quickly(fleet)
    fleet.run("rollout").ended(0).says(f"withdraw: 2 of 2 hosts have let go of {new} in every worker")
    assert fleet.states() == {fleet.old: "primary", new: "withdrawn"}
    assert marked(fleet, new) and fleet.destroyed(new)
    assert all(host.has(fleet.old, []) for host in fleet.hosts)
