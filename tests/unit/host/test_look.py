# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two looks say together, and what a process outside the named ones holds."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils.host import arguments, look
from ansible_collections.phased.keys.plugins.module_utils.host.processes import Process
from ansible_collections.phased.keys.plugins.module_utils.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils.rules.frameworks import profile
from visited import OLD, Host

OURS, OTHER = "our-key-abcdefghijklmnop", "another-key-abcdefghijkl"


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


@pytest.mark.parametrize(
    "values, found",
    [
        ({"SECRET_KEY": OURS}, True),
        ({"SECRET_KEY": OURS, "SECRET_KEY_FALLBACKS": "a,"}, True),
        ({"SECRET_KEY_FALLBACKS": f"{OTHER},{OURS}"}, True),
        ({"SECRET_KEY": OTHER, "SECRET_KEY_FALLBACKS": OTHER}, False),
        ({"SECRET_KEY": "", "SECRET_KEY_FALLBACKS": ""}, False),
        ({"ANOTHER_SETTING": OURS}, False),
    ],
)
def test_a_held_key_is_found_however_malformed_the_list_is(values: Dict[str, str], found: bool) -> None:
    held = [fingerprint(OURS)]
    assert look._any_key(profile("django"), values, held) == (held[0] if found else None)


@pytest.mark.parametrize(
    "command, called",
    [
        ("/usr/bin/python3 /srv/shop/worker.py --password=hunter2", "python3 /srv/shop/worker.py"),
        ("celery -b amqp://user:hunter2@rabbit/", "celery"),
        ("python -c print('hunter2')", "python"),
    ],
)
def test_a_process_is_called_without_arguments_that_may_be_secrets(command: str, called: str) -> None:
    assert look._called(Process(1, 0, 1, 1.0, 0, 0, command, ())) == called


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
            "now": 100.0,
            "workers": aged,
            "pools": look.pools.pools(aged),
            "record": pools and {"pools": pools},
        }

    empty, full = ((10, 1),), ((10, 1), (11, 10))
    for looks, record, taken in (
        ([full], [1], 1), ([empty], [0], 1), ([empty], None, 1), ([empty, full], [1], 2), ([empty, empty], [1], 2),
    ):  # fmt: skip
        left = [shown(*workers, pools=record) for workers in looks]
        monkeypatch.setattr(look, "look_once", lambda *_all, left=left: left.pop(0))
        evidence = look.look({"settle": 0.01}, [], "n")
        assert not left and taken == len(looks)
        assert bool(look.proof.pool_findings(evidence)) is (looks == [empty, empty])
