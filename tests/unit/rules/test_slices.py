# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 1 where there is no keyring yet: a part of the inventory is not the fleet."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules.slices import why_no_adopt, why_not_whole


@pytest.mark.parametrize(
    "number, least, whole",
    [(2, None, True), (2, 1, True), (2, 2, True), (2, 3, False), (1, 2, False), (0, 1, False), (119, 120, False)],
)
def test_1_fewer_members_than_there_have_to_be_are_not_the_fleet(number, least, whole):
    assert (why_not_whole(number, least) is None) is whole


@pytest.mark.parametrize("number, said", [(1, "the inventory has 1 member,"), (2, "the inventory has 2 members,")])
def test_a_refusal_says_how_many_there_are_and_what_to_do(number, said):
    text = why_not_whole(number, 4)
    assert text.startswith(f"{said} and app_keys_min_members is 4")
    assert "Run on the whole inventory" in text
    assert "lower app_keys_min_members" in text


SLICE = {"awx_workflow_job_name": "roll the shop", "awx_job_template_name": "roll the shop"}


@pytest.mark.parametrize(
    "variables, named",
    [
        (SLICE, "awx_workflow_job_name"),
        ({name.replace("awx", "tower"): value for name, value in SLICE.items()}, "tower_workflow_job_name"),
        ({**SLICE, "tower_workflow_job_name": "another"}, "awx_workflow_job_name"),
        # A job of its own; one of a workflow with a name of its own; a playbook without AWX; one half alone.
        ({"awx_job_template_name": "roll the shop"}, None),
        ({**SLICE, "awx_workflow_job_name": "every night"}, None),
        ({}, None),
        ({"awx_workflow_job_name": "roll the shop"}, None),
        ({"awx_workflow_job_name": "roll the shop", "tower_job_template_name": "roll the shop"}, None),
        ({"awx_workflow_job_name": None, "awx_job_template_name": None}, None),
    ],
)
def test_where_a_job_may_be_a_slice_adopt_asks_how_many_members_there_are(variables, named):
    text = why_no_adopt(None, variables)
    assert (text is None) is (named is None)
    if named:
        assert f"for {named} is the name of its template (roll the shop)" in text
        assert "Set the template's job slices to 1" in text
        assert "app_keys_min_members" in text
    assert why_no_adopt(4, variables) is None
