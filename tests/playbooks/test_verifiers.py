# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout with verifiers that learn late, and one that Ansible cannot reach."""

from __future__ import annotations

from typing import Callable

import pytest
from light_fleet import Fleet

pytestmark = pytest.mark.slow
CONFIRMED = ("-e", '{"app_keys_confirmed": ["partner"]}')


def test_promote_and_retire_wait_for_who_learns_late_and_who_has_to_confirm(after: Callable[..., Fleet]) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_spread="25s", app_keys_external=["partner"], app_keys_wait="1m")
    run = fleet.run("rollout", "-e", "app_keys_new=true").ended(-1)
    staged = fleet.key("staged")
    run.says("promote is not possible: partner (app_keys_external) has not confirmed that it has", staged)
    run.says("""-e '{"app_keys_confirmed": ["partner"]}'""")
    run = fleet.run("rollout", *CONFIRMED).ended(-1)
    run.says("promote: waiting for the spread, ", "to go").says("promote is open", "accept", staged)
    # What was said before promote says nothing of what comes after it.
    run.says("retire is not possible: partner (app_keys_external) has not confirmed that it needs", fleet.old)
    assert fleet.states() == {fleet.old: "retiring", staged: "primary"}
    fleet.run("rollout", *CONFIRMED).ended(0).says(f"have let go of {fleet.old}")
    fleet.run("status").ended(0).says(fleet.old, "retired; revoked everywhere")
    assert [event for event in fleet.events() if "confirmed" in event] == [
        "partner confirmed that it is accepted", "partner confirmed that it is no longer needed",
    ]  # fmt: skip
