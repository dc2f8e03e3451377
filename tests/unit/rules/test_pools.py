# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 9: a main process has to last, and how many workers it has is its own business while it has any."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import pools, proof
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import T0, at, record, seen, worker


def tree(*parents, called="gunicorn:", **changes):
    """Workers 10, 11, 12 and so on, each with its parent."""
    return [{**worker(pid, parent=parent), "command": called, **changes} for pid, parent in enumerate(parents, 10)]


def depths(first, second=None):
    return {pool["main"]: (pool["depth"], pool["lasting"]) for pool in pools.pools(first, second)}


@pytest.mark.parametrize(
    "what, parents, expected",
    [
        ("nothing runs", [], {}),
        ("a process alone", [1], {10: 0}),
        ("a main process with two workers", [1, 10, 10], {10: 1}),
        ("a main process with one worker", [1, 10], {10: 1}),
        ("workers that run commands are a pool all the same", [1, 10, 10, 11, 13], {10: 1}),
        ("a shell above the main process", [1, 10, 11, 11], {10: 2}),
        ("a shell, and a main process without workers", [1, 10], {10: 1}),
        ("two wrappers", [1, 10, 11, 12, 12], {10: 3}),
        ("two main processes, one with workers", [1, 1, 11], {10: 0, 11: 1}),
        ("independent processes", [1, 1, 1, 1], {10: 0, 11: 0, 12: 0, 13: 0}),
        ("a parent that nobody named", [500, 500], {10: 0, 11: 0}),
        ("two workers of one are no generation of the other", [1, 10, 1, 12, 12], {10: 1, 12: 1}),
    ],
)
def test_9_how_far_below_its_main_process_a_pool_is(what, parents, expected):
    assert depths(tree(*parents)) == {pid: (depth, depth) for pid, depth in expected.items()}


def without(workers, *pids):
    return [one for one in workers if one["pid"] not in pids]


@pytest.mark.parametrize(
    "what, first, second, expected",
    [
        ("all last", tree(1, 10, 10), tree(1, 10, 10), {10: (1, 1)}),
        ("workers come and go", without(tree(1, 10, 10), 12), without(tree(1, 10, 10), 11), {10: (1, 0)}),
        ("its workers came", tree(1), tree(1, 10, 10), {10: (1, 0)}),
        ("its workers went", tree(1, 10, 10), tree(1), {10: (1, 0)}),
        ("it has none in either", tree(1), tree(1), {10: (0, 0)}),
        ("one of them lasts", tree(1, 10, 10), without(tree(1, 10, 10), 11), {10: (1, 1)}),
        ("the second look shows less", tree(1, 10, 11, 11), without(tree(1, 10, 11, 11), 12, 13), {10: (2, 1)}),
        ("it is another one", tree(1, 10), [{**one, "ticks": 7} for one in tree(1, 10)], {}),
        ("a second one came", tree(1), tree(1, 1), {10: (0, 0)}),
        ("one of two went", tree(1, 1), tree(1), {10: (0, 0)}),
    ],
)
def test_9_of_two_looks_the_main_processes_that_last(what, first, second, expected):
    assert depths(first, second) == expected


def test_a_pool_says_who_its_main_process_is():
    (pool,) = pools.pools(tree(1, 10, idle=True))
    assert pool == {"main": 10, "ticks": 100, "called": "gunicorn:", "depth": 1, "lasting": 1, "idle": True}


@pytest.mark.parametrize(
    "now, had, bare",
    [
        ([0], [], []), ([0], [0], []), ([1], [1], []), ([0], [1], [10]), ([1], [2], [10]), ([2], [1], []), ([], [1], []),
        # Which of several it is nobody can tell: pids are new after every restart.
        ([1, 0], [1, 0], []), ([0, 1], [1, 0], []), ([0, 0], [1, 0], [10, 11]), ([1, 0], [1, 1], [11]), ([2, 0], [1, 2], [11]),
        ([0, 2], [2, 1], [10]), ([1, 1], [2, 1], [10, 11]), ([0], [1, 0], [10]), ([1], [1, 1], []), ([0, 0, 1], [1], []),
        ([1, 0], [2, 1], [10, 11]),
    ],
)  # fmt: skip
def test_9_fewer_pools_than_at_the_last_proof_are_found(now, had, bare):
    seen_now = [{"main": pid, "depth": depth, "idle": False} for pid, depth in enumerate(now, 10)]
    assert [pool["main"] for pool in pools.emptied(seen_now, had)] == bare


@pytest.mark.parametrize("had", [[1], [1, 1], [2, 0]])
def test_9_a_pool_that_may_idle_may_be_empty(had):
    resting = [{"main": 10, "depth": 0, "idle": True}, {"main": 11, "depth": 0, "idle": True}]
    assert pools.emptied(resting, had) == []


def test_9_beside_a_pool_that_may_idle_the_others_count():
    one = [{"main": 10, "depth": 0, "idle": True}, {"main": 11, "depth": 0, "idle": False}]
    assert [pool["main"] for pool in pools.emptied(one, [1, 1])] == [11]
    assert pools.emptied(one, [1]) == []


def test_9_a_record_keeps_what_lasted_and_asks_nothing_of_a_pool_that_may_idle():
    looked = pools.pools(tree(1, 10, 10), without(tree(1, 10, 10), 12)) + pools.pools(tree(1))
    assert pools.remembered(looked) == [1, 0]
    assert pools.remembered(pools.pools(tree(1, 10), tree(1))) == [0], "a worker that came and went is no pool"
    assert pools.remembered(pools.pools(tree(1, 10, idle=True))) == [0]


def looked(*parents, called="gunicorn:"):
    workers = tree(*parents, called=called)
    return {"workers": workers, "pools": pools.pools(workers)}


def both(one, other):
    """Two applications on one host; the second has pids of its own."""
    moved = [{**w, "pid": w["pid"] + 100, "parent": w["parent"] + 100 * (w["parent"] > 9)} for w in other["workers"]]
    workers = [*one["workers"], *moved]
    return {"workers": workers, "pools": pools.pools(workers)}


CRON, NONE = looked(1, called="cron"), looked()


@pytest.mark.parametrize(
    "what, before, now, lost",
    [
        ("a pool shrinks", looked(1, 10, 10, 10, 10), looked(1, 10), False),
        ("a pool grows", looked(1, 10), looked(1, 10, 10, 10), False),
        ("nothing runs any more", looked(1, 10, 10), NONE, True),
        ("nothing ran", NONE, NONE, False),
        ("nothing ran, and something does", NONE, looked(1), False),
        ("one of four independent processes is gone", looked(1, 1, 1, 1), looked(1, 1, 1), True),
        ("one more", looked(1, 1), looked(1, 1, 1), False),
        ("one of two main processes with workers is gone", looked(1, 1, 10, 11), looked(1, 10), True),
        ("one of two is gone, and the other has grown", looked(1, 1, 10, 11), looked(1, 10, 10, 10, 10), True),
        ("another program is gone", both(looked(1, 10, 10), CRON), looked(1, 10, 10), True),
        ("another program is gone, and the pool has grown", both(looked(1, 10, 10), CRON), looked(1, 10, 10, 10, 10), True),
        ("one with workers is gone, and one without has come", both(looked(1, 10), looked(1, 10)), both(looked(1, 10), CRON), False),
        ("orphans of a main process that died have one again", looked(1, 1, 1), looked(1, 10, 10), False),
        ("orphans beside a new main process", looked(1, 10, 10, 1, 1), looked(1, 10, 10, 10, 10), False),
        ("orphans have a main process again, and another program is gone", both(looked(1, 1, 1), CRON), looked(1, 10, 10), True),
        ("orphans have a main process again, and another pool has shrunk",
         both(looked(1, 10, 10, 10, called="celery"), looked(1, 1, 1)), both(looked(1, 10, called="celery"), looked(1, 10, 10)), False),
        ("fewer than the orphans were", looked(1, 1, 1, 1), looked(1, 10, 10), True),
        ("orphans, and all that is left is another program", looked(1, 1), CRON, True),
        ("a lone process is gone, and its namesakes are another's children",
         both(looked(1, 10, 10), looked(1)), looked(1, 10, 10), True),
    ],
)  # fmt: skip
def test_9_a_main_process_that_is_gone_is_a_loss(what, before, now, lost):
    assert pools.fewer(before, now) is lost


def test_2_a_worker_has_its_environment_since_its_main_process_started():
    workers = tree(1, 10, 11, 1)
    for one, started in zip(workers, (T0, T0 + 5, T0 + 9, T0 + 7)):
        one["started"] = started
    assert pools.began(workers) == {10: T0, 11: T0, 12: T0, 13: T0 + 7}


def test_2_parents_that_cannot_be_are_no_reason_to_hang():
    assert pools.began(tree(11, 10)) == {10: T0 - 86400, 11: T0 - 86400}
    assert pools.pools(tree(11, 10)) == []


# --- and the gate --------------------------------------------------------------


def alone(had, **changes):
    """What the gate finds of a host whose main process has no workers just now, and by its record `had` some."""
    keyring = at("promoted")
    main = {**worker(101, *seen(keyring)["files"][0]["accepts"]), **changes}
    entry = seen(keyring, workers=[main], record=record(keyring, **had))
    return proof.judge(keyring, keyrings.order(keyring), entry, set())


def test_9_the_gate_counts_no_host_whose_pool_is_gone():
    (finding,) = alone({"pools": [1]})
    assert finding.seen == (
        "no worker runs below pid 101 (gunicorn: worker) in two looks, and at the last proof there were some"
    )
    assert "say so in app_keys_processes: idle: true" in finding.advice
    assert alone({"pools": [0]}) == alone({"pools": None}) == alone({}) == []
    assert alone({"pools": [1]}, idle=True) == []
