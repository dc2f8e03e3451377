# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX sends along: an empty text for every question of a survey that nobody answered."""

from __future__ import annotations

import json
from typing import Callable, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import PREFIX, VARIABLES
from light_fleet import Fleet
from walk import slow

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
UNANSWERED = {PREFIX + name: "" for name, variable in VARIABLES.items() if variable.run}


def survey(**answers: str) -> List[str]:
    """Extra variables as a survey sends them, with these answers."""
    return ["-e", json.dumps({**UNANSWERED, **answers})]


@pytest.mark.slow
def test_a_survey_that_nobody_answered_asks_for_nothing(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet.run("rollout", *survey()).ended(0).says("promote: 2 of 2 hosts sign with")
    before = fleet.unchanged()
    fleet.deploy(*survey()).ended(0)
    fleet.run("rollout", *survey()).ended(0).says("retire: waiting for the soak")
    assert fleet.unchanged() == before
    # One answer among the empty ones is still an answer.
    fleet.run("rollout", *survey(app_keys_new="true")).ended(0)
    assert list(fleet.states().values()) == ["retiring", "retiring", "primary"]


@pytest.mark.parametrize(
    "name", ["app_keys_soak", slow("app_keys_hosts"), slow("app_keys_keyring"), slow("app_keys_name")]
)
def test_an_empty_variable_that_hides_what_the_inventory_says_is_refused_by_name(after: After, name: str) -> None:
    fleet = after("promote")
    before = fleet.unchanged()
    fleet.run("rollout", "-e", f"{name}=").ended(2).says(
        f"{name} is empty, and hides what the inventory says elsewhere"
    )
    fleet.deploy("-e", f"{name}=").ended(-1).says(f"{name} is empty, and hides")
    assert fleet.unchanged() == before


def test_a_line_of_the_inventory_with_nothing_behind_it_is_refused_and_its_host_named(after: After) -> None:
    fleet = after("promote")
    fleet.vars["app_keys_before_tasks"] = "drain.yml"
    fleet.host_vars["web2"]["app_keys_before_tasks"] = None
    before = fleet.unchanged()
    fleet.run("rollout").ended(2).says("web2: app_keys_before_tasks is empty, and hides")
    assert fleet.unchanged() == before
