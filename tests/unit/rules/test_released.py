# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that stay: a keyring and a record of every schema that a release has written, and this release reads each of them.

Whoever adds, renames or drops a field sees it here. Then the number goes up (`SCHEMA`), what reads the file reads the one before
too, `released/` gets a file of the new schema beside the others, and docs/keyring.md says what is in it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest
from ansible_collections.phased.keys.plugins.module_utils import _shapes as shapes
from ansible_collections.phased.keys.plugins.module_utils._host import record as records
from ansible_collections.phased.keys.plugins.module_utils._host.rules import history
from ansible_collections.phased.keys.plugins.module_utils._host.rules import visit as visits
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import epoch, stamp
from ansible_collections.phased.keys.plugins.module_utils._rules import (
    at_rest,
    external,
    gate,
    membership,
    next_step,
    steps,
)
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.plugin_utils import _door as door
from builders import DAY, FP, HOUR, OLD, SECRETS, SOAK, T0, adopt, opened, rolled, seen, survey, surveyed, worker
from kept import KEYRINGS, RECORDS, fields, load, values

# The keys of the released keyring: retired, dropping since it has leaked, withdrawn, retiring, and the one that signs.
FIRST, LEAKED, TAKEN_BACK, BEFORE, SIGNS = (
    "d0f32fddb84868a8", "e7e9e7b067ab52d6", "05a31a0e46f62a12", "0d64baf9e56f145f", "bdf1c0980277e627",
)  # fmt: skip


def life() -> List[Dict[str, Any]]:
    """Keyrings of a fleet to which everything happens that a keyring tells of."""
    later = T0 + 20 * DAY
    # How the application was asked is said by whoever adopts (plugins/action/keyring.py).
    keyring = {**adopt(), "app_check": {"how": "checked", "at": stamp(T0)}}
    keyring = rolled(membership.register(keyring, ["web-8", "web-9"], T0), T0 + HOUR, 2)
    keyring = membership.waive(membership.release(keyring, ["web-8"], [], T0), ["web-9"], "gone", 9 * DAY, T0)
    back = steps.close_step(opened(keyring, "rollback", T0 + DAY), T0 + DAY)
    found = [back, opened(back, "withdraw", later), steps.close_step(opened(back, "withdraw", later), later)]
    leaked = steps.mark_compromised(keyring, OLD, T0)
    return [*found, steps.close_step(opened(leaked, "retire", T0 + DAY), T0 + DAY), at_rest_life()]


def at_rest_life() -> Dict[str, Any]:
    """One of keys that encrypt what is stored, and that some verifiers learn late of and some have to confirm."""
    keyring = {**adopt(), "settings": {"at_rest": [{"what": "rows", "command": "again", "proof": "read"}]}}
    spread = {"seconds": 60.0, "source": "app_keys_spread"}
    keyring = steps.close_step(steps.open_step(keyring, "prepare", T0, "n2", SECRETS[2], spread=spread), T0)
    keyring = external.confirm(keyring, ["partner"], ["partner"], T0)
    keyring = steps.close_step(steps.open_step(keyring, "promote", T0, "n3", soak=SOAK), T0)
    keyring = external.confirm(keyring, ["partner"], ["partner"], T0)
    keyring = at_rest.done(at_rest.began(keyring, "web-1", T0), FP[2], "web-1", T0, T0)
    return steps.open_step(keyring, "retire", T0 + 20 * DAY, "n4", spread=spread, keep_sealed=90 * DAY)


@pytest.fixture
def keyring() -> Dict[str, Any]:
    return keyrings.check(load(KEYRINGS[0]), "shop")


@pytest.fixture
def record(tmp_path: Path) -> Dict[str, Any]:
    (tmp_path / "shop.json").write_text(RECORDS[0].read_text())
    found = records.load(str(tmp_path), "shop")
    assert found is not None
    return found


def test_there_is_one_of_each_schema() -> None:
    for schema, files, kind in ((keyrings.SCHEMA, KEYRINGS, "keyring"), (records.SCHEMA, RECORDS, "record")):
        assert [path.stem for path in files] == [f"{kind}-{number}" for number in range(1, schema + 1)]
        assert [load(path)["schema"] for path in files] == list(range(1, schema + 1))


@pytest.mark.parametrize("path", KEYRINGS, ids=lambda path: path.name)
def test_a_keyring_of_each_is_read(path: Path) -> None:
    assert keyrings.check(load(path), "shop")["schema"] <= keyrings.SCHEMA


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_of_each_is_read_by_its_host_and_let_in_by_the_door(path: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.json").write_text(path.read_text())
    found, whose = records.own(str(tmp_path), "shop", "web1")
    assert found is not None and whose is None
    assert door.admit(shapes.Record, json.dumps(found)) == found
    assert records.own(str(tmp_path), "shop", "web2") == (None, "web1")


def test_what_is_written_today_has_the_fields_of_the_last() -> None:
    written: Set[str] = set()
    for keyring in life():
        written.update(fields(keyring))
    assert sorted(written) == sorted(set(fields(load(KEYRINGS[-1]))))


def test_what_a_visit_writes_today_has_the_fields_of_the_last(tmp_path: Path) -> None:
    last = load(RECORDS[-1])
    token = keyrings.token(load(KEYRINGS[-1]))
    written = records.save(str(tmp_path), "shop", token, "retire", "proven", last, last["leaked"], "web1")
    assert written == {**last, "at": written["at"]}
    assert set(fields(written)) == set(fields(last))


@pytest.mark.parametrize("path", [*KEYRINGS, *RECORDS], ids=lambda path: path.name)
def test_each_says_something_of_every_field(path: Path) -> None:
    """A field that is always null here could mean anything."""
    document = load(path)
    said = {
        place
        for place in set(fields(document))
        if any(value not in (None, [], {}) for value in values(document, place))
    }
    assert set(fields(document)) - said <= {"step.partly_accepted", "step.skippable_since", "step.closed"}


def test_the_keyring_says_what_it_said(keyring: Dict[str, Any]) -> None:
    asked = keyrings.order(keyring)
    assert (asked.signs, asked.accepts, asked.leaked) == (SIGNS, [SIGNS, BEFORE], [LEAKED])
    assert set(asked.may_accept) == {SIGNS, BEFORE, LEAKED} and asked.may_sign == [SIGNS]
    assert set(asked.known) == {FIRST, LEAKED, TAKEN_BACK, BEFORE, SIGNS}
    assert keyrings.token(keyring) == ("5ca1ab1e0ddba11f", 13, "000000005eed000d")
    assert keyrings.is_open(keyring) and keyrings.let_go(keyring) == [LEAKED]
    assert sorted(keyrings.secrets(keyring, asked.may_accept)) == sorted(asked.may_accept)
    assert [entry["member"] for entry in membership.open_waivers(keyring, epoch("2026-10-25T00:00:00Z"))] == ["web3"]
    assert membership.vouchers(keyring, "web4", ["web1", "web2", "web3", "web4"]) == ["web1", "web2", "web3"]
    assert next_step.next_text(keyring, 0.0).startswith("retire is open since 2026-10-24T15:19:20Z")


def test_the_record_says_what_it_said(keyring: Dict[str, Any], record: Dict[str, Any]) -> None:
    token = keyrings.token(keyring)
    assert visits.fence(token, record) is None
    assert visits.fence(token._replace(counter=14, nonce="next"), record) is None
    late = visits.fence(token._replace(counter=12), record)
    assert late is not None and late.startswith("this host has seen step 13 (retire, 2026-10-24T15:20:00Z)")
    assert "opened twice" in str(visits.fence(token._replace(nonce="another"), record))
    assert "another keyring (5ca1ab1e0ddba11f" in str(visits.fence(token._replace(keyring="another"), record))
    evidence = seen(keyring, record=record, files=[], workers=[])
    assert history.stopped(evidence, BEFORE) == 1792854970.25
    assert history.stopped(evidence, FIRST) == 1790262800.0, "of any other key"
    assert visits.remembered(seen(keyring, record=record), {**evidence, "lasting": 0}) == {"workers": 3, "pools": [1]}


def test_the_gate_goes_on_from_both(keyring: Dict[str, Any], record: Dict[str, Any]) -> None:
    """It closes the step that was open, with a member that is set aside and one that joined, and opens another."""
    fleet = ["web1", "web2", "web3", "web4"]
    now = float(record["at"]) + 60
    pool = [worker(101, SIGNS, BEFORE), worker(102, SIGNS, BEFORE, parent=101)]
    evidence = {
        member: seen(
            keyring,
            workers=pool,
            machine=f"boot-{member}/1",
            state=member,
            now=now,
            record={**record, "member": member},
        )
        for member in fleet
        if member != "web3"
    }
    asked = survey(web3="unreachable")._replace(clock=now)
    verdict = gate.closing(surveyed(keyring, fleet, evidence, asked))
    assert verdict.outcome == "stay" and "3 of 4 hosts" in verdict.text, verdict.text
    closed = keyrings.check(json.loads(json.dumps(verdict.keyring)), "shop")
    assert {name: entry["proven"] for name, entry in closed["members"].items()} == dict.fromkeys(fleet, 13) | {
        "web3": 10
    }
    assert {key["fingerprint"]: key["state"] for key in closed["keys"]} == {
        FIRST: "retired", LEAKED: "retired", TAKEN_BACK: "withdrawn", BEFORE: "retiring", SIGNS: "primary",
    }  # fmt: skip
    assert keyrings.secrets(closed, [LEAKED])[LEAKED], "it stays sealed while a member is set aside"
    wish = PhaseRequest("prepare", "rollout", nonce="next", new=True, new_key=SECRETS[5], soak=SOAK)
    verdict = gate.opening(surveyed(closed, fleet, evidence, asked), wish)
    assert (verdict.outcome, verdict.keyring["step"]["counter"]) == ("visit", 14)
    keyrings.check(json.loads(json.dumps(verdict.keyring)), "shop")
    # What the record says of the last proof still counts: there was a pool then.
    alone = {
        **evidence,
        "web2": {**evidence["web2"], "pools": [{**evidence["web2"]["pools"][0], "depth": 0, "lasting": 0}]},
    }
    verdict = gate.closing(surveyed(keyring, fleet, alone, asked))
    assert verdict.outcome == "refuse" and "web2  no worker runs below pid 101" in verdict.text


def test_one_of_a_later_schema_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    later = {**load(KEYRINGS[-1]), "schema": keyrings.SCHEMA + 1}
    with pytest.raises(
        keyrings.KeyringError,
        match=f"has schema {keyrings.SCHEMA + 1}, and this release .* knows up to {keyrings.SCHEMA}: use",
    ):
        keyrings.check(later, "shop")
    (tmp_path / "shop.json").write_text(json.dumps({**load(RECORDS[-1]), "schema": records.SCHEMA + 1}))
    with pytest.raises(records.RecordError, match=re.escape(str(tmp_path / "shop.json")) + ".* newer release"):
        records.load(str(tmp_path), "shop")
