# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""No advice leads in a circle or to nowhere: what the messages tell to run and to set is there, and docs/incidents.md tells the same."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Iterator, List, Set, Tuple

import pytest
from ansible_collections.phased.keys.plugins.action import env_keys
from ansible_collections.phased.keys.plugins.module_utils._host.rules import proof, remedies, visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import PREFIX, VARIABLES
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, folders, membership, steady, survey
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import ALIEN, at, record, seen, worker

CHECKOUT = Path(__file__).resolve().parents[3]
INCIDENTS = (CHECKOUT / "docs" / "incidents.md").read_text()
README = (CHECKOUT / "README.md").read_text()
PLAYBOOKS = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
NAMED = {"run", *PLAYBOOKS, *(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))}
SOURCES = sorted((CHECKOUT / "plugins").rglob("*.py"))


def strings(path: Path) -> Iterator[str]:
    """Yield what a file may say to a person: its texts without the docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)} - {
        node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs | inside:
            yield node.value
        if isinstance(node, ast.JoinedStr):
            # What is put in is taken for a word, so that no name grows together with it.
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)


def messages() -> List[Tuple[str, str]]:
    """Every text of a plugin that holds more than one word, with its file; those of the documentation are elsewhere."""
    found = [
        (path, text)
        for path in SOURCES
        if path.parent.name not in ("modules", "doc_fragments", "lookup")
        for text in strings(path)
    ]
    return [(str(path.relative_to(CHECKOUT)), text) for path, text in found if " " in text]


def names(text: str) -> Set[str]:
    """The playbooks, as `phased.keys.rollout`, and the variables that a text names."""
    return {
        name.rstrip("_")
        for name in re.findall(r"phased\.keys\.\w+|app_keys_\w+", text)
        if not name.endswith("app_keys_")
    }


def section(title: str) -> str:
    """Return one section of docs/incidents.md."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", INCIDENTS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/incidents.md has no section {title}"
    return found[1]


def test_there_are_messages_to_look_at() -> None:
    assert len(messages()) > 300
    assert any(text.startswith("find out whose {key} is") for _path, text in messages())


@pytest.mark.parametrize("path, text", [(path, text) for path, text in messages() if names(text)])
def test_what_a_message_names_is_there(path: str, text: str) -> None:
    for name in names(text):
        known = name[len(PREFIX) :] in VARIABLES if name.startswith(PREFIX) else name.rpartition(".")[2] in NAMED
        assert known, f"{path} names {name}: {text}"


def test_whatever_a_message_says_to_give_for_one_run_is_told_in_the_incidents() -> None:
    given = {name for _path, text in messages() for name in re.findall(r"-e (app_keys_\w+)", text)}
    assert {"app_keys_replace", "app_keys_release", "app_keys_waive", "app_keys_recover", "app_keys_new"} <= given
    # Which of several fleets is meant is no incident.
    assert {
        name for name in given - {"app_keys_hosts"} if f"`{name}" not in INCIDENTS and f"-e {name}" not in INCIDENTS
    } == set()
    assert {name for name in given if f"`{name}" not in README} == set()


TOLD = [
    (remedies.UNKNOWN, "A key that is not in the keyring"),
    (membership.LAST, "A host is gone for good"),
    (survey.GONE, "A host is gone for good"),
    (survey.SET_ASIDE, "A host cannot be reached, and the rollout has to go on"),
    (remedies.OVERRIDDEN, "Something else sets the application's keys"),
    (remedies.ELSEWHERE, "Something else sets the application's keys"),
    (remedies.EMPTIED, "A main process without workers"),
    (remedies.OUTSIDE, "A process beside the application holds a key"),
    (env_keys.NOBODY_VOUCHES, "No host has its record any more"),
]


@pytest.mark.parametrize("advice, title", TOLD)
def test_the_incidents_tell_what_the_message_tells(advice: str, title: str) -> None:
    assert names(advice) and names(advice) <= names(section(title))


def test_a_copy_of_the_keyring_is_told_the_same_way() -> None:
    keyring = at("promote")
    (finding,) = proof.outdated(keyring, {**record(keyring), "counter": 99})
    assert names(finding.advice) <= names(section("The keyring is lost"))


@pytest.mark.parametrize(
    "path, text",
    [
        (path, text)
        for path, text in messages()
        if "phased.keys.adopt" in text and not path.endswith(("_rules/adoption.py", "gate.py"))
    ],
)
def test_adopt_is_only_advised_where_there_is_no_keyring_or_it_is_to_be_finished(path: str, text: str) -> None:
    way = r"move (this one|the keyring) away|there is no keyring at|finish phased\.keys\.adopt"
    assert re.search(way, text), f"{path}: {text}"


def test_6_a_key_that_the_keyring_does_not_know_never_leads_to_adopt() -> None:
    keyring = at("promote")
    odd = seen(keyring, workers=[worker(5, ALIEN)])
    asked = keyrings.order(keyring)
    found = [finding.advice for finding in proof.judge(keyring, asked, odd, set())] + [
        str(visit.plan(asked, odd, True).refuse)
    ]
    for text in found:
        assert f"-e app_keys_replace={ALIEN}" in text and "put the keyring's key back" in text and "adopt" not in text


def test_what_no_name_helps_with_says_what_to_do_all_the_same() -> None:
    for advice in (folders.OWN_STATE, steady.UNSTEADY, adoption.CHECK, visit.NO_RESTART, visit.NOT_REPLACED):
        assert re.search(r"\b(set|give|see|correct|take)\b", advice)
