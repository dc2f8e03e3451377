# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report shows: who stands how, what each does with each key, the rollout in time, and what is due."""

from __future__ import annotations

from typing import Any, Dict

import pages
import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import report_fleet, report_time, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.report_time import Run
from builders import (
    ALIEN,
    DAY,
    HOUR,
    MINUTE,
    NEW,
    OLD,
    SOAK,
    T0,
    at,
    env_file,
    fleet_of,
    idle,
    opened,
    record,
    seen,
    survey,
    surveyed,
    worker,
)

FLEET = ("web-1", "web-2", "web-3")


def matrix(keyring: Any, known: bool = True, look: Any = None, **odd: Any) -> Dict[str, Any]:
    return dict(report_fleet.matrix(surveyed(keyring, FLEET, fleet_of(keyring, **odd), look), known))


def row(found: Dict[str, Any], host: str = "web-2") -> Any:
    return next(one for one in found["rows"] if host in one["hosts"])


def does(found: Dict[str, Any], host: str = "web-2") -> Any:
    return [(cell["does"], cell["text"]) for cell in row(found, host)["cells"]]


# --- hosts and keys ---


@pytest.mark.parametrize(
    ("odd", "standing"),
    [
        (seen, "proven"),
        (idle, "idle"),
        (lambda ring: seen(at("prepared")), "waiting"),
        # The step has not come to it, and it is not safe beside those that it has come to.
        (lambda ring: seen(at("prepared"), OLD), "unproven"),
        (lambda ring: seen(ring, record=record(ring, state="unproven")), "unproven"),
        (lambda ring: seen(at("prepared"), record=record(at("prepared"), state="unproven")), "unproven"),
        (lambda ring: seen(ring, record=None), "unproven"),
        (lambda ring: seen(at("prepared"), visit=77), "unproven"),
        (lambda ring: None, "unseen"),
    ],
    ids=["proven", "idle", "waits", "unsafe", "failed", "failed before", "no record", "being visited", "nothing known"],
)
def test_how_a_host_stands(odd: Any, standing: str) -> None:
    ring = at("promote")
    found = matrix(ring, web_2=odd(ring) and {**odd(ring), "machine": "b/1", "state": "b/2"})
    assert row(found)["standing"] == standing
    assert row(found)["label"] == report_fleet.STANDINGS[standing][0]
    # Of those that wait for their visit nobody has to do anything.
    assert [one["hosts"] for one in found["found"]] == ([["web-2"]] if standing in report_fleet.NEEDY else [])


def test_nobody_waits_for_a_step_that_is_closed() -> None:
    ring = at("promoted")
    assert row(matrix(ring, web_2={**seen(at("prepared")), "machine": "b/1", "state": "b/2"}))["standing"] == "unproven"


def test_a_host_that_cannot_be_reached_is_told_from_one_that_was_not_looked_at() -> None:
    look = survey(web_2="unreachable (refused)")._replace(cut_off=["web-2"])
    found = matrix(at("promote"), look=look, web_2=None)
    assert row(found)["standing"] == "unreachable" and does(found) == [("unknown", "not known")] * 2
    (said,) = found["found"]
    assert said["findings"][0]["seen"] == "unreachable (refused)"


def test_those_who_need_a_person_come_first() -> None:
    ring = at("promote")
    found = matrix(ring, web_3={**seen(ring, OLD), "machine": "b/1", "state": "b/2"})
    assert [one["hosts"][0] for one in found["rows"]] == ["web-3", "web-1", "web-2"]
    assert [(tally["standing"], tally["hosts"]) for tally in found["tallies"]] == [("unproven", 1), ("proven", 2)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [("signs", "signs"), ("accepts", "accepts")]),
        ({"workers": []}, [("signs", "signs, on disk"), ("accepts", "accepts, on disk")]),
        ({"workers": [worker(1, OLD, NEW)] * 2}, [("mixed", "accepts; file: signs"), ("mixed", "signs; file: accepts")]),
        ({"workers": [worker(1, NEW, OLD), worker(2, OLD)]}, [("mixed", "1 of 2 sign, 1 of 2 accept; file: signs"), ("mixed", "1 of 2 sign; file: accepts")]),
        ({"workers": [worker(1, NEW)] * 2, "files": [env_file(NEW)]}, [("signs", "signs"), ("none", "no")]),
        ({"workers": [worker(1, NEW)] * 2}, [("signs", "signs"), ("mixed", "no; file: accepts")]),
        (
            {"workers": [worker(1, NEW, OLD), worker(2, problem="absent")]},
            [("mixed", "1 of 2 sign, 1 of 2 accept; file: signs"), ("mixed", "1 of 2 accept; file: accepts")],
        ),
        ({"workers": [worker(1, problem="absent")]}, [("unknown", "not readable; file: signs"), ("unknown", "not readable; file: accepts")]),
        ({"files": [env_file(problem="absent", changed=None)]}, [("mixed", "signs; file: not readable"), ("mixed", "accepts; file: not readable")]),
        ({"files": [env_file(NEW, OLD), env_file(OLD, NEW)]}, [("mixed", "signs; file: not all alike"), ("mixed", "accepts; file: not all alike")]),
        ({"workers": [], "files": []}, [("unknown", "not readable"), ("unknown", "not readable")]),
    ],
)  # fmt: skip
def test_what_a_host_does_with_each_key(changes: Any, expected: Any) -> None:
    ring = at("promote")
    changes = {
        **changes,
        "workers": [{"by": "environ", **one} for one in changes.get("workers", seen(ring)["workers"])],
    }
    found = matrix(ring, web_2={**seen(ring), "machine": "b/1", "state": "b/2", **changes})
    assert [column["fingerprints"] for column in found["columns"]] == [[NEW], [OLD]]
    assert does(found) == expected
    assert all(cell["mark"] == report_fleet.MARKS[cell["does"]] for cell in row(found)["cells"])


def test_a_key_in_no_use_has_a_column_where_somebody_holds_one() -> None:
    ring = at("promote")
    found = matrix(ring, web_2={**seen(ring, NEW, OLD, ALIEN), "machine": "b/1", "state": "b/2"})
    assert found["columns"][-1] == {"fingerprints": [], "state": "in no use"}
    assert does(found)[-1] == ("mixed", f"holds {ALIEN}") and does(found, "web-1")[-1] == ("none", "none")


def test_of_many_keys_the_oldest_share_a_column() -> None:
    ring: Any = at("promoted")
    for number in range(3, 8):
        ring = steps.close_step(opened(ring, "prepare", T0 + number * DAY, number), T0 + number * DAY)
        ring = steps.close_step(
            steps.open_step(ring, "promote", T0 + number * DAY, f"p{number}", None, SOAK), T0 + number * DAY
        )
    found = matrix(ring, web_2={**seen(ring, *ring_accepts(ring)[:-1]), "machine": "b/1", "state": "b/2"})
    assert [len(column["fingerprints"]) for column in found["columns"]] == [1] * 5 + [2]
    assert does(found)[-1] == ("mixed", "accepts 1 of 2") and does(found, "web-1")[-1] == ("accepts", "accepts")


def ring_accepts(ring: Any) -> Any:
    return steps.keyrings.order(ring).accepts


def test_of_a_run_that_looked_at_nobody_no_host_is_told() -> None:
    found = matrix(at("promote"), known=False, web_1=None, web_2=None, web_3=None)
    assert (found["rows"], found["folded"], found["found"], found["tallies"]) == ([], [], [], [])


def test_a_large_fleet_is_folded_and_nobody_is_lost() -> None:
    surveyed_fleet, _run = pages.motley(100)
    found = report_fleet.matrix(surveyed_fleet, True)
    told = [host for one in (*found["rows"], *found["folded"]) for host in one["hosts"]]
    assert sorted(told) == surveyed_fleet.everybody
    assert [one["standing"] for one in found["rows"]] == ["unproven"] * 2 + ["unreachable"] * 2 + ["waived"]
    assert [(one["standing"], len(one["hosts"])) for one in found["folded"]] == [("idle", 1), ("proven", 94)]


@pytest.mark.parametrize("make", [pages.unproven, pages.lying])
def test_of_many_in_trouble_each_is_told_alone_or_with_others(make: Any) -> None:
    found = make(300)["fleet"]
    assert len(found["found"]) <= report_fleet.APART + report_fleet.GROUPS + 1
    assert sorted(host for one in found["found"] for host in one["hosts"]) == pages.names(300)
    assert sorted(host for one in (*found["rows"], *found["folded"]) for host in one["hosts"]) == pages.names(300)


# --- time ---


def told(keyring: Any, now: float) -> Any:
    return [(station["name"], station["state"]) for station in report_time.stations(keyring, now)]


@pytest.mark.parametrize(
    ("name", "now", "expected"),
    [
        ("adopt", T0, [("adopt", "now")]),
        ("adopted", T0 + MINUTE, [("adopt", "done")]),
        ("prepare", T0 + HOUR, [("prepare", "now"), ("promote", "ahead"), ("soak", "ahead"), ("retire", "ahead")]),
        ("promote", T0 + 3 * HOUR, [("prepare", "done"), ("promote", "now"), ("soak", "ahead"), ("retire", "ahead")]),
        ("promoted", T0 + DAY, [("prepare", "done"), ("promote", "done"), ("soak", "now"), ("retire", "ahead")]),
        ("promoted", T0 + 20 * DAY, [("prepare", "done"), ("promote", "done"), ("soak", "done"), ("retire", "ahead")]),
        ("retire", T0 + 15 * DAY, [("prepare", "done"), ("promote", "done"), ("soak", "done"), ("retire", "now")]),
        ("retired", T0 + 16 * DAY, [("prepare", "done"), ("promote", "done"), ("soak", "done"), ("retire", "done")]),
    ],
)
def test_the_steps_of_a_rollout_and_what_is_ahead(name: str, now: float, expected: Any) -> None:
    assert told(at(name), now) == expected


def test_a_rollout_that_is_taken_back_goes_another_way() -> None:
    ring = opened(at("promoted"), "rollback", T0 + 3 * HOUR)
    way = [("prepare", "done"), ("promote", "done"), ("rollback", "now"), ("soak", "ahead"), ("withdraw", "ahead")]
    assert told(ring, T0 + 4 * HOUR) == way
    ring = steps.close_step(ring, T0 + 4 * HOUR)
    assert told(ring, T0 + 5 * HOUR) == way[:2] + [("rollback", "done"), ("soak", "now"), ("withdraw", "ahead")]


def test_a_key_that_never_signed_has_no_soak() -> None:
    ring = steps.close_step(opened(at("prepared"), "withdraw", T0 + 2 * HOUR), T0 + 3 * HOUR)
    assert told(ring, T0 + 4 * HOUR) == [("prepare", "done"), ("withdraw", "done")]


def test_a_soak_says_how_much_of_it_is_over() -> None:
    begun = T0 + 2 * HOUR + 10 * MINUTE
    soaking = report_time.stations(at("promoted"), begun + 3.5 * DAY)[2]
    assert (soaking["percent"], soaking["text"]) == (25, "10d 12h of 14d to go")


def test_a_leaked_key_soaks_no_time() -> None:
    ring = steps.mark_compromised(at("promoted"), OLD, T0 + 3 * HOUR)
    soaking = report_time.stations(ring, T0 + 4 * HOUR)[2]
    assert (soaking["state"], soaking["text"]) == ("done", "none: the key has leaked")


def test_a_journal_that_does_not_know_the_step_hides_it_not() -> None:
    ring = {**at("promoted"), "journal": []}
    assert told(ring, T0 + DAY) == [("promote", "done"), ("soak", "now"), ("retire", "ahead")]
    assert report_time.lives(ring, T0 + DAY)["lines"]


def test_the_life_of_each_key_is_drawn() -> None:
    chart = report_time.lives(at("promoted"), T0 + 7 * DAY)
    lines = {line["name"]: [(one["kind"], one["text"]) for one in line["bars"]] for line in chart["lines"]}
    assert lines == {
        NEW: [("staged", "accepted"), ("primary", "signs")],
        OLD: [("primary", "signs"), ("retiring", "accepted"), ("soak", "soak")],
    }
    for line in chart["lines"]:
        for before, after in zip(line["bars"], line["bars"][1:]):
            assert before["left"] + before["width"] == pytest.approx(after["left"], abs=0.02)
    new, old = chart["lines"]
    assert new["bars"][-1]["left"] + new["bars"][-1]["width"] == pytest.approx(chart["now"], abs=0.02)
    # The soak goes on to its end, which is ahead.
    assert old["bars"][-1]["left"] + old["bars"][-1]["width"] > chart["now"] + 40
    assert [tick["text"] for tick in chart["ticks"]][:3] == ["15 Nov", "17 Nov", "19 Nov"]
    assert all(0 <= tick["left"] <= 100 for tick in chart["ticks"])


def test_a_key_that_ended_before_the_rollout_is_not_drawn() -> None:
    ring = pages.keyring("promote", FLEET)
    assert pages.key(1) not in [line["name"] for line in report_time.lives(ring, pages.START + DAY)["lines"]]


@pytest.mark.parametrize("name", ["adopt", "adopted", "prepare", "retired"])
def test_a_time_line_of_no_length_can_be_drawn(name: str) -> None:
    for now in (T0, T0 - DAY, T0 + 400 * DAY):
        chart = report_time.lives(at(name), now)
        for line in chart["lines"]:
            assert all(0 <= one["left"] <= 100 and 0 <= one["width"] <= 100 for one in line["bars"])


def test_visits_are_told_batch_by_batch() -> None:
    ring = pages.keyring("promote", FLEET, closed=False)
    found = {host: pages.evidence(ring, place) for place, host in enumerate(FLEET)}
    run = pages.visits(found, [1, 2], 60.0, ["web-3"])
    told = report_time.visited(pages.surveyed(ring, FLEET, found, pages.START), run)
    assert told and (told["hosts"], told["batches"]) == (3, 2)
    assert [(line["name"], line["note"], line["bars"][0]["kind"]) for line in told["chart"]["lines"]] == [
        ("web-1", "promote, batch 1: proven in 1.5 s", "proven"),
        ("web-2", "promote, batch 2: proven in 1.5 s", "proven"),
        ("web-3", "promote, batch 2: not proven in 2.5 s", "failed"),
    ]


def test_of_many_visits_each_batch_has_a_line() -> None:
    survey_of, run = pages.motley(100)
    told = report_time.visited(survey_of, run)
    assert told and [line["name"] for line in told["chart"]["lines"]] == [f"promote, batch {n}" for n in range(1, 6)]
    assert told["chart"]["lines"][1]["note"] == "24 of 25 hosts proven, the slowest in 3.5 s"


def test_visits_of_which_nothing_is_known_are_not_told() -> None:
    survey_of, _run = pages.motley(100)
    lost = {"web-001": {"unreachable": True, "msg": "refused", "asked": 1.0}, "web-002": {"failed": True, "asked": 1.0}}
    assert report_time.visited(survey_of, Run({}, [])) is None
    assert report_time.visited(survey_of, Run(lost, [{"began": 0.5, "step": "prepare"}])) is None


# --- at a glance ---


@pytest.mark.parametrize(
    ("make", "level", "due"),
    [
        (pages.in_a_soak, "unwell", "2024-03-27T22:28:20Z"),
        (pages.at_rest, "well", "2024-03-28T23:19:20Z"),
        (lambda: pages.promoting(3), "going", "2024-03-13T22:22:20Z"),
        (lambda: pages.refused(100), "failed", "2024-03-13T22:19:20Z"),
        (pages.unseen, "unknown", "2024-03-27T22:28:20Z"),
    ],
)
def test_a_glance_says_how_it_is_and_what_is_next(make: Any, level: str, due: str) -> None:
    found = make()
    assert found["verdict"]["level"] == level
    assert found["ahead"]["due"] == due and found["ahead"]["commands"][0] == "phased.keys.rollout"


def test_without_a_keyring_the_page_says_why() -> None:
    found = pages.without_a_keyring()
    assert found["verdict"]["why"] == ["the keyring cannot be opened: no vault secret fits. Nothing was changed"]
    assert found["fleet"] is None and found["keys"] == []


def test_the_journal_is_told_from_its_end_and_not_without_bounds() -> None:
    ring: Any = at("retired")
    ring["journal"] = [{"at": "2023-11-14T22:13:20Z", "event": f"event {n}", "counter": 1} for n in range(400)]
    found = pages.report(surveyed(ring, FLEET, fleet_of(ring), survey()._replace(clock=T0 + 16 * DAY)))
    assert [entry["event"] for entry in found["journal"]][:2] == ["event 399", "event 398"]
    assert len(found["journal"]) + len(found["earlier"]) + found["unshown"] == 400 and found["unshown"] == 100
