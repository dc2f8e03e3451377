# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks and inventories of the guides (docs/docsite/rst) do on light hosts what the guides say."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import doc_blocks
import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import CHECKOUT, Fleet
from playbook_run import Run

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
GUIDES = CHECKOUT / "docs" / "docsite" / "rst"


def run(fleet: Fleet, guide: str, name: str, *arguments: str) -> Run:
    """Run a playbook as it stands in a guide."""
    path = fleet.folder / Path(name).name
    path.write_text(doc_blocks.block(GUIDES / guide, name))
    return fleet.run(str(path), *arguments)


def test_a_deploy_playbook_seeds_the_key_once_and_never_again(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    # The key that the template holds today, with characters that a shell or an unquoted file would not keep.
    fleet.vars.update(shop_secret_key="odd-#$(x)&*" + fleet.secret)
    key = fingerprint(fleet.vars["shop_secret_key"])
    for host in fleet.hosts:
        host.env.unlink()
    run(fleet, "deploy.rst", "seed.yml").ended(0)
    fleet.restart()
    assert all(host.has(key, []) for host in fleet.hosts)
    assert run(fleet, "deploy.rst", "seed.yml").ended(0).recap("changed") == {"web1": 0, "web2": 0}
    fleet.run("adopt").ended(0)
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet.run("rollout", "-e", "app_keys_new=true").ended(0)
    new = fleet.key("primary")
    before = fleet.unchanged()
    # Deploys and even the seed leave the keys of the rollout alone.
    for name in ("seed.yml", "deploy.yml"):
        assert run(fleet, "deploy.rst", name).ended(0).recap("changed") == {"web1": 0, "web2": 0}
    assert fleet.unchanged() == before and all(host.has(new, [key]) for host in fleet.hosts)


def test_without_force_false_the_seed_would_put_the_old_key_back(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet(("web1",))
    fleet.vars.update(shop_secret_key=fleet.secret)
    other = "another-" + fleet.secret
    fleet.write_env(other)
    trap = doc_blocks.block(GUIDES / "deploy.rst", "seed.yml").replace("force: false", "force: true")
    path = fleet.folder / "trap.yml"
    path.write_text(trap)
    fleet.run(str(path)).ended(0)
    assert fleet[0].file().signs == fleet.old != fingerprint(other)


def test_two_applications_in_one_inventory_are_rolled_one_at_a_time(new_fleet: Callable[..., Fleet]) -> None:
    shop, crm = new_fleet(("shop1", "shop2")), new_fleet(("crm1",))
    for fleet in (shop, crm):
        fleet.restart()
    page = yaml.safe_load(doc_blocks.block(GUIDES / "several_applications.rst", "inventory.yml"))
    # The names, groups and fleets are the guide's; where the applications are, these light hosts say.
    assert {group: list(page[group]["hosts"]) for group in page} == {"shop": ["shop1", "shop2"], "crm": ["crm1"]}
    general = {name: value for name, value in shop.vars.items() if name not in ("app_keys_name", "app_keys_wait")}
    for fleet, group in ((shop, "shop"), (crm, "crm")):
        said = {name: page[group]["vars"][name] for name in ("app_keys_name", "app_keys_hosts")}
        page[group] = {"hosts": fleet.host_vars, "vars": {**general, **said}}
    shop.write_inventory = lambda: shop.inventory.write_text(yaml.safe_dump(page))  # type: ignore[method-assign]
    shop.run("adopt").ended(2).says(
        "hosts disagree about app_keys_hosts: crm, shop", "Choose one with -e app_keys_hosts=PATTERN"
    )
    for name in ("shop", "crm"):
        shop.run("adopt", "-e", f"app_keys_hosts={name}").ended(0)
    before = crm.unchanged()[1]
    shop.run("prepare", "-e", "app_keys_hosts=shop", "-e", "app_keys_new=true").ended(0).says("2 of 2 hosts accept")
    assert crm.unchanged()[1] == before and all(len(host.file().accepts) == 2 for host in shop.hosts)
    assert (shop.folder / ".keyrings" / "crm.yml").exists()
    # A deploy to both needs no -e.
    assert shop.deploy().ended(0).recap("failed") == {"shop1": 0, "shop2": 0, "crm1": 0}


def test_the_playbooks_of_the_project_in_awx(after: After) -> None:
    fleet = after("adopt")
    # A question of the survey that nobody answered.
    run(fleet, "controller.rst", "rollout.yml", "-e", '{"app_keys_release": "", "app_keys_waive_reason": ""}').ended(0)
    run(fleet, "controller.rst", "status.yml").ended(0).says("no rollout is in progress")
