# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one visit may do to one host: rules 4, 5, 6, 8 and 9."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import remedies, visit
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from builders import (
    ALIEN,
    NEW,
    NEXT,
    OLD,
    PATH,
    T0,
    at,
    env_file,
    idle,
    opened,
    outsider,
    record,
    seen,
    trouble,
    unit,
    worker,
)  # fmt: skip

CONVERGE, DEPLOY = True, False
STEPS = ["adopt", "prepare", "prepared", "promote", "promoted", "retire", "retired"]


def fence(name, **changes):
    keyring = at(name)
    return visit.fence(keyrings.token(keyring), record(keyring, **changes))


def plan(name, look, converge=CONVERGE, replace=()):
    return visit.plan(keyrings.order(at(name)), look, converge, replace)


def does(name, look, converge=CONVERGE):
    decided = plan(name, look, converge)
    assert decided.refuse is None
    return decided.write, decided.restart


# --- rule 4: the fence -------------------------------------------------------


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"counter": 4, "nonce": "n4", "step": "retire"},
            "has seen step 4 (retire, 2023-11-14T22:13:20Z), and this keyring is only at step 3",
        ),
        ({"counter": 99, "nonce": "n3"}, "has seen step 99"),
        ({"nonce": "x3"}, "step 3 was opened twice, from two copies of the keyring"),
        (
            {"keyring": "ring-2"},
            "was rolled with another keyring (ring-2, last visit 2023-11-14T22:13:20Z), and this is ring-1",
        ),
        ({"keyring": "ring-2", "counter": 1, "nonce": "n1"}, "was rolled with another keyring"),
    ],
    ids=[
        "lower counter",
        "much lower counter",
        "equal counter, other nonce",
        "other ring",
        "other keyring with a lower counter",
    ],
)
def test_4_a_visit_that_is_late_or_of_another_keyring_is_told_so(changes, said):
    assert said in fence("promote", **changes)


@pytest.mark.parametrize(
    "changes",
    [{}, {"counter": 2, "nonce": "n2"}, {"counter": 1, "nonce": "n3"}, {"state": "visiting"}, {"state": "unproven"}],
)
def test_4_a_visit_of_this_step_or_a_later_one_is_let_in(changes):
    assert fence("promote", **changes) is None


def test_4_the_first_visit_of_a_host_is_let_in():
    assert visit.fence(keyrings.token(at("adopt")), None) is None


# --- what a visit does -------------------------------------------------------


@pytest.mark.parametrize(
    "name, keys, expected",
    [
        ("prepare", [OLD], True), ("prepare", [OLD, NEW], False), ("promote", [OLD, NEW], True), ("promote", [NEW, OLD], False),
        ("promote", [OLD], True), ("promoted", [OLD, NEW], True), ("retire", [NEW, OLD], True), ("retire", [NEW], False),
        ("adopt", [OLD], False),
    ],
)  # fmt: skip
def test_the_steps_own_visit_brings_a_host_to_what_the_step_asks(name, keys, expected):
    assert does(name, seen(at(name), *keys)) == (expected, expected)


@pytest.mark.parametrize(
    "name, keys, expected",
    [
        ("prepare", [OLD], False), ("prepare", [OLD, NEW], False),
        ("promote", [OLD, NEW], False), ("promote", [NEW, OLD], False), ("promote", [OLD], True), ("promote", [NEW], True),
        ("promoted", [OLD, NEW], True), ("promoted", [NEW, OLD], False), ("promoted", [OLD], True),
        ("retire", [NEW, OLD], False), ("retire", [NEW], False), ("retire", [OLD, NEW], True),
        ("retired", [NEW, OLD], True), ("retired", [NEW], False),
    ],
)  # fmt: skip
def test_5_a_deploy_changes_a_host_only_if_its_settings_are_not_admissible(name, keys, expected):
    assert does(name, seen(at(name), *keys), DEPLOY) == (expected, expected)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("converge", [CONVERGE, DEPLOY])
def test_5_a_host_that_does_what_the_step_asks_is_left_alone(name, converge):
    assert does(name, seen(at(name)), converge) == (False, False)
    assert does(name, idle(at(name)), converge) == (False, False)


@pytest.mark.parametrize(
    "what, file, workers, expected",
    [
        ("stale workers are restarted on a file that is right", [NEW, OLD], [[OLD, NEW], [NEW, OLD]], (False, True)),
        ("a file that is wrong is written though the workers are right", [OLD, NEW], [[NEW, OLD]], (True, False)),
        ("one stale worker is enough", [NEW, OLD], [[NEW, OLD], [NEW, OLD], [OLD]], (False, True)),
        ("both", [OLD], [[OLD]], (True, True)),
    ],
)
def test_8_the_next_visit_finishes_one_that_was_cut(what, file, workers, expected):
    look = seen(
        at("promote"), files=[env_file(*file)], workers=[worker(pid, *keys) for pid, keys in enumerate(workers, 1)]
    )
    assert does("promote", look) == expected


def test_9_an_idle_host_is_written_without_a_restart():
    assert does("promote", idle(at("promote"), files=[env_file(OLD, NEW)])) == (True, False)


def test_a_host_without_a_file_gets_one():
    assert does("promote", idle(at("promote"), record=None, files=[env_file(changed=None, problem="absent")])) == (
        True,
        False,
    )


def test_one_of_several_files_is_enough_to_write():
    look = seen(at("promote"), files=[env_file(NEW, OLD), env_file(OLD, NEW, path="/etc/queue.env")])
    assert does("promote", look) == (True, False)


def test_2_where_age_is_the_proof_a_file_that_is_written_means_a_restart():
    look = seen(at("promote"), files=[env_file(OLD, NEW)], workers=[worker(1, NEW, OLD)], proof="process_age")
    assert does("promote", look) == (True, True)
    assert does("promote", {**look, "workers": [], "record": None, "units": []}) == (True, False)


def test_2_a_worker_that_is_older_than_its_file_is_restarted():
    for kind in ("stale", "undated"):
        look = seen(at("promote"), workers=[worker(1, problem=kind)], proof="process_age")
        assert does("promote", look) == (False, True)


# --- rule 6: never overwrite the unknown -------------------------------------


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("converge", [CONVERGE, DEPLOY])
@pytest.mark.parametrize(
    "changes, where",
    [
        ({"files": [env_file(ALIEN)]}, PATH),
        ({"files": [env_file(OLD, ALIEN)]}, PATH),
        ({"files": [env_file(ALIEN, OLD)]}, PATH),
        ({"workers": [worker(5, ALIEN)]}, "the worker with pid 5"),
        ({"workers": [worker(5, OLD, ALIEN)]}, "the worker with pid 5"),
        ({"workers": [], "units": [], "record": None, "files": [env_file(ALIEN)]}, PATH),
    ],
)
def test_6_a_value_that_the_keyring_does_not_know_is_never_replaced(name, converge, changes, where):
    refuse = plan(name, seen(at(name), **changes), converge).refuse
    assert f"{where} holds the key {ALIEN}, which is not in the keyring. Nothing was changed" in refuse
    assert f"app_keys_replace={ALIEN}" in refuse
    # There is a keyring, so adopt would refuse: the message leads nobody there.
    assert "put the keyring's key back there" in refuse and "adopt" not in refuse


@pytest.mark.parametrize(
    "replace, given_up", [([ALIEN], True), ([NEW], False), ([ALIEN[:8]], False), ([""], False), ([], False)]
)
def test_6_only_a_key_that_is_given_up_by_its_name_is_replaced(replace, given_up):
    decided = plan("promote", seen(at("promote"), ALIEN), replace=replace)
    assert (decided.refuse is None) is given_up
    assert decided[:2] == (given_up, given_up)


def test_6_every_unknown_key_has_to_be_given_up():
    other = "0123456789abcdef"
    assert other in plan("promote", seen(at("promote"), ALIEN, other), replace=[ALIEN]).refuse


@pytest.mark.parametrize(
    "before",
    [
        {"files": [env_file(problem="absent", changed=None), env_file(ALIEN, path="/etc/b.env")]},
        {"workers": [worker(1, problem="stale"), worker(2, ALIEN)]},
        {"workers": [worker(1, problem="unreadable"), worker(2, ALIEN)]},
    ],
    ids=["no file", "a stale worker", "one that cannot be seen"],
)
def test_6_an_unknown_key_is_found_behind_what_has_no_key_to_tell(before):
    assert f"holds the key {ALIEN}" in plan("promote", seen(at("promote"), **before)).refuse


@pytest.mark.parametrize("name", ["retired", "promoted"])
def test_6_a_key_that_the_keyring_ever_held_is_known(name):
    assert plan(name, seen(at(name), OLD)).write


@pytest.mark.parametrize("kind", ["empty", "not_a_list", "twice", "not_literal", "broken"])
@pytest.mark.parametrize("converge", [CONVERGE, DEPLOY])
def test_6_a_file_that_cannot_be_read_with_certainty_is_not_written(kind, converge):
    decided = plan("promote", seen(at("promote"), files=[env_file(problem=kind)]), converge)
    assert f"{PATH}: the text for {kind}. Nothing was changed" in decided.refuse
    assert decided[:2] == (False, False)


@pytest.mark.parametrize(
    "kind", ["unreadable", "overwritten", "not_a_list", "absent", "empty", "ageless", "container", "doubtful"]
)
@pytest.mark.parametrize("converge", [CONVERGE, DEPLOY])
def test_2_a_worker_that_could_not_be_proven_afterwards_stops_the_visit_before(kind, converge):
    decided = plan("promote", seen(at("promote"), workers=[worker(7, problem=kind)]), converge)
    assert f"the text for {kind}. Nothing was changed" in decided.refuse
    assert "pid 7" in decided.refuse and remedies.PROBLEMS[kind] in decided.refuse
    assert decided[:2] == (False, False)


# --- rule 9: hosts that are down ---------------------------------------------

DOWN = [
    ({"units": [unit("inactive")]}, "no worker runs, and at the last visit there were 2"),
    ({"units": [unit("failed", sub="failed")]}, "shop.service is failed"),
    ({"units": [unit("active")]}, "shop.service is active and has no process"),
    ({"units": [unit("activating", sub="auto-restart")]}, "shop.service is activating"),
    ({"units": [unit("inactive", load="not-found")]}, "shop.service is not-found"),
]


@pytest.mark.parametrize("changes, said", DOWN)
def test_9_a_host_that_is_down_is_not_changed(changes, said):
    decided = plan("promote", seen(at("promote"), workers=[], files=[env_file(OLD, NEW)], **changes))
    assert said in decided.refuse
    assert decided[:2] == (False, False)


def test_9_a_deploy_does_not_turn_a_host_that_lost_its_workers_into_an_idle_one():
    """It may write the file of a host that is down; with `workers: 0` in its record the gate would count that host."""
    look = seen(at("promoted"), OLD, workers=[], units=[unit("inactive")])
    after = seen(at("promoted"), workers=[], units=[unit("inactive")])
    assert visit.plan(keyrings.order(at("promoted")), look, DEPLOY).write
    look["record"]["pools"] = [1]
    assert visit.remembered(look, after) == {"workers": 2, "pools": [1]}
    assert visit.remembered({**look, "record": None}, after) == {"workers": 0, "pools": None}
    assert visit.remembered(look, seen(at("promoted"))) == {"workers": 2, "pools": [0, 0]}, (
        "as it is where something runs"
    )


# --- the proof after a visit -------------------------------------------------


# --- rule 8: going back ------------------------------------------------------


@pytest.mark.parametrize(
    "name, keys, allowed",
    [
        ("adopt", [OLD], True),
        ("prepare", [OLD], True), ("prepare", [OLD, NEW], True),
        ("promote", [OLD, NEW], True), ("promote", [NEW, OLD], True), ("promote", [OLD], False), ("promote", [NEW], False),
        ("promoted", [OLD, NEW], False), ("promoted", [NEW, OLD], True), ("promoted", [OLD], False),
        ("retire", [NEW, OLD], True), ("retire", [NEW], True), ("retire", [OLD, NEW], False), ("retire", [OLD], False),
        ("retired", [NEW, OLD], False), ("retired", [NEW], True),
        ("promote", [ALIEN], False), ("promote", [NEXT, NEW, OLD], False), ("promote", [], False),
    ],
)  # fmt: skip
def test_8_settings_of_before_come_back_only_where_the_step_admits_them(name, keys, allowed):
    signs = keys[0] if keys else None
    assert keyrings.order(at(name)).may_restore(signs, keys) is allowed


def test_a_visit_is_not_about_processes_that_nobody_named():
    assert does("promote", seen(at("promote"), others=[outsider()])) == (False, False)


# --- a rollout is taken back where the application is down ---------------------


def fallen(keyring, *keys):
    """A host whose application died with these keys in its file."""
    return seen(keyring, *keys, workers=[], units=[unit("failed", sub="failed")])


def test_12_a_host_that_is_down_is_written_and_started_when_a_rollout_is_taken_back():
    keyring = opened(at("promoted"), "rollback", T0)
    assert visit.plan(keyrings.order(keyring), fallen(at("promoted"), NEW, OLD), True) == (True, True, None)
    assert visit.plan(keyrings.order(keyring), fallen(at("promoted"), NEW, OLD), False).restart is False, (
        "a deploy starts nothing"
    )
    refused = visit.plan(keyrings.order(at("retire")), fallen(at("promoted"), NEW, OLD), True).refuse
    assert "a host is not changed while it is down" in refused


def test_14_so_it_is_while_a_leaked_key_is_in_use():
    order = keyrings.order(opened(steps.mark_compromised(at("prepared"), OLD, T0), "promote", T0))
    assert visit.plan(order, fallen(at("prepared"), OLD, NEW), True).refuse is None


def test_12_a_host_that_stays_down_is_not_proven():
    keyring = opened(at("promoted"), "rollback", T0)
    before, after = fallen(at("promoted"), NEW, OLD), fallen(keyring)
    found = visit.unproven(keyrings.order(keyring), after, True, before)
    assert [finding.advice for finding in found if finding.seen == "shop.service is failed (failed)"] == [
        "look at: systemctl status shop.service"
    ]
    assert visit.unproven(keyrings.order(keyring), after, False, before) == [], "a deploy found it so"
    assert visit.unproven(keyrings.order(keyring), seen(keyring), True, before) == []


def test_workers_that_nothing_restarts_are_refused_before_anything_is_written() -> None:
    look = {**seen(at("prepare")), "restart": None}
    assert plan("promote", look) == (False, False, visit.NO_RESTART)
    assert plan("prepare", look) == (False, False, None)


def test_a_record_says_whose_the_workers_were():
    keyring = at("promote")
    look = seen(keyring, record=record(keyring, uids=[33]))
    mixed = seen(keyring, workers=[{**worker(1, NEW), "uids": [0, 990]}, {**worker(2, NEW), "uids": [990]}])
    assert visit.remembered_uids(look, mixed) == [0, 990]
    assert visit.remembered_uids(look, idle(keyring)) == [33]
    assert visit.remembered_uids(seen(keyring), idle(keyring)) == []
    assert visit.remembered_uids(seen(keyring, record=None), idle(keyring)) == []
    # What looked at it did not say whose they are.
    assert visit.remembered_uids(seen(keyring), {"workers": [{"pid": 7}]}) == []


# --- rule 9: pools ------------------------------------------------------------


# --- what a failed visit says ---------------------------------------------------


def test_9_a_refusal_of_a_host_that_is_down_says_what_to_do():
    refuse = plan("promote", seen(at("promote"), OLD, NEW, workers=[], units=[unit("failed", sub="failed")])).refuse
    assert refuse == (
        "shop.service is failed (failed). What to do: look at: systemctl status shop.service. "
        "Start the application: a host is not changed while it is down"
    )


def test_9_a_refusal_of_a_host_on_which_nothing_runs_says_once_to_start_it():
    refuse = plan("promote", seen(at("promote"), OLD, NEW, workers=[], units=[unit("inactive")])).refuse
    assert refuse == (
        "no worker runs, and at the last visit there were 2. What to do: start the application. "
        "A host is not changed while it is down"
    )


OVER = [{"setting": "SECRET_KEY", "source": "/etc/local.env (EnvironmentFile= of shop.service)", "wins": True}]


@pytest.mark.parametrize("keys", [[OLD, NEW], [NEW, OLD]], ids=["to be changed", "right today"])
def test_16_a_host_on_which_something_wins_over_the_env_file_is_not_changed(keys):
    look = seen(at("promote"), *keys, units=[unit(sources=OVER)])
    decided = plan("promote", look)
    refuse = decided.refuse
    assert decided[:2] == (False, False)
    assert refuse.startswith(
        "shop.service takes SECRET_KEY from /etc/local.env (EnvironmentFile= of shop.service), which wins"
    )
    assert "take the setting out there" in refuse and refuse.endswith("Nothing was changed")
    look["units"] = [unit(sources=[{**OVER[0], "wins": False}])]
    assert plan("promote", look).refuse is None


@pytest.mark.parametrize(
    "what, files, workers, refused",
    [
        ("nothing has to change", [NEW, OLD], [NEW, OLD], False),
        ("the file has to", [OLD], [NEW, OLD], True),
        ("a worker has to", [NEW, OLD], [OLD], True),
    ],
)
def test_5_a_deploy_that_has_nothing_to_do_is_not_stopped_by_what_wins(what, files, workers, refused):
    look = seen(at("promote"), files=[env_file(*files)], workers=[worker(1, *workers)], units=[unit(sources=OVER)])
    assert bool(plan("promote", look, DEPLOY).refuse) is refused


def test_12_what_wins_does_not_stop_a_visit_that_takes_a_rollout_back():
    keyring = opened(at("promoted"), "rollback", T0)
    look = seen(at("promoted"), units=[unit(sources=OVER)])
    assert visit.plan(keyrings.order(keyring), look, True) == (True, True, None)


# --- what somebody has brought back ---------------------------------------------


def test_keys_that_have_ended_are_told_by_the_file_that_has_them_again():
    keyring = at("retired")
    files = [
        env_file(NEW, OLD),
        env_file(OLD, NEW, path="/etc/signs.env"),
        env_file(NEW, path="/etc/right.env"),
        env_file(ALIEN, path="/etc/alien.env"),
        # What a file that cannot be used seems to hold is not told of.
        {**env_file(OLD, path="/etc/broken.env"), "problem": trouble("twice")},
    ]
    found = visit.brought_back(keyrings.order(keyring), seen(keyring, files=files))
    assert found == {PATH: [OLD], "/etc/signs.env": [OLD]}
