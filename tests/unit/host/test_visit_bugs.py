# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bug of ours in a visit: the host is as safe after it as after any other trouble, and nobody looks for it on the host."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Type

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import age, answers, files, problems, record, visit
from visited import NEW, OLD, PREPARE, SECRET, Host, holds, order

BACK = "the previous settings were restored, and the application runs with them"
# None of them is ever raised on purpose.
BUGS = [KeyError, TypeError, ValueError, IndexError, AttributeError, AssertionError, RecursionError, MemoryError]


def fails(monkeypatch: Any, where: Any, name: str, bug: Type[Exception], times: int = 1, after: int = 0) -> List[Any]:
    """Let our own code raise a bug so often, after it did well so often."""
    before: Callable[..., Any] = getattr(where, name)
    calls: List[Any] = []

    def wrong(*given: Any, **more: Any) -> Any:
        calls.append(given)
        if after < len(calls) <= after + times:
            raise bug("a field")
        return before(*given, **more)

    monkeypatch.setattr(where, name, wrong)
    return calls


def told_as_bug(answer: Dict[str, Any], name: str) -> None:
    assert answer["failed"] and not answer["proven"]
    assert f"a bug in phased.keys ({name}: " in answer["msg"]
    assert answer["msg"].endswith(problems.REPORT) and visit.AGAIN not in answer["msg"]
    assert answer["exception"].startswith("Traceback ") and f"\n{name}: " in answer["exception"]
    assert "test_visit_bugs.py" in answer["exception"], "it says where"


@pytest.mark.parametrize("bug", BUGS)
def test_8_after_a_bug_the_settings_of_before_come_back(host: Host, monkeypatch: Any, bug: Type[Exception]) -> None:
    host.proven(OLD)
    pids = host.pids()
    fails(monkeypatch, visit.rules, "unproven", bug)
    answer = host.visit(PREPARE)
    told_as_bug(answer, bug.__name__)
    assert BACK in answer["msg"] and answer["did"]["restored"] and answer["changed"]
    assert holds(answer) == [[OLD]] * 4 and not set(pids) & set(host.pids())
    assert host.record()["state"] == "unproven"


@pytest.mark.parametrize(
    ("where", "name"),
    [(visit.settings, "values_of"), (visit.env_text, "rewrite"), (record, "save"), (visit.settings, "keys_of")],
)
def test_8_after_one_before_the_write_nothing_was_written(host: Host, monkeypatch: Any, where: Any, name: str) -> None:
    host.proven(OLD)
    before, pids = host.file(), host.pids()
    fails(monkeypatch, where, name, ValueError)
    answer = host.visit(PREPARE)
    told_as_bug(answer, "ValueError")
    assert "the env file was not changed" in answer["msg"] and not answer["changed"]
    assert host.file() == before and host.pids() == pids


def test_8_one_between_the_write_and_the_restart_is_taken_back_too(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    fails(monkeypatch, age, "stamps", TypeError)
    answer = host.visit(PREPARE)
    told_as_bug(answer, "TypeError")
    assert answer["did"]["restored"] and SECRET[NEW] not in host.env.read_text() and holds(answer) == [[OLD]] * 4


def test_8_one_on_the_way_back_is_told_beside_the_first(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    fails(monkeypatch, visit.rules, "unproven", KeyError, times=2)
    answer = host.visit(PREPARE)
    told_as_bug(answer, "KeyError")
    assert "could not be restored either (a bug in phased.keys (KeyError: 'a field'))" in answer["msg"]
    assert answer["exception"].count("Traceback ") == 2
    assert SECRET[NEW] not in host.env.read_text(), "the file was put back before that"
    assert host.record()["state"] == "unproven"


def test_8_one_in_the_last_look_leaves_the_host_unproven(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    host.then("rm then; exit 3")
    fails(monkeypatch, visit.rules, "application_after", KeyError)
    answer = host.visit(PREPARE)
    told_as_bug(answer, "KeyError")
    assert answer["msg"].startswith("the restart command: exit code 3") and BACK in answer["msg"]
    assert host.record()["state"] == "unproven" and holds(answer)[0] == [OLD]


def test_8_where_the_settings_of_before_are_not_safe_a_bug_does_not_bring_them_back(
    host: Host, monkeypatch: Any
) -> None:
    host.proven(OLD)
    fails(monkeypatch, visit.rules, "unproven", KeyError)
    answer = host.visit(order(NEW, OLD))
    told_as_bug(answer, "KeyError")
    assert "the new env file stays" in answer["msg"] and SECRET[NEW] in host.env.read_text()


def test_14_one_is_no_success_where_an_application_that_is_down_would_be_let_pass(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    host.end()
    fails(monkeypatch, visit.rules, "unproven", KeyError)
    told_as_bug(host.visit(PREPARE._replace(incident=True)), "KeyError")


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_of_a_look_is_a_traceback(monkeypatch: Any, bug: Type[Exception]) -> None:
    fails(monkeypatch, answers, "_command", bug)
    answer = answers.answer("active_fingerprint", {}, check=False)
    assert answer["failed"] and answer["msg"].endswith(problems.REPORT)
    assert answer["msg"].startswith(f"a bug in phased.keys ({bug.__name__}: ")
    assert answer["exception"].startswith("Traceback ") and bug.__name__ in answer["exception"]


@pytest.mark.parametrize("error", [problems.Unusable("a text"), OSError("a text"), files.Locked("a text", 1, None)])
def test_what_a_person_can_fix_is_a_message(monkeypatch: Any, error: Exception) -> None:
    def raises(_module: str) -> Any:
        raise error

    monkeypatch.setattr(answers, "_command", raises)
    answer = answers.answer("active_fingerprint", {}, check=False)
    assert answer == {"failed": True, "msg": str(error)} and "a text" in answer["msg"]
