# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever works on this does all day: one test file by itself, and the hooks before a commit."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import subject
import tomllib
import tracked
import yaml

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
TESTS = [ROOT / name for name in tracked.names(ROOT) if name.startswith("tests/") and name.endswith(".py")]
FOUND_BY_PYTEST = [path for path in TESTS if path.exists() and re.fullmatch(r"conftest|test_.*", path.stem)]


def recipe(*arguments: str) -> list[str]:
    """The command of pytest that make would run, in words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    told = subprocess.run(
        ["make", "-n", f"PYTHON={sys.executable}", *arguments], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout  # fmt: skip
    (line,) = [line for line in told.replace("\\\n", "").splitlines() if " -m pytest " in line]
    return line.partition(" -m pytest ")[2].split()


@pytest.mark.parametrize(
    ("target", "given", "where"),
    [
        ("unit", "", "tests/unit"),
        ("unit", "tests/unit/rules/test_gate.py", ""),
        ("unit", "./tests/unit/rules", ""),
        ("unit", "tests/unit/rules/test_gate.py tests/unit/host -k file", ""),
        ("unit", "-k gate", "tests/unit"),
        ("playbooks", "", "tests/playbooks"),
        ("playbooks", "tests/playbooks/test_plan.py", ""),
        ("slow", "-k kill", "tests/unit tests/playbooks"),
        ("slow", "tests/playbooks/test_kill.py", ""),
        ("units", "-k gate", "tests/unit tests/playbooks"),
    ],
)
def test_what_is_asked_for_runs_and_nothing_else(target: str, given: str, where: str) -> None:
    words = recipe(target, f"ARGS={given}")
    assert [word for word in words if "tests/" in word] == [
        word for word in (*where.split(), *given.split()) if "tests/" in word
    ]
    assert words[-len(given.split()) :] == given.split() or not given


def test_without_arguments_the_unit_tests_run_beside_the_playbooks() -> None:
    words = " ".join(recipe("units", "ARGS="))
    first, _pytest, second = words.partition(" -m pytest ")
    assert (
        "tests/unit >" in first,
        "tests/playbooks" in second,
        "tests/" in second.replace("tests/playbooks", ""),
    ) == (True, True, False)


def helpers() -> list[Path]:
    """The modules that tests import from each other."""
    return [path for folder in SETTINGS["pythonpath"] for path in (ROOT / folder).glob("*.py")]


def test_modules_that_tests_share_have_names_of_their_own() -> None:
    names = Counter(path.stem for path in helpers() if path not in FOUND_BY_PYTEST)
    assert [name for name, times in names.items() if times > 1] == []
    assert [name for name in names if name in sys.stdlib_module_names] == []
    assert all((ROOT / folder).is_dir() for folder in SETTINGS["pythonpath"])


@pytest.mark.parametrize("path", FOUND_BY_PYTEST, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_file_needs_no_other_that_was_collected_before_it(path: Path) -> None:
    """It changes no sys.path for others, imports no conftest, and uses nothing that is pytest's own affair."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[Any] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        assert not {"conftest", "_pytest"}.intersection(str(name).partition(".")[0] for name in names)
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("_fixtureinfo", "_request")
            changed = (
                isinstance(node.value, ast.Attribute)
                and node.value.attr == "path"
                and node.attr in ("append", "insert")
            )
            assert not (changed and ast.unparse(node.value) == "sys.path")


def test_what_runs_whole_playbooks_is_not_called_unit() -> None:
    fleets = {"light_fleet", "walk", "playbook_run"}
    for path in FOUND_BY_PYTEST:
        if path.is_relative_to(ROOT / "tests" / "unit"):
            imported = {
                node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
            }
            assert not fleets & imported, path


def test_the_hooks_run_what_make_lint_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    entries = [hook["entry"] for hook in local["hooks"]]
    (needed,) = re.findall(r"^lint: (.*?) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {entry.rpartition(" ")[2] for entry in entries if entry.startswith("make --silent ")}
    assert targets == {"lint-yaml", "lint-python", "lint-licences"} <= set(needed.split())
    assert [entry for entry in entries if not entry.startswith("make ")] == ["python3 tests/tools/subject.py"]
    assert all(hook["language"] == "system" for hook in local["hooks"])


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("x" * 72, ""),
        ("x\n\nwhy\n", ""),
        ("x\n# Changes to be committed:\n", ""),
        ("x" * 73, "the subject has 73 characters"),
        ("x\nwhy", "the second line is not empty"),
    ],
)
def test_a_subject_is_short_and_the_why_is_in_the_body(message: str, said: str) -> None:
    assert subject.problem(message).startswith(said) and bool(subject.problem(message)) is bool(said)
