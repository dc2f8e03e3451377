# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a fleet answers whatever it likes: nothing that is said or decided of another changes by it, and nothing falls over."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Iterator, List, Mapping, Optional

import builders
import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, gate, soak, wording
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Looks
from ansible_collections.phased.keys.plugins.plugin_utils import _program
from lies import Lie, lies

LIAR = "web-2"
NOW = builders.T0 + builders.DAY
AT = ("adopted", "prepare", "prepared", "promote", "promoted", "retire")


def true_answer(keyring: Mapping[str, Any]) -> Dict[str, Any]:
    """What a host honestly says, with something in every field."""
    seen = builders.seen(
        keyring, machine="boot-1/1", state="boot-1/2:3", others=[builders.outsider()], unsettled=[7], visit=None,
        record=builders.record(keyring, stopped={builders.OLD: builders.T0}, leaked=[builders.NEXT]),
    )  # fmt: skip
    seen["workers"].append({**builders.worker(103, problem="unreadable"), "by": "environ"})
    del seen["asked"]
    look = {"signs": builders.OLD, "accepts": [builders.OLD], "idle": False, "app_check": {"ok": True, "text": "fine"}}
    did = {"written": ["/etc/shop.env"], "restarted": True, "restored": False, "down": False, "took": 2.5}
    visit = {"needed": True, "proven": True, "did": did, "diff": {"before": "a\n", "after": "b\n"}}
    return {"changed": True, "failed": False, "msg": "all is well", "evidence": seen, **look, **visit}


def admitted(lie: Lie, module: str = "active_fingerprint") -> Dict[str, Any]:
    """What comes of a lie on the controller."""
    began = time.process_time()
    text = lie.text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    said = _program.answer(module, "/usr/bin/python3", {"rc": 0, "stdout": text, "stderr": ""})
    assert time.process_time() - began < 2, "the door is slow"
    if "evidence" in said:
        said["evidence"]["asked"] = 1000.0
    return said


def texts(value: Any) -> Iterator[str]:
    """Every text in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


class World:
    """A fleet at one moment, of which one member lies."""

    def __init__(self, name: str) -> None:
        self.keyring = builders.at(name)
        self.survey = builders.survey()._replace(clock=NOW)
        self.honest = builders.fleet_of(self.keyring)
        self.baseline = self.verdicts(None)

    def verdicts(self, seen: Optional[Dict[str, Any]]) -> Dict[str, Any]:
        """What is decided and said of the honest members while the liar says this (None: nothing that can be used)."""
        evidence = {**self.honest, LIAR: seen} if seen else {m: e for m, e in self.honest.items() if m != LIAR}
        keyring, fleet, survey = self.keyring, builders.FLEET, self.survey
        count = builders.surveyed(keyring, fleet, evidence, survey).count
        wordings: List[str] = [wording.status(builders.counting(keyring, count, evidence, NOW), 86400.0)]
        said: Dict[str, Any] = {"proven": sorted(set(count.proven) - {LIAR}), "findings": _others(count.findings)}
        said["late"] = _others(proofs.not_visitable(builders.surveyed(keyring, fleet, evidence, survey)))
        said["ahead"] = _others(proofs.outdated_keyring(builders.surveyed(keyring, fleet, evidence)))
        said["batch"] = _others(
            proofs.batch_findings(builders.surveyed(keyring, fleet, evidence, survey), {}, [], ["web-1"])
        )
        said["visits"] = [m for m in proofs.visits(builders.surveyed(keyring, fleet, evidence, survey)) if m != LIAR]
        said["soak"] = _others(proofs.soak_findings(evidence, soak.due(keyring, NOW + 30 * builders.DAY)))
        for phase in ("current", "prepare", "promote", "retire", "rollback"):
            for checking in (False, True):
                wish = gate.PhaseRequest(phase, "rollout", "n", 0.0, True, builders.SOAK, "k" * 40 + "abcdef", checking)
                wordings.append(_opened(keyring, wish, fleet, evidence, survey))
        wordings.append(gate.closing(builders.surveyed(keyring, fleet, evidence, survey)).text)
        for recover in (False, True):
            plan = adoption.judge(Looks(fleet, evidence, survey), recover)
            wordings += wording.table(plan.findings)
        said["waivers"] = keyrings.order(keyring)
        for text in wordings:
            assert all(letter.isprintable() or letter == "\n" for letter in text), text
            assert len(text) < 100_000
        return said


def _others(findings: Mapping[str, Any]) -> Dict[str, Any]:
    return {member: found for member, found in findings.items() if member != LIAR}


def _opened(keyring: Any, wish: gate.PhaseRequest, fleet: Any, evidence: Any, survey: Any) -> str:
    try:
        return gate.opening(builders.surveyed(keyring, fleet, evidence, survey), wish).text
    except keyrings.KeyringError as error:
        return str(error)


@pytest.mark.parametrize("name", AT)
def test_a_lie_is_a_finding_of_the_liar_alone(name: str) -> None:
    world = World(name)
    seen_wrong = let_in = 0
    for lie in lies(true_answer(world.keyring)):
        said = admitted(lie)
        try:
            known = set(said) <= {*_program.SHAPES["active_fingerprint"].__annotations__, "failed", "msg", "rc"}
            assert known, "a field came in that no shape names"
            assert all(letter.isprintable() or letter == "\n" for text in texts(said) for letter in text)
            assert len(json.dumps(said)) < _program.door.LARGEST
            verdicts = world.verdicts(said.get("evidence"))
            assert verdicts == world.baseline
        except Exception as error:
            raise AssertionError(f"{lie.name}: {lie.text[:300]!r}") from error
        seen_wrong += said.get("failed") is True and "cannot be read" in said.get("msg", "")
        let_in += "evidence" in said
    # Both kinds: were the truth itself refused at the door, no lie would get as far as the rules.
    assert seen_wrong > 300 and let_in > 300, (seen_wrong, let_in)


def test_what_cannot_be_read_says_where_and_shows_nothing() -> None:
    keyring = builders.at("prepared")
    for lie in lies(true_answer(keyring)):
        said = admitted(lie, "env_keys")
        if said.get("failed") and "cannot be read" in said.get("msg", ""):
            assert len(said["msg"]) < 400 and "lookup(" not in said["msg"] and "owned" not in said["msg"]
            assert "its answer cannot be read: " in said["msg"] and " -> " in said["msg"]


def test_the_truth_comes_in_as_it_is() -> None:
    answer = true_answer(builders.at("prepared"))
    said = admitted(Lie("the truth", json.dumps(answer)))
    assert said["evidence"] == {**answer["evidence"], "asked": 1000.0}
    assert {name: said[name] for name in ("changed", "failed", "msg", "signs", "accepts", "idle", "app_check")} == {
        name: answer[name] for name in ("changed", "failed", "msg", "signs", "accepts", "idle", "app_check")
    }
