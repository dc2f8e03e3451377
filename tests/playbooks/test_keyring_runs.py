# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs whose keyring cannot be read or written: what holds then is said, and the next run goes on."""

from __future__ import annotations

from typing import Callable

import pytest
from light_fleet import Fleet

After = Callable[..., Fleet]


def without_cryptography(fleet: Fleet) -> str:
    """A folder for PYTHONPATH in which the library cannot be loaded."""
    folder = fleet.folder / "broken" / "cryptography"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('libssl.so.1.1: cannot open shared object file')\n")
    return str(folder.parent)


@pytest.mark.parametrize("playbook", ["adopt", "rollout"])
def test_without_the_library_that_vault_needs_it_is_said_before_a_host_is_asked(after: After, playbook: str) -> None:
    fleet = after("adopt", ("web1",))
    if playbook == "adopt":
        fleet.keyring_path.unlink()
        fleet[0].record_file.unlink()
    before = fleet.unchanged()
    run = fleet.run(playbook, PYTHONPATH=without_cryptography(fleet)).ended(2)
    run.says("has no library cryptography, or one that does not load. Install it there (pip install cryptography)")
    assert "Look at every worker" not in run.text
    assert fleet.unchanged() == before


# As on a full disk, from the moment on at which a host's application was restarted; the hosts' own disks are others.
FULL = """
import errno, os
fsync = os.fsync

def full(fd):
    if os.path.exists({flag!r}) and "/.keyrings/" in os.readlink(f"/proc/self/fd/{{fd}}"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fsync(fd)

os.fsync = full
"""


def test_a_disk_that_is_full_at_the_closing_count_leaves_the_step_open_and_says_that_all_are_proven(
    after: After,
) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    flag, patches = fleet.folder / "full", fleet.folder / "patches"
    patches.mkdir()
    (patches / "sitecustomize.py").write_text(FULL.format(flag=str(flag)))
    fleet[1].tell("then", f"touch {flag}")
    run = fleet.run("rollout", PYTHONPATH=str(patches)).ended(2)
    run.says(f"{fleet.keyring_path} cannot be written: No space left on device (free some space there, and run again)")
    run.says(
        "Every member is proven at promote and stays as it is.", "so promote stays open", "run phased.keys.rollout"
    )
    assert "Nothing was changed" not in run.text
    new = fleet.key("primary")
    assert (fleet.keyring()["step"]["name"], fleet.keyring()["step"]["closed"]) == ("promote", None)
    assert all(host.has(new, [fleet.old]) for host in fleet.hosts)
    flag.unlink()
    fleet[1].mend("then")
    before = fleet.unchanged()[1]
    fleet.run("rollout", PYTHONPATH=str(patches)).ended(0).says(f"promote: 2 of 2 hosts sign with {new}")
    assert fleet.keyring()["step"]["closed"]
    assert fleet.unchanged()[1] == before


def test_a_disk_that_is_full_when_a_step_would_open_opens_nothing_and_visits_nobody(
    after: After,
) -> None:
    fleet = after("prepare")
    (fleet.folder / "sitecustomize.py").write_text(FULL.format(flag=str(fleet.inventory)))
    before = fleet.unchanged()
    run = fleet.run("promote", PYTHONPATH=str(fleet.folder)).ended(2)
    run.says("No space left on device", "promote was not opened: no host was visited for it")
    assert fleet.unchanged() == before


def test_a_conflict_in_a_checkout_stops_a_run_before_a_host_is_asked(after: After) -> None:
    fleet = after("prepare")
    lines = fleet.keyring_path.read_bytes().splitlines(keepends=True)
    fleet.keyring_path.write_bytes(
        b"".join([lines[0], b"<<<<<<< HEAD\n", *lines[1:], b"=======\n", *lines[1:], b">>>>>>> x\n"])
    )
    before = fleet.unchanged()
    run = (
        fleet.run("rollout")
        .ended(2)
        .says(f"{fleet.keyring_path} holds the markers of a merge conflict, in line 2 first")
    )
    assert "Look at every worker" not in run.text
    fleet.deploy().ended(-1).says("holds the markers of a merge conflict")
    assert fleet.unchanged() == before


def test_a_playbook_says_what_is_wrong_with_the_keyring_and_changes_nothing(after: After) -> None:
    fleet = after("prepare")
    fleet.password.write_text("not the one\n")
    before = fleet.unchanged()
    fleet.run("rollout").ended(2).says(
        f"{fleet.keyring_path} is opened by none of the vault secrets that were given (default)"
    )
    assert fleet.unchanged() == before
