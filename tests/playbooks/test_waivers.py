# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that cannot be reached may be set aside by name, with a reason and an end; it is never forgotten."""

from __future__ import annotations

import time
from typing import Callable, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import membership
from light_fleet import Fleet

After = Callable[..., Fleet]
WAIVE = {"app_keys_waive": "web2", "app_keys_waive_reason": "disk failed", "app_keys_waive_for": "1h"}
ASIDE = "web2 is set aside until 20"


def extra(values: Dict[str, str]) -> list[str]:
    """These as extra variables of a command line."""
    return [part for name, value in values.items() for part in ("-e", f"{name}='{value}'")]


def gone(fleet: Fleet) -> None:
    """Have web2 be out of reach, and serve nothing."""
    fleet.down(1)
    fleet[1].stop()


def waived(fleet: Fleet, seconds: float) -> None:
    """Set web2 aside, as a run before did, until so many seconds from now."""
    now = time.time()
    fleet.edit(lambda keyring: membership.waive(keyring, ["web2"], "disk failed", 3600, now - 3600 + seconds))


def test_a_rollout_goes_through_without_a_waived_host_and_the_host_is_visited_when_it_is_back(after: After) -> None:
    fleet = after("prepare")
    gone(fleet)
    was, new = fleet[1].file(), fleet.key("staged")
    run = fleet.run("rollout", *extra(WAIVE)).ended(0)
    run.says("retire: 1 of 2 hosts have let go of", ASIDE, "asserted to serve no traffic (disk failed)")
    assert fleet[0].has(new, [])
    assert fleet[1].file() == was
    (told,) = [entry for entry in fleet.keyring()["journal"] if entry["event"].startswith("waived")]
    assert (told["members"], told["reason"]) == (["web2"], "disk failed")
    # web2 still signs with the old key: whoever mends it may need that.
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert not fleet.destroyed(fleet.old)
    run = fleet.run("status").ended(0).says(ASIDE, "(disk failed)").says("set aside, asserted to serve no traffic")
    run.says("web2  until 20", ": disk failed")
    # Back again it is a host like any other.
    fleet[1].mend("down")
    fleet[1].restart()
    fleet.run("rollout").ended(0).says("2 of 2 hosts have let go of")
    assert fleet[1].has(new, [])
    assert fleet.keyring()["waivers"] == []
    assert fleet.destroyed(fleet.old)
    assert "answers again: its waiver has ended" in fleet.events()


@pytest.mark.parametrize("missing", ["app_keys_waive_reason", "app_keys_waive_for"])
def test_a_waiver_without_a_reason_or_an_end_is_refused(after: After, missing: str) -> None:
    fleet = after("prepare")
    fleet.down(1)
    before = fleet.unchanged()
    given = {name: value for name, value in WAIVE.items() if name != missing}
    run = fleet.run("promote", *extra(given)).ended(2)
    run.says("app_keys_waive asserts that web2 serve no traffic: say why with app_keys_waive_reason, and until when")
    assert fleet.unchanged() == before


def test_a_waiver_does_not_hide_a_host_that_answers(after: After) -> None:
    fleet = after("prepare")
    fleet[1].stop()
    before = fleet.unchanged()[1]
    run = fleet.run("promote", *extra(WAIVE)).ended(2).says("promote is not safe yet: 1 of 2 hosts accept")
    run.lists("web2", "no worker runs, and at the last visit there were 3")
    assert fleet.unchanged()[1] == before
    assert fleet.keyring()["step"]["name"] == "prepare"


def test_a_waiver_that_has_run_out_blocks_again_and_says_so(after: After) -> None:
    fleet = after("prepare")
    gone(fleet)
    waived(fleet, -60)
    before = fleet.unchanged()
    run = fleet.run("promote").ended(2).lists("web2", "unreachable", "Connection refused")
    run.lists("web2", "its waiver ran out at 20").lists("web2", "set it aside", "with another WHY than before")
    # The same command again does not prolong it.
    fleet.run("promote", *extra(WAIVE)).ended(2).lists("web2", "its waiver ran out at 20")
    assert fleet.unchanged() == before


def test_a_waiver_holds_for_the_runs_that_follow_until_it_ends(after: After) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    gone(fleet)
    waived(fleet, 600)
    fleet.run("rollout").ended(0).says("promote: 1 of 2 hosts sign with", ASIDE)
    assert fleet[0].has(fleet.key("primary"), [fleet.old])


def test_only_members_are_waived(after: After) -> None:
    fleet = after("prepare")
    before = fleet.unchanged()
    fleet.run("promote", *extra({**WAIVE, "app_keys_waive": "web9"})).ended(2).says(
        "app_keys_waive names web9, which is no member; members are web1, web2"
    )
    assert fleet.unchanged() == before


def test_a_fleet_of_which_everybody_is_waived_is_not_proven(after: After) -> None:
    fleet = after("prepare")
    fleet.down(0, 1)
    before = fleet.unchanged()[1]
    run = fleet.run("promote", *extra({**WAIVE, "app_keys_waive": "web1,web2"}))
    run.ended(-1).says("promote is not safe yet: 0 of 2 hosts")
    assert fleet.unchanged()[1] == before
    assert fleet.keyring()["step"]["name"] == "prepare"
