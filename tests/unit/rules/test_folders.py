# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with one folder for their records, files with a second name, and a record that an image brought."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, evidence, folders, gate, wording
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Looks
from builders import FLEET, T0, at, counting, env_file, fleet_of, record, seen, survey, surveyed, texts

SHARED = "keeps its record in the same folder, on the same machine, as web-3"


def sharing(keyring: Any, **more: Any) -> Any:
    """A fleet of which two members keep their records in one folder."""
    found = fleet_of(keyring)
    for member, state in (("web-1", "boot/1:1"), ("web-2", "boot/1:2"), ("web-3", "boot/1:2")):
        found[member].update(state=state, **more)
    return found


def test_members_that_share_a_folder_are_both_named() -> None:
    found = folders.sharing(sharing(at("adopted")))
    assert set(found) == {"web-2", "web-3"}
    assert texts(found) == [SHARED] and texts(found, "web-3") == [SHARED.replace("web-3", "web-2")]
    assert "app_keys_state_dir of its own" in found["web-2"][0].advice
    three = {member: {**seen, "state": "one"} for member, seen in fleet_of(at("adopted")).items()}
    assert texts(folders.sharing(three)) == [SHARED.replace("web-3", "web-1, web-3")]


def test_where_it_is_not_known_nobody_is_named() -> None:
    assert folders.sharing(fleet_of(at("adopted"))) == {}
    assert folders.sharing({member: {**seen, "state": None} for member, seen in fleet_of(at("adopted")).items()}) == {}


def test_such_a_fleet_is_not_adopted() -> None:
    plan = adoption.judge(Looks(FLEET, sharing(at("adopted"), record=None), survey()))
    assert set(plan.findings) == {"web-2", "web-3"} and texts(plan.findings) == [SHARED]


@pytest.mark.parametrize("name", ["adopted", "prepare", "prepared", "promoted"])
def test_no_step_opens_or_closes_with_such_a_fleet(name: str) -> None:
    keyring = at(name)
    both = sharing(keyring)
    assert set(surveyed(keyring, FLEET, both, survey()).count.findings) == {"web-2", "web-3"}
    assert set(evidence.not_visitable(surveyed(keyring, FLEET, both, survey()))) == {"web-2", "web-3"}
    for phase in ("current", "prepare", "promote"):
        verdict = gate.opening(
            surveyed(keyring, FLEET, both, survey(1010.0)), PhaseRequest(phase, "rollout", nonce="n")
        )
        assert verdict.outcome != "visit" and verdict.keyring is keyring
    assert gate.closing(surveyed(keyring, FLEET, both, survey())).outcome == "refuse"


# --- second names ----------------------------------------------------------------


def test_a_file_with_a_second_name_is_not_adopted() -> None:
    keyring = at("adopted")
    looks = {member: {**look, "record": None} for member, look in fleet_of(keyring).items()}
    looks["web-2"]["files"][0]["links"] = 3
    looks["web-1"]["files"][0]["links"] = 1
    plan = adoption.judge(Looks(FLEET, looks, survey()))
    (finding,) = plan.findings["web-2"]
    assert finding.seen.startswith("/etc/shop.env has 3 names (hard links)")
    assert (
        "find / -xdev -samefile /etc/shop.env" in finding.advice
        and "cp -p /etc/shop.env /etc/shop.env.new" in finding.advice
    )
    assert set(plan.findings) == {"web-2"}


def test_later_it_is_reported_and_keeps_nobody_from_being_proven() -> None:
    keyring = at("prepared")
    looks = fleet_of(keyring)
    looks["web-2"]["files"][0]["links"] = 2
    looks["web-3"]["record"]["linked"] = {"/etc/shop.env": 4711}
    count = surveyed(keyring, FLEET, looks, survey()).count
    assert count.complete
    said = wording.status(counting(keyring, count, looks, 0.0))
    for text in (said, "\n".join(wording.beside(looks))):
        flat = " ".join(text.split())
        assert (
            "old keys are still in it" in flat
            and "web-2" in text
            and "web-3" in text
            and "find / -xdev -inum 4711" in flat
        )
        assert "has 2 names" in flat
    opened = gate.opening(
        surveyed(keyring, FLEET, looks, survey()._replace(clock=T0)),
        PhaseRequest("promote", "rollout", nonce="n", soak={"seconds": 1.0, "source": "x"}),
    )
    assert opened.outcome == "visit" and "has 2 names" in opened.text
    closed = gate.closing(surveyed(keyring, FLEET, looks, survey()._replace(clock=T0)))
    assert closed.outcome == "stay" and "has 2 names" in closed.text
    assert wording.beside(fleet_of(keyring)) == []


def test_what_an_earlier_release_saw_has_no_names_to_count() -> None:
    assert folders.second_names(seen(at("adopted"))) == []
    assert folders.second_names(seen(at("adopted"), record=None)) == []
    assert (
        folders.second_names(seen(at("adopted"), files=[{**env_file(changed=None, problem="absent"), "links": 0}]))
        == []
    )


# --- an image --------------------------------------------------------------------


def test_a_host_with_an_images_record_has_none_and_that_is_said() -> None:
    keyring = at("adopted")
    looks = fleet_of(keyring, web_2=seen(keyring, record=None, record_of="web-1"))
    found = surveyed(keyring, FLEET, looks, survey()).count.findings
    assert texts(found) == ["has no record of a visit, for the one there is web-1's: an image brought it"]
    looks["web-2"]["record_of"] = None
    assert texts(surveyed(keyring, FLEET, looks, survey()).count.findings) == ["has no record of a visit"]
    looks["web-2"]["record"] = record(keyring, member="web-2")
    assert surveyed(keyring, FLEET, looks, survey()).count.complete
