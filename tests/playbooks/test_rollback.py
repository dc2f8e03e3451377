# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout that is taken back: from prepare at once, from promote with a soak turned round, and never after retire."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest
from light_fleet import Fleet
from playbook_run import until
from walk import slow

After = Callable[..., Fleet]


def back(fleet: Fleet, new: str) -> bool:
    """Whether every host signs with the old key again and accepts the new one."""
    return all(host.has(fleet.old, [new]) for host in fleet.hosts)


@pytest.mark.parametrize("found", ["open", slow("closed")])
def test_a_rollback_from_prepare_withdraws_the_new_key_at_once(after: After, found: str) -> None:
    fleet = after("prepare" if found == "closed" else "adopt")
    if found == "open":
        fleet.open("prepare")
        fleet.visit("--limit", "web1").ended(0)
        assert [len(host.file().accepts) for host in fleet.hosts] == [2, 1]
    new = fleet.key("staged")
    fleet.run("rollback").ended(0).says(f"withdraw: 2 of 2 hosts have let go of {new} in every worker")
    assert fleet.states() == {fleet.old: "primary", new: "withdrawn"}
    assert fleet.destroyed(new)
    assert all(host.has(fleet.old, []) for host in fleet.hosts)
    assert all((host.record()["step"], host.record()["state"]) == ("withdraw", "proven") for host in fleet.hosts)


@pytest.mark.parametrize("found", ["open", slow("closed")])
def test_after_a_rollback_from_promote_the_old_key_signs_and_the_new_one_soaks(after: After, found: str) -> None:
    fleet = after("promote" if found == "closed" else "prepare")
    fleet.vars.update(app_keys_soak="1h")
    if found == "open":
        fleet.open("promote")
        fleet.visit("--limit", "web1").ended(0)
        assert [host.file().signs == fleet.old for host in fleet.hosts] == [False, True]
    new = fleet.key("primary")
    run = fleet.run("rollback").ended(0)
    run.says(f"rollback is open: 2 of 2 hosts can be visited now; key {fleet.old}; the soak will be 1h (app_keys_soak)")
    run.says(f"rollback: 2 of 2 hosts sign with {fleet.old} in every worker; withdraw is due in 1h")
    assert fleet.states() == {fleet.old: "primary", new: "retiring"}
    assert back(fleet, new)
    # What the new key signed is alive for as long as it says, and no longer.
    before = fleet.unchanged()
    fleet.run("rollout").ended(0).says("retire: waiting for the soak of ", ": withdraw is due in")
    assert fleet.unchanged() == before


@pytest.mark.slow
def test_a_rollout_withdraws_the_key_of_a_rollback_once_it_has_soaked(after: After) -> None:
    fleet = after("promote")
    new = fleet.key("primary")
    fleet.run("rollback").ended(0)
    fleet.run("rollout").ended(0).says("withdraw: 2 of 2 hosts have let go of", new, "no rollout is in progress")
    assert fleet.states() == {fleet.old: "primary", new: "withdrawn"}
    assert fleet.destroyed(new)
    assert all(host.has(fleet.old, []) for host in fleet.hosts)


@pytest.mark.parametrize("step", [slow("prepare"), "promote"])
def test_a_rollback_that_is_run_twice_changes_nothing(after: After, step: str) -> None:
    fleet = after(step, ("web1",))
    fleet.vars.update(app_keys_soak="1h")
    fleet.run("rollback").ended(0)
    before = fleet.unchanged()
    run = fleet.run("rollback").ended(0).says("done, every member was proven at")
    assert set(run.recap("changed").values()) == {0}
    assert fleet.unchanged() == before


def test_a_key_that_was_taken_back_never_signs_again(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.vars.update(app_keys_soak="1h", app_keys_new=True)
    taken_back = fleet.key("primary")
    fleet.run("rollback").ended(0)
    fleet.run("promote").ended(2).says("promote is not possible: no key is staged")
    # The next rollout has a key of its own, and is taken back to the one before it.
    fleet.run("rollout").ended(0)
    third = fleet.key("primary")
    assert third not in (fleet.old, taken_back)
    fleet.run("rollback").ended(0)
    assert fleet.states() == {fleet.old: "primary", taken_back: "retiring", third: "retiring"}
    assert fleet[0].has(fleet.old, [taken_back, third])


@pytest.mark.parametrize("step", [slow("prepare"), "promote"])
def test_a_rollback_goes_on_with_a_host_down_and_says_who_is_left(after: After, step: str) -> None:
    fleet = after(step)
    fleet.vars.update(app_keys_soak="1h")
    fleet.down(1)
    (new,) = set(fleet.states()) - {fleet.old}
    accepts = [new] if step == "promote" else []
    was = fleet[1].file()
    run = fleet.run("rollback").ended(-1)
    run.says("1 of 2 hosts can be visited now; left out, and to be visited by a later run: web2")
    run.lists("web2", "unreachable", "Connection refused")
    assert fleet[0].has(fleet.old, accepts)
    assert fleet[1].file() == was
    assert not fleet.destroyed(new)
    fleet[1].mend("down")
    fleet.run("rollback").ended(0).says("2 of 2 hosts")
    assert all(host.has(fleet.old, accepts) for host in fleet.hosts)
    assert fleet.states()[new] == ("retiring" if step == "promote" else "withdrawn")


def test_a_rollback_does_not_pass_over_a_host_that_may_not_accept_the_old_key(after: After) -> None:
    fleet = after("promote")
    fleet.down(1)
    # web2 came by itself later, and has never been proven.
    fleet.edit(lambda keyring: keyring["members"]["web2"].update(proven=None))
    before = fleet.unchanged()
    fleet.run("rollback").ended(2).says("rollback is not safe yet").lists("web2", "unreachable")
    fleet.host_vars.pop("web2")
    fleet.run("rollback").ended(2).lists("web2", "is a member by the keyring and not in the inventory")
    assert fleet.unchanged() == before


@pytest.mark.parametrize("found", ["adopt", "retire is open", "retire"])
def test_there_is_no_way_back_before_a_promote_or_after_a_retire_has_opened(after: After, found: str) -> None:
    fleet = after("promote" if found == "retire is open" else found, ("web1",))
    if found == "retire is open":
        fleet.open("retire")
    before = fleet.unchanged()
    run = fleet.run("rollback").ended(2)
    if found == "adopt":
        run.says("rollback is not possible: this keyring has promoted no key yet: there is nothing to go back to")
    else:
        run.says(f"rollback is not possible: retire has opened for {fleet.old} at 20", "there is no way back to it")
    run.says("Nothing was changed")
    assert fleet.unchanged() == before


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "promote"])
@pytest.mark.parametrize("playbook", ["rollback", "rollout"])
def test_a_rollback_that_is_killed_is_finished_by_the_next_run(after: After, step: str, playbook: str) -> None:
    fleet = after(step)
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    (new,) = set(fleet.states()) - {fleet.old}
    fleet[0].tell("slow", "2.5")
    run = fleet.start("rollback")

    def visiting() -> bool:
        assert run.poll() is None, run.communicate()[0]
        return fleet[0].record()["state"] == "visiting"

    until(visiting)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert fleet[1].record()["step"] == step
    fleet[0].mend("slow")
    fleet.run(playbook).ended(0)
    assert all(host.has(fleet.old, [new] if step == "promote" else []) for host in fleet.hosts)
    assert fleet.states() == {fleet.old: "primary", new: "retiring" if step == "promote" else "withdrawn"}
    opened = [event for event in fleet.events() if event.endswith("opened")]
    assert opened[-1] == ("rollback opened" if step == "promote" else "withdraw opened")
    assert len(opened) == (3 if step == "promote" else 2)
