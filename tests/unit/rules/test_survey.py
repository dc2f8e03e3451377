# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is worked out of all members of a fleet is worked out once, also where a step opens in between."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import folders, gate, survey, wording
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from builders import FLEET, SECRETS, SOAK, T0, at, fleet_of, seen, surveyed
from builders import survey as conditions

NOW = conditions()._replace(clock=T0 + 3 * 3600.0)


@pytest.fixture
def asked(monkeypatch: Any) -> List[str]:
    """What was worked out, in its order."""
    found: List[str] = []

    def count(where: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(where, name)

        def counted(*given: Any) -> Any:
            found.append(name)
            return real(*given)

        monkeypatch.setattr(where, name, counted)

    count(survey, "judge")
    count(folders, "sharing")
    count(survey.keyrings, "order")
    return found


def test_a_count_is_worked_out_once_however_often_it_is_asked_for(asked: List[str]) -> None:
    one = surveyed(at("promote"), FLEET, fleet_of(at("promote"), web_2=None), NOW)
    asked.clear()
    first = one.count
    assert gate.closing(one).outcome == "refuse" and proofs.visits(one) == [] and wording.status(one)
    assert one.count is first and list(first.findings) == ["web-2"]
    assert asked.count("judge") == 2 and asked.count("sharing") == 1 and asked.count("order") == 1


def test_another_keyring_is_another_count_of_the_same_looks(asked: List[str]) -> None:
    before = surveyed(at("prepared"), FLEET, fleet_of(at("prepared")), NOW)
    assert before.with_keyring(before.keyring) is before
    after = before.with_keyring(at("promote"))
    assert before.count.complete and not after.count.complete, "each host has still to be visited"
    assert after.looks is before.looks and asked.count("sharing") == 1
    assert (before.keyring["step"]["name"], after.keyring["step"]["name"]) == ("prepare", "promote")


def test_a_step_that_opens_counts_the_fleet_before_and_after_and_not_more(asked: List[str]) -> None:
    keyring = at("prepared")
    one = surveyed(keyring, FLEET, fleet_of(keyring), NOW)
    verdict = gate.opening(one, PhaseRequest("promote", "promote", nonce="n", soak=SOAK, new_key=SECRETS[4]))
    assert verdict.outcome == "visit" and sorted(verdict.visit) == list(FLEET)
    assert asked.count("judge") == 2 * len(FLEET) and asked.count("sharing") == 1


def test_a_fleet_without_a_keyring_has_looks() -> None:
    keyring = at("adopted")
    looks = survey.Looks(FLEET, {"web-1": seen(keyring, state="a/1:2"), "web-2": seen(keyring, state="a/1:2")}, NOW)
    assert set(looks.sharing) == {"web-1", "web-2"} and looks.unusable("web-1") == []
    assert looks.unusable("web-3")[0].seen == "was not looked at"
    assert len(looks.claimed) == 2, "each process once"


@pytest.mark.parametrize(
    "given, took, limit",
    [
        (None, None, 300.0), (None, 0.0, 300.0), (None, 119.9, 300.0), (None, 121.0, 302.5), (None, 600.0, 1500.0),
        (None, 1439.0, 3597.5), (None, 1441.0, 3600.0), (None, 86400.0, 3600.0),
        (60.0, 600.0, 60.0), (7200.0, None, 7200.0), (0.0, 600.0, 0.0),
    ],
)  # fmt: skip
def test_how_old_evidence_may_be(given: Optional[float], took: Optional[float], limit: float) -> None:
    assert survey.evidence_age(given, took) == limit
