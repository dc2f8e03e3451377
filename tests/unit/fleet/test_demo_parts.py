# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo counts, and when it fails."""

from __future__ import annotations

import copy
import time

import pytest
from browser import Answer, Balancer, Jar, session_cookie
from load import Load, Session
from phases import phase
from report import Progress, complaints, table

OLD = {"SECRET_KEY": "old"}
PREPARED = {"SECRET_KEY": "old", "SECRET_KEY_FALLBACKS": "new"}
PROMOTED = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": "old"}
RETIRED = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ""}


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ([OLD, OLD], None),
        ([PREPARED, OLD], "prepare"),
        ([PREPARED, PREPARED], "prepare"),
        ([PROMOTED, PREPARED], "promote"),
        ([PROMOTED, PROMOTED], "soak"),
        ([RETIRED, PROMOTED], "retire"),
        ([RETIRED, RETIRED], "retired"),
    ],
)
def test_phase_is_what_the_hosts_say(hosts, expected):
    assert phase("old", hosts) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (["csrftoken=x; Path=/"], None),
        (["sessionid=abc; HttpOnly; Max-Age=8; Path=/"], "abc"),
        (['sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/'], ""),
    ],
)
def test_cookies_are_kept_as_a_browser_does(headers, expected):
    assert session_cookie(headers) == expected


def test_load_stays_on_this_machine():
    with pytest.raises(ValueError, match="loopback"):
        Balancer([("192.0.2.1", 80)], print)


@pytest.fixture
def client():
    return Session(Load([("127.0.0.1", 1)], "", life=8, rate=1), (0, 1), "database")


@pytest.mark.parametrize(
    ("status", "kept", "age", "expected"),
    [
        (200, True, 1, {"requests": 1, "crossings": 1}),
        (200, False, 1, {"requests": 1, "lost_sessions": 1}),
        (400, False, 6.4, {"requests": 1, "lost_sessions": 1}),  # Django's SessionInterrupted
        (200, False, 9, {"requests": 1, "expired": 1}),
        (500, False, 1, {"errors": 1, "server_errors": 1}),
    ],
)
def test_one_request_is_counted_once(client, status, kept, age, expected):
    counter = client.load.counter("main")
    answer = Answer(status, {"key": "new"}, None, 0)
    client.judge(counter, answer, "old", time.monotonic() - age, kept, "lost_sessions")
    assert +counter == expected


def test_a_jar_forgets_what_is_deleted(client):
    jar = Jar()
    jar.take(Answer(200, {"key": "k"}, "abc", 5.0))
    assert (jar.value, jar.born, jar.key) == ("abc", 5.0, "k")
    jar.take(Answer(200, {}, None, 6.0))
    assert jar.value == "abc"
    jar.take(Answer(200, {"key": "k"}, "", 7.0))
    client.jar = jar
    assert client.worn_out()


ROW = {
    "requests": 20_000,
    "lost": 0,
    "lost_sessions": 0,
    "refused_links": 0,
    "errors": 0,
    "crossings": 9,
    "seconds": 1.0,
}
GOOD = {
    "drain": "yes",
    "naive": {**ROW, "lost": 2000, "phases": {}, "parallel": {**ROW}, "parallel_remedied": {**ROW}},
    "phased": {**ROW, "phases": {"soak": {**ROW}}, "parallel": {**ROW, "lost": 7}, "parallel_remedied": {**ROW}},
}


def test_a_good_result_has_no_complaints():
    assert complaints(GOOD) == []
    assert "parallel requests" in table(GOOD)


def test_without_drains_errors_are_no_complaint():
    undrained = copy.deepcopy(GOOD)
    undrained["drain"] = "no"
    undrained["phased"]["errors"] = undrained["naive"]["errors"] = 7
    assert complaints(undrained) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("naive", "lost"), 1000, "notices too little"),
        (("phased", "lost"), 1, "lost 1 of 20000"),
        (("phased", "errors"), 1, "phased: 1 connection errors, though every host was drained"),
        (("naive", "parallel", "errors"), 1, "naive: 1 connection errors, though every host was drained"),
        (("phased", "parallel_remedied", "errors"), 2, "phased: 2 connection errors"),
        (("phased", "requests"), 9_999, "10000 are needed"),
        (("phased", "parallel_remedied", "lost"), 1, "in spite of the remedy"),
        (("phased", "phases", "soak", "crossings"), 0, "notices too little"),
    ],
)
def test_what_makes_the_demo_fail(path, value, said):
    bad = copy.deepcopy(GOOD)
    row = bad
    for step in path[:-1]:
        row = row[step]
    row[path[-1]] = value
    assert len(complaints(bad)) == 1
    assert said in complaints(bad)[0]


def test_what_the_rollout_says_of_itself_stays_and_other_tasks_are_shown_meanwhile(capsys):
    progress, seen = Progress(), []
    for line in (
        "PLAY [Somebody else's play] ****", "12:00:00 prepare is open", "TASK [Drain the host] ****",
        "changed: [web1 -> localhost]", "12:00:05 web1: wrote 1 file", "web1  : ok=9 changed=3", "",
    ):  # fmt: skip
        progress.line(line)
        seen.append(progress.task)
    assert seen == ["Somebody else's play", "", "Drain the host", "Drain the host", "", "", ""]
    said = [line.partition(" s  ")[2].strip() for line in capsys.readouterr().out.splitlines()]
    assert said == ["prepare is open", "web1: wrote 1 file"]
