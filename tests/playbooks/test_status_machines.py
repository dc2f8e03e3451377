# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status for machines: documented results, a strict status, and files for a monitoring from every run."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules.standing import Standing
from canary import Search
from light_fleet import Fleet
from playbook_run import Run

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]


def told(fleet: Fleet, **more: Any) -> Dict[str, Path]:
    """Have a fleet write its files, in the working directory by relative paths."""
    fleet.vars.update(app_keys_status_json="out/shop.json", app_keys_status_prometheus="out/shop.prom")
    fleet.vars.update(more)
    out = fleet.folder / "elsewhere" / "out"
    out.mkdir(exist_ok=True)
    return {"json": out / "shop.json", "prom": out / "shop.prom"}


def unwrapped(run: Run) -> Run:
    """What it printed as one line, for Ansible wraps a warning as it likes."""
    return Run(run.code, " ".join(run.text.split()))


def read(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text())


def test_status_writes_how_the_fleet_stands_in_check_mode_too(after: After) -> None:
    fleet = after("retire")
    files = told(fleet)
    for mode in ([], ["--check"]):
        fleet.run("status", *mode).ended(0)
        found = read(files["json"])
        assert (found["kind"], found["name"], found["ok"], found["why"]) == ("phased.keys/status", "shop", True, [])
        assert (found["phase"], found["step_open"], found["members"], found["members_proven"]) == (
            "retire",
            False,
            2,
            2,
        )
        assert (found["unproven"], found["signing"]) == ([], fleet.key("primary"))
        assert found["looked_at"] is not None
        assert 'phased_keys_ok{name="shop"} 1\n' in files["prom"].read_text()
        for path in files.values():
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
            path.unlink()


def test_a_refusal_is_written_with_what_to_do(after: After) -> None:
    fleet = after("prepare")
    files = told(fleet)
    fleet[1].stop()
    fleet.run("promote", "--check").ended(2)
    assert not files["json"].exists()
    fleet.run("promote").ended(2).says("promote is not safe yet")
    found = read(files["json"])
    assert (found["ok"], found["phase"], found["members_proven"]) == (False, "prepare", 1)
    assert [told["host"] for told in found["unproven"]] == ["web2"]
    assert all(told["seen"] and told["advice"] for told in found["unproven"])
    assert "promote is not safe yet" in found["why"][0]


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_strict_status_that_is_not_well_fails_after_it_has_shown_everything(after: After, strict: str) -> None:
    fleet = after("prepare")
    files = told(fleet)
    run = fleet.run("status", "-e", f"app_keys_strict={strict}").ended(2 if strict == "true" else 0)
    run.says("next: promote is next")
    assert read(files["json"])["why"] == ["promote is next: run phased.keys.rollout, or phased.keys.promote"]
    said = "shop is not well, and app_keys_strict is true: promote is next: run phased.keys.rollout"
    assert (said in run.text) == (strict == "true")


def test_a_strict_status_fails_too_where_a_file_cannot_be_written_and_a_lenient_one_warns(after: After) -> None:
    fleet = after("retire")
    told(fleet, app_keys_status_json="none/shop.json")
    why = ("app_keys_status_json: none/shop.json is not written: No such file or directory (make the folder",)
    unwrapped(fleet.run("status").ended(0)).says("[WARNING]: ", *why)
    run = fleet.run("status", "-e", "app_keys_strict=true").ended(2)
    run.says("shop is not well, and app_keys_strict is true: ", *why).says("next: no rollout is in progress")


def test_a_file_that_cannot_be_written_is_a_warning_to_a_rollout_and_never_its_end(after: After) -> None:
    fleet = after("prepare")
    told(fleet, app_keys_status_json="/proc/version", app_keys_strict="true")
    run = fleet.run("promote").ended(0).says("promote: 2 of 2 hosts sign with")
    unwrapped(run).says("[WARNING]: ", "app_keys_status_json: /proc/version is not written: ")


def test_every_opening_and_every_closing_is_written(after: After) -> None:
    fleet = after("prepare")
    files = told(fleet)
    # While the hosts are visited the file says what the opening wrote.
    seen = f"{fleet.folder}/{{{{ inventory_hostname }}}}.json"
    task = {
        "ansible.builtin.copy": {"src": str(files["json"]), "dest": seen, "mode": "0600"},
        "delegate_to": "localhost",
    }
    (fleet.folder / "before.yml").write_text(json.dumps([task]))
    fleet.run("promote", "-e", "app_keys_before_tasks=before.yml").ended(0)
    opened, closed = read(fleet.folder / "web1.json"), read(files["json"])
    assert (opened["phase"], opened["step_open"], opened["ok"], opened["members_proven"]) == ("promote", True, False, 0)
    assert (closed["phase"], closed["step_open"], closed["ok"], closed["members_proven"]) == ("promote", False, True, 2)
    # Before the second batch the first was counted.
    assert read(fleet.folder / "web2.json")["members_proven"] == 1
    assert closed["due_at"] is not None and len(closed["accepted"]) == 2


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a drain"])
def test_a_visit_that_fails_is_written_though_no_gate_comes_after_it(after: After, waits: bool) -> None:
    fleet = after("prepare")
    (fleet.folder / "before.yml").write_text("[]")
    files = told(fleet, **({"app_keys_before_tasks": "before.yml"} if waits else {}))
    for host in fleet.hosts:
        host.tell("broken")
    run = fleet.run("promote").ended(2)
    assert "close promote" not in run.text
    found = read(files["json"])
    assert (found["ok"], found["phase"], found["step_open"]) == (False, "promote", True)
    assert "web" in found["why"][0] and "restart" in found["why"][0]
    assert {told["host"] for told in found["unproven"]} == {"web1", "web2"}


def test_every_batch_is_written(after: After) -> None:
    fleet = after("prepare")
    files = told(fleet, app_keys_serial=[1])
    # The second visit fails in a task of the user's own, after which nothing of ours runs.
    task = {"ansible.builtin.fail": {"msg": "cannot be drained"}, "when": "inventory_hostname == 'web2'"}
    (fleet.folder / "before.yml").write_text(json.dumps([task]))
    fleet.run("promote", "-e", "app_keys_before_tasks=before.yml").ended(2).says("cannot be drained")
    found = read(files["json"])
    assert (found["ok"], found["step_open"], found["members_proven"]) == (False, True, 1)
    assert [told["host"] for told in found["unproven"]] == ["web2"]


def test_what_a_run_did_not_look_at_is_not_said_to_be_known(after: After) -> None:
    fleet = after("promote")
    files = told(fleet, app_keys_wait="0s")
    fleet.soak("retiring", 1000.0)
    fleet.run("retire").ended(0).says("waiting for the soak")
    found = read(files["json"])
    assert (found["ok"], found["unproven"], found["members_proven"], found["looked_at"]) == (None, None, None, None)
    assert "phased_keys_ok" not in files["prom"].read_text()


def test_a_fleet_without_a_keyring_and_one_with_another_password_are_not_well(after: After) -> None:
    fleet = after("retire")
    files = told(fleet)
    fleet.password.write_text("another\n")
    fleet.run("status").ended(2)
    assert (read(files["json"])["ok"], read(files["json"])["phase"]) == (False, "none")
    fleet.keyring_path.unlink()
    files["json"].unlink()
    fleet.run("rollout").ended(2)
    assert "there is no keyring" in read(files["json"])["why"][0]
    fleet.hosts[0].stop()
    files["json"].unlink()
    fleet.run("adopt").ended(2)
    assert read(files["json"])["why"][0].startswith("the keys of shop cannot be adopted")


def test_a_playbook_of_ones_own_has_it_all_as_a_result(after: After) -> None:
    fleet = after("promote")
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [{"phased.keys.gate": {"do": "fleet", "goal": "status"}, "run_once": True}],
        },
        {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"nonce": "{{ lookup('phased.keys.run', 'nonce') }}"},
            "tasks": [
                {"phased.keys.active_fingerprint": {"nonce": "{{ nonce }}"}},
                {"phased.keys.gate": {"do": "status", "nonce": "{{ nonce }}"}, "register": "fleet", "run_once": True},
                {
                    "ansible.builtin.copy": {"content": "{{ fleet | to_json }}", "dest": str(fleet.folder / "result.json")},
                    "run_once": True,
                    "delegate_to": "localhost",
                },
            ],
        },
    ]  # fmt: skip
    (fleet.folder / "own.yml").write_text(json.dumps(play))
    fleet.run(str(fleet.folder / "own.yml")).ended(0)
    found = read(fleet.folder / "result.json")
    assert set(Standing.__annotations__) <= set(found)
    assert (found["name"], found["phase"], found["signing"]) == ("shop", "promote", fleet.key("primary"))


def test_no_secret_is_in_what_is_written(after: After) -> None:
    fleet = after("prepare")
    told(fleet)
    search = Search([key["secret"] for key in fleet.keyring()["keys"]])
    fleet.run("promote").ended(0)
    fleet.run("status").ended(0)
    out = fleet.folder / "elsewhere" / "out"
    assert search.files(out, set()) == {}
    # That nothing was found says something only of files in which the keys are named, and in which one would be found.
    for path in out.iterdir():
        assert fleet.key("primary") in path.read_text()
        path.write_text(path.read_text() + fleet.keyring()["keys"][0]["secret"])
    assert len(search.files(out, set())) == 2
