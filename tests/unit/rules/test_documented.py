# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the README and the role's specification name every variable, those of one run as such, and the README the defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils.rules.variables import PREFIX, VARIABLES

CHECKOUT = Path(__file__).resolve().parents[3]
README = (CHECKOUT / "README.md").read_text()
LASTING = [PREFIX + name for name, variable in VARIABLES.items() if not variable.run]
OF_ONE_RUN = [PREFIX + name for name, variable in VARIABLES.items() if variable.run]


def named(table: str) -> List[str]:
    """The variables that the first column of a table names; `_group` behind `app_keys_env_owner` is app_keys_env_group."""
    found: List[str] = []
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)[^`]*`", row):
            found.append(name if name.startswith(PREFIX) else found[-1].rpartition("_")[0] + name)
    return found


def test_the_readme_s_two_tables_name_the_variables_that_last_and_those_of_one_run():
    lasting, of_one_run = README.split("\n## Variables\n")[1].split("\nFor one run, ")
    assert sorted(named(lasting)) == sorted(LASTING)
    assert sorted(named(of_one_run.split("\n## ")[0])) == sorted(OF_ONE_RUN)


@pytest.mark.parametrize(
    "name", [name for name in LASTING if VARIABLES[name[len(PREFIX) :]].default not in (None, [], {})]
)
def test_the_readme_says_the_default_that_is_used(name: str):
    (row,) = re.findall(rf"^\| `{name}`.* \| `([^`]+)`[^|]* \|$", README, re.MULTILINE)
    variable = VARIABLES[name[len(PREFIX) :]]
    assert variable.read(yaml.safe_load(row), name) == variable.default


def test_the_role_takes_every_variable_that_lasts_and_of_one_run_only_what_a_visit_takes():
    specs = yaml.safe_load((CHECKOUT / "roles" / "app_keys" / "meta" / "argument_specs.yml").read_text())
    assert sorted(specs["argument_specs"]["main"]["options"]) == sorted([*LASTING, "app_keys_replace"])
