# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a visit has proven its host, and what it says where it has not."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._host.rules.remedies import PROBLEMS
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import (
    DAY,
    FP,
    NEW,
    OLD,
    PATH,
    T0,
    at,
    env_file,
    idle,
    record,
    seen,
    unit,
    worker,
)  # fmt: skip

CONVERGE, DEPLOY = True, False


STEPS = ["adopt", "prepare", "prepared", "promote", "promoted", "retire", "retired"]


def found_before(*workers):
    """What a visit had found, of a host on which it was the first."""
    return seen(at("promote"), workers=workers, units=[unit()] if workers else [], record=None)


def unproven(name, look, before=2, converge=CONVERGE, restarted=False):
    """What is seen that keeps a host from being proven that had so many main processes before, or these workers."""
    earlier = found_before(
        *([worker(number) for number in range(1, before + 1)] if isinstance(before, int) else before)
    )
    return [finding.seen for finding in visit.unproven(keyrings.order(at(name)), look, converge, earlier, restarted)]


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("converge", [CONVERGE, DEPLOY])
def test_9_a_host_that_does_what_the_step_asks_is_proven(name, converge):
    assert unproven(name, seen(at(name)), 2, converge) == []
    assert unproven(name, idle(at(name)), 0, converge) == []


@pytest.mark.parametrize(
    "changes, before, said",
    [
        ({"files": [env_file(OLD, NEW)]}, 2, f"{PATH} signs with {OLD}"),
        ({"files": [env_file(problem="absent")]}, 2, f"{PATH}: the text for absent"),
        ({"workers": [worker(1, NEW, OLD), worker(2, OLD, NEW)]}, 2, "pid 2, started"),
        ({"workers": [worker(1, NEW, OLD), worker(2, problem="absent")]}, 2, "the text for absent"),
        ({"workers": [worker(1, NEW, OLD)]}, 2, "1 main process lasts, and before there were 2"),
        ({"workers": []}, 2, "0 main processes last, and before there were 2"),
        ({"workers": []}, 1, "0 main processes last, and before there were 1"),
        ({"units": [unit("failed", sub="failed")]}, 2, "shop.service is failed (failed)"),
        ({"units": [unit("activating", sub="auto-restart")]}, 2, "shop.service is activating (auto-restart)"),
        ({"units": [unit(), unit("inactive", name="queue.service", sub="dead")]}, 2, "queue.service is inactive (dead)"),
        ({"settled": False}, 2, "the workers changed between two looks"),
    ],
)  # fmt: skip
def test_9_what_keeps_a_host_from_being_proven(changes, before, said):
    assert said in " | ".join(unproven("promote", seen(at("promote"), **changes), before))


def test_9_what_is_gone_is_said_once():
    assert unproven("promote", seen(at("promote"), workers=[]), 2) == ["0 main processes last, and before there were 2"]


def test_9_more_workers_than_before_are_as_good():
    assert unproven("promote", seen(at("promote")), 1) == []


@pytest.mark.parametrize(
    "keys, converge, proven", [([OLD, NEW], DEPLOY, True), ([OLD, NEW], CONVERGE, False), ([OLD], DEPLOY, False)]
)
def test_5_a_deploy_is_content_with_what_is_admissible(keys, converge, proven):
    assert (unproven("promote", seen(at("promote"), *keys), 2, converge) == []) is proven


def pool(*pids, main=1):
    """A main process with these workers, all of which do what promote asks."""
    return [worker(main, NEW, OLD), *(worker(pid, NEW, OLD, parent=main) for pid in pids)]


def test_9_a_pool_may_shrink_while_its_main_process_lasts():
    look = seen(at("promote"), workers=pool(2))
    assert unproven("promote", look, pool(2, 3, 4, 5)) == []


@pytest.mark.parametrize("restarted", [True, False])
def test_9_a_main_process_without_workers_is_not_proven_where_it_had_some(restarted):
    text = "no worker runs below pid 1 (gunicorn: worker) in two looks, and at the last proof there were some"
    look = seen(at("promote"), workers=pool(), record=record(at("promote"), pools=None))
    assert unproven("promote", look, pool(2), restarted=restarted) == [text], "the first visit knows only what it found"
    for noted, expected in (([1], [text]), ([0], [])):
        look["record"] = record(at("promote"), pools=noted)
        assert unproven("promote", look, pool(2)) == expected, "and later ones what was proven"
    look["pools"][0]["idle"] = True
    assert unproven("promote", look, pool(2)) == []


def test_5_a_deploy_is_not_to_blame_for_a_pool_that_it_found_empty():
    look = seen(at("promote"), workers=pool(), record=record(at("promote"), pools=[1]))
    text = "no worker runs below pid 1 (gunicorn: worker) in two looks, and at the last proof there were some"
    order = keyrings.order(at("promote"))
    assert visit.unproven(order, look, DEPLOY, look) == []
    assert [finding.seen for finding in visit.unproven(order, look, CONVERGE, look)] == [text]
    full = seen(at("promote"), workers=pool(2), record=look["record"])
    assert [finding.seen for finding in visit.unproven(order, look, DEPLOY, full)] == [text]


def test_9_a_loss_says_what_to_do():
    (finding,) = visit.unproven(
        keyrings.order(at("promote")),
        seen(at("promote"), workers=pool()),
        True,
        found_before(*pool(main=1), *pool(main=2)),
    )
    assert finding == Finding("1 main process lasts, and before there were 2", visit.POOL_LOST)
    assert "restart the application by hand" in finding.advice and "app_keys_processes" in finding.advice


def after_restart(before, *workers, **changes):
    """What is found after a restart that brought these workers."""
    look = seen(at("promote"), workers=list(workers), **changes)
    return visit.unproven(keyrings.order(at("promote")), look, True, found_before(*before), restarted=True)


def test_2_a_restart_that_replaced_nothing_is_named_as_that():
    old = [worker(5, OLD, NEW), worker(6, OLD, NEW, parent=5)]
    (finding,) = after_restart(old, *old)
    assert finding.seen.startswith(
        "the restart replaced no process: pids 5, 6, started 2023-11-13T22:13:20Z, signs with"
    )
    assert finding.advice == visit.NOT_REPLACED.format("shop.service")
    assert "a reload gives none a new environment" in finding.advice


def test_2_a_restart_that_left_some_is_named_as_that():
    old = [worker(5, OLD, NEW), worker(6, OLD, NEW)]
    (finding,) = after_restart(old, old[0], worker(7, NEW, OLD))
    assert finding.seen.startswith("the restart left processes of before: pid 5, started")
    # The same pid is not the same process.
    (finding,) = after_restart(old, {**old[0], "ticks": 51}, worker(7, NEW, OLD))
    assert finding.seen.startswith("pid 5, started")


def test_16_new_workers_with_other_keys_have_them_from_elsewhere_whatever_the_clock_says():
    old = [worker(5, OLD, NEW)]
    (finding,) = after_restart(old, worker(7, OLD, NEW, started=T0 - 9 * DAY))
    assert "though the env file that it started on says otherwise" in finding.seen
    assert finding.advice.startswith("something else gives it its keys"), "they were restarted just now"
    assert after_restart(old, worker(7, NEW, OLD)) == []
    (finding,) = after_restart(old, worker(7, problem="absent"))
    assert finding.advice == PROBLEMS["absent"]


def test_without_a_restart_old_workers_are_told_to_be_restarted():
    look = seen(at("promote"), workers=[worker(5, OLD, NEW, started=T0 - 9 * DAY)])
    (finding,) = visit.unproven(keyrings.order(at("promote")), look, True, found_before(worker(5, OLD, NEW)))
    assert finding.advice.startswith("restart shop.service: ")
    look["restart"] = None
    (finding,) = visit.unproven(keyrings.order(at("promote")), look, True, found_before(worker(5, OLD, NEW)))
    assert finding.advice.startswith("restart the application: ")


def test_what_was_seen_is_said_with_what_to_do():
    found = [Finding("a", "x"), Finding("b", "y"), Finding("c", "x"), Finding("a", "x")]
    assert visit.said(found) == ["a; c. What to do: x", "b. What to do: y"]
    assert visit.said([]) == []


@pytest.mark.parametrize(
    "what, before, changes, down, text",
    [
        ("all is gone", 2, {"workers": []}, True, f"no worker lasts: {visit.MAY_BE_DOWN}"),
        ("they come and go", 2, {"lasting": 0}, True, f"no worker lasts: {visit.MAY_BE_DOWN}"),
        ("its unit has failed", 2, {"units": [unit("failed", sub="failed")]}, True, f"shop.service is failed (failed): {visit.MAY_BE_DOWN}"),
        ("it is still starting", 2, {"units": [unit("activating", sub="start-pre")]}, True, f"shop.service is activating (start-pre): {visit.MAY_BE_DOWN}"),
        ("the old workers are there", 2, {"workers": [worker(1, OLD), worker(2, OLD)]}, False, f"the old workers run on with {OLD}, accepting {OLD}"),
        ("one of them is", 2, {"workers": [worker(1, OLD)]}, False, f"the old workers run on with {OLD}, accepting {OLD}"),
        ("one is new", 2, {"workers": [worker(1, OLD), worker(9, OLD)]}, False, f"workers run with {OLD}, accepting {OLD}"),
        ("two kinds", 2, {"workers": [worker(8, FP[2], FP[1]), worker(9, FP[1])]}, False,
         f"workers run with {FP[1]}, accepting {FP[1]}; others with {FP[2]}, accepting {FP[2]}, {FP[1]}"),
        ("one cannot be read", 1, {"workers": [worker(8, OLD), worker(9, problem="unreadable")]}, False,
         f"workers run with {OLD}, accepting {OLD}; others with keys that cannot be seen"),
        ("they cannot be read", 1, {"workers": [worker(9, problem="unreadable")]}, False, "workers run with keys that cannot be seen"),
        ("nothing ran, nothing runs", 0, {"workers": [], "units": [unit("failed")]}, False, "nothing of the application runs, as before"),
        ("nothing ran, something does", 0, {"workers": [worker(9, OLD)]}, False, f"workers run with {OLD}, accepting {OLD}"),
    ],
)  # fmt: skip
def test_8_an_application_is_called_down_only_where_nothing_of_it_runs(what, before, changes, down, text):
    earlier = found_before(*(worker(number, OLD) for number in range(1, before + 1)))
    found = visit.application_after(earlier, seen(at("promote"), **changes))
    assert found.down is down
    assert found.text == text


def test_8_a_unit_that_was_stopped_before_says_nothing_about_the_rest():
    earlier = {**found_before(worker(1, OLD)), "units": [unit(), unit("inactive", name="queue.service", sub="dead")]}
    look = seen(at("promote"), workers=[worker(1, OLD)], units=earlier["units"])
    assert visit.application_after(earlier, look).down is False
    assert visit.unproven(keyrings.order(at("promote")), look, True, earlier)[0].seen.startswith("pid 1")


def test_a_record_counts_the_workers_that_there_were_and_not_those_that_had_lasted():
    """Of a pool that is still filling not all are in both looks."""
    look = seen(at("promote"), workers=[worker(1), worker(2, parent=1), worker(3, parent=1)], lasting=2)
    assert visit.remembered(seen(at("promote")), look)["workers"] == 3
