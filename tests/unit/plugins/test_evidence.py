# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the results of a run the gate takes as a member's evidence: the newest, and none of a host that was lost since."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.action import env_keys, gate
from ansible_collections.phased.keys.plugins.lookup import run
from ansible_collections.phased.keys.plugins.module_utils._host import limit
from ansible_collections.phased.keys.plugins.plugin_utils import _gate_action
from ansible_collections.phased.keys.plugins.plugin_utils import _run_folder as run_folder
from ansible_collections.phased.keys.plugins.plugin_utils._fleet_action import FleetAction, unreachable
from ansible_collections.phased.keys.plugins.plugin_utils._inventory import FleetError


def seen(asked: float) -> Dict[str, Any]:
    """What is kept of a call that brought evidence back."""
    return {"asked": asked, "evidence": {"asked": asked}}


def lost(asked: float) -> Dict[str, Any]:
    """What is kept of a call that did not reach the host."""
    return {"asked": asked, "unreachable": True, "msg": "ssh: connection refused"}


@pytest.mark.parametrize(
    "results, expected",
    [
        ({}, {}),
        ({"look": seen(10)}, {"web1": 10}),
        ({"look": seen(10), "visit": seen(20)}, {"web1": 20}),
        ({"look": seen(20), "visit": seen(10)}, {"web1": 20}),
        ({"look": seen(10), "visit": lost(20)}, {}),
        ({"look": lost(20), "visit": seen(10)}, {}),
        ({"look": seen(20), "visit": lost(10)}, {"web1": 20}),
        ({"look": seen(10), "visit": {"asked": 20.0, "failed": True, "msg": "its answer cannot be read"}}, {}),
        ({"look": seen(10), "visit": {**seen(20), "failed": True}}, {"web1": 20}),
    ],
)  # fmt: skip
def test_1_what_came_last_of_a_host_is_its_evidence_if_it_is_evidence(
    results: Dict[str, Any], expected: Dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_folder.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    for kind, said in results.items():
        run_folder.keep("n1", kind, "web1", said)
        # Of another run, and of a call without one.
        run_folder.keep("n2", kind, "web2", said)
        run_folder.keep("", kind, "web2", said)
    action = object.__new__(gate.ActionModule)
    action._task = SimpleNamespace(args={"nonce": "n1"})
    action.fleet = SimpleNamespace(members=["web1", "web2"], refused={})
    assert {member: found["asked"] for member, found in action.evidence().items()} == expected
    action.fleet = SimpleNamespace(members=["web1", "web2"], refused={"web1": "its facts hold app_keys_name"})
    assert action.evidence() == {}


def test_the_run_folder_keeps_each_host_apart_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_folder.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    names = ["web1", "../web1", "web1~", "a.json", "a.json.1", ".", "a b", "web1.example.com", "[::1]", "é"]
    for name in names:
        run_folder.keep("n1", run_folder.LOOK, name, {"asked": 1.0, "msg": name})
    # A write that was cut off.
    (tmp_path / "phased.keys" / "n1" / "look.web1.json.12345").write_text('{"asked": 2')
    assert {host: said["msg"] for host, said in run_folder.read("n1")["look"].items()} == {name: name for name in names}
    assert run_folder.one("n1", run_folder.VISIT, "web1") is None
    assert (tmp_path / "phased.keys" / "n1").stat().st_mode & 0o777 == 0o700


PREFACE = 'Task failed: Data could not be sent to remote host "10.0.0.3". Make sure this host can be reached over ssh: '
REFUSED = "ssh: connect to host 10.0.0.3 port 22: Connection refused\r\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (PREFACE + REFUSED, "ssh: connect to host 10.0.0.3 port 22: Connection refused"),
        (PREFACE + "OpenSSH_9.2p1\r\ndebug1: Connecting\r\n" + REFUSED, REFUSED.strip()),
        ("Failed to connect to the host via ssh: ops@web3: Permission denied (publickey).", "ops@web3: Permission denied (publickey)"),
        (
            PREFACE + "ssh: connect to host jump port 22: No route to host\r\nConnection closed by UNKNOWN port 65535\r\n",
            "ssh: connect to host jump port 22: No route to host",
        ),
        (PREFACE + "@@@@\n@ WARNING @\n@@@@\nIt is possible that\nHost key verification failed.\n", "Host key verification failed"),
        ("Task failed: timed out", "timed out"),
    ],
)  # fmt: skip
def test_an_unreachable_host_is_told_in_what_ssh_said(said: str, words: str) -> None:
    assert unreachable(said) == f"unreachable ({words})"
    assert unreachable("") == "unreachable"


def test_what_comes_before_a_visit_does_not_take_the_evidence_of_the_last_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_folder.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    run_folder.keep("n1", run_folder.VISIT, "web1", seen(10))
    run_folder.begin({"looks": {"web1": ["web2"]}})
    action = object.__new__(env_keys.ActionModule)
    action._task = SimpleNamespace(args={"nonce": "n1", "wait_for": ["looks"]})
    said = action.answer({"inventory_hostname": "web1"})
    action.keep({"inventory_hostname": "web1"}, said)
    assert said == {"changed": False, "waits_for": "looks"}
    assert run_folder.one("n1", run_folder.VISIT, "web1") == seen(10)
    # Whoever does not take the looks is not let in.
    action._task = SimpleNamespace(args={"nonce": "n1"})
    with pytest.raises(FleetError, match="web1 is not visited before"):
        action.answer({"inventory_hostname": "web1"})


def test_who_waits_is_told_until_a_visit_of_his_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By what the visits said, and not by what a gate foretold: a host may lose its record in between."""
    monkeypatch.setattr(run_folder.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    run_folder.begin({"nonce": "n1", "members": ["web1", "web2"]})
    action = object.__new__(env_keys.ActionModule)
    action._task = SimpleNamespace(args={"nonce": "n1"}, check_mode=False)
    batch = {"inventory_hostname": "web1", "ansible_play_batch": ["web1", "web2"]}
    web2 = {**batch, "inventory_hostname": "web2", "ansible_play_hosts": ["web1", "web2"]}

    def waiting() -> Any:
        return run.LookupModule().run(["waiting"], variables=batch)

    assert waiting() == []
    action.keep(web2, {"changed": False, "waits_for": "drain"})
    assert waiting() == ["web2"]
    assert run_folder.read("n1") == {"look": {}, "visit": {}}, "it is no evidence"
    action.keep(web2, {"changed": True, "proven": True})
    assert waiting() == [] and "web2" in run_folder.read("n1")["visit"]


@pytest.mark.parametrize(
    ("said", "absent"),
    [
        ({"failed": True, "msg": "its folder is root's"}, "its folder is root's -> fix what is said there, then run again on the whole fleet"),
        ({"failed": True, "msg": "an old Python -> set another"}, "an old Python -> set another"),
        ({"unreachable": True, "msg": "over ssh: ssh: refused -> wait"}, "unreachable (ssh: refused)"),
    ],
)  # fmt: skip
def test_a_host_that_answered_is_not_said_to_be_out_of_reach(said: Dict[str, Any], absent: str) -> None:
    play = {"fleet": SimpleNamespace(refused={}), "in_play": {"web1"}, "left_in_play": {"web1"}}
    action: Any = SimpleNamespace(**play, last=lambda host: said)
    assert FleetAction.absent(action, "web1") == absent


@pytest.mark.parametrize("given, limit", [(None, 500.0), (60.0, 60.0)])
def test_what_was_seen_counts_for_longer_where_a_look_at_all_takes_long(
    given: Any, limit: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_folder.C, "DEFAULT_LOCAL_TMP", str(tmp_path))
    now = [1000.0]
    monkeypatch.setattr(_gate_action, "boot_time", lambda: now[0])
    monkeypatch.setattr(_gate_action.keyrings, "order", lambda keyring: SimpleNamespace(known=[]))
    said: List[str] = []
    action = object.__new__(gate.ActionModule)
    action._task = SimpleNamespace(args={"nonce": "n1"})
    action.fleet = SimpleNamespace(members=["web1", "web2"], refused={}, values={"evidence_max_age": given})
    action.task_vars = {"ansible_play_hosts_all": [], "ansible_play_hosts": []}
    monkeypatch.setattr(action, "say", said.append)
    run_folder.begin({"nonce": "n1"})
    action.asking_for_a_look({})
    now[0] += 200.0
    action.see_whether_looked()
    assert action.looks().conditions.max_age == limit
    # The next questions are asked without a look.
    now[0] += 1000.0
    action.see_whether_looked()
    assert action.looks().conditions.max_age == limit
    expected = "looking at all 2 hosts took 3m 20s, so what was seen counts for 8m 20s (app_keys_evidence_max_age)"
    assert said == ([] if given else [expected])


@pytest.mark.parametrize(
    "given, parts, expected",
    [
        ({"timeout": "40s", "settle": "2s"}, limit.VISIT_PARTS, 3 * 42 + 30),
        ({"timeout": "40s", "settle": "2s"}, limit.look_parts({}), 42 + 30),
        ({}, limit.look_parts({"expect": {"state": "proven"}, "app_check": "trust", "packages": None}), 3 * 62 + 30),
    ],
)
def test_a_host_may_take_as_long_as_all_of_its_parts_may_wait(
    given: Dict[str, Any], parts: int, expected: float
) -> None:
    assert object.__new__(env_keys.ActionModule).limit(given, parts) == expected
