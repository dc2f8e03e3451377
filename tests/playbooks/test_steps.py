# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rollout one step at a time, what is refused because it is not its turn, and what a second run does."""

from __future__ import annotations

import shlex
from typing import Callable

import pytest
from light_fleet import OTHER_LINES, Fleet
from walk import Walk

After = Callable[..., Fleet]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("adopt", "have their record and hold the keys of the keyring; no rollout is in progress"),
        ("prepare", "every worker; promote is next: run phased.keys.rollout, or phased.keys.promote"),
        ("promote", "in every worker; retire is due in"),
        ("retire", "in every worker; no rollout is in progress"),
    ],
)
def test_each_step_ends_with_a_count_of_the_fleet_and_says_what_is_next(walk: Walk, step: str, said: str) -> None:
    walk.runs[step].ended(0).says(f"{step}: 2 of 2 hosts ", said)


def test_every_host_signs_and_accepts_what_its_step_says(after: After) -> None:
    for step, signs, accepts, gone in (
        ("adopt", "primary", [], []),
        ("prepare", "primary", ["staged"], []),
        ("promote", "primary", ["retiring"], []),
        ("retire", "primary", [], ["retired"]),
    ):
        fleet = after(step)
        assert sorted(fleet.states().values()) == sorted([signs, *accepts, *gone])
        assert all(host.has(fleet.key(signs), [fleet.key(state) for state in accepts]) for host in fleet.hosts)
        assert all((host.record()["step"], host.record()["state"]) == (step, "proven") for host in fleet.hosts)
        assert (fleet.key("primary") == fleet.old) == (step in ("adopt", "prepare"))


def test_a_whole_rollout_leaves_one_new_key_and_destroys_the_old_secret(after: After) -> None:
    fleet = after("retire")
    old, new = fleet.keyring()["keys"]
    assert (old["fingerprint"], old["state"], old["secret"]) == (fleet.old, "retired", None)
    assert (new["state"], new["origin"]) == ("primary", "generated")


def test_only_our_settings_change_in_the_env_file(after: After) -> None:
    for step in ("prepare", "promote", "retire"):
        for host in after(step).hosts:
            assert host.env.read_text().startswith(OTHER_LINES + "SECRET_KEY=")
            assert len(host.env.read_text().splitlines()) == len(OTHER_LINES.splitlines()) + 2
            assert host.env.stat().st_mode & 0o777 == 0o640


def test_the_journal_tells_every_step_and_that_the_application_was_trusted(after: After) -> None:
    keyring = after("retire").keyring()
    events = [entry["event"] for entry in keyring["journal"]]
    for step in ("prepare", "promote", "retire"):
        assert events.index(f"{step} opened") < events.index(f"{step} closed: all 2 members are proven")
    assert keyring["app_check"]["how"] == "trust"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("promote after adopt", "promote is not possible: no key is staged: run phased.keys.prepare first"),
        (
            "retire after prepare",
            "retire is not possible: a staged key is not promoted yet: run phased.keys.promote first",
        ),
        ("prepare after prepare", "prepare: done, every member was proven at"),
        ("prepare after adopt --check", "prepare would open: 2 of 2 hosts"),
    ],
)
def test_a_step_out_of_turn_changes_nothing_and_says_why(after: After, wrong: str, said: str) -> None:
    playbook, _after, step, *more = wrong.split()
    fleet = after(step)
    before = fleet.unchanged()
    run = fleet.run(playbook, *more).ended(2 if "is not possible" in said else 0).says(said)
    assert set(run.recap("changed").values()) == {0}
    assert fleet.unchanged() == before


def test_a_second_rollout_finds_nothing_to_do_unless_a_new_one_is_asked_for(after: After) -> None:
    fleet = after("retire")
    before = fleet.unchanged()
    run = fleet.run("rollout").ended(0).says("prepare: nothing to do: the last rollout ended at", "app_keys_new=true")
    assert set(run.recap("changed").values()) == {0}
    assert fleet.unchanged() == before
    fleet.run("rollout", "-e", "app_keys_new=true", "--check").ended(0).says("prepare would open: 2 of 2 hosts")
    assert fleet.unchanged() == before


@pytest.mark.parametrize(("soak", "surveys"), [("0s", 1), ("1s", 2)])
def test_a_key_without_a_soak_is_let_go_of_without_another_survey(after: After, soak: str, surveys: int) -> None:
    """The visits that promoted have shown all that is asked; after a real soak the hosts are asked again."""
    fleet = after("adopt", ("web1",))
    fleet.vars.update(app_keys_soak=soak)
    run = fleet.run("rollout").ended(0).says("retire: 1 of 1 host", "have let go of", "no rollout is in progress")
    assert run.text.count("TASK [Bring what was seen to the gate]") == surveys


@pytest.mark.parametrize("comes_back", [True, False])
def test_20_a_first_host_that_does_not_run_steadily_stops_the_rollout_there(after: After, comes_back: bool) -> None:
    """It is proven in two looks, and gone some seconds later: a crash loop with a longer period than app_keys_settle."""
    fleet = after("prepare", ("web1", "web2", "web3"))
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[1, "100%"], app_keys_bake="4s")
    again = f"rm -f then; {shlex.join(fleet[0].restart_command)}" if comes_back else "kill $(cat pid)"
    fleet[0].tell("then", f"(sleep 2; {again}) >/dev/null 2>&1 &")
    new, before = fleet.key("staged"), fleet.unchanged()
    run = fleet.run("promote").ended(2)
    run.says("promote: web1 has to run steadily first: looked at again in", "(app_keys_bake)")
    run.says("promote stops here").lists("web1", "is gone since its visit, and pid" if comes_back else "no worker runs")
    assert fleet[0].file().signs == new
    for host in fleet.hosts[1:]:
        assert fleet.unchanged()[1][host.name] == before[1][host.name]


def test_20_a_first_host_that_runs_steadily_is_waited_for_once_in_a_step(after: After) -> None:
    fleet = after("prepare", ("web1", "web2", "web3"))
    fleet.vars.update(app_keys_soak="1h", app_keys_serial=[1], app_keys_bake="2s")
    run = fleet.run("promote").ended(0)
    assert run.text.count("has to run steadily first") == 1
    run.says("promote: 3 of 3 hosts sign with")
    # What restarts nothing is not waited for.
    fleet.run("rollout").ended(0)
    assert "steadily" not in fleet.run("promote").text
