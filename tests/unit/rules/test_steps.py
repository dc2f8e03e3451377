# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a keyring becomes when a step opens and when it closes: rules 4, 7, 10 and 11."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import SettingsError
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, next_step, soak, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import (
    CLOSED,
    DAY,
    FLEET,
    FP,
    HOUR,
    NEW,
    NEXT,
    OLD,
    OPENED,
    SECRETS,
    SOAK,
    T0,
    adopt,
    at,
    opened,
    rolled,
    states,
)

OVER = CLOSED["promote"] + SOAK["seconds"]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("adopt", {OLD: "primary"}),
        ("adopted", {OLD: "primary"}),
        ("prepare", {OLD: "primary", NEW: "staged"}),
        ("prepared", {OLD: "primary", NEW: "staged"}),
        ("promote", {OLD: "retiring", NEW: "primary"}),
        ("promoted", {OLD: "retiring", NEW: "primary"}),
        ("retire", {OLD: "dropping", NEW: "primary"}),
        ("retired", {OLD: "retired", NEW: "primary"}),
    ],
)
def test_a_key_moves_when_its_step_opens_and_not_later(name, expected):
    assert states(at(name)) == expected


@pytest.mark.parametrize(
    "name, secret",
    [("promote", SECRETS[1]), ("promoted", SECRETS[1]), ("retire", SECRETS[1]), ("retired", None)],
)
def test_7_a_secret_is_destroyed_only_at_retires_closing_count(name, secret):
    old, new = at(name)["keys"]
    assert old["secret"] == secret
    assert new["secret"] == SECRETS[2]


def test_7_the_record_of_a_retired_key_stays():
    keyring = steps.close_step(at("retire"), CLOSED["retire"])
    key = keyring["keys"][0]
    assert (key["id"], key["fingerprint"], key["state"]) == ("k1", OLD, "retired")
    assert key["times"]["ended"] == stamp(CLOSED["retire"])
    assert keyrings.check(keyring) == keyring


@pytest.mark.parametrize("step", ["adopt", "prepare", "promote", "promoted"])
def test_7_closing_any_other_step_destroys_nothing(step):
    keyring = at(step)
    kept = [key["secret"] for key in keyring["keys"]]
    assert [key["secret"] for key in steps.close_step(keyring, T0 + 20 * DAY)["keys"]] == kept


def test_4_the_counter_only_grows_by_one_with_each_step_and_each_has_a_nonce_of_its_own():
    tokens = [keyrings.token(at(step)) for step in next_step.ROLLOUT]
    keyring = at("retired")
    for number in (3, 4, 5):
        keyring = steps.close_step(opened(keyring, "prepare", OVER + DAY, number), OVER + DAY)
        tokens.append(keyrings.token(keyring))
        keyring = steps.close_step(opened(keyring, "promote", OVER + DAY), OVER + DAY)
        tokens.append(keyrings.token(keyring))
    assert [token.counter for token in tokens] == list(range(1, 11))
    assert len({token.nonce for token in tokens}) == len(tokens)
    assert {token.keyring for token in tokens} == {"ring-1"}


@pytest.mark.parametrize("name", ["adopt", "prepare", "promote", "retire"])
def test_4_closing_and_registering_leave_the_token_as_it_is(name):
    keyring = at(name)
    assert keyrings.token(steps.close_step(keyring, T0 + DAY)) == keyrings.token(keyring)
    assert keyrings.token(membership.register(keyring, ["web-9"], T0 + DAY)) == keyrings.token(keyring)


@pytest.mark.parametrize("name", ["adopted", "prepared", "promoted", "retire"])
def test_7_the_keyring_that_was_given_stays_as_it_was(name):
    keyring = at(name)
    before = copy.deepcopy(keyring)
    steps.close_step(keyring, OVER)
    membership.register(keyring, ["web-9"], OVER)
    step = {"adopted": "prepare", "prepared": "promote", "promoted": "retire", "retire": "prepare"}[name]
    opened(keyring, step, OVER, 3)
    assert keyring == before


def test_10_the_soak_begins_with_promotes_closing_count_and_not_with_its_opening():
    assert "soaking" not in at("promote")["keys"][0]["times"]
    assert at("promoted")["keys"][0]["times"]["soaking"] == stamp(CLOSED["promote"])


def test_10_a_second_count_of_a_closed_promote_neither_shortens_nor_lengthens_the_soak():
    keyring = steps.close_step(at("promoted"), CLOSED["promote"] + 3 * DAY)
    assert soak.next_due(keyring) == OVER


def test_10_each_retiring_key_has_a_clock_of_its_own():
    keyring = rolled(at("promoted"), CLOSED["promote"] + 5 * DAY, 3)
    assert [soak.over_at(key) for key in keyrings.in_state(keyring, "retiring")] == [OVER + 5 * DAY, OVER]
    assert soak.due(keyring, OVER - 1) == []
    assert [key["fingerprint"] for key in soak.due(keyring, OVER)] == [OLD]
    assert [key["fingerprint"] for key in soak.due(keyring, OVER + 5 * DAY)] == [NEW, OLD]


@pytest.mark.parametrize(
    "now, dropped",
    [(OVER, {OLD}), (OVER + 5 * DAY - 1, {OLD}), (OVER + 5 * DAY, {OLD, NEW})],
)
def test_10_retire_drops_only_keys_whose_soak_is_over(now, dropped):
    keyring = opened(rolled(at("promoted"), CLOSED["promote"] + 5 * DAY, 3), "retire", now)
    assert {key for key, state in states(keyring).items() if state == "dropping"} == dropped
    assert set(keyrings.order(keyring).accepts) == {OLD, NEW, NEXT} - dropped
    closed = steps.close_step(keyring, now + HOUR)
    assert {key["fingerprint"] for key in closed["keys"] if key["secret"] is None} == dropped


def test_10_a_key_whose_promote_is_not_closed_is_never_due():
    keyring = at("promote")
    assert soak.due(keyring, 9e9) == []
    assert soak.next_due(keyring) is None


def test_10_the_length_of_a_soak_is_that_of_its_promote_with_its_source():
    assert at("promoted")["keys"][0]["soak"] == SOAK


def test_promote_without_a_soak_is_refused():
    with pytest.raises(KeyringError):
        steps.open_step(at("prepared"), "promote", OPENED["promote"], "n", soak=None)


def test_promote_without_a_staged_key_is_refused():
    with pytest.raises(KeyringError):
        steps.open_step(at("adopted"), "promote", OPENED["promote"], "n", soak=SOAK)


def test_prepare_without_a_new_key_is_refused():
    with pytest.raises(KeyringError, match="prepare needs a new key"):
        steps.open_step(at("adopted"), "prepare", T0 + HOUR, "n")


@pytest.mark.parametrize("step", ["adopt", "rotate", ""])
def test_3_what_is_no_step_does_not_open(step):
    with pytest.raises(KeyringError, match="is not a step that opens"):
        steps.open_step(at("adopted"), step, T0 + HOUR, "n")


@pytest.mark.parametrize("secret", ["with,comma,abcdefghijklmnop", "abcdefghijklmnop,"])
def test_a_key_that_cannot_be_written_as_a_fallback_is_refused_when_it_is_adopted(secret):
    with pytest.raises(SettingsError, match="."):
        opened(steps.close_step(adopt(secrets=[secret]), CLOSED["adopt"]), "prepare", OPENED["prepare"])


@pytest.mark.parametrize(
    "name, signing, partly_accepted",
    [("adopt", [OLD], []), ("prepare", [OLD], [NEW]), ("promote", sorted([OLD, NEW]), []), ("retire", [NEW], [])],
)
def test_a_step_remembers_which_keys_may_sign_and_which_are_on_their_way(name, signing, partly_accepted):
    assert (at(name)["step"]["signing"], at(name)["step"]["partly_accepted"]) == (signing, partly_accepted)


@pytest.mark.parametrize("name, key", [("adopt", OLD), ("prepare", NEW), ("promote", NEW), ("retire", OLD)])
def test_the_open_step_names_its_key(name, key):
    step = at(name)["step"]
    assert (step["key"], step["opened"], step["closed"]) == (key, stamp(OPENED[name]), None)


def test_closing_writes_down_which_members_were_proven_at_which_step():
    keyring = membership.register(at("promoted"), ["web-9"], T0 + DAY)
    assert [entry["proven"] for entry in keyring["members"].values()] == [3, 3, 3, None]
    assert [entry["proven"] for entry in steps.close_step(keyring, T0 + DAY)["members"].values()] == [3] * 4


def test_5_a_joiner_that_is_counted_later_does_not_make_the_last_rollout_younger():
    keyring = membership.register(at("retired"), ["web-9"], CLOSED["retire"] + DAY)
    again = steps.close_step(keyring, CLOSED["retire"] + DAY)
    assert again["step"]["closed"] == keyring["step"]["closed"]


@pytest.mark.parametrize(
    "joining, joined", [(FLEET, []), (["web-9"], ["web-9"]), ([*FLEET, "web-8", "web-9"], ["web-8", "web-9"]), ([], [])]
)
def test_11_joiners_are_registered_and_members_stay_as_they_are(joining, joined):
    keyring = at("promoted")
    new = membership.register(keyring, joining, T0 + DAY)
    assert list(new["members"]) == [*FLEET, *joined]
    assert {member: new["members"][member] for member in FLEET} == keyring["members"]
    assert all(new["members"][member] == {"since": stamp(T0 + DAY), "proven": None} for member in joined)
    assert (new is keyring) is not bool(joined)


def test_the_journal_tells_what_happened_in_its_order():
    events = [(entry["event"], entry["counter"]) for entry in at("retired")["journal"]]
    assert events == [
        ("begun with a key that was adopted", 1),
        ("registered", 1),
        ("adopt closed: all 3 members are proven", 1),
        ("prepare opened", 2),
        ("prepare closed: all 3 members are proven", 2),
        ("promote opened", 3),
        ("promote closed: all 3 members are proven", 3),
        ("retire opened", 4),
        ("retire closed: all 3 members are proven", 4),
    ]


def test_adopt_starts_with_the_fleets_keys_and_its_members():
    keyring = adopt(secrets=SECRETS[1:4])
    assert states(keyring) == {OLD: "primary", NEW: "retiring", NEXT: "retiring"}
    assert keyrings.primary(keyring)["id"] == "k1"
    assert len({key["id"] for key in keyring["keys"]}) == 3
    assert steps.next_id(keyring) == "k4"
    assert list(keyring["members"]) == list(FLEET)
    assert keyrings.check(keyring) == keyring


def test_10_keys_that_an_adopted_fleet_accepts_besides_soak_from_the_closing_count_on():
    keyring = adopt(secrets=SECRETS[1:3])
    assert soak.next_due(keyring) is None
    assert soak.next_due(steps.close_step(keyring, CLOSED["adopt"])) == CLOSED["adopt"] + SOAK["seconds"]


@pytest.mark.parametrize(
    "value, framework_soak, expected",
    [
        (30 * DAY, "14d", {"seconds": 30 * DAY, "source": "app_keys_soak"}),
        ("90m", None, {"seconds": 5400, "source": "app_keys_soak"}),
        (0.0, "14d", {"seconds": 0, "source": "app_keys_soak"}),
        (None, "14d", {"seconds": 14 * DAY, "source": "the default of django"}),
        (None, "120m", {"seconds": 7200, "source": "the default of django"}),
    ],
)
def test_the_soak_is_what_the_operator_says_or_else_the_frameworks(value, framework_soak, expected):
    assert soak.length(value, "django", framework_soak) == expected


def test_a_soak_that_nobody_has_said_is_asked_for():
    with pytest.raises(KeyringError, match="app_keys_soak is not set, and airflow has no default for it"):
        soak.length(None, "airflow", None)


def test_a_new_key_is_staged_beside_those_that_are_there():
    keyring = opened(rolled(at("promoted"), CLOSED["promote"] + DAY, 3), "prepare", CLOSED["promote"] + 2 * DAY, 4)
    assert states(keyring) == {OLD: "retiring", NEW: "retiring", NEXT: "primary", FP[4]: "staged"}
    assert [key["id"] for key in keyring["keys"]] == ["k1", "k2", "k3", "k4"]


# --- a step that lets go of several keys ----------------------------------------


def both_due(leaked=None):
    """Two keys soak, both are due, and the older one may have leaked."""
    keyring = rolled(at("promoted"), CLOSED["promote"] + DAY, 3)
    return steps.mark_compromised(keyring, leaked, OVER) if leaked else keyring


@pytest.mark.parametrize("leaked, named", [(None, [NEW, OLD]), (NEW, [NEW, OLD]), (OLD, [OLD, NEW])])
def test_14_a_step_names_every_key_that_it_lets_go_of_the_leaked_one_first(leaked, named):
    keyring = opened(both_due(leaked), "retire", OVER + 2 * DAY)
    assert (keyring["step"]["key"], keyring["step"]["lets_go"]) == (named[0], named)
    assert keyrings.step_keys(keyring) == named
    assert keyrings.check(keyring) == keyring
    closed = steps.close_step(keyring, OVER + 3 * DAY)
    told = [(entry["event"], entry["key"], entry["lets_go"]) for entry in closed["journal"][-2:]]
    assert told == [("retire opened", named[0], named), ("retire closed: all 3 members are proven", named[0], named)]
    assert keyrings.step_keys(closed) == named


def test_14_a_key_that_is_found_to_have_leaked_while_it_is_let_go_of_is_named_first_from_then_on():
    keyring = opened(both_due(), "retire", OVER + 2 * DAY)
    marked = steps.mark_compromised(keyring, OLD, OVER + 2 * DAY)
    assert keyrings.step_keys(marked) == [OLD, NEW]
    assert steps.close_step(marked, OVER + 3 * DAY)["journal"][-1]["lets_go"] == [OLD, NEW]


@pytest.mark.parametrize("name, key", [("prepare", NEW), ("promote", NEW), ("adopt", OLD)])
def test_a_step_that_lets_go_of_nothing_names_its_key(name, key):
    keyring = at(name)
    assert (keyring["step"]["lets_go"], keyrings.step_keys(keyring)) == ([], [key])
    assert "lets_go" not in keyring["journal"][-1]


def test_a_keyring_that_is_begun_without_a_key_that_some_hosts_accept_says_so():
    start = steps.Start(SECRETS[1:2], "recovered", gone=SECRETS[2:4], leaked=[NEXT])
    keyring = steps.adopt(
        "shop", "r", "n", start, FLEET, {"framework": "django", "settings": {}}, SOAK, {"how": "trust"}, T0
    )
    assert (keyring["step"]["key"], keyring["step"]["lets_go"]) == (OLD, [NEXT, NEW])
    assert keyring["journal"][0]["lets_go"] == [NEXT, NEW]


@pytest.mark.parametrize("closed", [False, True])
def test_of_a_keyring_that_does_not_say_which_keys_its_step_lets_go_of_the_states_tell(closed):
    """As those of before this field was there."""
    keyring = opened(both_due(OLD), "retire", OVER + 2 * DAY)
    keyring = steps.close_step(keyring, OVER + 3 * DAY) if closed else keyring
    del keyring["step"]["lets_go"]
    assert keyrings.check(keyring) == keyring
    assert keyrings.step_keys(keyring) == [OLD, NEW]
    for key in keyring["keys"]:
        key["times"].pop("dropping", None)
    assert keyrings.step_keys({**keyring, "step": {**keyring["step"], "key": NEXT}}) == [NEXT]


@pytest.mark.parametrize("name", ["adopted", "prepared", "promoted"])
def test_of_a_keyring_without_that_field_any_other_step_names_its_key_still(name):
    keyring = at(name)
    key = keyring["step"]["key"]
    del keyring["step"]["lets_go"]
    assert keyrings.step_keys(keyrings.check(keyring)) == [key]
