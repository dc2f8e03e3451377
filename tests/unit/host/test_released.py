# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit to a host whose record an earlier release wrote: it is fenced by it, and keeps what it says of the past.

The records are those of tests/unit/rules/released, which says what is kept there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers
from visited import NEW, OLD, PREPARE, SECRET, Host, holds

RECORDS = sorted((Path(__file__).resolve().parents[1] / "rules" / "released").glob("record-*.json"))


@pytest.fixture(params=RECORDS, ids=lambda path: path.name)
def record(host: Host, request: pytest.FixtureRequest) -> Dict[str, Any]:
    """The record on the host, which signs with OLD."""
    host.goes(OLD)
    host.state.mkdir(mode=0o700)
    (host.state / "shop.json").write_text(request.param.read_text())
    return host.record()


def visited(host: Host, counter: int, **changes: Any) -> Dict[str, Any]:
    token = host.request().token._replace(keyring="5ca1ab1e0ddba11f", counter=counter, nonce=f"n{counter}")
    return host.visit(PREPARE, **{"token": token, "step": "prepare", "vouched": False, **changes})


def test_the_visit_of_a_later_step_goes_on_from_it(host: Host, record: Dict[str, Any]) -> None:
    answer = visited(host, record["counter"] + 1)
    assert answer["proven"], answer["msg"]
    assert holds(answer)[0] == [OLD, NEW]
    after = host.record()
    assert (after["counter"], after["state"], after["signs"]) == (14, "proven", OLD)
    # Its files are other ones than those of the record, so of the time in between nobody knows; what it signed with stays known.
    assert set(record["stopped"]) | {record["signs"]} == set(after["stopped"])
    assert all(after["stopped"][key] >= since for key, since in record["stopped"].items())


def test_the_visit_of_a_step_before_it_and_of_another_keyring_changes_nothing(
    host: Host, record: Dict[str, Any]
) -> None:
    text = host.file()
    answer = visited(host, record["counter"] - 1)
    assert answer["failed"] and "has seen step 13 (retire, " in answer["msg"]
    answer = visited(host, 14, token=host.request().token)
    assert answer["failed"] and "rolled with another keyring (5ca1ab1e0ddba11f" in answer["msg"]
    assert (host.file(), host.record()) == (text, record)


def test_the_record_of_a_later_release_stops_a_visit_in_words(host: Host, record: Dict[str, Any]) -> None:
    later = {**record, "schema": record["schema"] + len(RECORDS)}
    (host.state / "shop.json").write_text(json.dumps(later))
    text = host.file()
    token = {"keyring": record["keyring"], "counter": record["counter"] + 1, "nonce": "next"}
    params = {
        **host.variables,
        "order": PREPARE._asdict(),
        "token": token,
        "step": "prepare",
        "nonce": "asked",
        "converge": True,
    }
    answer = answers.answer("env_keys", {**params, "replace": None, "secrets": SECRET, "vouched": False}, False)
    assert answer["failed"] and "shop.json was written by a newer release of phased.keys: use that one" in answer["msg"]
    assert (host.file(), host.record()) == (text, later)
