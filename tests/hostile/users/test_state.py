# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A state folder that a user has a hand in: no record of the user's orders a visit, and nothing is written where he leads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from attacker import OLD, USER, link, look, put, told, visit


@pytest.fixture
def env(place: Path) -> Path:
    return put(place / "root/env", f"SECRET_KEY={OLD}\n", 0, 0o600)


def everything(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@pytest.mark.parametrize("kind", ["his folder", "not there yet", "his link", "his link to the record", "his record"])
def test_the_record_is_in_nobody_elses_hands(kind: str, place: Path, env: Path) -> None:
    state = place / "home/state"
    record = json.dumps(
        {"schema": 1, "keyring": "r1", "counter": 1, "nonce": "n", "state": "proven", "step": "x", "at": 1.0}
    )
    if kind == "his folder":
        state.mkdir()
        os.chown(state, USER, USER)
        put(state / "shop.json", record, USER)
    elif kind == "his link":
        link(state, "../root/state")
    elif kind == "his link to the record":
        state = place / "root/state"
        link(state / "shop.json", "../../home/shop.json")
        put(place / "home/shop.json", record, USER)
    elif kind == "his record":
        state = place / "root/state"
        put(state / "shop.json", record, USER)
    before, text = everything(place), env.read_text()
    answers = [visit(place, env, state_dir=str(state)), look(place, env, state_dir=str(state))]
    if kind == "not there yet":
        answers.pop()  # of a folder that is not there a look says just that
    for answer in answers:
        assert answer["failed"] and str(USER) in told(answer), answer
    assert env.read_text() == text
    assert [
        name for name in everything(place) if name not in before and not name.endswith("root/state/shop.lock")
    ] == []
