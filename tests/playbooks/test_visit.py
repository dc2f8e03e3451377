# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit that goes wrong ends in a state that the rules allow; the hosts of one fleet have bad luck of different kinds."""

from __future__ import annotations

import json
from typing import Callable, Tuple

import pytest
from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]
BACK = "the previous settings were restored, and the application runs with them"
DOWN = "THE APPLICATION MAY BE DOWN ON THIS HOST"
AGAIN = ". fix what is named here, and run again: the next visit goes on from there"


@pytest.mark.parametrize(("step", "before"), [("prepare", "adopt"), ("promote", "prepare"), ("retire", "promote")])
def test_settings_of_before_come_back_after_a_failed_restart_where_the_step_admits_them(
    after: After, step: str, before: str
) -> None:
    fleet = after(before, ("web1", "web2", "web3"))
    was = [host.file() for host in fleet.hosts]
    fleet.open(step)
    # The old workers of web1 run on, and those of web2 are gone when the restart fails.
    fleet[0].tell("broken", "once")
    fleet[1].tell("deadly", "once")
    pids = fleet[0].pids()
    run = fleet.visit().ended(2)
    run.says("the restart failed, as it was told. " + BACK + AGAIN)
    run.says("the restart failed and left nothing, as it was told. " + BACK)
    for host, its in zip(fleet.hosts[:2], was):
        assert host.has(its.signs, its.accepts)
        assert len(host.pids()) == 3
        assert host.record()["state"] == "unproven"
    assert fleet[0].pids() != pids
    assert run.recap("failed") == {"web1": 1, "web2": 1, "web3": 0}
    assert fleet[2].file() != was[2]
    if step == "promote":
        # The next run finishes both.
        fleet.run(step).ended(0).says("promote: 3 of 3 hosts sign with")
        assert all(host.has(fleet.key("primary"), [fleet.old]) for host in fleet.hosts)


def test_settings_that_are_not_safe_any_more_do_not_come_back(after: After) -> None:
    fleet = after("prepare")
    fleet.open("promote")
    new = fleet.key("primary")
    # Another tool put the env file of before prepare back: old alone, while others may sign with new.
    fleet.write_env(fleet.secret, 0)
    fleet[0].restart()
    fleet[0].tell("deadly", "once")
    run = fleet.visit().ended(2)
    run.says("as it was told. the new env file stays: at this step the previous settings are no longer safe")
    assert fleet[0].has(new, [fleet.old])
    assert fleet[0].pids() == []


def test_a_visit_that_cannot_be_proven_says_what_was_seen(after: After) -> None:
    fleet = after("adopt", ("web1", "web2", "web3", "web4"))
    for name in ("web1", "web2", "web3"):
        fleet.host_vars[name]["app_keys_timeout"] = "1s"
    fleet.open("prepare")
    fleet[0].tell("alone")
    fleet[1].tell("keeps")
    fleet[2].tell("deadly")
    kept = fleet[1].pids()
    run = fleet.visit("--diff").ended(2)
    run.says("failed: no worker runs below pid ", "at the last proof there were some. What to do: see in its log why")
    run.says(f"failed: the restart replaced no process: pids {', '.join(map(str, kept))}, started ", BACK)
    run.says(f"does not accept {fleet.key('staged')}", "a reload gives none a new environment")
    run.says(f"as it was told). no worker lasts: {DOWN}")
    for host in fleet.hosts[:3]:
        assert host.has(fleet.old, [])
        assert host.record()["state"] == "unproven"
    assert (fleet[1].pids(), fleet[2].pids()) == (kept, [])
    # A diff shows fingerprints.
    run.says(f"+{fleet[3].env}: signs {fleet.old}, accepts {fleet.old} {fleet.key('staged')}")
    secrets = [key["secret"] for key in fleet.keyring()["keys"]]
    assert not [secret for secret in secrets if secret in run.text]


def test_no_later_batch_begins_after_a_visit_that_was_not_proven(after: After) -> None:
    fleet = after("adopt", ("web1", "web2", "web3", "web4"))
    fleet.vars["app_keys_serial"] = [2]
    fleet[1].tell("broken", "once")
    before = fleet.unchanged()
    run = fleet.run("prepare").ended(2)
    run.says("prepare stops here: ", " of 4 hosts accept").lists("web2", "the restart command: exit code 1", "fix it")
    assert fleet.unchanged()[1]["web4"] == before[1]["web4"]


def test_a_check_says_what_would_change_and_changes_nothing(after: After) -> None:
    fleet = after("prepare")
    before, records = fleet.unchanged(), [host.record() for host in fleet.hosts]
    new = fleet.key("staged")
    run = fleet.run("rollout", "--check", "--diff").ended(0)
    run.says(f"promote would open: 2 of 2 hosts accept {new} in every worker, and 2 hosts would be visited")
    fleet.open("promote")
    before = (fleet.keyring_path.read_bytes(), before[1])
    run = fleet.visit("--check", "--diff").ended(0)
    assert run.recap("changed") == {"web1": 1, "web2": 1}
    run.says(f"-{fleet[0].env}: signs {fleet.old}, accepts ").says(f"+{fleet[0].env}: signs {new}, accepts ")
    assert fleet.unchanged() == before
    assert [host.record() for host in fleet.hosts] == records


def around(run: Run) -> Tuple[str, ...]:
    """What the task files around the visits said, in their order."""
    lines = [line.strip() for line in run.text.splitlines()]
    return tuple(line[len('"msg": "') : -1] for line in lines if line.startswith('"msg": "') and "drain" in line)


def test_tasks_around_a_visit_run_around_a_change_and_after_it_only_if_it_is_proven(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_before_tasks="drain.yml", app_keys_after_tasks="undrain.yml")
    for name in ("drain", "undrain"):
        task = {"name": name, "ansible.builtin.debug": {"msg": f"{name} {{{{ inventory_hostname }}}}"}}
        (fleet.folder / f"{name}.yml").write_text(json.dumps([task]))
    fleet[1].tell("broken")
    run = fleet.run("prepare").ended(2).says("the host stays drained until a visit proves it")
    assert sorted(around(run)) == ["drain web1", "drain web2", "undrain web1"]
    fleet[1].mend("broken")
    run = fleet.run("prepare").ended(0)
    assert around(run) == ("drain web2", "undrain web2")


def test_tasks_around_a_visit_may_be_given_with_the_playbook_alone(after: After) -> None:
    """The gate reads the inventory; what only the plays are given has to keep a batch from ending early all the same."""
    fleet = after("adopt", ("web1",))
    task = {"name": "drain", "ansible.builtin.debug": {"msg": "drain {{ inventory_hostname }}"}}
    (fleet.folder / "drain.yml").write_text(json.dumps([task]))
    given = {"app_keys_before_tasks": str(fleet.folder / "drain.yml")}
    playbook = fleet.folder / "mine.yml"
    playbook.write_text(json.dumps([{"ansible.builtin.import_playbook": "phased.keys.prepare", "vars": given}]))
    assert around(fleet.run(str(playbook)).ended(0)) == ("drain web1",)
