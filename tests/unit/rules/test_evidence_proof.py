# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules 2, 6 and 9: the running process is the proof, and both it and the file must be right."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import proof, remedies
from builders import (
    ALIEN,
    DAY,
    FLEET,
    NEW,
    NEXT,
    OLD,
    PATH,
    T0,
    at,
    env_file,
    fleet_of,
    idle,
    opened,
    outsider,
    record,
    seen,
    survey,
    surveyed,
    texts,
    trouble,
    unit,
    worker,
)  # fmt: skip

STEPS = ["adopt", "prepare", "prepared", "promote", "promoted", "retire", "retired"]


def findings(keyring, entry):
    """What is found of web-2, the rest of the fleet being proven."""
    return surveyed(keyring, FLEET, fleet_of(keyring, web_2=entry), survey()).count.findings.get("web-2", [])


def said(keyring, entry):
    return " | ".join(finding.seen for finding in findings(keyring, entry))


@pytest.mark.parametrize(
    "name, keys, proven",
    [
        ("prepare", [OLD, NEW], True), ("prepare", [OLD], False), ("prepare", [NEW, OLD], False), ("prepare", [NEW], False),
        ("promote", [NEW, OLD], True), ("promote", [OLD, NEW], False), ("promote", [NEW], False), ("promote", [OLD], False),
        ("retire", [NEW], True), ("retire", [NEW, OLD], False), ("retire", [OLD, NEW], False),
        ("adopt", [OLD], True), ("adopt", [OLD, NEW], False), ("prepare", [OLD, NEW, NEXT], False), ("retire", [ALIEN], False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["both", "one worker", "all workers", "the file"])
def test_2_every_worker_and_the_file_do_what_the_step_asks_or_the_host_is_not_proven(name, keys, proven, where):
    keyring = at(name)
    entry = seen(keyring)
    if where in ("both", "all workers"):
        entry["workers"] = [worker(101, *keys), worker(102, *keys)]
    if where == "one worker":
        entry["workers"] = [entry["workers"][0], worker(102, *keys)]
    if where in ("both", "the file"):
        entry["files"] = [env_file(*keys)]
    assert (not findings(keyring, entry)) is proven


def test_2_a_stale_worker_is_named_by_its_pid_since_when_it_runs_and_what_it_does():
    keyring = at("prepare")
    stale = worker(3121, OLD, started=T0)
    entry = seen(keyring, workers=[worker(101, OLD, NEW), stale], files=[env_file(OLD, NEW, changed=T0 + 339)])
    assert said(keyring, entry) == (
        f"pid 3121, started 2023-11-14T22:13:20Z, does not accept {NEW}; the env file was written 2023-11-14T22:18:59Z"
    )
    assert (
        findings(keyring, entry)[0].advice
        == "restart shop.service: it reloaded without a new environment, or was not restarted"
    )


def test_2_stale_workers_of_one_kind_are_said_together_with_the_oldest():
    keyring = at("promote")
    entry = seen(
        keyring,
        workers=[
            worker(5, OLD, NEW, started=T0 + 9),
            worker(6, OLD, NEW, started=T0),
            worker(7, NEW, OLD),
            worker(8, OLD),
        ],
    )
    first, second = findings(keyring, entry)
    assert first.seen.startswith(f"pids 5, 6, started 2023-11-14T22:13:20Z, signs with {OLD} and not with {NEW}")
    assert second.seen.startswith("pid 8, ")
    assert f"does not accept {NEW}" in second.seen


@pytest.mark.parametrize(
    "name, keys, expected",
    [
        ("promote", [OLD, NEW], f"signs with {OLD} and not with {NEW}"),
        ("promote", [NEW], f"does not accept {OLD}"),
        ("retire", [NEW, OLD], f"still accepts {OLD}"),
        ("retire", [OLD], f"signs with {OLD} and not with {NEW} and does not accept {NEW} and still accepts {OLD}"),
        ("prepare", [OLD], f"does not accept {NEW}"),
    ],
)
def test_what_is_wrong_is_said_in_fingerprints(name, keys, expected):
    keyring = at(name)
    assert f"{PATH} {expected}" in said(keyring, seen(keyring, files=[env_file(*keys)]))
    assert f", {expected};" in said(keyring, seen(keyring, workers=[worker(9, *keys, started=T0 - 3 * DAY)]))


def test_16_a_worker_that_started_on_a_file_that_says_otherwise_has_its_keys_from_elsewhere():
    keyring = at("prepare")
    young = worker(9, OLD)
    (finding,) = findings(keyring, seen(keyring, workers=[young]))
    assert finding.seen.startswith("pid 9, started 2023-11-13T22:13:20Z, ")
    assert (
        f"does not accept {NEW}, though the env file that it started on says otherwise; the env file was"
        in finding.seen
    )
    assert finding.advice.startswith("restart shop.service; if that does not help, something else gives it its keys")
    # A place that the unit itself names is the first to look at.
    places = [{"setting": "SECRET_KEY", "source": "Environment= in /etc/x.conf", "wins": False}]
    (finding,) = findings(keyring, seen(keyring, workers=[young], units=[unit(sources=places)]))
    assert finding.advice.endswith("take out what may give it other keys: SECRET_KEY from Environment= in /etc/x.conf")


@pytest.mark.parametrize(
    "what, workers, files",
    [
        ("its main process is older than the file", [worker(8, OLD, NEW, started=T0 - 3 * DAY), worker(9, OLD, parent=8)], None),
        ("it is as old as the file", [worker(9, OLD, started=T0 - 2 * DAY)], None),
        ("the file says the same", [worker(9, OLD)], [env_file(OLD)]),
        ("one of the files says the same", [worker(9, OLD)], [env_file(OLD, NEW), env_file(OLD, path="/etc/queue.env")]),
        ("a file of several is younger", [worker(9, OLD)], [env_file(OLD, NEW), env_file(OLD, NEW, path="/b", changed=T0)]),
        ("nobody knows what the file says", [worker(9, OLD)], [env_file(problem="broken")]),
        ("there is no file", [worker(9, OLD)], [env_file(problem="absent", changed=None)]),
    ],
)  # fmt: skip
def test_16_any_other_worker_has_not_been_restarted(what, workers, files):
    keyring = at("prepare")
    entry = seen(keyring, workers=workers, **({"files": files} if files else {}))
    (finding,) = [finding for finding in findings(keyring, entry) if finding.seen.startswith("pid 9,")]
    assert "says otherwise" not in finding.seen, what
    assert finding.advice == f"restart shop.service: {remedies.STALE}"


def test_16_a_key_that_nobody_knows_and_that_no_file_gave_is_still_asked_about():
    keyring = at("prepare")
    (finding,) = findings(keyring, seen(keyring, workers=[worker(9, ALIEN)]))
    assert f"signs with {ALIEN}, which is not in the keyring, though the env file" in finding.seen
    assert remedies.UNKNOWN.format(key=ALIEN) in finding.advice and "something else gives it its keys" in finding.advice


OVER = [
    {"setting": "SECRET_KEY", "source": "/etc/local.env (EnvironmentFile= in /etc/x.conf)", "wins": True},
    {"setting": "SECRET_KEY_FALLBACKS", "source": "Environment= in /etc/x.conf", "wins": False},
]


@pytest.mark.parametrize("name", STEPS)
def test_16_what_wins_over_the_env_files_is_found_before_a_step_opens_though_all_workers_are_right_today(name):
    keyring = at(name)
    (finding,) = findings(keyring, seen(keyring, units=[unit(), unit(name="queue.service", sources=OVER)]))
    assert finding.seen == (
        f"queue.service takes SECRET_KEY from /etc/local.env (EnvironmentFile= in /etc/x.conf), which wins over {PATH}"
    )
    assert "take the setting out there" in finding.advice and "daemon-reload" in finding.advice
    assert findings(keyring, seen(keyring, units=[unit(sources=OVER[1:])])) == [], "what loses is nobody's business"


def test_12_what_wins_does_not_hold_up_who_takes_a_rollout_back():
    keyring = opened(at("promoted"), "rollback", T0)
    assert findings(keyring, seen(keyring, units=[unit(sources=OVER)])) == []


@pytest.mark.parametrize(
    "kind, do",
    [
        ("unreadable", "run with become (-b)"),
        ("overwritten", "set app_keys_proof: process_age"),
        ("overwritten", "set SPT_NOENV=1"),
        ("undated", "run phased.keys.rollout"),
        ("ageless", "app_keys_proof: environ"),
        ("container", "create the container anew"),
        ("doubtful", "remove the pid file"),
        ("absent", "see that the application gets its keys from app_keys_env_file"),
        ("empty", "see that the application gets its keys from app_keys_env_file"),
        ("not_a_list", "correct app_keys_settings.separator"),
        ("stale", "restart shop.service"),
    ],
)
@pytest.mark.parametrize("name", STEPS)
def test_2_a_worker_whose_keys_cannot_be_seen_is_not_proven(name, kind, do):
    keyring = at(name)
    entry = seen(keyring, workers=[worker(101, *seen(keyring)["files"][0]["accepts"]), worker(102, problem=kind)])
    (finding,) = findings(keyring, entry)
    assert "pid 102" in finding.seen
    assert f"gunicorn: worker: the text for {kind}" in finding.seen
    assert do in finding.advice


def test_what_keeps_an_environment_readable_is_advised_first_and_its_age_last():
    keyring = at("promote")
    (finding,) = findings(keyring, seen(keyring, workers=[worker(101, problem="overwritten")]))
    assert finding.advice.index("SPT_NOENV") < finding.advice.index("process_age")


def test_16_an_environment_that_contradicts_an_age_counts_and_is_named():
    keyring = at("promote")
    odd = {**worker(102, OLD, NEW), "by": "environ"}
    young = {**worker(101, NEW, OLD), "by": "process_age"}
    (finding,) = findings(keyring, seen(keyring, workers=[young, odd], proof="process_age"))
    assert (
        f"pid 102, started 2023-11-13T22:13:20Z, signs with {OLD} and not with {NEW}: so its environment says"
        in finding.seen
    )
    assert "app_keys_proof process_age overrules no environment" in finding.seen
    assert "environment= of supervisord" in finding.advice
    # Where its environment is what was asked for nothing is overruled: its age tells whether a restart is enough.
    (finding,) = findings(keyring, seen(keyring, workers=[odd]))
    assert "overrules" not in finding.seen and "though the env file that it started on says otherwise" in finding.seen
    assert finding.advice == f"restart shop.service; if that does not help, {remedies.ELSEWHERE}"
    (finding,) = findings(keyring, seen(keyring, workers=[odd], files=[env_file(NEW, OLD, changed=T0)]))
    assert "overrules" not in finding.seen and "says otherwise" not in finding.seen
    assert finding.advice == f"restart shop.service: {remedies.STALE}"


@pytest.mark.parametrize("kind", ["absent", "empty", "not_a_list", "twice", "not_literal", "broken"])
def test_2_a_file_that_cannot_be_read_is_not_proven(kind):
    keyring = at("promote")
    assert said(keyring, seen(keyring, files=[env_file(problem=kind)])) == f"{PATH}: the text for {kind}"


def test_2_each_of_several_files_has_to_be_right():
    keyring = at("promote")
    entry = seen(keyring, files=[env_file(NEW, OLD), env_file(OLD, NEW, path="/etc/queue.env")])
    assert said(keyring, entry).startswith("/etc/queue.env signs with")


# --- processes that nobody named ---------------------------------------------


def test_2_a_process_outside_the_named_ones_that_holds_a_key_is_named_and_the_host_is_not_proven():
    keyring = at("promote")
    (finding,) = findings(keyring, seen(keyring, others=[outsider(900, OLD)]))
    assert (
        finding.seen
        == f"pid 900, started 2023-11-14T22:13:20Z, (celery worker) holds {OLD} and is not among app_keys_processes"
    )
    assert "name it in app_keys_processes" in finding.advice


def test_2_each_outsider_is_named():
    keyring = at("promote")
    assert len(findings(keyring, seen(keyring, others=[outsider(900), outsider(901, None)]))) == 2


def test_processes_of_one_command_that_hold_one_key_are_one_line():
    keyring = at("promote")
    alike = [outsider(pid, OLD) for pid in (900, 901, 902, 903, 904, 905)]
    first, second = findings(keyring, seen(keyring, others=[*alike, {**outsider(906, OLD), "command": "cron"}]))
    assert first.seen == (
        f"pids 900, 901 and 4 more, started 2023-11-14T22:13:20Z, (celery worker) hold {OLD} and are not among app_keys_processes"
    )
    assert "name them in app_keys_processes" in first.advice
    assert second.seen.startswith("pid 906, started 2023-11-14T22:13:20Z, (cron) holds")


@pytest.mark.parametrize(
    "number, said",
    [
        (1, "pid 1, "),
        (2, "pids 1, 2, "),
        (3, "pids 1, 2, 3, "),
        (4, "pids 1, 2 and 2 more, "),
        (99, "pids 1, 2 and 97 more, "),
    ],
)
def test_many_workers_are_named_by_the_first_and_counted(number, said):
    keyring = at("promote")
    (finding,) = findings(keyring, seen(keyring, workers=[worker(pid, OLD) for pid in range(1, number + 1)]))
    assert finding.seen.startswith(f"{said}started ")


def two_on_one_machine(keyring, **others):
    """web-1 and web-2 are two applications' hosts on one machine; each sees the other's worker as an outsider."""
    evidence = fleet_of(keyring)
    evidence["web-1"] = seen(
        keyring, workers=[worker(1, *evidence["web-1"]["files"][0]["accepts"])], others=[outsider(2, NEW)]
    )
    evidence["web-2"] = seen(
        keyring, workers=[worker(2, *evidence["web-1"]["files"][0]["accepts"])], others=[outsider(1, NEW)]
    )
    for member, changes in others.items():
        evidence[member.replace("_", "-")].update(changes)
    return surveyed(keyring, FLEET, evidence, survey()).count


def test_2_members_on_one_machine_do_not_accuse_each_other():
    assert two_on_one_machine(at("promote")).complete


@pytest.mark.parametrize(
    "what, changes",
    [
        ("another machine", {"machine": "boot-9/1"}),
        ("another process with that pid", {"workers": [{**worker(2, NEW, OLD), "ticks": 21}]}),
        ("another pid", {"workers": [worker(3, NEW, OLD)]}),
    ],
)
def test_2_only_a_worker_that_another_member_answers_for_is_no_outsider(what, changes):
    result = two_on_one_machine(at("promote"), web_2=changes)
    assert "pid 2, " in texts(result.findings, "web-1")[0]


def test_2_a_worker_that_another_member_answers_for_still_has_to_be_right():
    result = two_on_one_machine(at("promote"), web_2={"workers": [worker(2, OLD, NEW)]})
    assert list(result.findings) == ["web-2"]


# --- unknown keys ------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"files": [env_file(ALIEN)]}, {"workers": [worker(7, ALIEN)]}])
def test_6_a_key_that_the_keyring_does_not_know_is_named_and_does_not_point_to_adopt(changes):
    keyring = at("promote")
    (finding,) = findings(keyring, seen(keyring, **changes))
    assert f"{ALIEN}, which is not in the keyring" in finding.seen
    assert f"app_keys_replace={ALIEN}" in finding.advice
    assert "put the keyring's key back there" in finding.advice and "adopt" not in finding.advice


@pytest.mark.parametrize("changes", [{"files": [env_file(NEW, OLD, ALIEN)]}, {"workers": [worker(7, NEW, OLD, ALIEN)]}])
def test_6_an_unknown_key_among_the_accepted_ones_is_named_as_unknown_too(changes):
    keyring = at("promote")
    (finding,) = findings(keyring, seen(keyring, **changes))
    assert ALIEN in finding.seen
    assert f"app_keys_replace={ALIEN}" in finding.advice


# --- how the application runs ------------------------------------------------


@pytest.mark.parametrize("name", STEPS)
def test_9_an_idle_host_is_proven_on_disk(name):
    keyring = at(name)
    assert findings(keyring, idle(keyring)) == []
    assert findings(keyring, idle(keyring, units=[])) == []
    assert findings(keyring, idle(keyring, files=[env_file(ALIEN)])) != []


def test_9_a_service_that_a_socket_starts_may_rest_after_it_has_run():
    keyring = at("promote")
    lazy = {**unit("inactive", sub="dead"), "on_demand": True}
    assert findings(keyring, seen(keyring, workers=[], units=[lazy])) == []
    assert findings(keyring, seen(keyring, workers=[], units=[lazy], files=[env_file(OLD)])) != []
    # All that does not run has to be started by something.
    down = "no worker runs, and at the last visit there were 2"
    assert said(keyring, seen(keyring, workers=[], units=[lazy, unit("inactive", name="queue.service")])) == down
    assert said(keyring, seen(keyring, workers=[], units=[{**lazy, "on_demand": False}])) == down


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"workers": [], "units": [unit("inactive")]}, "no worker runs, and at the last visit there were 2"),
        ({"workers": [], "units": []}, "no worker runs, and at the last visit there were 2"),
        ({"workers": [], "units": [unit("active")]}, "shop.service is active and has no process"),
        ({"workers": [], "units": [unit("failed", sub="failed")]}, "shop.service is failed (failed)"),
        ({"units": [unit("activating", sub="auto-restart")]}, "shop.service is activating (auto-restart)"),
        ({"units": [unit("deactivating", sub="stop-sigterm")]}, "shop.service is deactivating (stop-sigterm)"),
        ({"units": [unit("reloading", sub="reload")]}, "shop.service is reloading (reload)"),
        ({"units": [unit(), unit("failed", name="queue.service", sub="failed")]}, "queue.service is failed (failed)"),
        ({"units": [unit("inactive", load="not-found")]}, "shop.service is not-found"),
        ({"units": [unit("inactive", load="bad-setting")]}, "shop.service is bad-setting"),
        ({"settled": False}, "the workers changed between two looks (a unit restarted)"),
    ],
)  # fmt: skip
def test_9_a_host_that_does_not_run_steadily_is_not_proven(changes, expected):
    keyring = at("promote")
    assert said(keyring, seen(keyring, **changes)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"units": []},
        {"units": [unit(), unit("inactive", name="batch.service")]},
        {"workers": [worker(1, NEW, OLD)]},
    ],
)
def test_9_a_host_that_runs_steadily_is_proven(changes):
    keyring = at("promote")
    assert findings(keyring, seen(keyring, **changes)) == []


def test_9_an_idle_host_whose_unit_does_not_exist_is_not_proven():
    keyring = at("promote")
    assert said(keyring, idle(keyring, units=[unit("inactive", load="not-found")])) == "shop.service is not-found"


def test_9_an_idle_host_with_an_active_unit_is_not_idle():
    keyring = at("promote")
    assert "is active and has no process" in said(keyring, idle(keyring, units=[unit("active")]))


def test_everything_that_is_wrong_with_a_host_is_said_at_once():
    keyring = at("promote")
    entry = seen(
        keyring, files=[env_file(OLD, NEW)], workers=[worker(5, OLD)], units=[unit("reloading")], others=[outsider()]
    )
    assert len(findings(keyring, entry)) == 4


def test_a_host_with_an_application_that_nothing_restarts_is_told_to_restart_it():
    keyring = at("promote")
    assert findings(keyring, seen(keyring, workers=[worker(5, OLD)], restart=None))[0].advice.startswith(
        "restart the application"
    )


def test_13_no_finding_holds_more_than_fingerprints_of_a_key():
    keyring = at("promote")
    entry = seen(
        keyring,
        files=[env_file(ALIEN)],
        workers=[worker(5, problem="empty")],
        others=[outsider()],
        record=record(keyring),
    )
    assert "not-a-secret" not in repr(findings(keyring, entry))
    assert trouble("empty")["text"] in repr(findings(keyring, entry))


# --- what active_fingerprint is asked to expect ------------------------------


@pytest.mark.parametrize(
    "expect, changes, expected",
    [
        ({}, {}, []),
        ({"signs": NEW, "accepts": [OLD, NEW]}, {}, []),
        ({"signs": OLD}, {"workers": [worker(5, NEW, OLD)]}, [f"pid 5 signs with {NEW} and not with {OLD}"]),
        ({"accepts": [NEXT]}, {"workers": [worker(5, NEW, OLD)]}, [f"pid 5 does not accept {NEXT}"]),
        ({"signs": NEW}, {"workers": []}, ["no worker runs"]),
        ({}, {"workers": []}, ["no worker runs"]),
        ({}, {"workers": [worker(5, problem="unreadable")]}, ["pid 5: the text for unreadable"]),
        ({}, {"settled": False}, ["the workers changed between two looks (a unit restarted)"]),
        ({"accepts": None}, {}, []),
    ],
)
def test_workers_are_held_against_what_a_person_expects(expect, changes, expected):
    assert proof.expected(seen(at("promote"), **changes), expect) == expected
