# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job and the refusals, with this ansible-core, on hosts with every Python of this machine side by side.

`make matrix` runs this with each ansible-core. One that is too old has a test of its own, and runs no other.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Callable, Iterator

import pytest
import pythons
from ansible.release import __version__
from light_fleet import Fleet
from pythons import Version

PYTHONS = pythons.found()
HOSTS = {f"py{major}{minor}": (major, minor) for major, minor in PYTHONS if (major, minor) in pythons.HOSTS}
OLD = [version for version in PYTHONS if version in pythons.TOO_OLD]
SUPPORTED = tuple(map(int, __version__.split(".")[:2])) >= (2, 16)
supported = pytest.mark.skipif(not SUPPORTED, reason="this ansible-core is one that is refused")
unsupported = pytest.mark.skipif(SUPPORTED, reason="this ansible-core is one that is supported")


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """A fleet with a host for each Python that hosts may have."""
    # From 2.22 on there is a socket in Ansible's temporary folder, and its path may have 107 characters: pytest's are longer.
    with tempfile.TemporaryDirectory(prefix="pk") as folder:
        yield from _fleet(Path(folder))


def _fleet(folder: Path) -> Iterator[Fleet]:
    Fleet.bytecode = folder / "bytecode"
    made = Fleet(folder / "fleet", sorted(HOSTS))
    for name, version in HOSTS.items():
        made.host_vars[name]["ansible_python_interpreter"] = str(PYTHONS[version])
    try:
        made.write_env()
        made.restart()
        yield made
    finally:
        made.end()


@pytest.fixture
def noted() -> Iterator[Callable[[str], None]]:
    """Note what has passed, for the table."""
    passed: list[str] = []
    yield passed.append
    place = os.environ.get("PHASED_VERSIONS")
    if place and passed:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"core": __version__, "passed": passed}) + "\n")


@supported
def test_a_whole_rollout_a_rollback_and_a_refusal(fleet: Fleet, noted: Callable[[str], None]) -> None:
    assert HOSTS, "this machine has no Python that hosts may have"
    count = f"{len(HOSTS)} of {len(HOSTS)} hosts"
    fleet.run("adopt").ended(0).says(f"adopt: {count} have their record")
    fleet.run("rollout").ended(0).says(f"retire: {count} have let go of {fleet.old} in every worker")
    signs = fleet.key("primary")
    assert fleet.states()[fleet.old] == "retired" and all(host.has(signs, []) for host in fleet.hosts)

    fleet.run("prepare").ended(0)
    assert all(host.has(signs, [fleet.key("staged")]) for host in fleet.hosts)
    stale = fleet.hosts[0]
    stale.stop()
    before = fleet.unchanged()
    run = fleet.run("promote").ended(2).says("promote is not safe yet: ", f" of {len(HOSTS)} hosts accept")
    run.lists(stale.name, "no worker runs, and at the last visit there were 3 -> start the application")
    assert fleet.unchanged() == before
    stale.restart()
    fleet.run("rollback").ended(0)
    assert all(host.has(signs, []) for host in fleet.hosts)
    fleet.run("status").ended(0).says(f"withdraw closed at {fleet.keyring()['step']['closed']}")
    fleet.deploy("--limit", stale.name).ended(0)
    for name in HOSTS:
        noted(name)


@supported
@pytest.mark.parametrize("version", OLD, ids=str)
def test_a_host_with_a_python_that_is_too_old_is_told_so(fleet: Fleet, version: Version) -> None:
    fleet.run("adopt").ended(0)
    last = fleet.hosts[-1].name
    fleet.host_vars[last]["ansible_python_interpreter"] = str(PYTHONS[version])
    before = fleet.unchanged()
    run = fleet.run("prepare").ended(2)
    run.lists(last, "3.8 or later", "set ansible_python_interpreter")
    assert "Traceback" not in run.text and fleet.unchanged() == before


@unsupported
def test_an_ansible_core_that_is_too_old_says_one_sentence(fleet: Fleet, noted: Callable[[str], None]) -> None:
    before = fleet.unchanged()
    for playbook in ("adopt", "rollout", "status"):
        run = (
            fleet.run(playbook).ended(2).says("phased.keys needs ansible-core 2.16 or later, and this is", __version__)
        )
        assert "Traceback" not in run.text and "Unexpected" not in run.text
    run = fleet.deploy().ended(2).says("phased.keys needs ansible-core 2.16 or later")
    assert fleet.unchanged() == before
    noted("refused")
