# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads: a refusal is the product's most important sentence, and no text holds a secret."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import wording
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Count
from builders import (
    CLOSED,
    DAY,
    FLEET,
    NEW,
    OLD,
    OPENED,
    SECRETS,
    SOAK,
    T0,
    adopt,
    at,
    counting,
    env_file,
    fleet_of,
    idle,
    record,
    seen,
    survey,
    surveyed,
    worker,
)  # fmt: skip

NOTHING = Count(["web-1", "web-2"], {})


def count_of(keyring, **odd):
    evidence = fleet_of(keyring, **odd)
    return surveyed(keyring, FLEET, evidence, survey(web_2="unreachable (ssh: connection refused)")).count, evidence


@pytest.mark.parametrize(
    "name, count, said",
    [
        ("prepare", Count(["a"] * 118, {"b": [], "c": []}), f"118 of 120 hosts accept {NEW} in every worker"),
        ("promote", Count(["a"], {}), f"1 of 1 host sign with {NEW} in every worker"),
        ("retire", Count([], {"b": [], "c": []}), f"0 of 2 hosts have let go of {OLD} in every worker"),
        ("adopt", NOTHING, "2 of 2 hosts have their record and hold the keys of the keyring"),
    ],
)
def test_a_count_says_how_many_of_how_many_do_what(name, count, said):
    assert wording.counted(counting(at(name), count)) == said


def test_a_count_names_every_key_that_was_let_go_of():
    keyring = at("retire")
    keyring["step"]["lets_go"] = [OLD, NEW]
    assert wording.counted(counting(keyring, NOTHING)) == f"2 of 2 hosts have let go of {OLD}, {NEW} in every worker"


def test_every_step_has_its_words():
    assert set(wording.DOES) == {"adopt", "prepare", "promote", "retire", "rollback", "withdraw"}


def test_a_refusal_names_the_step_counts_the_members_lists_the_others_and_says_what_to_do():
    keyring = at("prepare")
    stale = seen(keyring, workers=[worker(3121, OLD, started=T0)], files=[env_file(OLD, NEW, changed=T0 + 339)])
    count, _evidence = count_of(keyring, web_2=None, web_3=stale)
    text = wording.refusal(counting(keyring, count), "promote is not safe yet", count.findings, "Nothing was changed.")
    lines = text.splitlines()
    assert lines[0] == f"promote is not safe yet: 1 of 3 hosts accept {NEW} in every worker"
    assert lines[1].startswith("  web-2  unreachable (ssh: connection refused)")
    assert "-> see that Ansible reaches it" in lines[1]
    assert lines[-1] == "Nothing was changed."
    assert "web-1" not in text
    squeezed = " ".join(text.split())
    assert "pid 3121, started 2023-11-14T22:13:20Z," in squeezed
    assert "-> restart shop.service" in squeezed


@pytest.mark.parametrize(
    "findings, expected",
    [
        ({}, []),
        ({"web-1": []}, []),
        ({"web-1": [Finding("seen", "do")]}, ["  web-1  seen" + " " * 48 + " -> do"]),
        (
            {"a": [Finding("one", "do"), Finding("two", "do")], "bbb": [Finding("x", "y")]},
            ["  a    one" + " " * 49 + " -> do", "       two" + " " * 49 + " -> do", "  bbb  x" + " " * 51 + " -> y"],
        ),
        (
            {"web-1": [Finding("long " * 14, "do")]},
            ["  web-1  " + ("long " * 10).ljust(52) + " -> do", "         " + ("long " * 4).ljust(52) + "   "],
        ),
    ],
)  # fmt: skip
def test_findings_stand_in_three_columns(findings, expected):
    assert wording.table(findings) == [line.rstrip() for line in expected]


def of(machine):
    return Finding("pid 900 (cron) holds a key", "end it", machine)


@pytest.mark.parametrize(
    "findings, rows",
    [
        ({"a": [of("m1")], "b": [of("m1")]}, [("a, b", [of("m1")])]),
        # Two machines may well have a process of one number each.
        ({"a": [of("m1")], "b": [of("m2")]}, [("a", [of("m1")]), ("b", [of("m2")])]),
        # What is of a member itself is said of each, however alike: every member in the way is named.
        ({"a": [of("")], "b": [of("")]}, [("a", [of("")]), ("b", [of("")])]),
        ({name: [of("m1")] for name in "abcde"}, [("a, b and 3 more", [of("m1")])]),
        (
            {"a": [Finding("down", "start it"), of("m1")], "b": [of("m1")], "c": [Finding("down", "start it")]},
            [("a", [Finding("down", "start it")]), ("a, b", [of("m1")]), ("c", [Finding("down", "start it")])],
        ),
    ],
)
def test_what_all_members_on_one_machine_see_is_one_row(findings, rows):
    assert wording.together(findings) == rows


def test_a_row_of_several_members_is_as_wide_as_their_names():
    lines = wording.table({"a": [of("m1")], "b": [of("m1")], "c": [Finding("seen", "do")]})
    assert [line[:8] for line in lines] == ["  a, b  ", "  c     "]


def test_a_fingerprint_is_never_broken_between_two_lines():
    words = "-".join(["0123456789abcdef"] * 2)
    lines = wording.table({"web-1": [Finding(f"{'x' * 40} {words}", f"{'y' * 40} {words}")]})
    assert sum(words in line for line in lines) == 1
    assert lines[1].count(words) == 2


def test_the_status_says_who_signs_with_what_and_what_is_next():
    keyring = at("promoted")
    count, evidence = count_of(keyring, web_2=None)
    lines = wording.status(counting(keyring, count, evidence, CLOSED["promote"] + DAY)).splitlines()
    assert lines[0] == f"shop: promote closed at 2023-11-15T00:23:20Z; 2 of 3 hosts sign with {NEW} in every worker"
    assert f"  k2   {NEW}  primary" in lines
    assert f"  k1   {OLD}  retiring until 2023-11-29T00:23:20Z, 13d to go (soak 14d, the default of django)" in lines
    assert f"  web-1  2 workers: signs {NEW}, accepts {OLD}; /etc/shop.env: signs {NEW}, accepts {OLD}" in lines
    assert "not proven: 1" in lines
    assert any(line.startswith("  web-2  unreachable (ssh: connection refused)") for line in lines)
    assert lines[-1].startswith("next: retire is due in 13d")


@pytest.mark.parametrize(
    "name, now, said",
    [
        ("promote", OPENED["promote"], "shop: promote open since 2023-11-15T00:13:20Z;"),
        ("promote", OPENED["promote"], f"{OLD}  retiring\n"),
        (
            "promoted",
            CLOSED["promote"] + SOAK["seconds"],
            f"{OLD}  retiring, soak over (soak 14d, the default of django)",
        ),
        ("prepare", OPENED["prepare"], f"{NEW}  staged"),
        ("retire", OPENED["retire"], f"{OLD}  dropping"),
        ("retired", OPENED["retire"], f"{OLD}  retired"),
    ],
)
def test_the_status_says_the_state_of_each_key(name, now, said):
    keyring = at(name)
    assert said in wording.status(counting(keyring, NOTHING, {}, now))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"workers": [worker(1, NEW, OLD)]}, f"1 worker: signs {NEW}, accepts {OLD};"),
        (
            {"workers": [worker(1, NEW, OLD), worker(2, OLD)]},
            f"1 worker: signs {NEW}, accepts {OLD}; 1 worker: signs {OLD};",
        ),
        ({"workers": [worker(1, problem="unreadable")]}, "1 worker: the text for unreadable;"),
        ({"files": [env_file(problem="absent")]}, "/etc/shop.env: the text for absent"),
        ({"workers": [], "files": []}, "web-1  nothing runs"),
    ],
)
def test_the_status_says_what_each_host_does(changes, said):
    keyring = at("promoted")
    assert said in wording.status(counting(keyring, NOTHING, {"web-1": seen(keyring, **changes)}, T0 + DAY))


def test_10_the_status_says_why_a_hosts_own_time_was_broken():
    keyring = at("promoted")
    changes = {"files": [env_file(NEW, OLD, changed=T0 + DAY)], "workers": [worker(1, NEW, OLD, started=T0 + 2 * DAY)]}
    text = wording.status(counting(keyring, NOTHING, {"web-1": seen(keyring, **changes)}, T0 + 3 * DAY))
    assert "/etc/shop.env was written by another tool at 2023-11-15T22:13:20Z, and workers started after" in text


def test_10_the_status_names_the_hosts_on_which_a_key_that_is_due_has_not_soaked():
    keyring, now = at("promoted"), CLOSED["promote"] + SOAK["seconds"]
    begun = CLOSED["promote"]
    knows = {
        "record": record(keyring, at=begun, signs=NEW, stopped={OLD: begun}),
        "files": [env_file(NEW, OLD, changed=T0 - DAY)],
        "workers": [worker(1, NEW, OLD, started=T0)],
    }
    look = {"web-1": seen(keyring, now=begun + DAY, **knows), "web-2": seen(keyring, now=now + DAY, **knows)}
    lines = wording.status(counting(keyring, NOTHING, look, now)).splitlines()
    begin = lines.index("retire waits for the soak on these hosts")
    assert lines[begin + 1].startswith(f"  web-1  may have signed with {OLD} until ")
    assert not [line for line in lines[begin + 2 :] if line.startswith("  web-2")]


@pytest.mark.parametrize("name", ["adopt", "prepare", "promoted", "retire", "retired"])
def test_13_no_text_holds_a_secret(name):
    keyring = at(name)
    count, evidence = count_of(keyring, web_2=None, web_3=seen(keyring, OLD))
    text = wording.status(counting(keyring, count, evidence, T0 + DAY)) + wording.refusal(
        counting(keyring, count), "no", count.findings, ""
    )
    assert not [secret for secret in SECRETS if secret in text]


def test_the_status_of_a_fleet_that_nobody_looked_at():
    keyring = adopt()
    text = wording.status(counting(keyring, surveyed(keyring, FLEET, {}, survey()).count, {}, T0))
    assert "0 of 3 hosts" in text
    assert "not proven: 3" in text
    assert wording.status(counting(keyring, NOTHING, {"web-1": idle(keyring)}, T0)).count("nothing runs") == 1


def visit_of(keyring, **changes):
    did = {"written": [], "restarted": False, "restored": False, "down": False, "took": 0.0}
    did.update({field: changes.pop(field) for field in list(changes) if field in did})
    evidence = changes.pop("evidence", seen(keyring))
    return {"changed": False, "needed": True, "proven": True, "did": did, "evidence": evidence, **changes}


VISITS = [
    ("web2: wrote 1 file, restarted shop.service, 2 workers proven in 4 s", {"written": ["/e"], "restarted": True, "took": 4.0}),
    ("web2: wrote 2 files, restarted shop.service, 2 workers proven in 4.2 s", {"written": ["/e", "/f"], "restarted": True, "took": 4.2}),
    ("web2: wrote 1 file, 2 workers proven", {"written": ["/e"]}),
    ("web2: restarted shop.service, 2 workers proven in 0.3 s", {"restarted": True, "took": 0.3}),
    # A visit that was cut off is finished by one that has nothing left to change.
    ("web2: 2 workers proven", {}),
    ("", {"needed": False}),
    ("", {"proven": False}),
]  # fmt: skip


@pytest.mark.parametrize("said, changes", VISITS)
def test_a_visit_says_what_it_did_and_nothing_where_nothing_was_needed(said, changes):
    assert wording.visited("web2", visit_of(at("promote"), **changes)) == said


def test_a_visit_of_a_host_on_which_nothing_runs_says_by_what_it_is_proven():
    keyring = at("promote")
    answer = visit_of(keyring, written=["/e"], evidence=idle(keyring))
    assert wording.visited("web2", answer) == "web2: wrote 1 file, proven by its file alone, for nothing runs"


def test_a_visit_s_own_word_stands_behind_what_it_did():
    answer = visit_of(at("promote"), written=["/e"], msg="/e had another name")
    assert wording.visited("web2", answer) == "web2: wrote 1 file, 2 workers proven. /e had another name"
    unneeded = visit_of(at("promote"), needed=False, msg="/e had another name")
    assert wording.visited("web2", unneeded) == "web2: /e had another name"


def test_a_host_s_word_begins_no_line_of_its_own():
    answer = visit_of(at("promote"), written=["/e"], restarted=True, took=1.0, msg="so\nfatal: [web1]: FAILED!")
    answer["evidence"]["restart"] = None
    assert (
        wording.visited("web2", answer)
        == "web2: wrote 1 file, restarted the application, 2 workers proven in 1 s. so fatal: [web1]: FAILED!"
    )


def test_one_worker_is_one():
    keyring = at("promote")
    answer = visit_of(keyring, evidence=seen(keyring, workers=[worker(7, NEW, OLD)]))
    assert wording.visited("web2", answer) == "web2: 1 worker proven"


def test_a_visit_in_check_mode_says_what_it_would_do():
    answer = visit_of(at("promote"), written=["/e"], restarted=True)
    assert wording.visited("web2", answer, checking=True) == "web2: would write 1 file, would restart shop.service"
