# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that tags, a later first task or a limit make do nothing is an error, and not a green nothing."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, List, Sequence

import pytest
from light_fleet import Fleet

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
STAY_OUT = "makes this playbook do nothing"
TAGS = [
    ("--tags", "never-heard-of"),
    ("--tags", "tagged"),
    ("--skip-tags", "untagged"),
    ("--skip-tags", "all"),
    ("--skip-tags", "all,always"),
    ("--tags", "never-heard-of", "--skip-tags", "always"),
]
LATER = [("--start-at-task", "no such task"), ("--start-at-task", "Bring the host*")]


def name(way: Sequence[str]) -> str:
    return " ".join(way).replace("*", "")


def done_nothing(fleet: Fleet, playbook: str, *way: str, **more: str) -> Any:
    """See that a run fails and has changed nothing."""
    before = fleet.unchanged()
    run = fleet.run(playbook, *way, **more).ended(-1)
    assert fleet.unchanged() == before
    return run


@pytest.mark.parametrize("way", TAGS, ids=name)
def test_tags_that_leave_nothing_to_do_are_an_error(after: After, way: Sequence[str]) -> None:
    done_nothing(after("prepare"), "promote", *way).says(STAY_OUT)


@pytest.mark.parametrize("way", LATER, ids=name)
def test_a_first_task_that_steps_over_the_fleet_is_an_error(after: After, way: Sequence[str]) -> None:
    done_nothing(after("prepare"), "promote", *way).says("which finds the fleet, was stepped over")


@pytest.mark.parametrize("playbook", ["status", "adopt", "rollout"])
def test_it_holds_for_every_playbook_and_wherever_the_tags_come_from(after: After, playbook: str) -> None:
    done_nothing(after("prepare"), playbook, ANSIBLE_RUN_TAGS="never-heard-of").says(STAY_OUT)


@pytest.mark.parametrize("limit", ["localhost", "stray", "nobody", "all:!web1:!web2:!stray"])
def test_a_limit_that_leaves_no_member_is_an_error(after: After, limit: str) -> None:
    fleet = after("prepare")
    write_with_a_stray(fleet)
    for playbook in ("status", "promote"):
        done_nothing(fleet, playbook, "-i", str(fleet.folder / "more.yml"), "--limit", limit)


def write_with_a_stray(fleet: Fleet) -> None:
    """Add a host to the inventory that is no member."""
    fleet.vars["app_keys_keyring"] = str(fleet.keyring_path)
    stray = {"ansible_connection": "local"}
    (fleet.folder / "more.yml").write_text(json.dumps({"others": {"hosts": {"stray": stray}}}))


def site(fleet: Fleet, *entries: Dict[str, Any]) -> str:
    """Write a playbook of somebody's own."""
    path = fleet.folder / "site.yml"
    path.write_text(json.dumps(list(entries)))
    return str(path)


OURS: Dict[str, Any] = {"import_playbook": "phased.keys.promote"}
OTHER: Dict[str, Any] = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [{"ansible.builtin.debug": {"msg": "deployed"}, "tags": ["deploy"]}],
}


@pytest.mark.parametrize("entries", [[OURS], [OURS, {**OURS, "tags": ["keys"]}]], ids=["one", "with a tag"])
def test_a_playbook_that_is_nothing_but_ours_is_as_ours(after: After, entries: List[Dict[str, Any]]) -> None:
    fleet = after("prepare")
    done_nothing(fleet, site(fleet, *entries), "--tags", "deploy").says(STAY_OUT)


def test_tags_leave_ours_out_of_a_playbook_that_does_something_else_too(after: After) -> None:
    fleet = after("prepare")
    before = fleet.unchanged()
    fleet.run(site(fleet, OURS, OTHER), "--tags", "deploy").ended(0).says("deployed")
    assert fleet.unchanged() == before


def test_a_tag_of_the_import_chooses_ours(after: After) -> None:
    fleet = after("prepare")
    run = fleet.run(site(fleet, {**OURS, "tags": ["keys"]}, OTHER), "--tags", "keys").ended(0)
    run.says("promote is open")
    assert "deployed" not in run.text


def test_what_only_lists_is_no_error(after: After) -> None:
    fleet = after("prepare")
    for what in ("--list-tasks", "--list-hosts", "--syntax-check"):
        fleet.run("promote", what, "--tags", "never-heard-of").ended(0)
