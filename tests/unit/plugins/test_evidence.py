# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the results of a run the gate takes as a member's evidence: the newest, and none of a host that was lost since."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.action import env_keys, gate
from ansible_collections.phased.keys.plugins.plugin_utils.fleet_action import unreachable

OLDER, NEWER = {"asked": 10.0, "mark": "older"}, {"asked": 20.0, "mark": "newer"}
LOST = {"unreachable": True, "msg": "ssh: connection refused"}


def gathered(**results: Any) -> Dict[str, Any]:
    """The evidence that an action finds when web1 has registered these results."""
    variables = {f"__app_keys_{name}": result for name, result in results.items()}
    action = object.__new__(gate.ActionModule)
    action.fleet = SimpleNamespace(members=["web1", "web2"], results={"web1": variables, "web2": {}})
    return action.evidence()


@pytest.mark.parametrize(
    "results, expected",
    [
        ({}, {}),
        ({"look": {"evidence": OLDER}}, {"web1": OLDER}),
        ({"look": {"evidence": json.dumps(OLDER)}}, {"web1": OLDER}),
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


PREFACE = 'Task failed: Data could not be sent to remote host "10.0.0.3". Make sure this host can be reached over ssh: '
REFUSED = "ssh: connect to host 10.0.0.3 port 22: Connection refused\r\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (PREFACE + REFUSED, "ssh: connect to host 10.0.0.3 port 22: Connection refused"),
        (PREFACE + "OpenSSH_9.2p1\r\ndebug1: Connecting\r\n" + REFUSED, REFUSED.strip()),
        ("Failed to connect to the host via ssh: ops@web3: Permission denied (publickey).", "ops@web3: Permission denied (publickey)"),
        (
            PREFACE + "ssh: connect to host jump port 22: No route to host\r\nConnection closed by UNKNOWN port 65535\r\n",
            "ssh: connect to host jump port 22: No route to host",
        ),
        (PREFACE + "@@@@\n@ WARNING @\n@@@@\nIt is possible that\nHost key verification failed.\n", "Host key verification failed"),
        ("Task failed: timed out", "timed out"),
    ],
)  # fmt: skip
def test_an_unreachable_host_is_told_in_what_ssh_said(said: str, words: str) -> None:
    assert unreachable(said) == f"unreachable ({words})"
    assert unreachable("") == "unreachable"


def test_what_comes_before_a_visit_does_not_take_the_evidence_of_the_last_one() -> None:
    action = object.__new__(env_keys.ActionModule)
    action._task = SimpleNamespace(args={"first": "look_again"})
    assert action.visit({"__app_keys_visit": {"evidence": "{}"}}) == {
        "changed": False, "first": "look_again", "evidence": "{}",
    }  # fmt: skip
    assert action.visit({}) == {"changed": False, "first": "look_again"}
