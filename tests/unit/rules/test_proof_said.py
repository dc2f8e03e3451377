# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a host that is not proven, each once and as a whole: what was seen, and what to do."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import proof, remedies
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import ALIEN, DAY, NEW, NEXT, OLD, PATH, T0, at, env_file, idle, outsider, record, seen, unit, worker

RING = at("promote")
ASKED = keyrings.order(RING)
STARTED, WRITTEN = f"started {stamp(T0 - DAY)},", f"the env file was written {stamp(T0 - 2 * DAY)}"


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"record": None}, Finding("has no record of a visit", "run phased.keys.rollout, or the role in a deploy, which visits it")),
        (
            {"record": None, "record_of": "web-9"},
            Finding(
                "has no record of a visit, for the one there is web-9's: an image brought it",
                "run phased.keys.rollout, or the role in a deploy, which visits it",
            ),
        ),
        ({"record": record(at("prepare"))}, Finding("was last visited at step 2 (prepare)", "run phased.keys.rollout, which visits it")),
        (
            {"record": record(RING, state="unproven")},
            Finding(f"its last visit, at {stamp(T0)}, did not end in a proof", "run phased.keys.rollout, which visits it again"),
        ),
        (
            {"record": {**record(RING), "keyring": "ring-2"}},
            Finding("its record is of another keyring (ring-2)", "use the keyring that this fleet was rolled with"),
        ),
        *(
            (
                {"record": record(RING, **later)},
                Finding(
                    f"has seen step {counter} ({step}), and this keyring is at 3 (promote)",
                    "this keyring is a copy or a backup: use the one that the fleet was last rolled with; if that is lost, move this one away "
                    "and run phased.keys.adopt -e app_keys_recover=true",
                ),
            )
            for later, counter, step in (({"counter": 4, "step": "retire"}, 4, "retire"), ({"nonce": "other"}, 3, "promote"))
        ),
    ],
)  # fmt: skip
def test_of_its_record(changes, finding):
    assert proof.fence_findings(RING, seen(RING, **changes)) == [finding]
    assert proof.fence_findings(RING, seen(RING)) == []


@pytest.mark.parametrize(
    ("file", "findings"),
    [
        (env_file(NEW, OLD), []),
        (env_file(problem="twice"), [Finding(f"{PATH}: the text for twice", "fix the file, and run again")]),
        (
            env_file(OLD, NEW),
            [Finding(f"{PATH} signs with {OLD} and not with {NEW}", "run phased.keys.rollout, which visits the host")],
        ),
        (
            env_file(ALIEN, OLD),
            [Finding(f"{PATH} signs with {ALIEN}, which is not in the keyring", remedies.UNKNOWN.format(key=ALIEN))],
        ),
        (
            env_file(NEW, OLD, ALIEN),
            [Finding(f"{PATH} accepts {ALIEN}, which is not in the keyring", remedies.UNKNOWN.format(key=ALIEN))],
        ),
    ],
)
def test_of_a_file(file, findings):
    assert proof.file_findings(ASKED, file) == findings


@pytest.mark.parametrize(
    ("signs", "accepts", "said"),
    [
        (NEW, [NEW, OLD], ""),
        (OLD, [OLD, NEW], f"signs with {OLD} and not with {NEW}"),
        (NEW, [NEW], f"does not accept {OLD}"),
        # The key that is to sign comes first.
        (OLD, [], f"signs with {OLD} and not with {NEW} and does not accept {NEW}, {OLD}"),
        (NEW, [NEW, OLD, NEXT], f"still accepts {NEXT}"),
        (NEXT, [NEXT], f"signs with {NEXT} and not with {NEW} and does not accept {NEW}, {OLD} and still accepts {NEXT}"),
    ],
)  # fmt: skip
def test_in_what_keys_differ(signs, accepts, said):
    assert proof.differs(ASKED, {"signs": signs, "accepts": accepts}) == said


def test_of_workers_those_of_one_kind_together():
    one, two, blind = worker(1, OLD, NEW, started=T0 - DAY / 2), worker(2, OLD, NEW), worker(3, problem="unreadable")
    found = proof.worker_findings(ASKED, seen(RING, OLD, NEW, workers=[one, two, blind, worker(4, NEW, OLD)]), "do it")
    assert found == [
        Finding(f"pids 1, 2, {STARTED} signs with {OLD} and not with {NEW}; {WRITTEN}", f"do it: {remedies.STALE}"),
        Finding(
            f"pid 3, {STARTED} gunicorn: worker: the text for unreadable; {WRITTEN}", remedies.PROBLEMS["unreadable"]
        ),
    ]


def test_of_a_worker_whose_trouble_has_no_advice_of_its_own_a_restart_is_advised():
    found = proof.worker_findings(ASKED, seen(RING, workers=[worker(3, problem="stale")], files=[]), "do it")
    assert found == [Finding(f"pid 3, {STARTED} gunicorn: worker: the text for stale", "do it")]


ELSEWHERE = f"signs with {OLD} and not with {NEW}, though the env file that it started on says otherwise"
TAKES = {**unit(), "sources": [{"setting": "SECRET_KEY", "source": "/etc/x", "wins": False}]}


@pytest.mark.parametrize(
    ("fresh", "units", "todo"),
    [
        (False, [unit()], f"do it; if that does not help, {remedies.ELSEWHERE}"),
        (True, [unit()], remedies.ELSEWHERE),
        (True, [TAKES], "take out what may give it other keys: SECRET_KEY from /etc/x"),
    ],
)
def test_of_a_worker_that_started_on_a_file_that_says_otherwise(fresh, units, todo):
    look = seen(RING, workers=[worker(1, OLD, NEW)], units=units)
    found = proof.worker_findings(ASKED, look, "do it", {(1, 10)} if fresh else ())
    assert found == [Finding(f"pid 1, {STARTED} {ELSEWHERE}; {WRITTEN}", todo)]


def test_of_a_worker_with_an_unknown_key_that_its_file_does_not_say():
    found = proof.worker_findings(ASKED, seen(RING, workers=[worker(1, ALIEN)]), "do it")
    text = f"signs with {ALIEN}, which is not in the keyring, though the env file that it started on says otherwise"
    todo = f"{remedies.UNKNOWN.format(key=ALIEN)}. {remedies.ELSEWHERE}"
    assert found == [Finding(f"pid 1, {STARTED} {text}; {WRITTEN}", todo)]


def test_of_a_worker_that_started_before_its_file_was_written_or_has_none_nothing_else_is_said():
    old = worker(1, OLD, NEW, started=T0 - 3 * DAY)
    for files in ([env_file(NEW, OLD)], [env_file(problem="twice", changed=None)], []):
        (finding,) = proof.worker_findings(ASKED, seen(RING, workers=[old], files=files), "do it")
        assert "says otherwise" not in finding.seen and finding.advice == f"do it: {remedies.STALE}"


def test_of_a_worker_whose_environment_overrules_what_was_asked_for():
    one = {**worker(1, OLD, NEW), "by": "environ"}
    found = proof.worker_findings(ASKED, {**seen(RING, proof="process_age"), "workers": [one]}, "do it")
    said = "so its environment says, and app_keys_proof process_age overrules no environment that can be read"
    assert found == [
        Finding(
            f"pid 1, {STARTED} signs with {OLD} and not with {NEW}: {said}; {WRITTEN}",
            f"do it; {remedies.SET_ELSEWHERE}",
        )
    ]


@pytest.mark.parametrize(
    ("look", "findings"),
    [
        (seen(RING), []),
        (seen(RING, units=[unit(load="masked")]), []),
        (seen(RING, units=[unit(load="not-found")]), [Finding("shop.service is not-found", remedies.NO_UNIT)]),
        (seen(RING, workers=[]), [Finding("shop.service is active and has no process", "correct app_keys_processes")]),
        (
            seen(RING, units=[unit("failed", sub="exited")]),
            [Finding("shop.service is failed (exited)", "look at: systemctl status shop.service")],
        ),
        (
            idle(RING, record=record(RING, workers=2)),
            [Finding("no worker runs, and at the last visit there were 2", "start the application")],
        ),
        (idle(RING, record=record(RING, workers=2), units=[unit("inactive", on_demand=True)]), []),
        (idle(RING, record=None), []),
        (
            seen(RING, settled=False, unsettled=[3, 4]),
            [Finding("the workers changed between two looks (3, 4)", "wait until the application runs steadily")],
        ),
        (
            seen(RING, settled=False),
            [Finding("the workers changed between two looks (a unit restarted)", "wait until the application runs steadily")],
        ),
        (
            seen(RING, record=record(RING, pools=[1, 1])),
            [
                Finding(
                    "no worker runs below pid 101 (gunicorn: worker), pid 102 (gunicorn: worker) in two looks, and at the last proof there were some",
                    remedies.EMPTIED,
                )
            ],
        ),
    ],
)  # fmt: skip
def test_of_how_the_application_runs(look, findings):
    assert proof.process_findings(look) == findings


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ([], False),
        ([unit()], False),
        ([unit("inactive", on_demand=True)], True),
        ([unit("inactive", on_demand=True), unit("inactive")], False),
        # What runs needs nobody to start it.
        ([unit("inactive", on_demand=True), unit()], True),
    ],
)
def test_what_does_not_run_is_on_demand_where_all_of_it_is(units, told):
    assert proof.on_demand({"units": units}) is told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"(celery worker) holds {OLD} and"),
        ({"signs": None}, "(celery worker) holds a key of the keyring and"),
        ({"more": 3}, f"(celery worker) (and 3 more like it) holds {OLD} and"),
    ],
)
def test_of_a_process_that_nobody_named(changes, said):
    look = seen(RING)
    (found,) = proof.outsiders(look, [{**outsider(), **changes}], "a restart")
    assert found == Finding(
        f"pid 900, started {stamp(T0)}, {said} is not among app_keys_processes",
        remedies.OUTSIDE.format(restart="a restart", them="it"),
        look["machine"],
    )


NOTHING = env_file(problem="absent", changed=None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"files": [env_file(OLD, NEW)], "workers": [worker(1, NEW, OLD)]}, []),
        ({"files": [NOTHING], "workers": []}, []),
        ({"files": [NOTHING], "workers": [worker(1, NEW, OLD)]}, [f"{PATH}: the text for absent"]),
        ({"files": [env_file(problem="twice")], "workers": []}, [f"{PATH}: the text for twice"]),
        ({"workers": [worker(1, problem="stale")]}, ["pid 1 (gunicorn: worker): the text for stale"]),
        (
            {"files": [env_file(OLD)], "workers": [worker(1, NEXT, NEW, OLD)]},
            [
                f"{PATH} signs with {OLD} and not with {NEW} and does not accept {NEW}",
                f"pid 1 (gunicorn: worker) signs with {NEXT} and not with {NEW} and still accepts {NEXT}",
            ],
        ),
    ],
)
def test_what_is_not_safe_beside_the_others_comes_first(changes, said):
    findings = proof.inadmissible(ASKED, seen(RING, **changes))
    assert findings == [Finding(text, remedies.FIX_FIRST) for text in said]


def test_all_that_is_wrong_is_said_in_one_order():
    wins = {"setting": "SECRET_KEY", "source": "/etc/x", "wins": True}
    files = [env_file(OLD, NEW), env_file(OLD, NEW, path="/etc/b.env")]
    units = [unit("failed", sub="exited", sources=[wins])]
    look = seen(RING, files=files, workers=[worker(1, OLD, NEW)], units=units, others=[outsider(), outsider(901)])
    look["machine"] = "here"
    found = proof.judge(RING, ASKED, look, {("here", 901, 9010)})
    assert found == [
        *proof.file_findings(ASKED, files[0]),
        *proof.file_findings(ASKED, files[1]),
        *proof.worker_findings(ASKED, look, "restart shop.service"),
        *proof.process_findings(look),
        *proof.source_findings(look),
        *proof.outsiders(look, [outsider()], "restart shop.service"),
    ]
    assert len(found) == 6
    # Of a host that has to be visited first nothing else is said; one that nothing restarts is restarted somehow.
    behind = {**look, "record": None}
    assert proof.judge(RING, ASKED, behind, set()) == proof.fence_findings(RING, behind)
    assert "restart the application" in proof.judge(RING, ASKED, {**look, "restart": None}, set())[-1].advice


def test_where_a_rollout_is_taken_back_what_wins_over_the_files_is_in_nobodys_way():
    wins = {"setting": "SECRET_KEY", "source": "/etc/x", "wins": True}
    look = seen(RING, units=[unit(sources=[wins])])
    assert proof.judge(RING, ASKED, look, set()) == proof.source_findings(look) != []
    assert proof.judge(RING, ASKED._replace(incident=True), look, set()) == []


def test_of_what_wins_over_the_files():
    wins = {"setting": "SECRET_KEY", "source": "/etc/x", "wins": True}
    files = [env_file(NEW, OLD), env_file(NEW, OLD, path="/etc/b.env")]
    look = seen(RING, files=files, units=[unit(sources=[wins, {**wins, "wins": False}])])
    said = f"shop.service takes SECRET_KEY from /etc/x, which wins over {PATH}, /etc/b.env"
    assert proof.source_findings(look) == [Finding(said, remedies.OVERRIDDEN)]
