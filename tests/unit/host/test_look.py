# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two looks say together, and when one is enough."""

from __future__ import annotations

import os
import time
from typing import Any, Dict, List, Sequence, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import arguments, files, look, processes, record, units
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Token
from visited import OLD, Host

OURS = "our-key-abcdefghijklmnop"


def seen(*workers: Tuple[int, int], restarts: int = 0) -> Dict[str, Any]:
    """A look at workers given as (pid, parent)."""
    unit = {"name": "shop.service", "active": "active", "restarts": restarts}
    named = [{"pid": pid, "parent": parent, "ticks": pid, "command": "gunicorn:"} for pid, parent in workers]
    return {"workers": named, "units": [unit]}


@pytest.mark.parametrize(
    "what, first, second, settled, unsettled, lasting",
    [
        ("nothing changed", seen((10, 1), (11, 10)), seen((10, 1), (11, 10)), True, [], 2),
        ("a master that lasts ran a command", seen((10, 1), (20, 10)), seen((10, 1)), True, [], 1),
        ("a worker of it started one", seen((10, 1), (11, 10)), seen((10, 1), (11, 10), (21, 11), (22, 21)), True, [], 2),
        ("the application restarted", seen((10, 1), (11, 10)), seen((30, 1), (31, 30)), False, [10, 11, 30, 31], 0),
        ("a second master came", seen((10, 1)), seen((10, 1), (40, 1)), False, [40], 1),
        ("its unit restarted", seen((10, 1)), seen((10, 1), restarts=1), False, [], 1),
    ],
)  # fmt: skip
def test_workers_below_one_that_lasts_may_come_and_go(
    what: str, first: Any, second: Any, settled: bool, unsettled: List[int], lasting: int
) -> None:
    found = look.compared(first, second)
    assert (found["settled"], found["unsettled"], found["lasting"]) == (settled, unsettled, lasting)


def test_a_great_family_takes_no_time() -> None:
    first = seen(*((pid, pid - 1) for pid in range(2, 20_000)))
    second = seen((2, 1), *((pid, pid - 1) for pid in range(30_000, 50_000)))
    begun = time.process_time()
    found = look.compared(first, second)
    assert time.process_time() - begun < 1
    assert (found["lasting"], len(found["unsettled"])) == (1, 20_000)


@pytest.mark.parametrize("hours", [0, 1, -1])
@pytest.mark.parametrize(("settle", "looks"), [("0s", 1), ("0.3s", 2), ("60s", 2)])
def test_who_is_young_is_looked_at_twice_whatever_the_clock_says(
    settle: str, looks: int, hours: int, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.write(OURS)
    shop.run(["/bin/sleep", "60"], {"SECRET_KEY": OURS})
    taken, waited, once, now = [], [], look.look_once, time.time

    def counted(*arguments: Any) -> Any:
        taken.append(once(*arguments))
        # It is set between what was seen and what is said of it.
        monkeypatch.setattr(time, "time", lambda: now() + hours * 3600 * len(taken))
        return taken[-1]

    monkeypatch.setattr(look, "look_once", counted)
    monkeypatch.setattr(time, "sleep", waited.append)
    found = look.look(shop.app(settle=settle), [], "nonce")
    assert len(taken) == looks and {seen["nonce"] for seen in taken} == {"nonce"}
    pause = shop.app(settle=settle)["settle"]
    assert [seconds for seconds in waited if seconds == pause] == [pause] * (looks - 1)
    assert (found["settled"], found["lasting"]) == (True, 1)


def test_who_has_lasted_is_looked_at_once(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(OURS)
    shop.run(["/bin/sleep", "60"], {"SECRET_KEY": OURS})
    time.sleep(0.3)
    monkeypatch.setattr(look, "compared", lambda first, second: pytest.fail("a second look was taken"))
    assert look.look(shop.app(settle="0.1s"), [], "nonce")["lasting"] == 1


def test_9_two_looks_say_which_main_processes_last_and_what_is_below_them() -> None:
    found = look.compared(seen((10, 1), (11, 10), (40, 1)), seen((10, 1), (12, 10)))
    (pool,) = found["pools"]
    assert (pool["main"], pool["depth"], pool["lasting"]) == (10, 1, 0)


def test_9_where_a_pool_may_idle_its_processes_say_so(host: Host) -> None:
    host.goes(OLD)
    main, *others = host.pids()
    (host.folder / "other").write_text(f"{others[0]}\n")
    places = [{"pid_file": str(host.folder / "pid")}, {"pid_file": str(host.folder / "other"), "idle": True}]
    evidence = look.look_once(arguments.application({**host.variables, "processes": places}), [], "n")
    assert {worker["pid"]: worker["idle"] for worker in evidence["workers"]} == {
        main: False, others[0]: True, others[1]: False,
    }  # fmt: skip
    assert [(pool["main"], pool["depth"], pool["idle"]) for pool in evidence["pools"]] == [(main, 1, False)]
    places = [{**places[0], "idle": True}, {"pattern": "no such process"}]
    evidence = look.look_once(arguments.application({**host.variables, "processes": places}), [], "n")
    assert all(worker["idle"] for worker in evidence["workers"]) and evidence["pools"][0]["idle"]


def test_9_a_pool_that_is_gone_takes_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers may just be coming again."""

    def shown(*workers: Tuple[int, int], pools: Any) -> Dict[str, Any]:
        found = seen(*workers)
        aged = [{**worker, "started": 5.0} for worker in found["workers"]]
        return {
            **found,
            "ticks": 1_000_000,
            "workers": aged,
            "pools": look.pools.pools(aged),
            "record": pools and {"pools": pools},
        }

    empty, full = ((10, 1),), ((10, 1), (11, 10))
    for looks, kept, taken in (
        ([full], [1], 1), ([empty], [0], 1), ([empty], None, 1), ([empty, full], [1], 2), ([empty, empty], [1], 2),
    ):  # fmt: skip
        left = [shown(*workers, pools=kept) for workers in looks]
        monkeypatch.setattr(look, "look_once", lambda *_all, left=left: left.pop(0))
        evidence = look.look({"settle": 0.01}, [], "n")
        assert not left and taken == len(looks)
        assert bool(look.proof.pool_findings(evidence)) is (looks == [empty, empty])


def test_all_that_a_look_says_and_whom_it_asks(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # No other test's processes hold this one.
    key = f"the-key-of-{os.getpid()}-abcdefghijkl"
    shop.write(key)
    shop.note(signs=fingerprint(key))
    pid = shop.run(["/bin/sleep", "60"], {"SECRET_KEY": key})
    socket = "lazy.socket"
    asked: List[Any] = []

    def show(names: Sequence[str], **options: Any) -> List[units.Unit]:
        asked.append((list(names), options))
        resting = {"lazy": ("inactive", "dead", (socket,)), socket: ("active", "listening", ())}
        shown = [(name, *resting.get(name, ("active", "running", ()))) for name in names]
        return [
            units.Unit(units.full_name(name), "loaded", active, sub, "", 3, triggers)
            for name, active, sub, triggers in shown
        ]

    monkeypatch.setattr(units, "show", show)
    before = time.time(), processes.ticks_now()
    app = shop.app(service=["shop", "lazy"], service_scope="user", host="web1")
    state, lock = str(shop.folder / "state"), record.lock_path(str(shop.folder / "state"), "shop")
    with files.Lock(lock):
        found = look.look_once(app, [], "nonce-1")
    assert before[0] <= found.pop("now") <= time.time() and before[1] <= found.pop("ticks") <= processes.ticks_now()
    assert [name for name, _options in asked] == [["shop", "lazy"], [socket]]
    assert {options["scope"] for _names, options in asked} == {"user"}
    holds = {"signs": fingerprint(key), "accepts": [fingerprint(key)], "problem": None}
    (worker,) = found["workers"]
    assert {**worker, **holds, "pid": pid, "by": "environ", "idle": False} == worker
    unit = {"load": "loaded", "restarts": 3, "restart_delay": None, "sources": []}
    path = str(shop.env)
    assert found == {
        "nonce": "nonce-1", "machine": processes.machine(), "proof": "environ", "workers": [worker],
        "files": [{"path": path, "identity": files.identity(path), "links": 1, "unusable": {}, **holds}], "others": [],
        "units": [
            {"name": "shop.service", "active": "active", "sub": "running", "on_demand": False, **unit},
            {"name": "lazy.service", "active": "inactive", "sub": "dead", "on_demand": True, **unit},
        ],
        "settled": True, "unsettled": [], "lasting": 1, "pools": look.pools.pools([worker]), "record": record.load(state, "shop"),
        "record_of": None, "state": record.folder_mark(state), "visit": os.getpid(), "restart": "shop, lazy",
    }  # fmt: skip


def test_11_a_record_that_an_image_brought_is_anothers(shop: Any) -> None:
    shop.write(OURS)
    token = Token("ring", 1, "n")
    record.save(str(shop.folder / "state"), "shop", token, "prepare", "proven", {}, member="web1")
    looks = [shop.look(host=name) for name in ("web1", "web2")]
    assert [(bool(found["record"]), found["record_of"]) for found in looks] == [(True, None), (False, "web1")]


def test_the_units_are_those_of_the_processes_and_of_the_service_each_once() -> None:
    places = [{"unit": "shop"}, {"pid_file": "/run/x.pid"}, {"unit": "queue"}]
    assert look._unit_names({"processes": places, "service": ["queue", "web"]}) == ["shop", "queue", "web"]


def test_17_processes_that_hide_from_us_are_named_as_that(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write(OURS)
    monkeypatch.setattr(processes, "table", lambda **_options: {})
    with pytest.raises(PermissionError) as caught:
        shop.look()
    assert str(caught.value) == "/proc does not show the processes of others (hidepid): run with become (-b)"


@pytest.mark.parametrize(
    ("parents", "below"),
    [
        ({11: 10, 12: 11, 13: 12, 20: 1}, {11, 12, 13}),
        ({10: 1, 11: 10, 30: 10}, {11, 30}),
        # Of two looks together a number may have been given twice, so that they go round in a keyring.
        ({11: 10, 12: 11, 10: 12}, {10, 11, 12}),
    ],
)
def test_what_descends_from_one_that_lasts(parents: Dict[int, int], below: Any) -> None:
    assert look._below({10}, parents) == below
