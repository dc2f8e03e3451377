# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways around a gate lead nowhere: tags, a later first task, arguments of one's own."""

from __future__ import annotations

import json
from typing import Callable, Sequence

import pytest
from light_fleet import Fleet

After = Callable[..., Fleet]
WAYS = [
    ("--tags", "never-heard-of"),
    ("--start-at-task", "Bring what was seen to the gate"),
    ("--start-at-task", "Ask the gate*"),
    ("--start-at-task", "See that nothing was lost before this batch"),
    ("--start-at-task", "Bring the host to the keys that it should have"),
    ("-e", '{"__app_keys_gate": {"visit": true, "needs_look": false}}'),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(way)[:40])
def test_a_gate_cannot_be_stepped_over(after: After, way: Sequence[str]) -> None:
    fleet = after("prepare")
    # Promote is not safe here.
    fleet[1].stop()
    before = fleet.unchanged()
    run = fleet.run("promote", *way)
    assert fleet.unchanged() == before, run.text
    assert run.code != 0, run.text
    if way[0] == "--start-at-task" and "gate" in way[1]:
        run.says("the first play, which finds the fleet, was stepped over")


def test_a_playbook_of_ones_own_cannot_say_which_step_is_visited(after: After) -> None:
    fleet = after("prepare")
    before = fleet.unchanged()
    order = {
        "signs": fleet.key("staged"),
        "accepts": [],
        "may_sign": [],
        "must_accept": [],
        "may_accept": [],
        "known": [],
    }
    task = {"phased.keys.env_keys": {"converge": True, "order": order, "step": "promote"}}
    (fleet.folder / "own.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    fleet.run(str(fleet.folder / "own.yml")).ended(2).says(
        "order, step cannot be given: a visit writes what the keyring's open step"
    )
    # Without them it is a visit of the step that is open, and that finds nothing to do.
    assert set(fleet.visit().ended(0).recap("changed").values()) == {0}
    assert fleet.unchanged() == before


def test_a_visit_that_would_leave_the_keys_in_a_file_on_the_host_is_refused(after: After) -> None:
    fleet = after("adopt")
    fleet.open("prepare")
    before = fleet.unchanged()
    fleet.visit(ANSIBLE_KEEP_REMOTE_FILES="1").ended(2).says(
        "without pipelining they would lie in a temporary file",
        "ANSIBLE_KEEP_REMOTE_FILES turns pipelining off: unset it",
    )
    assert fleet.unchanged() == before
