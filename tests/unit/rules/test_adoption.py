# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fleet can be taken over as it stands, and with which keys."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules import adoption
from builders import (
    FLEET,
    NEW,
    NEXT,
    NONCE,
    OLD,
    at,
    env_file,
    fleet_of,
    idle,
    outsider,
    record,
    seen,
    survey,
    texts,
    unit,
    worker,
)

RING = at("adopted")


def host(*keys, **changes):
    return seen(RING, *(keys or (OLD,)), **{"record": None, **changes})


def nothing(**changes):
    """A fresh host: no file, no worker."""
    return idle(RING, **{"record": None, "files": [env_file(changed=None, problem="absent")], **changes})


def judge(fleet=FLEET, look=None, default=None, **odd):
    evidence = {member: host(machine=member) if default is None else default() for member in fleet}
    for member, entry in odd.items():
        evidence[member.replace("_", "-")] = entry
    return adoption.judge(
        fleet, {member: entry for member, entry in evidence.items() if entry is not None}, look or survey()
    )


def test_a_fleet_that_agrees_is_adopted_with_its_key():
    assert judge() == ([OLD], "web-1", {})


@pytest.mark.parametrize(
    "keys, expected",
    [
        ([OLD], [OLD]),
        ([OLD, NEW], [OLD, NEW]),
        ([NEW, OLD], [NEW, OLD]),
        ([OLD, NEW, NEXT], [OLD, *sorted([NEW, NEXT])]),
    ],
)
def test_the_signing_key_comes_first_and_accepted_ones_come_along(keys, expected):
    assert judge(default=lambda: host(*keys)).fingerprints == expected


def test_the_order_in_which_hosts_list_what_they_accept_does_not_matter():
    assert judge(default=lambda: host(OLD, NEW, NEXT), web_2=host(OLD, NEXT, NEW)).findings == {}


def test_a_fleet_without_any_key_gets_a_fresh_one():
    assert judge(default=nothing) == ([], None, {})


def test_a_fresh_host_among_others_takes_their_key_and_is_not_asked_for_it():
    assert judge(web_1=nothing()) == ([OLD], "web-2", {})


def test_an_idle_host_with_a_file_is_as_good():
    assert judge(default=lambda: idle(RING, record=None)) == ([OLD], "web-1", {})


def test_1_a_fleet_of_no_hosts_is_an_error():
    assert adoption.judge([], {}, survey()).findings


@pytest.mark.parametrize(
    "entry, said",
    [
        (None, "was not looked at"),
        (host(nonce="survey-0"), "the evidence is of another survey"),
        (host(asked=1.0), "the evidence is 16m 49s old, and 5m is the limit"),
        (host(visit=77), "a visit is in flight (pid 77)"),
    ],
)
def test_1_unknown_is_unsafe_at_adopt_too(entry, said):
    plan = judge(web_2=entry)
    assert texts(plan.findings) == [said]
    assert (plan.fingerprints, plan.source) == ([], None)


@pytest.mark.parametrize("state", ["proven", "visiting", "unproven"])
def test_4_a_host_that_was_rolled_with_a_keyring_is_not_adopted_into_another(state):
    (finding,) = judge(web_2=host(record=record(RING, state=state))).findings["web-2"]
    assert finding.seen == "was rolled with the keyring ring-1, last at 2023-11-14T22:13:20Z"
    assert "use that keyring" in finding.do


@pytest.mark.parametrize(
    "entry, said",
    [
        (host(NEW), f"signs with {NEW}"),
        (host(OLD, NEW), f"signs with {OLD} and accepts {NEW}"),
        (host(OLD, files=[env_file(NEW)]), f"signs with {NEW}"),
        (host(OLD, workers=[worker(1, OLD), worker(2, NEW)]), f"signs with {NEW}"),
    ],
)
def test_a_fleet_that_does_not_agree_is_refused_host_by_host(entry, said):
    plan = judge(web_2=entry)
    assert set(plan.findings) == set(FLEET)
    assert said in texts(plan.findings)[0]
    assert texts(plan.findings, "web-1") == [f"signs with {OLD}"]
    assert plan.fingerprints == []


def test_one_host_whose_worker_and_file_differ_is_refused():
    plan = judge(("web-1",), web_1=host(OLD, files=[env_file(NEW)]))
    assert set(texts(plan.findings, "web-1")[0].split("; ")) == {f"signs with {OLD}", f"signs with {NEW}"}


@pytest.mark.parametrize("kind", ["unreadable", "overwritten", "absent", "empty", "not_a_list", "stale"])
def test_2_a_worker_whose_keys_cannot_be_seen_keeps_its_host_from_being_adopted(kind):
    assert texts(judge(web_2=host(workers=[worker(9, problem=kind)])).findings) == [f"pid 9: the text for {kind}"]


@pytest.mark.parametrize("kind", ["absent", "empty", "not_a_list", "twice", "not_literal", "broken"])
def test_a_running_host_whose_file_cannot_be_read_is_not_adopted(kind):
    assert texts(judge(web_2=host(files=[env_file(problem=kind)])).findings) == [f"/etc/shop.env: the text for {kind}"]


@pytest.mark.parametrize("kind", ["empty", "not_a_list", "twice"])
def test_a_fresh_host_with_a_file_that_cannot_be_read_is_not_adopted(kind):
    assert texts(judge(web_2=nothing(files=[env_file(problem=kind)])).findings) == [
        f"/etc/shop.env: the text for {kind}"
    ]


def test_2_a_process_that_nobody_named_keeps_its_host_from_being_adopted():
    assert "(celery worker) holds" in texts(judge(web_2=host(others=[outsider()])).findings)[0]


def test_2_members_on_one_machine_do_not_accuse_each_other():
    one = host(workers=[worker(1, OLD)], others=[outsider(2)])
    two = host(workers=[worker(2, OLD)], others=[outsider(1)])
    assert judge(web_1=one, web_2=two).findings == {}
    assert list(judge(web_1=one, web_2={**two, "machine": "boot-9/1"}).findings) == ["web-1", "web-2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"settled": False},
        {"units": [unit("activating", sub="auto-restart")]},
        {"units": [unit("inactive", load="not-found")], "workers": []},
    ],
)
def test_9_a_host_that_does_not_run_steadily_is_not_adopted(changes):
    assert list(judge(web_2=host(**changes)).findings) == ["web-2"]


@pytest.mark.parametrize(
    "checks, bad",
    [
        ({member: {"ok": True, "text": ""} for member in FLEET}, []),
        ({"web-1": {"ok": True, "text": ""}, "web-3": {"ok": True, "text": ""}}, ["web-2"]),
        (
            {"web-1": {"ok": True, "text": ""}, "web-2": None, "web-3": {"ok": False, "text": "exit 1"}},
            ["web-2", "web-3"],
        ),
        ({}, list(FLEET)),
    ],
)
def test_2_the_application_check_has_to_pass_on_every_member(checks, bad):
    assert list(adoption.check_findings(FLEET, checks)) == bad


def test_2_a_failed_application_check_says_what_it_said():
    (finding,) = adoption.check_findings(
        ["web-1"], {"web-1": {"ok": False, "text": "SECRET_KEY_FALLBACKS is not read"}}
    )["web-1"]
    assert finding.seen == "the application check failed: SECRET_KEY_FALLBACKS is not read"


def test_2_without_an_application_check_its_ways_are_said():
    assert all(word in adoption.CHECK for word in ("app_keys_app_check", "python", "manage", "trust"))


def test_the_fleet_of_these_tests_is_whole():
    assert set(fleet_of(RING)) == set(FLEET)
    assert seen(RING)["nonce"] == NONCE
