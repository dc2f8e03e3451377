# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole visits, in this process and with a real application: the way out, and what is left alone."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers, visit
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from visited import ALIEN, NEW, NEXT, OLD, PREPARE, PROMOTE, SECRET, Host, holds, order

NOTHING = {"written": [], "restarted": False, "restored": False, "down": False, "took": 0.0}


def test_2_a_visit_writes_restarts_proves_and_records(host: Host) -> None:
    host.proven(OLD, NEW)
    old, before = host.pids(), host.record()
    answer = host.visit()
    assert (answer["proven"], answer["changed"], answer["needed"]) == (True, True, True)
    assert "msg" not in answer and "failed" not in answer
    assert answer["did"].pop("took") > 0
    assert answer["did"] == {"written": [str(host.env)], "restarted": True, "restored": False, "down": False}
    assert holds(answer) == [[NEW, OLD]] * 4
    assert host.env.read_text() == f"A=1\nSECRET_KEY={SECRET[NEW]}\nSECRET_KEY_FALLBACKS={SECRET[OLD]}\nZ='2 3'\n"
    assert not set(old) & set(host.pids()) and len(host.pids()) == 3
    record = host.record()
    assert answer["evidence"]["record"] == record
    assert (record["state"], record["counter"], record["nonce"], record["step"]) == ("proven", 3, "n3", "promote")
    assert (record["signs"], record["workers"], record["pools"]) == (NEW, 3, [1])
    assert record["stopped"] == {**before["stopped"], OLD: answer["evidence"]["now"]}
    assert record["files"] == {str(host.env): answer["evidence"]["files"][0]["identity"]}
    assert answer["evidence"]["visit"] is None and answer["evidence"]["nonce"] == "survey-1"
    assert answer["diff"] == {
        "before": f"{host.env}: signs {OLD}, accepts {OLD} {NEW}\n",
        "after": f"{host.env}: signs {NEW}, accepts {NEW} {OLD}\n",
    }


@pytest.mark.parametrize("replace", [None, [ALIEN]])
def test_a_visit_is_asked_for_by_a_modules_parameters(host: Host, replace: Any) -> None:
    host.proven(OLD, NEW)
    host.write(*([OLD, ALIEN] if replace else [OLD, NEW]))
    params = {
        **host.variables, "order": PROMOTE._asdict(), "token": {"keyring": "ring-1", "counter": 3, "nonce": "n3"}, "step": "promote",
        "nonce": "asked", "converge": True, "replace": replace, "secrets": SECRET, "vouched": False,
    }  # fmt: skip
    answer = answers.answer("env_keys", params, True)
    assert (answer["proven"], answer["changed"], answer["evidence"]["nonce"]) == (True, True, "asked")
    answer = answers.answer("env_keys", params, False)
    assert answer["proven"] and holds(answer) == [[NEW, OLD]] * 4
    assert (host.record()["counter"], host.record()["step"]) == (3, "promote")


def test_9_the_two_looks_of_a_proof_are_settle_apart(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.proven(OLD, NEW)
    host.variables["settle"] = "0.7s"
    real, times = visit.look_once, []

    def looked(*arguments: Any) -> Any:
        times.append(time.monotonic())
        return real(*arguments)

    monkeypatch.setattr(visit, "look_once", looked)
    answer = host.visit()
    assert answer["proven"] and times[-1] - times[-2] >= 0.7
    assert answer["did"]["took"] >= 0.7


def test_11_the_record_says_whose_it_is_and_a_copy_of_it_is_no_record(host: Host) -> None:
    host.variables["host"] = "web1"
    host.proven(OLD, NEW)
    assert host.record()["member"] == "web1" and "joining" not in host.visit(vouched=False, check=True)
    host.variables["host"] = "web2"
    assert host.visit(vouched=False, check=True)["joining"]


def test_8_the_next_visit_finds_nothing_to_do(host: Host) -> None:
    host.proven(OLD, NEW)
    host.visit()
    pids, text = host.pids(), host.file()
    answer = host.visit()
    assert (answer["proven"], answer["changed"], answer["needed"]) == (True, False, False)
    assert answer["did"] == NOTHING
    assert (host.pids(), host.file(), host.restarts()) == (pids, text, 1)
    assert answer["evidence"]["visit"] is None, "its own lock is nobody else's visit"
    assert answer["diff"]["before"] == answer["diff"]["after"] == f"{host.env}: signs {NEW}, accepts {NEW} {OLD}\n"


@pytest.mark.parametrize("state", ["proven", "visiting", "unproven"])
def test_4_a_recorded_host_that_is_right_already_is_recorded_anew_by_the_steps_own_visit_alone(
    host: Host, state: str
) -> None:
    host.proven(NEW, OLD)
    (host.state / "shop.json").write_text(json.dumps({**host.record(), "state": state}))
    kept = (host.state / "shop.json").read_text()
    answer = host.visit(converge=False)
    assert answer["proven"] and answer["did"] == NOTHING
    assert (host.state / "shop.json").read_text() == kept
    assert host.visit()["proven"]
    assert (host.record()["state"], host.record()["counter"], host.record()["pools"]) == ("proven", 3, [1])


@pytest.mark.parametrize("converge", [False, True])
def test_4_a_host_without_a_record_that_is_right_already_is_given_one_by_a_deploy_too(
    host: Host, converge: bool
) -> None:
    host.goes(NEW, OLD)
    pids, text = host.pids(), host.file()
    assert host.visit(converge=converge, check=True)["proven"] and host.record() == {}
    answer = host.visit(converge=converge)
    assert (answer["proven"], answer["changed"], answer["did"]) == (True, False, NOTHING)
    record = host.record()
    assert answer["evidence"]["record"] == record
    assert (record["state"], record["counter"], record["nonce"], record["signs"]) == ("proven", 3, "n3", NEW)
    assert (record["workers"], record["pools"]) == (3, [1])
    assert (host.pids(), host.file(), host.restarts()) == (pids, text, 0)
    # From now on it fences off what is late.
    assert "has seen step 3" in host.visit(converge=converge, counter=2)["msg"]


def test_4_the_record_that_a_deploy_gives_says_what_the_host_signs_with(host: Host) -> None:
    host.goes(OLD, NEW)
    assert host.visit(converge=False)["proven"] and host.record()["signs"] == OLD


def test_8_a_visit_that_was_cut_off_is_finished_and_says_so(host: Host) -> None:
    host.proven(OLD, NEW)
    host.then("exit 3")
    host.visit()
    assert host.record()["state"] == "unproven"
    host.mend()
    host.goes(NEW, OLD)
    answer = host.visit()
    assert (answer["changed"], answer["needed"], answer["proven"]) == (False, True, True)
    assert host.record()["state"] == "proven"


def test_8_a_file_that_is_right_and_workers_that_are_not_take_a_restart_alone(host: Host) -> None:
    host.proven(OLD, NEW)
    host.write(NEW, OLD)
    answer = host.visit()
    assert (answer["did"]["written"], answer["did"]["restarted"], answer["proven"]) == ([], True, True)


def test_8_workers_that_are_right_and_a_file_that_is_not_take_no_restart(host: Host) -> None:
    host.proven(NEW, OLD)
    host.write(OLD, NEW)
    answer = host.visit()
    assert answer["did"] == {**NOTHING, "written": [str(host.env)]}
    assert answer["proven"] and host.restarts() == 0


@pytest.mark.parametrize(
    ("keys", "changed"), [((OLD, NEW), False), ((NEW, OLD), False), ((OLD,), True), ((NEXT, OLD), True)]
)
def test_5_a_deploy_changes_only_what_is_not_admissible(host: Host, keys: Any, changed: bool) -> None:
    host.proven(*keys)
    record = host.record()
    answer = host.visit(converge=False)
    assert (answer["proven"], answer["changed"]) == (True, changed)
    assert holds(answer)[0] == [NEW, OLD] if changed else host.record() == record


def test_5_the_record_of_a_deploy_says_what_the_host_signs_with_now(host: Host) -> None:
    host.proven(OLD, NEW)
    os.kill(host.pids()[0], 9)
    # The file is admissible as it is, and the workers are not: they are only restarted.
    host.write(OLD)
    host.start()
    host.write(OLD, NEW)
    answer = host.visit(converge=False)
    assert answer["proven"] and answer["did"]["restarted"] and not answer["did"]["written"]
    assert host.record()["signs"] == OLD


@pytest.mark.parametrize(("keys", "writes", "restarts"), [((OLD, NEW), True, True), ((NEW, OLD), False, False)])
def test_1_a_check_says_what_would_be_done_and_does_nothing(
    host: Host, keys: Any, writes: bool, restarts: bool
) -> None:
    host.proven(*keys)
    text, record, pids = host.file(), host.record(), host.pids()
    answer = host.visit(check=True)
    assert answer["did"] == {**NOTHING, "written": [str(host.env)] * writes, "restarted": restarts}
    assert (answer["changed"], answer["proven"]) == (writes or restarts, True)
    assert "failed" not in answer
    assert (host.file(), host.record(), host.pids()) == (text, record, pids)
    assert answer["diff"]["after"] == f"{host.env}: signs {NEW}, accepts {NEW} {OLD}\n"


def test_1_a_check_refuses_what_the_visit_would_refuse(host: Host) -> None:
    host.proven(OLD, NEW, counter=9)
    answer = host.visit(check=True)
    assert answer["failed"] and "has seen step 9" in answer["msg"] and answer["did"] == NOTHING
    host.write(ALIEN)
    assert ALIEN in host.visit(check=True, counter=9)["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_11_a_host_without_a_record_is_left_alone_until_somebody_has_vouched(host: Host, check: bool) -> None:
    host.goes(OLD, NEW)
    pids, text = host.pids(), host.env.read_text()
    answer = host.visit(check=check, vouched=False)
    assert answer["joining"] and (answer["changed"], answer["needed"], answer["proven"]) == (False, True, False)
    assert "failed" not in answer
    assert (host.pids(), host.env.read_text(), host.record()) == (pids, text, {})
    # Where nothing would have to change too.
    host.goes(NEW, OLD)
    assert host.visit(check=check, vouched=False)["joining"]
    assert "joining" not in host.visit(check=check)


def test_11_a_host_with_a_record_needs_nobody(host: Host) -> None:
    host.proven(OLD, NEW)
    assert host.visit(vouched=False)["proven"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"counter": 1}, "has seen step 2 (prepare"),
        ({"token": ("ring-1", 2, "other")}, "step 2 was opened twice"),
        ({"token": ("ring-2", 3, "n3")}, "was rolled with another keyring (ring-1"),
    ],
)
def test_4_a_visit_that_is_late_or_of_another_keyring_changes_nothing(
    host: Host, changes: Dict[str, Any], said: str
) -> None:
    host.proven(OLD, NEW)
    if "token" in changes:
        changes = {
            "token": host.request().token._replace(**dict(zip(("keyring", "counter", "nonce"), changes["token"])))
        }
    text, record, pids = host.file(), host.record(), host.pids()
    answer = host.visit(**changes)
    assert answer["failed"] and not answer["proven"] and not answer["changed"]
    assert said in answer["msg"] and answer["msg"].endswith("Nothing was changed")
    assert (host.file(), host.record(), host.pids()) == (text, record, pids)


def test_6_a_key_that_the_keyring_does_not_know_is_named_and_left_alone(host: Host) -> None:
    host.proven(OLD, NEW)
    host.write(OLD, ALIEN)
    text, record, pids = host.file(), host.record(), host.pids()
    answer = host.visit()
    assert answer["failed"] and ALIEN in answer["msg"] and "Nothing was changed" in answer["msg"]
    assert (host.file(), host.record(), host.pids()) == (text, record, pids)
    answer = host.visit(replace=[ALIEN])
    assert answer["proven"] and holds(answer) == [[NEW, OLD]] * 4


def test_7_a_new_file_gets_the_owner_group_and_mode_that_were_asked_for(host: Host) -> None:
    host.variables.update(env_mode="0640", env_owner=str(os.getuid()), env_group=str(os.getgid()))
    answer = host.visit()
    assert answer["proven"] and answer["evidence"]["workers"] == []
    assert stat.S_IMODE(os.stat(host.env).st_mode) == 0o640
    host.variables["env_group"] = "no-such-group-here"
    host.write(OLD, NEW)
    answer = host.visit()
    assert "there is no group 'no-such-group-here'" in answer["msg"] and answer["did"] == NOTHING
    host.variables.update(env_group=None, env_owner="no-such-user-here")
    assert "there is no user 'no-such-user-here'" in host.visit()["msg"]


def test_9_an_idle_host_is_written_without_a_restart_and_at_once(host: Host) -> None:
    host.variables["settle"] = "30s"
    host.write(OLD, NEW)
    answer = host.visit()
    assert answer["proven"] and answer["did"] == {**NOTHING, "written": [str(host.env)]}
    assert holds(answer) == [[NEW, OLD]] and host.restarts() == 0
    assert (host.record()["workers"], host.record()["pools"]) == (0, None)


def test_9_a_host_that_is_down_is_not_changed(host: Host) -> None:
    host.proven(OLD, NEW)
    host.end()
    text = host.file()
    answer = host.visit()
    assert answer["failed"] and "no worker runs, and at the last visit there were 3" in answer["msg"]
    assert "A host is not changed while it is down" in answer["msg"] and host.file() == text


def test_14_a_host_that_is_down_is_changed_where_it_is_urgent_and_holds_up_nobody(host: Host) -> None:
    host.proven(OLD, NEW)
    host.end()
    incident = PROMOTE._replace(incident=True)
    host.then("stop; exit 3")
    answer = host.visit(incident)
    assert answer["failed"] is False and not answer["proven"] and answer["did"]["down"] is False
    assert "the new env file stays: the application did not run with the previous settings" in answer["msg"]
    assert "nothing of the application runs, as before" in answer["msg"]
    assert host.env.read_text().count(SECRET[NEW]) == 1
    host.mend()
    answer = host.visit(incident)
    assert answer["proven"] and answer["did"]["restarted"] and holds(answer) == [[NEW, OLD]] * 4


def test_14_a_host_that_runs_and_cannot_be_proven_fails_in_an_emergency_too(host: Host) -> None:
    host.proven(OLD, NEW)
    host.then("exit 3")
    assert host.visit(PROMOTE._replace(incident=True))["failed"] is True


def test_several_env_files_are_written_in_one_visit(host: Host) -> None:
    second = host.folder / "queue.env"
    host.variables["env_file"] = [str(host.env), str(second)]
    host.write(OLD, NEW, path=second)
    host.proven(OLD, NEW)
    assert set(host.record()["files"]) == {str(host.env), str(second)}
    answer = host.visit()
    assert answer["proven"] and answer["did"]["written"] == [str(host.env), str(second)]
    assert second.read_text() == host.env.read_text()
    host.write(OLD, NEW, path=second)
    answer = host.visit()
    assert answer["proven"] and answer["did"] == {**NOTHING, "written": [str(second)]}


def test_a_look_that_is_refused_by_the_world_is_an_error_in_words(host: Host) -> None:
    (host.folder / "pid").write_text("rubbish\n")
    host.write(OLD, NEW)
    with pytest.raises(Unusable, match="should hold a pid"):
        host.visit()


def test_5_a_step_of_one_key_leaves_an_empty_list(host: Host) -> None:
    host.proven(NEW, OLD)
    answer = host.visit(order(NEW, admits=[(NEW, OLD)]))
    assert holds(answer) == [[NEW]] * 4
    assert "SECRET_KEY_FALLBACKS=\n" in host.env.read_text()
    assert PREPARE.signs == OLD
