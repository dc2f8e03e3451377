# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`status`, and `--check` of every phase: what would change on every host, and when the next phase is due."""

from __future__ import annotations

from typing import Callable

import pytest
from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]


def checked(fleet: Fleet, playbook: str, *arguments: str) -> Run:
    """Run a playbook in check mode, and see that it changes nothing."""
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    run = fleet.run(playbook, "--check", *arguments).ended(0)
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records
    return run


@pytest.mark.parametrize("phase", ["prepare", "promote", "retire", "rollback", "withdraw"])
def test_a_check_of_a_phase_says_for_every_host_what_would_change(after: After, phase: str) -> None:
    fleet = after({"prepare": "adopt", "promote": "prepare", "withdraw": "prepare"}.get(phase, "promote"))
    old, new = fleet.old, next((key for key in fleet.states() if key != fleet.old), "")
    would = {
        "prepare": "accepts a new key",
        "promote": f"signs with {new} instead of {old}",
        "retire": f"accepts {old} no longer",
        "rollback": f"signs with {old} instead of {new}",
        "withdraw": f"accepts {new} no longer",
    }
    run = checked(fleet, "rollback" if phase == "withdraw" else phase)
    run.says(f"{phase} would open: 2 of 2 hosts ", "and 2 hosts would be visited")
    for host in fleet.hosts:
        run.says(
            f"  {host.name}  write {host.env}: {would[phase]}; restart the application with app_keys_restart_command"
        )


def test_a_check_says_when_a_phase_is_due_that_would_be_too_early(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.soak("retiring", 3600)
    for playbook in ("retire", "rollout"):
        checked(fleet, playbook).says("retire: waiting for the soak of ", ": retire is due in 5", "m", ", at 20")


def test_a_check_in_the_middle_of_a_phase_says_who_is_left_and_what_would_change_there(after: After) -> None:
    fleet = after("prepare")
    fleet.open("promote")
    fleet.visit("--limit", "web1").ended(0)
    run = checked(fleet, "rollout").says("promote: 1 of 2 hosts sign with", "1 to go. They would be visited:")
    run.lists("web2", "was last visited at step 2 (prepare)")
    would = f"  web2  write {fleet[1].env}: signs with {fleet.key('primary')} instead of {fleet.old}; restart"
    run.says(would)
    # The status says the same.
    run = fleet.run("status").ended(0).says("not proven: 1").says("what phased.keys.rollout would change for promote")
    run.says(would).says("next: promote is open since 20", "run phased.keys.rollout to finish it")
    assert f"  web1  write {fleet[0].env}" not in run.text


def test_a_check_does_not_close_a_step_that_only_has_to_be_counted(after: After) -> None:
    fleet = after("prepare", ("web1",))
    # The run before was killed after the last visit.
    fleet.edit(lambda keyring: keyring["step"].update(closed=None))
    checked(fleet, "prepare").says("prepare: 1 of 1 host accept")


def test_a_check_fails_where_the_run_itself_would_be_refused(after: After) -> None:
    fleet = after("prepare")
    fleet[1].stop()
    before = fleet.unchanged()
    fleet.run("promote", "--check").ended(2).says("promote is not safe yet: 1 of 2 hosts").lists(
        "web2", "no worker runs"
    )
    assert fleet.unchanged() == before


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("prepare", "next: promote is next: run phased.keys.rollout, or phased.keys.promote"),
        ("promote", "next: retire is due in 5"),
        ("retire", "next: no rollout is in progress; the next rollout is due at 20"),
    ],
)
def test_the_status_says_for_every_host_what_it_holds_and_what_comes_next(after: After, step: str, said: str) -> None:
    fleet = after(step)
    if step == "promote":
        fleet.soak("retiring", 3600)
    before = fleet.unchanged()
    run = fleet.run("status").ended(0).says(said)
    for host in fleet.hosts:
        run.says(f"  {host.name}  3 workers: signs {host.file().signs}", f"{host.env}: signs {host.file().signs}")
    assert fleet.unchanged() == before


def test_a_restart_that_nothing_says_how_to_do_is_refused_by_a_check_too_before_anything_changes(after: After) -> None:
    fleet = after("adopt")
    del fleet.host_vars["web2"]["app_keys_restart_command"]
    refusal = "the workers have to be restarted, and neither app_keys_service nor app_keys_restart_command is set"
    fleet.run("prepare", "--check").ended(2).says("prepare would open: ").says(f"  web2  would refuse: {refusal}")
    fleet.open("prepare")
    before = fleet.unchanged()
    fleet.visit("--check").ended(2).says(
        "fatal: [web2]", f"{refusal}: set the one that restarts them. Nothing was changed"
    )
    assert fleet.unchanged() == before
    fleet.visit().ended(2).says("fatal: [web2]", f"{refusal}: set the one that restarts them. Nothing was changed")
    assert fleet.unchanged()[1]["web2"] == before[1]["web2"]
