# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide to containers: its inventories can be used as they are, and its units are understood."""

from __future__ import annotations

from pathlib import Path

import doc_blocks
import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._host.rules import containers, variables

PAGE = Path(__file__).resolve().parents[3] / "docs" / "docsite" / "rst" / "containers.rst"
INVENTORIES = ["inventory.yml", "inventory-compose.yml", "inventory-name.yml", "inventory-rootless.yml"]


@pytest.mark.parametrize("name", INVENTORIES)
def test_every_inventory_says_where_the_workers_are_and_how_they_get_their_keys(name: str) -> None:
    shop = yaml.safe_load(doc_blocks.block(PAGE, name))["shop"]
    assert shop["hosts"]
    found = variables.application(variables.read(shop["vars"]))
    assert found["processes"] and variables.restart_words(found)


def test_the_project_of_the_inventory_is_the_one_of_compose() -> None:
    compose = yaml.safe_load(doc_blocks.block(PAGE, "compose.yml"))
    said = yaml.safe_load(doc_blocks.block(PAGE, "inventory-compose.yml"))["shop"]["vars"]
    assert said["app_keys_processes"] == {"compose": compose["name"], "services": list(compose["services"])}
    assert {one["env_file"] for one in compose["services"].values()} == {said["app_keys_env_file"]}


def test_the_line_of_the_unit_is_understood() -> None:
    unit = doc_blocks.block(PAGE, "shop.service").replace("\\\n", " ")
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert containers.started_by(line.partition("=")[2].split()) == ("podman", "shop", False)
