# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollouts that begin while keys of earlier ones still soak: every retiring key has a clock of its own."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from light_fleet import Fleet
from playbook_run import until

After = Callable[..., Fleet]
NEW = ("-e", "app_keys_new=true")


@pytest.mark.slow
def test_a_key_with_a_short_soak_is_retired_during_the_long_soak_of_an_older_one(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.soak("retiring", 3600)
    old, second = fleet.old, fleet.key("primary")
    run = fleet.run("rollout", *NEW).ended(0)
    run.says(f"retire: 1 of 1 host have let go of {second} in every worker; retire is due in")
    third = fleet.key("primary")
    assert fleet.states() == {old: "retiring", second: "retired", third: "primary"}
    assert (fleet.destroyed(second), fleet.destroyed(old)) == (True, False)
    assert fleet[0].has(third, [old])
    # Nothing is due: a run in between waits.
    before = fleet.unchanged()
    fleet.run("rollout").ended(0).says("retire: waiting for the soak of ", ": retire is due in")
    assert fleet.unchanged() == before
    fleet.soak("retiring", 0)
    fleet.run("rollout").ended(0).says(f"have let go of {old}", "no rollout is in progress")
    assert fleet.states() == {old: "retired", second: "retired", third: "primary"}
    assert fleet[0].has(third, [])


@pytest.mark.slow
def test_three_rollouts_during_one_soak_are_accepted_side_by_side_and_those_that_are_due_go_together(
    after: After,
) -> None:
    fleet = after("promote", ("web1",))
    fleet.vars.update(app_keys_soak="1h")
    fleet.soak("retiring", 3600)
    signed = [fleet.old, fleet.key("primary")]
    for _rollout in range(2):
        fleet.run("rollout", *NEW).ended(0).says("retire: waiting for the soak")
        signed.append(fleet.key("primary"))
    assert len(set(signed)) == 4
    assert fleet[0].has(signed[3], signed[:3])

    def over(keyring: keyrings.Keyring) -> None:
        for number in (0, 2):
            keyrings.find(keyring, signed[number])["soak"]["seconds"] = 0

    fleet.edit(over)
    fleet.run("rollout").ended(0)
    assert [fleet.states()[key] for key in signed] == ["retired", "retiring", "retired", "primary"]
    assert fleet[0].has(signed[3], [signed[1]])


def test_a_soak_that_is_longer_on_the_hosts_own_clock_is_waited_for(after: After) -> None:
    fleet = after("promote", ("web1",))
    # Another tool put an env file of before back for a while: the host signed with the old key until just now.
    host = fleet[0]
    text = host.env.read_text()
    fleet.write_env(fleet.secret)
    host.restart()
    host.env.unlink()
    host.env.write_text(text)
    host.restart()
    fleet.soak("retiring", 30)
    fleet.edit(lambda keyring: keyrings.find(keyring, fleet.old)["times"].update(soaking="2020-01-01T00:00:00Z"))
    fleet.run("retire").ended(0).says("retire: waiting for the soak on 1 of 1 hosts").lists("web1", "another tool")
    assert fleet.states()[fleet.old] == "retiring"


def test_a_run_that_finds_a_rollout_in_flight_finishes_that_one_and_does_not_start_another(after: After) -> None:
    fleet = after("prepare", ("web1",))
    # The run that was asked for a new one opened promote, and was killed.
    fleet.open("promote")
    fleet.run("rollout", *NEW).ended(0)
    assert len(fleet.states()) == 2
    assert fleet.events().count("prepare opened") == 1


@pytest.mark.slow
@pytest.mark.parametrize("step", ["prepare", "promote", "retire"])
def test_a_new_rollout_that_is_killed_during_a_soak_is_not_started_twice(after: After, step: str) -> None:
    fleet = after("promote")
    fleet.soak("retiring", 3600)
    fleet[0].tell("slow", "2.5")
    run = fleet.start("rollout", *NEW)

    def visiting() -> bool:
        record = fleet[0].record()
        assert run.poll() is None, run.communicate()[0]
        return (record["step"], record["state"], record["counter"] > 3) == (step, "visiting", True)

    until(visiting, 90)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    fleet[0].mend("slow")
    fleet.run("rollout", *NEW).ended(0)
    assert sorted(fleet.states().values()) == ["primary", "retired", "retiring"]
    assert fleet.states()[fleet.old] == "retiring"
    assert all(host.has(fleet.key("primary"), [fleet.old]) for host in fleet.hosts)
