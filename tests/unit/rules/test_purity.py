# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 4: the rules are plain Python with no Ansible import, no input or output, and no clock."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring

UTILS = Path(keyring.__file__).parents[1]
RULES = sorted(
    [
        *(UTILS / "_rules").glob("*.py"),
        *(UTILS / "_host" / "rules").glob("*.py"),
        UTILS / "_shapes.py",
        UTILS / "_keyring_shapes.py",
    ]
)
# What a rule may know: text, numbers, hashes, what it has worked out already, and its own kind. Everything else is somebody's world.
ALLOWED = {
    "__future__",
    "copy",
    "datetime",
    "difflib",
    "functools",
    "hashlib",
    "hmac",
    "json",
    "math",
    "re",
    "textwrap",
    "typing",
}
# The one rule that finds others by their names: profiles, which are data.
ALLOWED_THERE = {"shipped.py": {"contextlib", "importlib", "pkgutil"}}
SPOILING_CALLS = {"open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}
# Of an object, whatever it is called: these ask a clock.
CLOCKS = {"now", "today", "utcnow"}


def of_its_kind(node: ast.ImportFrom) -> bool:
    """Whether it is a rule, or the shapes, that is imported."""
    module = node.module or ""
    return node.level == 1 or (
        node.level > 1 and module in ("_host.rules", "_shapes", "_keyring_shapes") or module.startswith("_host.rules.")
    )


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not of_its_kind(node):
            yield "." * node.level + (node.module or "")


def clock_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            yield ast.unparse(node.func)


def spoiling_calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPOILING_CALLS:
            yield node.func.id


def test_the_rules_are_found():
    assert {"keyring.py", "steps.py", "evidence.py", "visit.py", "soak.py"} <= {path.name for path in RULES}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_a_rule_imports_neither_ansible_nor_the_world(path):
    assert set(imported(ast.parse(path.read_text(encoding="utf-8")))) <= ALLOWED | ALLOWED_THERE.get(path.name, set())


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_a_rule_asks_no_clock(path):
    assert list(clock_calls(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_a_rule_reads_and_writes_nothing(path):
    assert list(spoiling_calls(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import os", "import time", "import socket", "from subprocess import run", "from pathlib import Path",
        "from ansible.module_utils import basic", "from ..host import look", "import urllib.request",
    ],
)  # fmt: skip
def test_the_check_itself_finds_imports(code):
    assert not set(imported(ast.parse(code))) <= ALLOWED


@pytest.mark.parametrize("code", ["datetime.now()", "datetime.datetime.utcnow()", "date.today()"])
def test_the_check_itself_finds_clocks(code):
    assert list(clock_calls(ast.parse(code)))


def test_the_check_itself_finds_files():
    assert list(spoiling_calls(ast.parse("text = open('/etc/shop.env').read()"))) == ["open"]
