# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the environment that it was made with: what is said of its workers, of one that comes back, and of one that is not there."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import keepers, proof, visit
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, steady, survey
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import (
    ALIEN,
    FLEET,
    NEW,
    OLD,
    T0,
    at,
    env_file,
    fleet_of,
    holds,
    idle,
    outsider,
    record,
    seen,
    surveyed,
    worker,
)
from builders import survey as conditions

BACK = "its restart policy is always"
RENEW = "recreate it (docker compose up -d web), a restart keeps the environment"


def keeper(*keys: str, problem: Optional[str] = None, **changes: Any) -> Dict[str, Any]:
    """A container in which nothing runs, and which comes back at boot."""
    return {
        "name": "container shop_web_1", "there": True, "made": T0 - 3 * 86400, "runs": False, "returns": BACK, "way": "docker service", "anew": "web",
        **holds(*(keys or (None,)), problem=problem), **changes,
    }  # fmt: skip


def order(keyring: Any) -> Any:
    return keyrings.order(keyring)


def said(evidence: Any, keyring: Any) -> List[proof.Finding]:
    return proof.judge(keyring, order(keyring), evidence, set())


def restarted(keyring: Any, *keys: str, made: float) -> Dict[str, Any]:
    """A host whose file was written yesterday, and whose workers were started since in a container that was made at `made`."""
    workers = [{**worker(101, *keys, started=T0), "keeper": "container shop_web_1"}]
    files = [env_file(*order(keyring).accepts, changed=T0 - 86400)]
    return seen(keyring, workers=workers, files=files, keepers=[keeper(*keys, runs=True, made=made)])


def test_a_worker_in_one_that_is_older_than_the_file_was_only_restarted() -> None:
    keyring = at("promote")
    (found,) = said(restarted(keyring, OLD, NEW, made=T0 - 2 * 86400), keyring)
    assert found.advice == RENEW
    assert "signs with" in found.seen and found.seen.count("container shop_web_1 was created ") == 1
    assert "before the env file was written" in found.seen


def test_a_worker_in_one_that_is_younger_than_the_file_has_its_keys_from_elsewhere() -> None:
    keyring = at("promote")
    (found,) = said(restarted(keyring, OLD, NEW, made=T0 - 3600), keyring)
    assert "recreate" not in found.advice and "something else gives it its keys" in found.advice


def test_a_visit_whose_restart_replaced_the_processes_and_not_what_they_run_in_says_so() -> None:
    keyring = at("promote")
    after = restarted(keyring, OLD, NEW, made=T0 - 2 * 86400)
    before = {**after, "workers": [{**after["workers"][0], "pid": 90, "ticks": 900}]}
    found = visit.unproven(order(keyring), after, True, before, restarted=True)
    assert [one.advice for one in found] == [RENEW]


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"returns": None}, False),
        ({"runs": True}, False),
        ({"there": False}, None),
    ],
)
def test_one_that_comes_back_with_keys_of_before_keeps_its_host_from_being_proven(
    changes: Dict[str, Any], counts: Optional[bool]
) -> None:
    keyring = at("promote")
    evidence = seen(keyring, keepers=[keeper(OLD, NEW, **changes)])
    found = said(evidence, keyring)
    if counts:
        (only,) = found
        assert only.seen.startswith(
            f"container shop_web_1 does not run, and comes back ({BACK}): it then signs with {OLD}"
        )
        assert only.advice == f"{RENEW}; or remove it, if nobody needs it"
    elif counts is None:
        assert [one.seen for one in found] == ["there is no container shop_web_1"]
    else:
        assert found == []
    assert bool(visit.unproven(order(keyring), evidence, True, evidence)) is bool(found)
    assert bool(proof.inadmissible(order(keyring), seen(keyring, keepers=[keeper(ALIEN, **changes)]))) is bool(counts)


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (keeper(NEW, OLD), False),
        (keeper(OLD), True),
        (keeper(problem="absent"), False),
        (keeper(problem="not_a_list"), True),
    ],
)
def test_what_it_comes_back_with_is_what_counts(one: Any, counts: bool) -> None:
    keyring = at("promote")
    for evidence in (seen(keyring, keepers=[one]), idle(keyring, keepers=[one])):
        assert bool(said(evidence, keyring)) is counts
    fleet = fleet_of(keyring, web_2=seen(keyring, keepers=[one], machine="boot-x/1", state="x/1:1"))
    assert (sorted(surveyed(keyring, FLEET, fleet).count.proven) == sorted(FLEET)) is not counts


def test_no_visit_overwrites_what_only_a_stopped_one_knows() -> None:
    keyring = at("prepare")
    plan = visit.plan(order(keyring), seen(keyring, OLD, keepers=[keeper(ALIEN)]), True)
    assert plan.refuse and f"container shop_web_1 holds the key {ALIEN}, which is not in the keyring" in plan.refuse
    assert not visit.plan(order(keyring), seen(keyring, OLD, keepers=[keeper(ALIEN, returns=None)]), True).refuse
    assert not visit.plan(order(keyring), seen(keyring, OLD, keepers=[keeper(ALIEN)]), True, [ALIEN]).refuse


def test_adopt_takes_what_comes_back_for_what_runs() -> None:
    keyring = at("adopted")

    def begin(*them: Any) -> Any:
        evidence = {"web-1": {**seen(keyring, keepers=list(them)), "record": None}}
        return adoption.judge(survey.Looks(["web-1"], evidence, conditions()))

    assert begin(keeper(OLD)).accepts == [OLD]
    assert begin(keeper(ALIEN)).findings, "workers that do not accept what it signs"
    assert begin(keeper(OLD, there=False)).findings["web-1"][0].seen == "there is no container shop_web_1"


def test_one_that_is_not_there_is_named_in_every_way() -> None:
    keyring = at("promote")
    gone = seen(keyring, keepers=[keeper(there=False, problem="absent")])
    assert [one.seen for one in steady.unsteady(seen(keyring), gone)] == ["there is no container shop_web_1"]
    nothing = idle(keyring, keepers=[keeper(there=False, problem="absent")])
    assert "there is no container shop_web_1" in str(visit.plan(order(keyring), nothing, True).refuse)
    # A deploy may write a host before there is anything on it.
    assert visit.plan(order(keyring), nothing, False).refuse is None
    assert visit.unproven(order(keyring), nothing, False, nothing) == []
    assert visit.unproven(order(keyring), gone, False, seen(keyring)) != []


def test_how_one_is_made_anew_is_said_for_each_way_there_is() -> None:
    assert (
        keepers.renew({**keeper(), "way": "nobody knows"})
        == "recreate it (remove web, and create it as before), a restart keeps the environment"
    )  # type: ignore[typeddict-item]
    for way in keepers.RENEWED:
        assert "web" in keepers.renew({**keeper(), "way": way})  # type: ignore[typeddict-item]


# --- one process, seen from two PID namespaces --------------------------------------

HOST, GUEST = "boot-1/4026531836", "boot-1/4026532000"


def guest_and_host(keyring: Any, **of_the_hosts: Any) -> Dict[str, Any]:
    """web-1 is a machine, and web-2 a container on it with its own look: web-1 sees web-2's workers under other pids."""
    inside = [worker(17, *order(keyring).accepts)]
    outside = {
        **outsider(5017, order(keyring).signs),
        "ticks": 170,
        "inner": {"machine": GUEST, "pid": 17},
        **of_the_hosts,
    }
    return {
        "web-1": seen(keyring, machine=HOST, state="a/1:1", others=[outside]),
        "web-2": seen(
            keyring, machine=GUEST, state="b/1:1", workers=inside, record=record(keyring, workers=1, pools=[0])
        ),
    }


def test_a_host_and_its_guest_do_not_accuse_each_other() -> None:
    keyring = at("promote")
    assert surveyed(keyring, ["web-1", "web-2"], guest_and_host(keyring)).count.findings.keys() <= {"web-3"}


@pytest.mark.parametrize(
    "wrong",
    [{"inner": {"machine": GUEST, "pid": 18}}, {"inner": {"machine": "boot-1/1", "pid": 17}}, {"ticks": 171},
        {"inner": {"machine": "boot-2/4026532000", "pid": 17}}],
)  # fmt: skip
def test_another_process_in_there_is_nobodys(wrong: Dict[str, Any]) -> None:
    keyring = at("promote")
    found = surveyed(keyring, ["web-1", "web-2"], guest_and_host(keyring, **wrong)).count.findings["web-1"]
    assert [one.seen for one in found if "is not among app_keys_processes" in one.seen]


def test_a_guest_does_not_accuse_its_host_of_what_the_host_answers_for() -> None:
    keyring = at("promote")
    mine = {**worker(5017, *order(keyring).accepts), "ticks": 170, "inner": {"machine": GUEST, "pid": 17}}
    fleet = {
        "web-1": seen(
            keyring, machine=HOST, state="a/1:1", workers=[mine], record=record(keyring, workers=1, pools=[0])
        ),
        "web-2": seen(keyring, machine=GUEST, state="b/1:1", others=[{**outsider(17, OLD), "ticks": 170}]),
    }
    assert surveyed(keyring, ["web-1", "web-2"], fleet).count.findings.keys() <= {"web-3"}


def test_what_is_outside_and_in_a_container_is_named_with_that() -> None:
    keyring = at("promote")
    other = {**outsider(900, OLD), "within": "0cfa3214b4c3"}
    (found,) = said(seen(keyring, others=[other, {**other, "pid": 901}]), keyring)
    assert "(celery worker in container 0cfa3214b4c3) hold" in found.seen
