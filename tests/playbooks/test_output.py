# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads at the terminal, as plain Ansible prints it: what each visit did, and a refusal once and whole."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils._host_action import HostAction
from builders import at, seen
from light_fleet import Fleet

After = Callable[..., Fleet]
VISITED = "wrote 1 file, restarted the application with app_keys_restart_command, 3 workers proven in "
NOTHING = "Nothing was changed: no step was opened"
TOLD = "run phased.keys"


def told(text: str, host: str) -> List[str]:
    """The lines that the visits of a host left."""
    return [line for line in text.splitlines() if line.startswith(f"{host}: ")]


def test_a_rollout_says_what_each_visit_did_and_tells_nobody_to_run_it_before_it_ends(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    run = fleet.run("rollout").ended(0)
    for host in ("web1", "web2"):
        # Once for each of prepare and promote.
        assert [line.startswith(f"{host}: {VISITED}") for line in told(run.text, host)] == [True, True]
    (line,) = [line for line in run.text.splitlines() if TOLD in line]
    assert re.match(
        r"retire: waiting for the soak of [0-9a-f]{16}: retire is due in .*: run phased\.keys\.rollout again then$",
        line,
    )
    # The same again finds every host as it should be, and has nothing to say of one.
    again = fleet.run("rollout").ended(0)
    assert not told(again.text, "web1") and not told(again.text, "web2")


def test_a_deploy_says_what_its_visit_did_and_nothing_where_it_had_nothing_to_do(after: After) -> None:
    fleet = after("promote")
    fleet.write_env(fleet.secret, 1)
    fleet[1].restart()
    run = fleet.deploy().ended(0)
    assert not told(run.text, "web1")
    (line,) = told(run.text, "web2")
    assert line.startswith(f"web2: {VISITED}")
    assert not told(fleet.deploy("--check").ended(0).text, "web2")


@pytest.mark.parametrize("verbosity", ["", "-v"])
def test_a_refusal_is_shown_once_and_whole_and_no_result_repeats_it(after: After, verbosity: str) -> None:
    fleet = after("prepare")
    fleet[1].stop()
    run = fleet.run("promote", *([verbosity] if verbosity else [])).ended(2)
    run.lists("web2", "no worker runs, and at the last visit there were 3 -> start the application")
    assert run.text.count(NOTHING) == run.text.count("no worker runs") == 1
    shown, _fatal, result = run.text.partition("FAILED! => ")
    assert NOTHING in shown
    assert "promote is not safe yet: 1 of 2 hosts accept" in result.splitlines()[0]
    assert len(result.splitlines()[0]) < 250
    # What stands before it is short too: nobody scrolls through JSON to find it.
    assert max(len(line) for line in shown.splitlines()) < 700


def test_a_refusal_of_one_line_is_the_result_s_message_and_is_not_shown_besides(after: After) -> None:
    fleet = after("adopt", ("web1",))
    run = fleet.run("promote").ended(2).says("no key is staged")
    assert not [line for line in run.text.splitlines() if line.startswith("promote is not possible")]


WROTE = {"written": ["/e"], "restarted": False, "restored": False, "down": False, "took": 0.0}


def told_by(said: Dict[str, Any], kind: str = "visit", check: bool = False) -> Tuple[Dict[str, Any], List[str]]:
    """What the result has of this answer, and what is shown."""
    shown: List[str] = []
    action = SimpleNamespace(
        kind=kind, _task=SimpleNamespace(check_mode=check), _display=SimpleNamespace(display=shown.append)
    )
    return HostAction.with_what_it_did(action, "web2", said), shown  # type: ignore[arg-type]


def test_what_a_visit_did_is_in_its_result_and_is_shown():
    said = {"changed": True, "needed": True, "proven": True, "did": WROTE, "evidence": seen(at("promote"))}
    result, shown = told_by(said)
    assert shown == [result["msg"]] == ["web2: wrote 1 file, 2 workers proven"]
    result, shown = told_by(said, check=True)
    assert (result["msg"], shown) == ("web2: would write 1 file", [])
    assert told_by(said, kind="look") == (said, [])


@pytest.mark.parametrize("missing", ["did", "needed", "proven", "evidence"])
def test_of_an_answer_that_leaves_out_what_a_visit_did_nothing_is_told(missing: str):
    said = {"changed": True, "needed": True, "proven": True, "did": WROTE, "evidence": seen(at("promote"))}
    del said[missing]
    assert told_by(said) == (said, [])


def test_a_visit_that_failed_keeps_its_own_words():
    said = {"failed": True, "msg": "it is down", "needed": True, "proven": False, "did": WROTE, "evidence": {}}
    assert told_by(said) == (said, [])
