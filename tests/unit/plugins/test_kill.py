# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`kill -9` of ansible-playbook in the middle of each phase: the next run finishes the same rollout."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest
from light_fleet import Fleet
from playbook_run import until

pytestmark = pytest.mark.slow


def kill_in(fleet: Fleet, phase: str, *arguments: str) -> None:
    """Start a rollout, and kill the process that the operator started while the first host is being visited in this phase."""
    run = fleet.start("rollout", *arguments)

    def visiting() -> bool:
        record = fleet[0].record()
        assert run.poll() is None, run.communicate()[0]
        return (record["step"], record["state"]) == (phase, "visiting")

    until(visiting)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()


def test_a_rollout_that_is_killed_in_every_phase_ends_as_the_same_rollout(after: Callable[..., Fleet]) -> None:
    fleet = after("adopt")
    old = fleet.old
    for host in fleet.hosts:
        host.tell("slow", "2.5")  # longer than the next run takes to look
    kill_in(fleet, "prepare")
    new = fleet.key("staged")
    kill_in(fleet, "promote")
    assert fleet.states() == {old: "retiring", new: "primary"}
    kill_in(fleet, "retire")
    assert fleet.states() == {old: "dropping", new: "primary"}
    for host in fleet.hosts:
        host.mend("slow")
    fleet.run("rollout").ended(0).says("retire: 2 of 2 hosts have let go of", "nothing is in flight")
    assert fleet.states() == {old: "retired", new: "primary"}
    assert fleet.ring()["keys"][0]["secret"] is None
    assert all(host.has(new, []) for host in fleet.hosts)
    opened = [entry["event"] for entry in fleet.ring()["journal"] if entry["event"].endswith("opened")]
    assert opened == ["prepare opened", "promote opened", "retire opened"]
