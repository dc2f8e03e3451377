# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook of one's own, written from the modules' pages alone, is as safe as ours."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import yaml
from ansible.parsing.plugin_docs import read_docstring
from light_fleet import CHECKOUT, Fleet

After = Callable[..., Fleet]


def own(fleet: Fleet) -> str:
    """Write the example of the gate's page into a file, and return its path."""
    path = fleet.folder / "own.yml"
    path.write_text(read_docstring(str(CHECKOUT / "plugins/modules/gate.py"))["plainexamples"])
    return str(path)


def test_the_example_of_the_gates_page_prepares_a_fleet(after: After) -> None:
    fleet = after("adopt")
    fleet.run(own(fleet)).ended(0).says("prepare is open: 2 of 2 hosts").says("promote is next")
    assert all(host.has(fleet.old, [fleet.key("staged")]) for host in fleet.hosts)


def test_it_refuses_what_ours_refuses(after: After) -> None:
    fleet = after("adopt")
    fleet[1].stop()
    before = fleet.unchanged()
    fleet.run(own(fleet)).ended(2).lists("web2", "no worker runs")
    assert fleet.unchanged() == before


def test_a_visit_for_which_nobody_vouches_fails_where_its_task_waits_for_nothing(after: After) -> None:
    fleet = after("prepare", ("web1", "web2"))
    fleet.join(1)
    tasks = [{"name": "Visit", "phased.keys.env_keys": None}]
    Path(fleet.folder / "visit.yml").write_text(
        yaml.safe_dump([{"hosts": "web2", "gather_facts": False, "tasks": tasks}])
    )
    before = fleet[1].env.read_text()
    fleet.run(str(fleet.folder / "visit.yml")).ended(2).says("web2 has no record, and no host that has one vouches")
    assert fleet[1].env.read_text() == before
