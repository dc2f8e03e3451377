# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Job slices of AWX: each gets a part of the inventory with all of its group variables, and all of them one keyring path."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Sequence

import pytest
from light_fleet import Fleet
from playbook_run import Run
from walk import slow

After = Callable[..., Fleet]
NAMES = ("web1", "web2", "web3", "web4")
# What AWX gives the jobs of a sliced template.
SLICE = ("-e", json.dumps({"awx_workflow_job_name": "shop", "awx_job_template_name": "shop", "awx_workflow_job_id": 7}))


class Sliced:
    """A fleet of four, and runs that see every second host of it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.whole: Dict[str, Any] = dict(fleet.host_vars)

    def run(self, number: int, playbook: str, *arguments: str) -> Run:
        """Run a playbook, or a deploy, on one slice."""
        self.fleet.host_vars = {name: self.whole[name] for name in NAMES[number::2]}
        try:
            if playbook == "deploy":
                return self.fleet.deploy(*arguments)
            return self.fleet.run(playbook, *arguments)
        finally:
            self.fleet.host_vars = self.whole


def running(new_fleet: Callable[..., Fleet], **variables: Any) -> Sliced:
    """Four hosts that sign with the same key."""
    fleet = new_fleet(NAMES)
    fleet.restart()
    fleet.vars.update(variables)
    return Sliced(fleet)


@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        ({}, SLICE, "this job may be one slice of several, for awx_workflow_job_name is the name of its template"),
        ({"app_keys_min_members": 4}, (), "the inventory has 2 members, and app_keys_min_members is 4"),
    ],
    ids=["nobody says how many", "somebody does, and AWX nothing"],
)
def test_a_slice_adopts_nothing(
    new_fleet: Callable[..., Fleet], variables: Dict[str, Any], arguments: Sequence[str], said: str
) -> None:
    sliced = running(new_fleet, **variables)
    before = sliced.fleet.unchanged()
    for number, check in ((0, ()), (1, ("--check",))):
        run = sliced.run(number, "adopt", *check, *arguments).ended(2).says(f"shop: {said}").says("Nothing was changed")
        assert "Look at every worker" not in run.text
    assert not sliced.fleet.keyring_path.exists()
    assert sliced.fleet.unchanged() == before


def test_a_job_that_might_be_a_slice_and_has_all_members_adopts_them(new_fleet: Callable[..., Fleet]) -> None:
    sliced = running(new_fleet, app_keys_min_members=4)
    sliced.fleet.run("adopt", *SLICE).ended(0).says("signs on 4 hosts")


@pytest.mark.parametrize("playbooks", [("adopt", "rollout"), slow(("rollback", "prepare", "promote", "retire"))])
@pytest.mark.slow
def test_the_second_slice_finds_the_keyring_of_the_first_and_does_nothing_with_it(
    new_fleet: Callable[..., Fleet], playbooks: Sequence[str]
) -> None:
    sliced = running(new_fleet, app_keys_wait="0s", app_keys_soak="1h")
    # All of them are on this machine, where others with our keys would be seen.
    for host in sliced.fleet.hosts[1::2]:
        host.stop()
    # Nothing told this one that it was a slice.
    sliced.run(0, "adopt").ended(0).says("signs on 2 hosts")
    for host in sliced.fleet.hosts[1::2]:
        host.restart()
    before, records = sliced.fleet.unchanged(), [host.record() for host in sliced.fleet.hosts]
    for playbook in playbooks:
        run = sliced.run(1, playbook).ended(2)
        if playbook == "rollout":
            run.lists("web1", "is a member by the keyring and not in the inventory").lists("web3", "is a member by the")
    sliced.run(1, "deploy").ended(-1).says("has no record, and no host that has one vouches for this keyring")
    assert sliced.fleet.unchanged() == before
    assert [host.record() for host in sliced.fleet.hosts] == records
    # Both together are the fleet.
    sliced.fleet.run("rollout").ended(0).says("promote: 4 of 4 hosts sign with")


@pytest.mark.parametrize("playbooks", [("rollout", "rollback"), slow(("adopt", "prepare", "promote", "retire"))])
def test_with_fewer_members_than_there_have_to_be_no_step_opens_and_the_status_says_so(
    after: After, playbooks: Sequence[str]
) -> None:
    fleet = after("promote")
    fleet.vars["app_keys_min_members"] = 3
    before = fleet.unchanged()
    for playbook in playbooks:
        run = fleet.run(playbook).ended(2).says("shop: the inventory has 2 members, and app_keys_min_members is 3")
        assert "Look at every worker" not in run.text
    run = fleet.run("status").ended(0).says("shop: promote closed at").says("next: ")
    run.says("no step opens: the inventory has 2 members, and app_keys_min_members is 3")
    fleet.deploy().ended(0)
    assert fleet.unchanged() == before


def test_a_playbook_of_ones_own_does_not_step_around_it(after: After) -> None:
    fleet = after("prepare")
    fleet.vars["app_keys_min_members"] = 3
    before = fleet.unchanged()
    asked = [
        ("gate", {"do": do, "step": "promote", "final": final}) for do in ("open", "close") for final in (False, True)
    ]
    asked.append(("keyring", {"state": "adopted"}))
    tasks = [
        {f"phased.keys.{module}": {**arguments, "nonce": "0123456789abcdef"}, "ignore_errors": True}
        for module, arguments in asked
    ]
    (fleet.folder / "own.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    run = fleet.run(str(fleet.folder / "own.yml")).ended(0)
    assert len(re.findall(r"fatal: .*app_keys_min_members is 3", run.text)) == len(tasks)
    assert fleet.unchanged() == before
