# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rollout` from a timer: quiet where there is nothing to do, and one run takes up what the last one left."""

from __future__ import annotations

import re
from typing import Callable, List

import pytest
from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]
# What Ansible itself prints: headings, a line for each task and host, the recap.
ANSIBLE = re.compile(r"$|PLAY |TASK |ok: |skipping: |included: |changed: |\w+ +: ok=")


def own_lines(run: Run) -> List[str]:
    """What a run says beside what Ansible prints."""
    return [line for line in run.text.splitlines() if not ANSIBLE.match(line)]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("retire", "prepare: nothing to do: the last rollout ended at 20"),
        ("promote", "retire: waiting for the soak of "),
    ],
)
def test_nothing_to_do_is_said_in_one_line_and_changes_nothing(after: After, step: str, said: str) -> None:
    fleet = after(step)
    if step == "promote":
        fleet.soak("retiring", 3600)
    before = fleet.unchanged()
    run = fleet.run("rollout").ended(0)
    assert len(own_lines(run)) == 1, own_lines(run)
    assert own_lines(run)[0].startswith(said)
    assert set(run.recap("changed").values()) == {0}
    assert fleet.unchanged() == before


@pytest.mark.slow
def test_a_run_that_failed_is_taken_up_by_the_next(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet[1].tell("broken", "once")
    fleet.run("rollout").ended(2)
    new = fleet.key("staged")
    run = fleet.run("rollout").ended(0)
    run.says(f"prepare: 1 of 2 hosts accept {new}", "1 to go").says(f"promote: 2 of 2 hosts sign with {new}")
    assert fleet.states() == {fleet.old: "retiring", new: "primary"}
    assert fleet.events().count("prepare opened") == 1


def test_a_rollout_starts_by_itself_once_the_last_one_is_older_than_max_age(after: After) -> None:
    fleet = after("retire", ("web1",))
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s", app_keys_max_age="30d")
    last = fleet.key("primary")
    fleet.edit(lambda keyring: keyring["step"].update(closed="2020-01-01T00:00:00Z"))
    fleet.run("rollout").ended(0).says("promote: 1 of 1 host sign with")
    assert fleet.states()[last] == "retiring"
    assert fleet[0].has(fleet.key("primary"), [last])
