# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host's application made another one's verifies, and what a key that ended made nobody does: who is asked what, and what follows."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import cross_proof, gate, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.cross_proof import Question, Said
from builders import FLEET, OLD, T0, at, fleet_of, idle, opened, seen, survey, surveyed

TOKENS = {member: f"token-of-{member}" for member in FLEET}
DAYS = 86400.0


def with_probe(name: str) -> Dict[str, Any]:
    """A keyring at a step, of which a token of the old key was kept at prepare."""
    keyring = at(name)
    key = keyrings.find(keyring, OLD)
    assert key is not None
    key["probe"] = "probe"
    return keyring


def said(of: Any, tokens: Any = None, **odd: Any) -> Said:
    """What comes of it where all is well, but for the verdicts of some."""
    tokens = tokens or TOKENS
    asked = cross_proof.questions(of.keyring, cross_proof.taking_part(of), tokens)
    verdicts = {member: [question.expects for question in one] for member, one in asked.items()}
    return Said(tokens, asked, {**verdicts, **{member.replace("_", "-"): one for member, one in odd.items()}})


@pytest.mark.parametrize(
    "members, pairs",
    [
        ([], {}),
        (["a"], {"a": "a"}),
        (["a", "b"], {"a": "b", "b": "a"}),
        (["a", "b", "c"], {"a": "c", "b": "a", "c": "b"}),
    ],
)
def test_everybody_verifies_what_one_other_made(members: Any, pairs: Any) -> None:
    assert cross_proof.ring(members) == pairs


@pytest.mark.parametrize(
    "step, takes",
    [
        ("adopt", False),
        ("prepare", True),
        ("promote", True),
        ("retire", True),
        ("rollback", False),
        ("withdraw", False),
    ],
)
def test_which_steps_close_with_one(step: str, takes: bool) -> None:
    keyring = at("promote")
    keyring["step"]["name"] = step
    assert cross_proof.needed(keyring) is takes
    assert not cross_proof.needed(steps.close_step(at("promote"), T0))


@pytest.mark.parametrize(
    "step, probe",
    [
        ("prepare", []),
        ("promote", [Question("probe", OLD, "verified", False)]),
        ("retire", [Question("probe", OLD, "refused", False)]),
    ],
)
def test_what_is_asked(step: str, probe: Any) -> None:
    fleet = surveyed(with_probe(step), FLEET, fleet_of(with_probe(step)))
    asked = cross_proof.questions(fleet.keyring, cross_proof.taking_part(fleet), TOKENS)
    assert set(asked) == set(FLEET)
    for member, questions in asked.items():
        (fresh, *kept) = questions
        assert fresh.of != member and fresh.token == TOKENS[fresh.of] and fresh.expects == "verified" and kept == probe


@pytest.mark.parametrize("step", ["prepare", "promote", "retire"])
def test_where_all_say_what_they_should_nothing_is_found(step: str) -> None:
    fleet = surveyed(with_probe(step), FLEET, fleet_of(with_probe(step)))
    assert cross_proof.findings(fleet, said(fleet)) == {}


@pytest.mark.parametrize(
    "step, verdicts, seen_of_it",
    [
        ("promote", ["refused", "verified"], "refuses a token that web-1 made just now"),
        ("promote", ["verified", "refused"], f"refuses a token that {OLD} signed before promote"),
        ("retire", ["verified", "verified"], f"still verifies a token that {OLD} signed"),
        (
            "retire",
            ["verified", "it ended with exit status 1"],
            f"gives no verdict on a token that {OLD} signed: it ended with exit status 1",
        ),
        ("retire", ["verified"], "gives no verdict"),
        ("retire", [], "gives no verdict"),
        ("retire", ["Verified", "refused"], "gives no verdict on a token that web-1 made"),
    ],
)
def test_what_a_verdict_says_that_is_not_as_it_should_be(step: str, verdicts: Any, seen_of_it: str) -> None:
    fleet = surveyed(with_probe(step), FLEET, fleet_of(with_probe(step)))
    assert cross_proof.ring(sorted(FLEET))["web-2"] == "web-1"
    found = cross_proof.findings(fleet, said(fleet, web_2=verdicts))
    assert set(found) == {"web-2"} and seen_of_it in found["web-2"][0].seen


@pytest.mark.parametrize(
    "token",
    [None, "", "a b", "a\nb", "ä", "x" * 4097, 7, {"trouble": "exit status 3"}, {"trouble": ""}, {}, ["x"], "\x1b[2J"],
)
def test_what_is_no_token_is_handed_to_nobody(token: Any) -> None:
    fleet = surveyed(with_probe("promote"), FLEET, fleet_of(with_probe("promote")))
    tokens = {**TOKENS, "web-1": token}
    asked = cross_proof.questions(fleet.keyring, sorted(FLEET), tokens)
    assert [question.fresh for question in asked["web-2"]] == [False]
    found = cross_proof.findings(fleet, said(fleet, tokens))
    assert set(found) == {"web-1"} and found["web-1"][0].seen.startswith("made no token: ")


def test_who_was_asked_something_else_has_said_nothing() -> None:
    fleet = surveyed(with_probe("retire"), FLEET, fleet_of(with_probe("retire")))
    right = said(fleet)
    for asked in (
        {},
        {**right.asked, "web-2": right.asked["web-2"][:1]},
        {**right.asked, "web-2": right.asked["web-1"]},
    ):
        found = cross_proof.findings(fleet, right._replace(asked=asked))
        assert "web-2" in found and "was not asked" in found["web-2"][0].seen


def test_who_runs_takes_part_also_where_it_looks_otherwise_for_a_moment() -> None:
    """A command of another host on the same machine holds keys: what was asked is what counts when that has ended."""
    keyring = with_probe("promote")
    odd = surveyed(keyring, FLEET, fleet_of(keyring, web_1=idle(keyring), web_2=seen(keyring, OLD)))
    well = surveyed(keyring, FLEET, fleet_of(keyring, web_1=idle(keyring)))
    assert set(cross_proof.taking_part(odd)) == set(FLEET) - {"web-1"} == set(cross_proof.taking_part(well))
    assert "web-2" in odd.count.findings and not cross_proof.findings(well, said(odd))


def test_a_token_of_the_key_that_signs_is_kept_at_prepare_alone_and_once() -> None:
    keyring = at("prepare")
    kept = cross_proof.with_probe(keyring, sorted(FLEET), TOKENS)
    assert keyrings.primary(kept)["probe"] == "token-of-web-1" and "probe" not in keyrings.primary(keyring)
    assert cross_proof.with_probe(kept, sorted(FLEET), {"web-1": "another"}) is kept
    assert cross_proof.with_probe(keyring, sorted(FLEET), {"web-1": "a b"}) is keyring
    assert cross_proof.with_probe(at("promote"), sorted(FLEET), TOKENS)["keys"] == at("promote")["keys"]


def test_it_is_as_secret_as_the_key_and_ends_with_it() -> None:
    keyring = with_probe("prepare")
    assert "probe" not in str(keyrings.public(keyring)["keys"])
    keyring = opened(steps.close_step(keyring, T0), "promote", T0)
    keyring = opened(steps.close_step(keyring, T0), "retire", T0 + 30 * DAYS)
    assert [key.get("probe") for key in keyring["keys"]] == ["probe", None]
    assert keyrings.check(keyring, "shop")
    closed = steps.close_step(keyring, T0 + 30 * DAYS)
    assert all("probe" not in key for key in closed["keys"])


@pytest.mark.parametrize(
    "step, what",
    [("promote", "verify what another host's application made"), ("retire", f"all refuse what {OLD} signed")],
)
def test_what_it_has_shown_is_said(step: str, what: str) -> None:
    fleet = surveyed(with_probe(step), FLEET, fleet_of(with_probe(step)))
    assert what in cross_proof.shown(fleet) and "not shown" not in cross_proof.shown(fleet)


def test_a_key_of_which_no_token_was_taken_is_said_not_to_be_shown_as_refused() -> None:
    fleet = surveyed(at("retire"), FLEET, fleet_of(at("retire")))
    assert f"that {OLD} is refused was not shown" in cross_proof.shown(fleet)


# --- the gate ---------------------------------------------------------------------------


def now(keyring: Dict[str, Any]) -> Any:
    """A fleet in which all is well, at a moment that there is."""
    return surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=T0))


def asking(phase: str, goal: str = "rollout", **more: Any) -> gate.PhaseRequest:
    return gate.PhaseRequest(
        phase, goal, nonce="n", soak={"seconds": 1.0, "source": "x"}, new_key="x" * 40, cross=True, **more
    )


@pytest.mark.parametrize("step", ["prepare", "promote", "retire"])
def test_a_step_that_waits_for_nothing_else_is_closed_by_nobody_but_the_cross_proof(step: str) -> None:
    fleet = now(with_probe(step))
    assert fleet.count.complete
    for request in (asking("current"), asking(step, step)):
        verdict = gate.opening(fleet, request)
        assert (verdict.outcome, verdict.visit) == ("cross", ()) and keyrings.is_open(verdict.keyring)
        assert verdict.text.endswith("its cross-proof is to be taken")
    # Without it the same is closed.
    assert not keyrings.is_open(gate.opening(fleet, asking("current")._replace(cross=False)).keyring)
    assert gate.opening(fleet, asking("current", checking=True)).outcome == "stay"


@pytest.mark.parametrize("step, phase", [("prepare", "promote"), ("promote", "retire")])
def test_no_later_step_opens_over_a_cross_proof_that_was_not_taken(step: str, phase: str) -> None:
    fleet = now(with_probe(step))
    verdict = gate.opening(fleet, asking(phase, phase))
    assert verdict.outcome == "refuse" and verdict.keyring is fleet.keyring
    assert f"{step} is open, and closes with its cross-proof" in verdict.text


@pytest.mark.parametrize("step", ["prepare", "promote", "retire"])
def test_the_closing_count_asks_for_it(step: str) -> None:
    fleet = now(with_probe(step))
    good = said(fleet)
    for wrong in (Said({}, {}, {}), good._replace(verdicts={}), good._replace(tokens={})):
        verdict = gate.closing(fleet, cross=wrong)
        assert verdict.outcome == "refuse" and verdict.keyring is fleet.keyring
        assert verdict.text.startswith(f"{step} is not complete by its cross-proof: {len(FLEET)} of {len(FLEET)} hosts")
    verdict = gate.closing(fleet, cross=good)
    assert not keyrings.is_open(verdict.keyring) and "; cross-proof: " in verdict.text
    verdict = gate.closing(fleet)
    assert not keyrings.is_open(verdict.keyring) and "cross-proof" not in verdict.text


def test_a_token_is_kept_when_prepare_closes() -> None:
    fleet = now(at("prepare"))
    closed = gate.closing(fleet, cross=said(fleet)).keyring
    assert keyrings.primary(closed)["probe"] == "token-of-web-1"


def test_taking_a_rollout_back_waits_for_none() -> None:
    fleet = now(with_probe("promote"))
    assert gate.opening(fleet, asking("rollback", "rollback")).outcome == "visit"


# --- through the balancer -----------------------------------------------------------------


def test_the_balancer_is_asked_of_every_token_and_often_of_what_ended() -> None:
    asked = cross_proof.through(with_probe("retire"), ["a", "b"], {"a": "1", "b": "2"})
    assert [(one.token, one.expects) for one in asked] == [
        ("1", "verified"),
        ("2", "verified"),
        *[("probe", "refused")] * 4,
    ]
    many = [f"h{number}" for number in range(500)]
    assert len(cross_proof.through(with_probe("retire"), many, dict.fromkeys(many, "t"))) == 40
    assert cross_proof.through_findings(asked, [one.expects for one in asked]) == {}
    found = cross_proof.through_findings(asked, ["verified", "verified", "refused", "verified", "refused", "verified"])
    assert [finding.seen for finding in found["the balancer"]] == [
        f"still verifies a token that {OLD} signed, a key that is to be accepted no longer"
    ]
