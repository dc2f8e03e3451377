# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One base class for what a person can fix, so that a bug of ours is told apart from it."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Iterator, List, Tuple, Type

import pytest
from ansible_collections.phased.keys.plugins import module_utils
from ansible_collections.phased.keys.plugins.module_utils._host.rules.errors import PhasedKeysError

PLUGINS = Path(next(iter(module_utils.__path__))).parent
PACKAGE = module_utils.__name__.rpartition(".")[0]
MODULES = sorted(
    path.relative_to(PLUGINS).with_suffix("").as_posix().replace("/", ".")
    for path in PLUGINS.rglob("*.py")
    if path.stem != "__init__"
)
# What is raised when something is called wrongly, which is a bug, or what the one who calls a parser turns into an answer of ours.
PYTHONS = [("_door", "_no_number"), ("fingerprint", "fingerprint")]


def errors(module: str) -> List[Type[BaseException]]:
    found = importlib.import_module(f"{PACKAGE}.{module}")
    classes = [one for _name, one in inspect.getmembers(found, inspect.isclass) if one.__module__ == found.__name__]
    return [one for one in classes if issubclass(one, BaseException)]


def test_there_are_errors_to_be_looked_at() -> None:
    found = {error.__name__ for module in MODULES for error in errors(module)}
    assert {
        "KeyringError",
        "VariableError",
        "FleetError",
        "KeyringFileError",
        "HostTrouble",
        "Unusable",
        "Refused",
    } <= found


@pytest.mark.parametrize("module", MODULES)
def test_every_error_of_ours_is_one_and_nothing_else(module: str) -> None:
    for error in errors(module):
        if issubclass(error, Exception):
            assert issubclass(error, PhasedKeysError), error
            # `except ValueError` around a parser would take one for the parser's.
            assert all(issubclass(PhasedKeysError, one) or issubclass(one, PhasedKeysError) for one in error.__mro__), (
                error
            )
        else:
            assert error.__base__ is BaseException, (
                "an end of the time, which nothing on the way up may take for an error"
            )


def raised(tree: ast.Module) -> Iterator[Tuple[str, str]]:
    """The function and the name of what is raised in it."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Raise)
                    and isinstance(node.exc, ast.Call)
                    and isinstance(node.exc.func, ast.Name)
                ):
                    yield function.name, node.exc.func.id


@pytest.mark.parametrize("module", MODULES)
def test_nothing_that_a_person_can_fix_is_raised_as_a_bug(module: str) -> None:
    tree = ast.parse((PLUGINS / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))
    for function, name in raised(tree):
        if name in ("ValueError", "TypeError", "KeyError", "IndexError", "RuntimeError", "Exception"):
            assert (module.rpartition(".")[2], function) in PYTHONS, f"{function} raises {name}"
