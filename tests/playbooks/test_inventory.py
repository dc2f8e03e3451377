# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the fleet: mistakes are errors that say what to do, and nothing is touched."""

from __future__ import annotations

from typing import Any, Callable, Dict

import pytest
from light_fleet import Fleet

After = Callable[..., Fleet]
MISTAKES: Dict[str, Any] = {
    "a misspelt variable": (
        {"app_keys_soack": "14d"},
        {},
        "app_keys_soack is not a variable of phased.keys; did you mean app_keys_soak?",
    ),
    "a value that is none": (
        {"app_keys_serial": "half"},
        {},
        "app_keys_serial holds 'half'; a batch is a number of hosts",
    ),
    "members that disagree": (
        {},
        {"app_keys_soak": "3d"},
        "the members disagree about app_keys_soak: 1.0 on web1; 259200.0 on web2. Give it to the whole fleet",
    ),
    "two applications": ({}, {"app_keys_name": "blog"}, "blog (1 hosts), shop (1 hosts)"),
    "a fleet of no hosts": (
        {"app_keys_hosts": "web9"},
        {},
        "the fleet has no hosts: app_keys_hosts (web9) matches no host",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_inventory_is_an_error_that_says_what_to_do(after: After, mistake: str) -> None:
    fleet_vars, host_vars, said = MISTAKES[mistake]
    fleet = after("prepare")
    fleet.vars.update(fleet_vars)
    fleet.host_vars["web2"].update(host_vars)
    before = fleet.unchanged()
    fleet.run("rollout").ended(2).says(said)
    assert fleet.unchanged() == before


def test_an_inventory_in_which_no_host_has_an_application_is_an_error(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    for name in [name for name in fleet.vars if name.startswith("app_keys_")]:
        del fleet.vars[name]
    for variables in fleet.host_vars.values():
        variables.clear()
    fleet.run("rollout").ended(2).says("the fleet has no hosts: no host of the inventory has app_keys_name", "-i")


def test_two_applications_in_one_inventory_are_told_apart_by_app_keys_hosts(after: After) -> None:
    fleet = after("adopt")
    # A host of another application, that is not even there.
    fleet.host_vars["other1"] = {
        "app_keys_name": "blog",
        "ansible_connection": "ssh",
        "ansible_ssh_executable": "/bin/false",
    }
    run = fleet.run("status", "-e", "app_keys_hosts=web*").ended(0).says("shop: adopt closed at", "2 of 2 hosts")
    assert "other1" not in run.text


def test_of_two_applications_none_is_chosen_because_it_alone_says_app_keys_hosts(after: After) -> None:
    fleet = after("adopt")
    fleet.host_vars["other1"] = {
        "app_keys_name": "blog",
        "ansible_connection": "ssh",
        "ansible_ssh_executable": "/bin/false",
    }
    for name in ("web1", "web2"):
        fleet.host_vars[name]["app_keys_hosts"] = "web*"
    before = fleet.unchanged()
    fleet.run("rollout").ended(2).says(
        "the inventory has another application than that of app_keys_hosts (web*): blog (other1)", "Choose one with"
    )
    assert fleet.unchanged() == before
    fleet.run("status", "-e", "app_keys_hosts=web*").ended(0).says("shop: adopt closed at", "2 of 2 hosts")


def test_a_member_that_vanished_from_the_inventory_refuses_every_step(after: After) -> None:
    fleet = after("prepare")
    fleet.host_vars.pop("web2")
    before = fleet.unchanged()
    fleet.run("promote").ended(2).lists("web2", "is a member by the keyring and not in the")
    assert fleet.unchanged() == before
