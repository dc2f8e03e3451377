# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the results of a run the gate takes as a member's evidence: the newest, and none of a host that was lost since."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils.fleet_action import FleetAction

OLDER, NEWER = {"asked": 10.0, "mark": "older"}, {"asked": 20.0, "mark": "newer"}
LOST = {"unreachable": True, "msg": "ssh: connection refused"}


def gathered(**results: Any) -> Dict[str, Any]:
    """The evidence that an action finds when web1 has registered these results."""
    variables = {f"__app_keys_{name}": result for name, result in results.items()}
    action = object.__new__(FleetAction)
    action.fleet = SimpleNamespace(members=["web1", "web2"])
    action.task_vars = {"hostvars": SimpleNamespace(raw_get=lambda host: variables if host == "web1" else {})}
    return action.evidence()


@pytest.mark.parametrize(
    "results, expected",
    [
        ({}, {}),
        ({"look": {"evidence": OLDER}}, {"web1": OLDER}),
        ({"look": {"evidence": OLDER}, "visit": {"evidence": NEWER}}, {"web1": NEWER}),
        ({"look": {"evidence": NEWER}, "visit": {"evidence": OLDER}}, {"web1": NEWER}),
        ({"look": {"evidence": OLDER}, "visit": {"skipped": True}}, {"web1": OLDER}),
        ({"look": LOST, "visit": {"evidence": NEWER}}, {}),
        ({"look": {"evidence": OLDER}, "visit": LOST}, {}),
        ({"look": {"evidence": OLDER}, "again": {"results": [{"item": "web2", "evidence": NEWER}]}}, {"web1": OLDER, "web2": NEWER}),
        ({"look": {"evidence": OLDER}, "again": {"results": [{"item": "web1", **LOST}]}}, {}),
    ],
)  # fmt: skip
def test_1_a_host_that_was_lost_has_no_evidence(results: Dict[str, Any], expected: Dict[str, Any]) -> None:
    assert gathered(**results) == expected
