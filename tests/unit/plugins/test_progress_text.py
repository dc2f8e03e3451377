# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callback shows, as text: the living line at any width, the bar, what is wrapped, and the summary."""

from __future__ import annotations

import random
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import gate, progress, wording
from ansible_collections.phased.keys.plugins.plugin_utils import _progress as shown

HOSTILE = "web\x1b[2J\x1b]0;x\x07\r\n\u202eevil\u2066\x9b31m\u200b\t\x00"


def text(pieces: List[shown.Piece]) -> str:
    return "".join(piece for piece, _colour in pieces)


def told(step: str = "promote", proven: Any = 1, total: Any = 3, **more: Any) -> Dict[str, Any]:
    return {"step": step, "open": True, "proven": proven, "total": total, "next": "promote is next", **more}


def run(**more: Any) -> shown.Run:
    return shown.Run(100.0, "rollout", "shop", 3, **more)


@pytest.mark.parametrize(
    ("done", "total", "full"),
    [(0, 3, 0), (1, 3, 5), (3, 3, 16), (1, 1000, 1), (999, 1000, 15), (0, 0, 0), (300, 300, 16)],
)
def test_a_bar_is_full_only_when_all_is_done_and_empty_only_when_nothing_is(done: int, total: int, full: int):
    assert text(shown.filled(done, total)) == f"[{'#' * full}{'-' * (16 - full)}]"


@pytest.mark.parametrize(
    ("serial", "hosts", "sizes"),
    [
        ([1], 3, [1, 1, 1]),
        ([1, "25%"], 10, [1, 2, 2, 2, 2, 1]),
        ([1, "25%"], 3, [1, 1, 1]),
        (["1", "100%"], 300, [1, 299]),
        ([1, 5, "50%"], 20, [1, 5, 10, 4]),
        ([1, 0], 9, [1, 8]),
        ([1], 0, []),
    ],
)
def test_the_batches_are_those_that_ansible_makes(serial: List[Any], hosts: int, sizes: List[int]):
    assert progress.batches(serial, hosts) == sizes


@pytest.mark.parametrize(
    ("sizes", "forks", "done", "took", "left"),
    [
        ([1, 1, 1], 5, 1, 10.0, 20.0),  # a host at a time
        ([1, 10, 10], 5, 1, 10.0, 40.0),  # four rounds of five
        ([1, 10, 10], 5, 6, 20.0, 30.0),
        ([1, 10, 10], 5, 21, 50.0, 0.0),
        ([1, 1], 5, 0, 10.0, None),
        ([], 5, 0, 0.0, None),
    ],
)
def test_the_time_left_is_told_by_rounds_of_forks(sizes: List[int], forks: int, done: int, took: float, left: Any):
    assert progress.seconds_left(sizes, forks, done, took) == left


def visiting(*going: str, done: int = 0, batch: int = 2) -> shown.Visits:
    visits = shown.Visits([1, 1, 1], 5, batch)
    for number in range(done):
        visits.begin(f"done{number}", 100.0)
        visits.end(f"done{number}", 104.0, True)
    for host in going:
        visits.begin(host, 104.0)
    return visits


def test_the_living_line_tells_step_batch_bar_who_is_visited_and_how_long():
    its = run(visits=visiting("web2", done=1))
    its.latest = its.counted = told(proven=0)
    assert text(shown.living(its, 104.0, 0.0, 79)) == "promote  batch 2 of 3  [#####-----------] 1/3  web2  ~8s left"


def test_a_host_that_was_counted_by_the_gate_is_not_counted_twice():
    its = run(visits=visiting("web2", done=1))
    its.hear(told(proven=1))
    assert " 1/3 " in text(shown.living(its, 104.0, 0.0, 79))


def test_what_is_not_counted_has_no_bar():
    its = run(doing="looking at hosts", looked_at=2)
    its.hear(told(proven=None, total=None))
    assert text(shown.living(its, 104.0, 0.0, 79)) == "promote  looking at hosts 2/3"


@pytest.mark.parametrize(("what", "line"), [("soak", "soak: 12s to go"), ("bake", "has to run steadily: 12s to go")])
def test_what_is_waited_for_counts_down(what: str, line: str):
    its = run(waits={"for": what, "until": 1012.0})
    its.hear(told(proven=3))
    assert text(shown.living(its, 104.0, 1000.0, 79)).endswith(f"] 3/3  {line}")
    assert text(shown.living(its, 104.0, 1013.0, 79)).endswith("0s to go")


@pytest.mark.parametrize("width", [1, 2, 10, 20, 40, 79, 200])
def test_the_living_line_is_never_longer_than_the_terminal(width: int):
    hosts = [f"{HOSTILE}{number}" for number in range(300)] + ["\u7db2" * 60, "e\u0301" * 90]
    random.Random(7).shuffle(hosts)
    its = run(visits=visiting(*hosts, done=2))
    its.hear(told(step=HOSTILE * 3))
    line = text(shown.living(its, 110.0, 0.0, width))
    assert shown.cells(line) <= width
    assert line.isprintable()


def test_nothing_of_a_hostile_text_is_left_that_moves_the_cursor_or_turns_the_writing():
    assert shown.clean(HOSTILE).isprintable()
    its = run(failed={HOSTILE})
    its.hear(told())
    its.name = HOSTILE
    assert all(line.isprintable() for line, _colour in shown.summary(its, 104.0, False))


FINDINGS = {
    "web2": [
        Finding("the restart command: exit code 1, no worker lasts -> and so on, " * 3, "fix what is named here " * 4),
        Finding("another", "do that"),
    ],
    "web3": [Finding("unreachable", "bring it back")],
}


@pytest.mark.parametrize("width", [40, 80, 100])
def test_a_refusal_is_wrapped_at_a_narrow_terminal_with_every_word_in_its_place(width: int):
    whole = "\n".join(
        ["06:12:01 promote is not safe yet: 1 of 3 hosts", *wording.table(FINDINGS), gate.NOTHING_CHANGED]
    )
    narrow = shown.narrow(whole, width, 9)
    assert max(map(shown.cells, narrow.splitlines())) <= width
    words = " ".join(narrow.split())
    for host, found in FINDINGS.items():
        assert f" {host} {' '.join(found[0].seen.split())} -> {' '.join(found[0].advice.split())}" in words
    assert "another -> do that" in words
    assert words.endswith(gate.NOTHING_CHANGED)
    assert shown.narrow(whole, 200, 9) == whole


def test_what_is_no_table_and_a_second_table_stay_apart():
    other = {"a-host-with-a-long-name": [Finding("seen", "done")]}
    plain = ["  web1  3 workers: " + "signs 0123456789abcdef " * 4, "  web2  nothing runs"]
    whole = "\n".join(["hosts", *plain, "", "a", *wording.table(FINDINGS), "", "b", *wording.table(other)])
    words = " ".join(shown.narrow(whole, 80).split())
    assert " ".join(" ".join(plain).split()) in words
    assert "web3 unreachable -> bring it back b a-host-with-a-long-name seen -> done" in words


def test_a_number_is_not_torn_from_its_unit():
    line = "06:12:01 web00063: wrote 1 file, restarted shop.service, 3 workers proven in 2.5 s"
    assert shown.narrow(line, 80, 9).splitlines()[1] == "         2.5 s"


@pytest.mark.parametrize(
    ("said", "visit", "colour"),
    [
        (f"promote is not safe yet\n  web1  x -> y\n{gate.NOTHING_CHANGED}", False, "error"),
        (f"promote stops here\n{gate.STOPPED}", False, "error"),
        ("prepare is open: 3 of 3 hosts", False, ""),
        ("web1: wrote 1 file", True, "changed"),
    ],
)
def test_a_refusal_is_red_and_a_visit_yellow(said: str, visit: bool, colour: str):
    assert shown.colour_of(said, visit) == colour


def lines(its: shown.Run, well: bool) -> List[str]:
    return text([(f"{line}\n", colour) for line, colour in shown.summary(its, 164.0, well)]).splitlines()


def test_the_summary_says_what_happened_to_which_hosts_how_long_it_took_and_what_is_next():
    its = run(changed={"web2", "web1"})
    its.hear(told("adopt", 3, open=False))  # where it began
    its.hear(told("prepare", 0))
    its.hear(told("prepare", 3, open=False))
    its.hear(told("promote", 0))
    its.hear(told("promote", 3, open=False, next="retire is due in 14d: run phased.keys.rollout again then"))
    assert lines(its, True) == [
        "shop: rollout ended well after 1m 4s",
        "  step         prepare is closed: 3 of 3 hosts proven",
        "  step         promote is closed: 3 of 3 hosts proven",
        "  changed      2 hosts: web1, web2",
        "  next         retire is due in 14d: run phased.keys.rollout again then",
    ]


def test_the_summary_of_a_refusal_does_not_repeat_it_and_says_by_which_command_it_goes_on():
    its = run(refused=True)
    its.hear(told("adopt", 2, open=False))
    assert lines(its, False) == [
        "shop: rollout was refused after 1m 4s; why is said above",
        "  step         adopt is closed: 2 of 3 hosts proven",
        "  changed      no host",
        "  next         do what is said above, then run phased.keys.rollout again",
    ]


def test_the_summary_of_a_run_that_stopped_names_the_hosts():
    its = run(
        refused=True, failed={"web3"}, unreachable={f"web{number:03d}" for number in range(300)}, changed={"web3"}
    )
    its.hear(told())
    assert lines(its, False)[0] == "shop: rollout stopped after 1m 4s; why is said above"
    assert "  failed       1 host: web3" in lines(its, False)
    assert " and 292 more" in " ".join(lines(its, False))
    assert max(map(len, lines(its, False))) <= 80


def test_the_summary_of_a_run_that_knows_no_name_yet_begins_with_its_goal():
    its = shown.Run(100.0, "status", "", 0, refused=True)
    assert lines(its, False)[0] == "status was refused after 1m 4s; why is said above"


@pytest.mark.parametrize(
    ("goal", "checking", "said", "not_said"),
    [
        ("rollout", True, "run the same without --check", "changed      no host"),
        ("status", False, "status ended well", "next"),
    ],
)
def test_a_check_and_a_status_change_nothing(goal: str, checking: bool, said: str, not_said: str):
    its = shown.Run(100.0, goal, "shop", 3, checking)
    its.hear(told())
    assert said in "\n".join(lines(its, True))
    assert not_said not in "\n".join(lines(its, True))


def test_what_a_failed_visit_has_done_is_said():
    done = {"written": ["/e"], "restarted": True, "restored": True, "down": True, "took": 0.0}
    assert shown.did(done) == " (wrote /e, restarted, put the settings of before back, left it down)"
    assert shown.did({}) == shown.did({"written": [], "restarted": False}) == ""
