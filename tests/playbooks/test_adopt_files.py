# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a fleet from being adopted beside its keys: shared state folders, second names, keys that no step could write."""

from __future__ import annotations

import os
import secrets
from typing import Callable

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from light_fleet import OTHER_LINES, Fleet
from playbook_run import Run

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

NewFleet = Callable[..., Fleet]


def refused(fleet: Fleet, *arguments: str) -> Run:
    """Run adopt, and see that it writes nothing."""
    before = fleet.unchanged()
    run = fleet.run("adopt", *arguments).ended(2).says("Nothing was written.")
    assert fleet.unchanged() == before
    assert not fleet.keyring_path.exists() and not any(host.record_file.exists() for host in fleet.hosts)
    return run


def test_hosts_that_share_a_state_folder_are_both_named(new_fleet: NewFleet) -> None:
    fleet = new_fleet(("web1", "web2", "web3"))
    fleet.restart()
    for name in ("web2", "web3"):
        fleet.host_vars[name]["app_keys_state_dir"] = str(fleet.folder / "shared")
    run = refused(fleet).says("the keys of shop cannot be adopted: 1 of 3 hosts are ready")
    run.lists("web2", "as web3", "app_keys_state_dir of its own").lists("web3", "as web2")


def test_an_env_file_with_a_second_name_is_refused_with_what_to_do(new_fleet: NewFleet) -> None:
    fleet = new_fleet(("web1", "web2"))
    fleet.restart()
    os.link(fleet[1].env, fleet[1].folder / "second")
    refused(fleet).lists("web2", "has 2 names (hard links)", "-samefile")
    (fleet[1].folder / "second").unlink()
    fleet.run("adopt").ended(0)


@pytest.mark.parametrize("odd", ["\t", "\x1b", "\u200b"])
def test_a_key_that_no_step_could_write_is_refused_before_anything_is(new_fleet: NewFleet, odd: str) -> None:
    fleet = new_fleet(("web1",))
    key = f"{secrets.token_hex(12)}{odd}{secrets.token_hex(12)}"
    fleet[0].env.write_text(f'{OTHER_LINES}SECRET_KEY="{key}"\n')
    for arguments in ((), ("--check",)):
        run = refused(fleet, *arguments) if not arguments else fleet.run("adopt", *arguments).ended(2)
        run.lists("web1", fingerprint(key), "cannot be printed").lists("web1", "give the application another key")
        assert key not in run.text
