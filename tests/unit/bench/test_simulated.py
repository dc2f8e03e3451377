# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Simulated hosts say all that real ones say: else what is measured is not what a fleet costs, or nothing at all."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any, Dict, Set

import scale_fleet
from ansible_collections.phased.keys.plugins.module_utils import _shapes as shapes
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.plugin_utils import _door as door
from simulated import simulated

ASKED = {"nonce": "n", "env_file": ["/etc/shop.env"], "service": ["shop.service"], "host": "web00001"}
# What only some answers have: an error, a check inside the application, keys that were asked for, a host that joins, containers, workloads.
AT_TIMES = {
    "failed", "msg", "exception", "app_check", "packages", "token", "trouble", "verdicts", "overrules",
    "revealed", "joining", "inner", "keeper", "keepers", "within", "called", "advice", "taking",
}  # fmt: skip


def lacking(shape: Any, value: Any, where: str = "") -> Set[str]:
    """The fields that a shape has, a real host fills in, and a simulated one leaves out."""
    if typing.is_typeddict(shape):
        hints = typing.get_type_hints(shape)
        found = {f"{where}.{name}" for name in set(hints) - set(value) - AT_TIMES}
        return found.union(*(lacking(hints[name], value[name], f"{where}.{name}") for name in set(hints) & set(value)))
    inner = typing.get_args(shape)
    if value is None or not inner:
        return set()
    if typing.get_origin(shape) is list:
        return set().union(*(lacking(inner[0], one, where) for one in value))
    if typing.get_origin(shape) is dict:
        return set().union(*(lacking(inner[1], one, where) for one in value.values()))
    return lacking(inner[0], value, where)


def let_in(shape: Any, answer: Dict[str, Any]) -> None:
    text = json.dumps(answer)
    assert {**answer, **door.admit(shape, text)} == json.loads(text)
    assert lacking(shape, answer) == set()


def test_a_simulated_host_answers_with_the_shapes_of_a_real_one(tmp_path: Path) -> None:
    fleet = scale_fleet.Fleet(tmp_path, 2)
    host = fleet.memory / "web00001"
    keyring = fleet.file().load()
    order, token = keyrings.order(keyring), keyrings.token(keyring)
    let_in(shapes.LookAnswer, simulated.look(host, ASKED))
    visit = {**ASKED, "order": order._asdict(), "token": token._asdict(), "step": "adopt"}
    let_in(shapes.VisitAnswer, simulated.visit(host, visit))
    # Changed or not: it was at the keys of the step already.
    visit["order"] = order._replace(accepts=[*order.accepts, "0" * 16])._asdict()
    answer = simulated.visit(host, visit)
    assert answer["changed"] and answer["evidence"]["record"]["member"] == "web00001"
    let_in(shapes.VisitAnswer, answer)
    seen = simulated.look(host, ASKED)["evidence"]
    assert seen["record"] == answer["evidence"]["record"]
    # Two hosts that say that they have one folder for their records are one.
    beside = simulated.look(fleet.memory / "web00002", ASKED)["evidence"]
    assert seen["state"] != beside["state"] and seen["machine"] != beside["machine"]


def test_no_two_simulated_hosts_are_one() -> None:
    names = [f"web{number:05d}" for number in range(1, 10_001)]
    assert len({simulated.boot(name) for name in names}) == len(names)
