# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Promote is refused while one member is not proven: nothing changes, and the member is named with what was seen."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any, Callable, Dict

import procs
import pytest
from light_fleet import Fleet
from playbook_run import Run
from walk import Walk

After = Callable[..., Fleet]
NOTHING = "Nothing was changed: no step was opened, and every host keeps the keys that it has."


def refused(fleet: Fleet, *arguments: str, **more: str) -> Run:
    """Run promote, and see that it is refused and changes nothing."""
    before = fleet.unchanged()
    run = fleet.run("promote", *arguments, **more).ended(2).says(NOTHING)
    assert fleet.unchanged() == before
    return run


@pytest.fixture(scope="module")
def sick(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Any]:
    """What promote says of a fleet in which each host has another ill."""
    fleet = Fleet(tmp_path_factory.mktemp("sick") / "fleet", ("web1", "web2", "web3", "web4"))
    try:
        fleet.take(walk.places["prepare"])
        # One worker of web1 was started again with the previous settings prepare.
        fleet[0].tell("stale", f"SECRET_KEY='{fleet.secret}' SECRET_KEY_FALLBACKS=")
        fleet[0].restart()
        (stale,) = [pid for pid in fleet[0].pids() if len(fleet[0].given(pid).accepts) == 1]
        # Beside web2's workers somebody runs who was given the key.
        environment = {"SECRET_KEY": fleet.secret, procs.FLEET_MARK: str(fleet.folder)}
        outsider = subprocess.Popen(["/bin/sleep", "300"], env=environment)
        try:
            fleet[2].stop()
            return {"stale": stale, "outsider": outsider.pid, "run": refused(fleet), "old": fleet.old}
        finally:
            outsider.kill()
            outsider.wait()
    finally:
        fleet.end()


def test_a_worker_that_keeps_its_old_environment_is_named_by_its_pid(sick: Dict[str, Any]) -> None:
    sick["run"].lists("web1", f"pid {sick['stale']}, started ", "does not accept", "-> restart the application")
    # It was started after the file was written, so a restart alone may not help.
    sick["run"].lists(
        "web1", "though the env file that it started on says otherwise", "something else gives it its keys"
    )


def test_a_process_outside_the_named_ones_that_holds_a_key_is_named(sick: Dict[str, Any]) -> None:
    # On one machine every host sees it, and it is said once.
    sick["run"].lists("web1, web2 and 2 more", f"pid {sick['outsider']}, started ", "holds", sick["old"])
    sick["run"].lists("web1, web2 and 2 more", "name it in app_keys_processes")
    assert sick["run"].text.count(f"pid {sick['outsider']}, ") == 1


def test_a_host_that_was_stopped_is_named_with_what_ran_there_before(sick: Dict[str, Any]) -> None:
    sick["run"].lists("web3", "no worker runs, and at the last visit there were 3 -> start the application")


def test_promote_waits_for_a_stopped_host_and_goes_on_when_it_is_back(after: After) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[1])
    fleet[1].stop()
    run = refused(fleet).says("promote is not safe yet: 1 of 2 hosts accept")
    run.lists("web2", "no worker runs, and at the last visit there were 3 -> start the application")
    # Half of the fleet is not the fleet, however well it is.
    refused(fleet, "--limit", "web1").lists("web2", "is outside --limit, and was not looked at")
    fleet[1].restart()
    staged = fleet.key("staged")
    run = fleet.run("rollout").ended(0)
    run.says(f"promote: 2 of 2 hosts sign with {staged} in every worker; retire is due in 1h")
    assert all(host.has(staged, [fleet.old]) for host in fleet.hosts)
    assert len(fleet.states()) == 2


def test_promote_is_refused_while_a_host_is_unreachable_whatever_facts_were_cached(after: After) -> None:
    fleet = after("prepare")
    fleet.over_ssh()
    cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(fleet.folder / "cache")}
    facts = {"ANSIBLE_GATHERING": "implicit", **cache}
    # What a cache of yesterday might say.
    (fleet.folder / "cache").mkdir()
    forged = {"__app_keys_look": {"evidence": {"asked": 1e9}}, "__app_keys_visit": {"evidence": {"asked": 1e9}}}
    for name, body in {"web2": forged, "s1_web2": {"__payload__": json.dumps(forged)}}.items():
        (fleet.folder / "cache" / name).write_text(json.dumps(body))  # before ansible-core 2.19, and since
    fleet[1].tell("down")
    refused(fleet, **facts).lists("web2", "its facts hold __app_keys_look, __app_keys_visit", "--flush-cache")
    # `free` would do what stands once in a play once for each host.
    refused(fleet, ANSIBLE_STRATEGY="free").lists("web2", "unreachable", "Connection refused")


def test_no_later_batch_begins_when_a_host_of_an_earlier_one_is_lost(after: After) -> None:
    # web1 alone, then two, then the last.
    fleet = after("prepare", ("web1", "web2", "web3", "web4"))
    fleet.over_ssh()
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[2])
    # web2 is there for the survey, and gone once the gate has written the keyring.
    shutil.copy(fleet.keyring_path, fleet[1].folder / "down-after")
    before, new = fleet.unchanged(), fleet.key("staged")
    run = fleet.run("rollout").ended(-1).says("promote is open: 4 of 4 hosts accept")
    run.says("promote stops here: ").lists("web2", "unreachable", "Connection refused").says(
        "No further host is visited."
    )
    assert (
        "a visit that has begun" not in run.text.partition("promote stops here: ")[2]
    )  # the table has a column for that
    assert fleet.key("primary") == new
    assert fleet[0].has(new, [fleet.old])
    assert fleet[2].has(new, [fleet.old])
    for host in (fleet[1], fleet[3]):
        assert fleet.unchanged()[1][host.name] == before[1][host.name]


def test_a_host_that_is_lost_between_survey_and_batch_ends_the_run_there(after: After) -> None:
    fleet = after("prepare", ("web1", "web2", "web3"))
    fleet.over_ssh()
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[1])
    fleet[0].tell("then", "touch ../web2/down")
    new, old = fleet.key("staged"), fleet.old
    # Ansible itself ends the run: no gate says anything after this.
    run = fleet.run("promote").ended(-1).says("fatal: [web2]: UNREACHABLE!")
    run.says("see that Ansible reaches web2, and run phased.keys.rollout again")
    assert [host.has(new, [old]) for host in fleet.hosts] == [True, False, False]
    assert [host.has(old, [new]) for host in fleet.hosts] == [False, True, True]
