# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fleet stands, for machines: when all is well, what is not known, and that no text breaks a format."""

from __future__ import annotations

import json

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import epoch, stamp
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import standing as standings
from ansible_collections.phased.keys.plugins.module_utils._rules.exposition import METRICS, PREFIX, exposition
from builders import (
    CLOSED,
    DAY,
    FLEET,
    HOUR,
    MINUTE,
    NEW,
    OLD,
    OPENED,
    SECRETS,
    SOAK,
    T0,
    at,
    env_file,
    fleet_of,
    rolled,
    seen,
    survey,
    surveyed,
    worker,
)  # fmt: skip
from prometheus_client.parser import text_string_to_metric_families

LATER = T0 + 16 * DAY
MAX_AGE = 90 * DAY


def stands(keyring, now=LATER, looked=True, absent=None, fleet=FLEET, **odd):
    """How the fleet of this keyring stands at this moment; each host is as it should be, but for `odd`."""
    conditions = survey(**(absent or {}))._replace(clock=now)
    evidence = fleet_of(keyring, **odd) if looked else {}
    found = surveyed(keyring, fleet, evidence, conditions)
    return standings.standing(found, now - 10 if looked else None, MAX_AGE)


def samples(text):
    """What an independent reader finds: the value by the metric's name and its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("name", ["adopted", "retired"])
def test_all_is_well_where_nobody_has_anything_to_do(name):
    found = stands(at(name))
    assert (found["ok"], found["why"], found["unproven"]) == (True, [], [])
    assert (found["members"], found["members_proven"]) == (3, 3)


def test_a_fleet_at_rest_is_described_field_by_field():
    found = stands(at("retired"))
    assert {**found, "next": ""} == {
        "name": "shop",
        "ok": True,
        "why": [],
        "phase": "retire",
        "step_open": False,
        "due_at": stamp(CLOSED["retire"] + MAX_AGE),
        "next": "",
        "members": 3,
        "members_proven": 3,
        "unproven": [],
        "noted": [],
        "waived": [],
        "signing": NEW,
        "accepted": [NEW],
        "key_age": LATER - OPENED["prepare"],
        "last_rollout": stamp(CLOSED["retire"]),
        "looked_at": stamp(LATER - 10),
        "at": stamp(LATER),
    }
    assert found["next"].startswith("no rollout is in progress; the next rollout is due at ")


def test_what_is_said_fits_its_shape_and_json():
    for keyring in (at("adopt"), at("retired")):
        found = stands(keyring)
        assert list(found) == list(standings.Standing.__annotations__)
        assert json.loads(json.dumps(found)) == found
    unread = standings.without_a_keyring("shop", FLEET, T0, "there is no keyring")
    assert list(unread) == list(standings.Standing.__annotations__)
    assert (unread["ok"], unread["phase"], unread["why"]) == (False, "none", ["there is no keyring"])
    assert (unread["members"], unread["members_proven"], unread["unproven"]) == (3, None, None)


@pytest.mark.parametrize("name", ["adopt", "prepare", "promote", "retire"])
def test_an_open_step_is_not_well_and_due_since_it_opened(name):
    found = stands(at(name))
    assert (found["ok"], found["phase"], found["step_open"]) == (False, name, True)
    assert found["due_at"] == stamp(OPENED[name])
    assert found["why"] == [f"{name} is open since {stamp(OPENED[name])}: run phased.keys.rollout to finish it"]


def test_a_key_that_is_staged_is_in_the_middle():
    found = stands(at("prepared"))
    assert (found["ok"], found["step_open"], found["due_at"]) == (False, False, stamp(CLOSED["prepare"]))
    assert found["why"] == ["promote is next: run phased.keys.rollout, or phased.keys.promote"]


def test_a_soak_is_well_until_it_is_over():
    over = CLOSED["promote"] + SOAK["seconds"]
    before, after = stands(at("promoted"), over - 1), stands(at("promoted"), over)
    assert (before["ok"], before["due_at"]) == (True, stamp(over))
    assert (after["ok"], after["due_at"]) == (False, stamp(over))
    assert after["why"] == ["the soak is over: run phased.keys.rollout, or phased.keys.retire"]
    assert before["accepted"] == [NEW, OLD] and before["signing"] == NEW


def test_a_rollout_that_is_due_by_its_age_is_told_and_no_harm():
    found = stands(at("retired"), CLOSED["retire"] + MAX_AGE + DAY)
    assert found["ok"] is True
    assert epoch(found["due_at"]) == CLOSED["retire"] + MAX_AGE


def test_a_member_that_is_not_proven_is_listed_with_each_finding():
    keyring = at("promoted")
    stale = seen(keyring, workers=[worker(1, OLD)], files=[env_file(OLD)], machine="b/1", state="b/2")
    found = stands(keyring, CLOSED["promote"] + HOUR, absent={"web_3": "unreachable (x)"}, web_2=stale, web_3=None)
    assert (found["ok"], found["members_proven"]) == (False, 1)
    assert {told["host"] for told in found["unproven"]} == {"web-2", "web-3"}
    assert len(found["unproven"]) >= 3
    assert all(told["seen"] and told["advice"] for told in found["unproven"])
    assert found["why"] == ["1 of 3 members are proven: do what is said of each of the others (web-2, web-3)"]


def test_a_member_that_has_vanished_from_the_inventory_is_not_proven():
    found = stands(at("retired"), fleet=FLEET[:2])
    assert (found["ok"], found["members"], found["members_proven"]) == (False, 3, 2)
    assert [told["host"] for told in found["unproven"]] == ["web-3"]


def test_what_was_not_looked_at_is_not_known_and_neither_good_nor_bad():
    found = stands(at("retired"), looked=False)
    assert (found["ok"], found["why"]) == (None, [])
    assert [found[field] for field in ("members_proven", "unproven", "noted", "looked_at")] == [None] * 4
    assert (found["members"], found["signing"], found["at"]) == (3, NEW, stamp(LATER))
    # What the keyring says is bad whatever the hosts do.
    assert stands(at("promote"), looked=False)["ok"] is False


def waived(now=LATER, until=LATER + DAY):
    return membership.waive(at("retired"), ["web-2"], "it burns", until - now, now)


def test_who_is_set_aside_is_named_and_well_until_the_waiver_has_run_out():
    found = stands(waived(), web_2=None)
    assert (found["ok"], found["members"], found["members_proven"]) == (True, 3, 2)
    assert found["waived"] == [{"host": "web-2", "until": stamp(LATER + DAY), "reason": "it burns"}]
    for looked in (True, False):
        over = stands(waived(), LATER + 2 * DAY, looked, web_2=None)
        assert (over["ok"], over["waived"]) == (False, [])
        assert over["why"][-1].startswith(f"the waiver of web-2 ran out at {stamp(LATER + DAY)}: ")
    # It answers, as it should: the next run ends what is left of the waiver.
    assert stands(waived(), LATER + 2 * DAY)["ok"] is True


@pytest.mark.parametrize("leaked", [OLD, NEW])
@pytest.mark.parametrize("name", ["prepared", "promoted"])
def test_a_key_that_has_leaked_and_is_accepted_is_not_well(name, leaked):
    marked = OPENED["promote"] + HOUR
    found = stands(steps.mark_compromised(at(name), leaked, marked), marked + HOUR)
    assert found["ok"] is False
    assert "compromised" in " ".join(found["why"]) and leaked in json.dumps(found)
    assert MINUTE < epoch(found["at"]) - epoch(found["due_at"]) < DAY


def test_a_key_that_has_leaked_and_is_gone_is_no_harm():
    assert stands(steps.mark_compromised(at("retired"), OLD, LATER - 5))["ok"] is True


def test_a_run_that_failed_is_not_well_and_neither_is_a_part_of_the_fleet():
    keyring = at("retired")
    found = surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=LATER))
    both = standings.standing(found, LATER, MAX_AGE, "it is a slice", "the disk is full")
    assert (both["ok"], both["why"]) == (False, ["the disk is full", "it is a slice"])


def test_the_last_rollout_is_the_last_retire_and_not_what_was_counted_again():
    assert stands(at("promoted"))["last_rollout"] is None
    keyring = steps.close_step(at("retired"), CLOSED["retire"] + DAY)
    assert stands(keyring)["last_rollout"] == stamp(CLOSED["retire"])
    # The next one is under way.
    assert stands(rolled(at("retired"), LATER, 3), LATER + HOUR)["last_rollout"] == stamp(CLOSED["retire"])


def test_no_secret_is_in_it_at_any_step():
    for name in ("adopt", "adopted", "prepare", "prepared", "promote", "promoted", "retire", "retired"):
        found = stands(at(name))
        text = json.dumps(found) + exposition(found)
        assert not [secret for secret in SECRETS if secret in text]


def test_prometheus_reads_what_the_dictionary_says():
    name = (("name", "shop"),)
    found = samples(exposition(stands(at("retired"))))
    assert found[("phased_keys_ok", name)] == 1
    assert found[("phased_keys_step_open", name)] == 0
    assert found[("phased_keys_members", name)] == found[("phased_keys_members_proven", name)] == 3
    assert found[("phased_keys_due_timestamp_seconds", name)] == CLOSED["retire"] + MAX_AGE
    assert found[("phased_keys_last_rollout_timestamp_seconds", name)] == CLOSED["retire"]
    assert found[("phased_keys_key_age_seconds", name)] == LATER - OPENED["prepare"]
    assert found[("phased_keys_written_timestamp_seconds", name)] == LATER
    assert found[("phased_keys_looked_timestamp_seconds", name)] == LATER - 10
    assert found[("phased_keys_info", (*name, ("phase", "retire"), ("signing", NEW)))] == 1
    assert not [metric for metric, _labels in found if metric == "phased_keys_unproven"]


def test_what_is_not_known_has_no_sample():
    found = {name for name, _labels in samples(exposition(stands(at("adopted"), looked=False)))}
    unknown = {"ok", "members_proven", "unproven", "looked_timestamp_seconds", "due_timestamp_seconds"}
    assert not found & {PREFIX + name for name in unknown}
    assert {PREFIX + name for name in ("written_timestamp_seconds", "members", "step_open")} <= found
    unread = samples(exposition(standings.without_a_keyring("shop", FLEET, T0, "no keyring")))
    assert unread[("phased_keys_ok", (("name", "shop"),))] == 0


def test_one_series_stands_for_each_host_that_is_not_proven_whatever_is_said_of_it():
    keyring = at("promoted")
    stale = seen(keyring, workers=[worker(1, OLD), worker(2, OLD)], machine="b/1", state="b/2")
    found = stands(keyring, CLOSED["promote"] + HOUR, web_2=stale)
    unproven = {labels: value for (name, labels), value in samples(exposition(found)).items() if "unproven" in name}
    assert unproven == {(("host", "web-2"), ("name", "shop")): len(found["unproven"])}


HOSTILE = [
    'a"} 1\nphased_keys_ok{name="shop"} 1\n#',
    "back\\slash",
    "\\n",
    'quote"',
    "line\nfeed",
    "carriage\rreturn",
    "<script>alert(1)</script>",
    "{{ lookup('pipe', 'id') }}",
    "\u2028\u202e\x85\x0b\x1c",
    "no unicode \udcff at all",
    "\N{PILE OF POO}",
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_of_a_host_and_nothing_that_it_says_changes_anything_else(text):
    keyring = at("retired")
    conditions = survey()._replace(clock=LATER, absent={text: f"{text} {text}"})
    found = standings.standing(surveyed(keyring, [*FLEET, text], fleet_of(keyring), conditions), LATER, MAX_AGE)
    assert found["ok"] is False and [told["host"] for told in found["unproven"]] == [text]
    assert json.loads(json.dumps(found)) == found
    read = samples(exposition(found))
    assert read[("phased_keys_ok", (("name", "shop"),))] == 0
    plain = text.encode("utf-8", "backslashreplace").decode()
    named = [dict(labels)["host"] for name, labels in read if name == "phased_keys_unproven"]
    assert named == [plain]
    assert {name for name, _labels in read} <= {PREFIX + name for name in METRICS}
    exposition(found).encode("utf-8")
