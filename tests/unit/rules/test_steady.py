# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rule 20: the first batch has to run steadily before the second begins."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import steady
from builders import NEW, OLD, T0, at, idle, record, seen, unit, worker

PROMOTE = at("promote")


def visited(restarted=True, took=0.0, *delays, active="active"):
    """The answer of a visit."""
    units = [unit(active, name=f"u{number}.service", restart_delay=delay) for number, delay in enumerate(delays)]
    return {"did": {"restarted": restarted, "took": took}, "evidence": {"units": units}}


@pytest.mark.parametrize(
    "what, visits, bake, seconds, why",
    [
        ("nobody was visited", {}, 10.0, 0.0, ""),
        ("nothing was restarted", {"a": visited(False, 0.0, 90.0)}, 10.0, 0.0, ""),
        ("it is turned off", {"a": visited(True, 5.0, 90.0)}, 0.0, 0.0, ""),
        ("a quick start", {"a": visited(True, 3.0, 0.1)}, 10.0, 10.0, "app_keys_bake"),
        ("a slow start", {"a": visited(True, 30.5, 0.1)}, 10.0, 30.5, "so long a took from its restart to its proof"),
        ("a unit that systemd starts late again", {"a": visited(True, 3.0, 0.1, 90.0)}, 10.0, 90.0, "RestartSec= of u1.service on a"),
        ("a unit that systemd never starts again", {"a": visited(True, 3.0, None)}, 10.0, 10.0, "app_keys_bake"),
        ("the same where the bake is short", {"a": visited(True, 0.1, None)}, 0.5, 0.5, "app_keys_bake"),
        ("a unit that is stopped", {"a": visited(True, 3.0, 90.0, active="inactive")}, 10.0, 10.0, "app_keys_bake"),
        ("one of several hosts", {"a": visited(True, 3.0), "b": visited(True, 40.0), "c": visited()}, 10.0, 40.0,
         "so long b took from its restart to its proof"),
        ("one that was not restarted does not count", {"a": visited(True, 3.0), "b": visited(False, 40.0, 90.0)}, 10.0, 10.0, "app_keys_bake"),
    ],
)  # fmt: skip
def test_20_how_long_the_first_batch_has_to_run(what, visits, bake, seconds, why):
    assert steady.pause(visits, bake) == (seconds, why)


def host(*workers, **changes):
    """A host that was proven at promote; `changes` are of its evidence."""
    shown = {"workers": list(workers or (main(), main(11, parent=10))), "record": record(PROMOTE, pools=[1])}
    return seen(PROMOTE, **{**shown, **changes})


def main(pid=10, **changes):
    return {**worker(pid, NEW, OLD), **changes}


OTHER = (main(20, started=T0 + 60), main(21, parent=20))


def unsteady(after, before=None):
    return [finding.seen for finding in steady.unsteady(before or host(), after)]


@pytest.mark.parametrize(
    "what, before, after",
    [
        ("nothing happened", host(), host()),
        ("a worker was recycled", host(), host(main(), main(12, parent=10))),
        ("the pool grew", host(), host(main(), main(11, parent=10), main(12, parent=10))),
        ("somebody ran a command in its control group", host(), host(main(), main(11, parent=10), main(99))),
        ("systemd counted a restart before the visit", host(units=[unit(restarts=3)]), host(units=[unit(restarts=3)])),
        ("somebody has reset that", host(units=[unit(restarts=3)]), host(units=[unit(restarts=0)])),
        ("nothing runs there", idle(PROMOTE), idle(PROMOTE)),
        ("a unit is stopped there", host(units=[unit(), unit("inactive", name="b")]), host(units=[unit(), unit("inactive", name="b")])),
        ("a socket's service has ended", host(), host(units=[unit("inactive", on_demand=True)], workers=[])),
    ],
)  # fmt: skip
def test_20_what_is_steady(what, before, after):
    assert unsteady(after, before) == []
    assert steady.restarted_since({"web-1": before}, {"web-1": after}) == {}


@pytest.mark.parametrize(
    "what, after, said",
    [
        ("a main process came anew", host(*OTHER),
         ["the main process 10 (gunicorn: worker) is gone since its visit, and pid 20 (gunicorn: worker) came at 2023-11-14T22:14:20Z"]),
        ("its pid came round again", host({**main(), "ticks": 7}, main(11, parent=10)),
         ["the main process 10 (gunicorn: worker) is gone since its visit, and pid 10 (gunicorn: worker) came at 2023-11-13T22:13:20Z"]),
        ("systemd restarted it", host(units=[unit(restarts=1)]), ["systemd restarted shop.service once since its visit"]),
        ("and again", host(units=[unit(restarts=4)]), ["systemd restarted shop.service 4 times since its visit"]),
        ("the host was booted", host(machine="boot-2/4026531836"), ["the host was booted again since its visit"]),
    ],
)  # fmt: skip
def test_20_what_restarted_is_said_there_and_in_the_closing_count(what, after, said):
    assert unsteady(after) == said
    now = {"web-1": after, "web-2": host(), "web-3": host(*OTHER)}
    assert steady.restarted_since({"web-1": host(), "web-2": host(), "web-9": host()}, now) == {
        "web-1": "; ".join(said)
    }
    (finding, *_more) = steady.unsteady(host(), after)
    assert finding.advice == steady.UNSTEADY


@pytest.mark.parametrize(
    "what, after, said",
    [
        ("it waits for its next start", host(units=[unit("activating", sub="auto-restart")]), "shop.service is activating (auto-restart)"),
        ("it has failed", host(units=[unit("failed", sub="failed")], workers=[]), "shop.service is failed (failed)"),
        ("it has ended", host(units=[unit("inactive", sub="dead")], workers=[]), "shop.service is inactive (dead)"),
        ("it has ended, and another has not", host(units=[unit("inactive", sub="dead"), unit(name="b")]), "shop.service is inactive (dead)"),
        ("its workers are gone", host(main()), "no worker runs below pid 10 (gunicorn: worker) in two looks, and at the last proof there were some"),
        ("it is gone", host(main(11)), "the main process 10 (gunicorn: worker) is gone since its visit"),
        ("all is gone", host(workers=[], units=[]), "no worker runs, and at the last visit there were 2"),
        ("it changes under our eyes", host(settled=False, unsettled=[7]), "the workers changed between two looks (7)"),
    ],
)  # fmt: skip
def test_20_what_does_not_run_is_found(what, after, said):
    assert said in unsteady(after)


def test_20_a_socket_that_had_it_started_again_does_not_hide_a_crash():
    after = host(*OTHER, units=[unit("inactive", on_demand=True)])
    assert unsteady(after)[0].startswith("the main process 10 (gunicorn: worker) is gone since its visit, and pid 20")


def test_20_several_main_processes_are_named_together():
    before = host(main(10), main(20), main(30))
    assert unsteady(host(main(10)), before)[0] == (
        "the main processes 20 (gunicorn: worker), 30 (gunicorn: worker) are gone since its visit"
    )
    after = host(main(10), main(40), main(50))
    assert ", and pid 40 (gunicorn: worker) came at 2023-11-13T22:13:20Z, and pid 50" in unsteady(after, before)[0]


def test_20_a_unit_that_was_not_there_before_has_not_restarted():
    assert unsteady(host(units=[unit(), unit(name="new.service", restarts=9)])) == []
