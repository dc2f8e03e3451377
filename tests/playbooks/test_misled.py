# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What misled those who used it for the first time, and what they are told now."""

from __future__ import annotations

import json
from typing import Callable

import pytest
from light_fleet import Fleet
from playbook_run import Run

After = Callable[..., Fleet]
NEW = ("-e", "app_keys_new=true")


def compromised(key: str) -> tuple[str, ...]:
    return ("--check", "-e", f"app_keys_compromised={key}", "-e", "app_keys_soak=14d")


def test_a_text_that_ansible_has_cut_off_is_refused_and_shown(after: After) -> None:
    fleet = after("adopt")
    fleet.down(1)
    fleet[1].stop()
    before = fleet.unchanged()
    waive = ["-e", "app_keys_waive=web2", "-e", "app_keys_waive_for=1h"]
    run = fleet.run("rollout", *waive, "-e", "app_keys_waive_reason=disk failed, out of rotation").ended(2)
    run.says(
        "'failed, out of rotation' of the command line would be lost", '-e \'{"app_keys_waive_reason": "disk failed"}\''
    )
    assert fleet.unchanged() == before
    fleet.run("rollout", *waive, "-e", json.dumps({"app_keys_waive_reason": "disk failed, out of rotation"})).ended(0)
    (entry,) = [entry for entry in fleet.keyring()["journal"] if "reason" in entry]
    assert entry["reason"] == "disk failed, out of rotation"


def test_a_host_that_is_down_has_the_whole_command_that_sets_it_aside(after: After) -> None:
    fleet = after("adopt")
    fleet.down(1)
    advice = '-e app_keys_waive=web2 -e app_keys_waive_for=3d -e \'{"app_keys_waive_reason": "WHY"}\''
    run = fleet.run("prepare").ended(2).lists("web2", advice)
    assert "with another WHY" not in run.text


def test_a_refused_new_rollout_is_not_titled_by_the_step_that_is_over(after: After) -> None:
    fleet = after("retire")
    fleet.down(1)
    fleet[1].stop()
    closed = fleet.keyring()["step"]["closed"]
    before = fleet.unchanged()
    for playbook, head in (("rollout", "nothing new can begin"), ("prepare", "prepare is not safe yet")):
        fleet.run(playbook, *NEW).ended(2).says(f"{head}: after retire, which closed at {closed}, 1 of 2 hosts have")
    assert fleet.unchanged() == before


def test_who_is_outside_the_limit_is_told_to_leave_that_out(after: After) -> None:
    after("adopt").run("prepare", "--limit", "web1").ended(2).lists("web2", "outside --limit", "without --limit")


def test_a_file_that_a_visit_writes_is_nothing_to_be_fixed_by_hand(after: After) -> None:
    fleet = after("retire")
    fleet[1].env.unlink()
    fleet.run("prepare").ended(2).lists("web2", "no such file", "run phased.keys.rollout, which visits the host")
    fleet.run("rollout").ended(0)
    assert fleet[1].has(fleet.key("primary"), [])


@pytest.mark.parametrize("step", ["retire", "promote", "prepare"])
def test_a_check_of_an_emergency_says_that_the_leaked_key_does_not_wait(after: After, step: str) -> None:
    fleet = after(step)
    if step == "promote":
        fleet.soak("retiring", 36000)
    leaked = fleet.key("primary")
    run: Run = fleet.run("rollout", *compromised(leaked)).ended(0)
    run.says(f"retire lets go of {leaked} at once, without a soak: it is compromised")
    if step == "promote":
        # What waits is another key, and it is named.
        run.says(f"retire: waiting for the soak of {fleet.key('retiring')}: ")


def test_a_host_that_two_applications_claim_is_refused_whichever_is_asked_for(after: After) -> None:
    fleet = after("retire")
    fleet.write_inventory()
    inventory = json.loads(fleet.inventory.read_text())
    crm = {"app_keys_name": "crm", "app_keys_env_file": "/nowhere/crm.env"}
    inventory["crm"] = {"hosts": {"web1": {}, "web2": {}}, "vars": crm}
    fleet.write_inventory = lambda: fleet.inventory.write_text(json.dumps(inventory))  # type: ignore[method-assign]
    before = fleet.unchanged()
    for playbook in ("rollout", "adopt", "status"):
        for pattern in ("crm", "shop", "all"):
            run = fleet.run(playbook, "-e", f"app_keys_hosts={pattern}").ended(2)
            run.says("web1 gets app_keys_name from the group crm (crm) and the group shop (shop): Ansible takes shop")
    assert fleet.unchanged() == before
    # From a file beside the inventory it is the same.
    inventory["crm"].pop("vars")
    (fleet.folder / "group_vars").mkdir()
    (fleet.folder / "group_vars" / "crm.json").write_text(json.dumps(crm))
    fleet.run("status").ended(2).says("the group crm (crm) and the group shop (shop)")
    # A group below another speaks in its place, and a host for itself.
    inventory["shop"]["children"] = {"crm": inventory.pop("crm")}
    (fleet.folder / "group_vars" / "crm.json").write_text(json.dumps({"app_keys_name": "shop"}))
    inventory["shop"]["vars"]["app_keys_name"] = "other"
    fleet.run("status").ended(0).says("shop: retire closed at")


def test_a_check_ends_with_an_error_where_the_run_would_stop_at_a_visit(after: After) -> None:
    fleet = after("adopt")
    del fleet.host_vars["web2"]["app_keys_restart_command"]
    before = fleet.unchanged()
    for playbook in ("prepare", "rollout"):
        run = fleet.run(playbook, "--check").ended(2).says("prepare would open: ").says("  web2  would refuse: ")
        run.says("The run would stop at the visit of web2: do first what is said there. Nothing was changed")
    assert fleet.unchanged() == before


def test_what_a_host_says_of_itself_is_no_text_that_was_cut_off(after: After) -> None:
    fleet = after("retire")
    (fleet.folder / "cache").mkdir()
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(fleet.folder / "cache")}
    facts = {"_raw_params": "forged"}
    for name, body in {"web1": facts, "s1_web1": {"__payload__": json.dumps(facts)}}.items():
        (fleet.folder / "cache" / name).write_text(json.dumps(body))  # before ansible-core 2.19, and since
    fleet.run("status", **cache).ended(0).says("web1", "3 workers")
