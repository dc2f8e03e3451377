# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring that was lost is rebuilt from what the hosts have, in any phase; and two that are begun at once become one."""

from __future__ import annotations

import shutil
import sys
from typing import Callable, List

import pytest
from light_fleet import Fleet
from walk import slow

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
RECOVER = ("-e", "app_keys_recover=true")
# The step that was walked last, and one that is open since, at which only web1 was visited.
PHASES = {
    "adopt": ("adopt", ""),
    "in the middle of prepare": ("adopt", "prepare"),
    "prepare": ("prepare", ""),
    "in the middle of promote": ("prepare", "promote"),
    "promote": ("promote", ""),
    "in the middle of retire": ("promote", "retire"),
    "in the middle of rollback": ("promote", "rollback"),
    "in the middle of withdraw": ("prepare", "withdraw"),
}
# What the fleet does after: whether the old key signs, and which other key it accepts.
AFTER = {
    "adopt": ("old", []),
    "in the middle of prepare": ("old", ["new"]),
    "prepare": ("old", ["new"]),
    "in the middle of promote": ("new", ["old"]),
    "promote": ("new", ["old"]),
    "in the middle of retire": ("new", []),
    "in the middle of rollback": ("old", ["new"]),
    "in the middle of withdraw": ("old", []),
}


QUICK = ("in the middle of prepare", "in the middle of promote", "in the middle of retire", "in the middle of rollback")


@pytest.mark.parametrize("phase", [phase if phase in QUICK else slow(phase) for phase in PHASES])
def test_a_keyring_that_is_lost_in_any_phase_is_rebuilt_from_the_fleet(after: After, phase: str) -> None:
    step, open_step = PHASES[phase]
    # The only host that was promoted is outnumbered: its record tells that it is the one to follow.
    names = ("web1", "web2", "web3") if phase == "in the middle of promote" else ("web1", "web2")
    fleet = after(step, names)
    if open_step:
        fleet.open(open_step)
        fleet.visit("--limit", "web1").ended(0)
        assert fleet[0].file() != fleet[1].file()
    lost = fleet.keyring()
    keys = {"old": fleet.old, "new": next((key for key in fleet.states() if key != fleet.old), "")}
    fleet.keyring_path.unlink()
    said = f"{len(names)} of {len(names)} hosts have their record and hold the keys of the keyring"
    fleet.run("adopt", *RECOVER).ended(0).says(said)
    signs, accepts = AFTER[phase]
    assert all(host.has(keys[signs], [keys[key] for key in accepts]) for host in fleet.hosts)
    keyring = fleet.keyring()
    assert keyring["id"] == lost["id"]
    assert keyring["step"]["counter"] > lost["step"]["counter"]
    assert fleet.holds("primary", "retiring") == {
        "primary": [keys[signs]], "retiring": [keys[key] for key in accepts],
    }  # fmt: skip


def test_a_fleet_that_was_recovered_goes_on_to_one_key(after: After) -> None:
    fleet = after("promote", ("web1",))
    new = fleet.key("primary")
    fleet.keyring_path.unlink()
    fleet.run("adopt", *RECOVER).ended(0)
    fleet.run("rollout").ended(0).says("have let go of", fleet.old)
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert fleet[0].has(new, [])


def test_the_old_keyring_that_turns_up_again_is_fenced_off(after: After) -> None:
    fleet = after("promote")
    aside = fleet.folder / "aside.yml"
    shutil.move(fleet.keyring_path, aside)
    fleet.run("adopt", *RECOVER).ended(0)
    shutil.move(aside, fleet.keyring_path)
    before = fleet.unchanged()
    run = fleet.run("rollout").ended(2)
    run.lists("web1", "has seen step ", " (adopt), and this keyring is at 3").lists("web2", "copy or a backup")
    fleet.deploy().ended(2).says(
        "this host has seen step ", " (adopt", "it is a copy or a backup", "Nothing was changed"
    )
    assert fleet.unchanged() == before


def test_a_lost_keyring_is_rebuilt_only_when_that_is_asked_for_and_one_that_is_there_stays(after: After) -> None:
    fleet = after("promote", ("web1",))
    before = fleet.unchanged()
    fleet.run("adopt", *RECOVER).ended(2).says("there is a keyring, ", "and it is never overwritten. If it is a copy")
    assert fleet.unchanged() == before
    keyring = fleet.keyring()["id"]
    fleet.keyring_path.unlink()
    run = fleet.run("adopt").ended(2).lists("web1", f"was rolled with the keyring {keyring}")
    run.lists("web1", "set app_keys_keyring to its path", "if it is lost, give -e", "app_keys_recover=true")
    assert not fleet.keyring_path.exists()
    assert fleet.unchanged()[1] == before[1]


def test_a_recovery_needs_every_host(after: After) -> None:
    fleet = after("promote")
    fleet.down(1)
    fleet.keyring_path.unlink()
    before = fleet.unchanged()
    fleet.run("adopt", *RECOVER).ended(2).lists("web2", "unreachable").says("Nothing was written.")
    assert fleet.unchanged() == before


def test_hosts_of_two_keyrings_are_not_recovered_as_one(after: After) -> None:
    fleet = after("adopt")
    record = fleet[1].record_file
    record.write_text(record.read_text().replace(fleet.keyring()["id"], "0123456789abcdef"))
    fleet.keyring_path.unlink()
    run = fleet.run("adopt", *RECOVER).ended(2).says("Nothing was written.")
    run.lists("web1", "was rolled with the keyring").lists("web2", "keyring 0123456789abcdef")


def keyrings(fleet: Fleet) -> List[str]:
    """The ids of the keyrings that hosts have records of."""
    return sorted({host.record()["keyring"] for host in fleet.hosts if host.record()})


@pytest.mark.parametrize("found", ["no key yet", slow("a rotation by hand")])
def test_of_two_adoptions_at_once_one_wins_and_the_other_changes_no_host(
    new_fleet: Callable[..., Fleet], found: str
) -> None:
    fleet = new_fleet(("web1", "web2"))
    if found == "no key yet":
        for host in fleet.hosts:
            host.env.write_text("# nothing yet\n")
    else:
        other = "by-hand-0123456789-0123456789"
        fleet.write_env(other, 1)
        for host, fallback in zip(fleet.hosts, (other, fleet.secret)):
            host.env.write_text(host.env.read_text().replace('FALLBACKS=""', f'FALLBACKS="{fallback}"'))
        fleet.restart()
    # Neither goes on before both have looked at every host.
    here = fleet.folder / "looked"
    here.mkdir()
    barrier = f'mktemp "{here}/XXXXXX"; n=0; while [ $(ls "{here}" | wc -l) -lt 4 ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done'
    python = fleet.folder / "python"
    python.write_text(f'#!/bin/sh\n{{ {barrier}; }} >/dev/null\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    fleet.vars["ansible_python_interpreter"] = str(python)
    paths = [fleet.folder / "one.yml", fleet.folder / "two.yml"]
    runs = [fleet.start("adopt", "-e", f"app_keys_keyring={path}") for path in paths]
    said = [run.communicate(timeout=100)[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], "\n".join(said)
    won = [run.returncode for run in runs].index(0)
    keyring = fleet.keyring_file(paths[won]).load()
    assert keyrings(fleet) == [keyring["id"]]
    (signs,) = [key["fingerprint"] for key in keyring["keys"] if key["state"] == "primary"]
    accepts = [key["fingerprint"] for key in keyring["keys"] if key["state"] == "retiring"]
    assert all(host.has(signs, accepts) for host in fleet.hosts)
    assert "another keyring" in said[1 - won]
    before = fleet.unchanged()
    fleet.run("rollout", "-e", f"app_keys_keyring={paths[1 - won]}").ended(2).lists("web1", "of another keyring")
    assert fleet.unchanged() == before


@pytest.mark.slow
def test_a_fleet_that_lost_all_its_records_is_adopted_anew_with_the_keys_that_it_accepts(after: After) -> None:
    # docs/incidents.md, "No host has its record any more".
    fleet = after("promote")
    held = [(host.pids(), host.env.read_bytes()) for host in fleet.hosts]
    for host in fleet.hosts:
        (host.folder / "state" / "shop.json").unlink()
    fleet.run("rollout").ended(2).says(
        "no host that has one vouches for this keyring",
        "app_keys_state_dir was changed or emptied",
        "docs/incidents.md",
    )
    fleet.keyring_path.rename(fleet.keyring_path.with_suffix(".old"))
    fleet.run("adopt").ended(0)
    assert [(host.pids(), host.env.read_bytes()) for host in fleet.hosts] == held
    assert fleet.states() == {fleet.old: "retiring", fleet.key("primary"): "primary"}
    fleet.run("rollout").ended(0)
    assert all(host.has(fleet.key("primary"), []) for host in fleet.hosts)
