# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the open step asks of every host, and which settings it admits besides."""

from __future__ import annotations

import json

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from builders import ALIEN, CLOSED, DAY, FP, NEW, NEXT, OLD, SECRETS, adopt, at, opened, rolled

BOTH = {OLD, NEW}


@pytest.mark.parametrize(
    "name, signs, accepts",
    [
        ("adopt", OLD, {OLD}),
        ("adopted", OLD, {OLD}),
        ("prepare", OLD, BOTH),
        ("prepared", OLD, BOTH),
        ("promote", NEW, BOTH),
        ("promoted", NEW, BOTH),
        ("retire", NEW, {NEW}),
        ("retired", NEW, {NEW}),
    ],
)
def test_a_visit_writes_what_the_table_of_steps_says(name, signs, accepts):
    order = keyrings.order(at(name))
    assert (order.signs, set(order.accepts)) == (signs, accepts)
    assert order.accepts[0] == signs
    assert order.wants(order.signs, order.accepts)


# Settings that a host may have: what it signs with, and what it accepts besides.
OLD_ALONE, OLD_KNOWS_NEW = (OLD, [OLD]), (OLD, [OLD, NEW])
NEW_KNOWS_OLD, NEW_ALONE = (NEW, [NEW, OLD]), (NEW, [NEW])


@pytest.mark.parametrize(
    "name, admitted",
    [
        ("adopt", [OLD_ALONE]),
        ("prepare", [OLD_ALONE, OLD_KNOWS_NEW]),
        ("prepared", [OLD_ALONE, OLD_KNOWS_NEW]),
        ("promote", [OLD_KNOWS_NEW, NEW_KNOWS_OLD]),
        ("promoted", [NEW_KNOWS_OLD]),
        ("retire", [NEW_KNOWS_OLD, NEW_ALONE]),
        ("retired", [NEW_ALONE]),
    ],
)
@pytest.mark.parametrize("settings", [OLD_ALONE, OLD_KNOWS_NEW, NEW_KNOWS_OLD, NEW_ALONE], ids=["o", "on", "no", "n"])
def test_5_what_a_deploy_leaves_alone_at_each_step(name, admitted, settings):
    assert keyrings.order(at(name)).admits(*settings) is (settings in admitted)


@pytest.mark.parametrize("name", ["adopt", "prepare", "promote", "promoted", "retire", "retired"])
@pytest.mark.parametrize(
    "signs, accepts", [(None, []), (ALIEN, [ALIEN]), (OLD, [OLD, NEW, ALIEN]), (NEW, [NEW, OLD, ALIEN]), (NEW, [])]
)
def test_no_step_admits_an_unknown_key_or_a_host_that_does_not_accept_its_own(name, signs, accepts):
    order = keyrings.order(at(name))
    assert not order.admits(signs, accepts)
    assert not order.wants(signs, accepts)


def test_wants_does_not_care_in_which_order_keys_are_accepted():
    order = keyrings.order(at("promote"))
    assert order.wants(NEW, [OLD, NEW])
    assert not order.wants(OLD, [OLD, NEW])
    assert not order.wants(NEW, [NEW])
    assert not order.wants(NEW, [NEW, OLD, NEXT])


def test_several_retiring_keys_are_all_accepted_while_another_is_prepared():
    keyring = opened(rolled(at("promoted"), CLOSED["promote"] + DAY, 3), "prepare", CLOSED["promote"] + 2 * DAY, 4)
    order = keyrings.order(keyring)
    assert (order.signs, set(order.accepts)) == (NEXT, {NEXT, OLD, NEW, FP[4]})
    assert set(order.must_accept) == {NEXT, OLD, NEW}


def test_an_ended_key_is_known_and_no_longer_accepted():
    order = keyrings.order(at("retired"))
    assert OLD in order.known
    assert OLD not in order.may_accept


def test_a_withdrawn_key_is_known_and_no_longer_accepted():
    keyring = at("prepared")
    keyring["keys"][-1]["state"] = "withdrawn"
    order = keyrings.order(keyring)
    assert order.accepts == [OLD]
    assert NEW in order.known
    assert not order.admits(OLD, [OLD, NEW])


def test_keys_that_an_adopted_fleet_accepts_besides_stay_accepted():
    order = keyrings.order(adopt(secrets=SECRETS[1:4]))
    assert (order.signs, set(order.accepts)) == (OLD, {OLD, NEW, NEXT})
    assert set(order.must_accept) == {OLD, NEW, NEXT}


def test_4_a_token_is_the_ring_the_counter_and_the_nonce_of_the_open_step():
    assert keyrings.token(at("promote")) == ("ring-1", 3, "n3")


def test_7_secrets_are_those_that_were_asked_for_and_no_others():
    keyring = at("promote")
    assert keyrings.secrets(keyring, [NEW]) == {NEW: SECRETS[2]}
    assert keyrings.secrets(keyring, keyrings.order(keyring).accepts) == {NEW: SECRETS[2], OLD: SECRETS[1]}
    assert keyrings.secrets(keyring, [ALIEN]) == {}


@pytest.mark.parametrize("name", ["adopt", "prepare", "promoted", "retire", "retired"])
def test_13_no_secret_in_public(name):
    keyring = at(name)
    shown = json.dumps(keyrings.public(keyring))
    assert not [secret for secret in SECRETS if secret in shown]
    assert '"secret"' not in shown
    assert all(key["secret"] for key in keyring["keys"] if key["state"] not in keyrings.ENDED), (
        "the keyring itself keeps them"
    )


@pytest.mark.parametrize("name", ["adopt", "prepare", "promoted", "retired"])
def test_13_no_secret_in_the_journal_or_the_members(name):
    keyring = at(name)
    assert not [secret for secret in SECRETS if secret in json.dumps({**keyring, "keys": []})]


@pytest.mark.parametrize("name", ["promote", "retired"])
def test_keys_are_listed_the_newest_first(name):
    assert [key["fingerprint"] for key in keyrings.in_state(at(name), *keyrings.STATES)] == [NEW, OLD]


@pytest.mark.parametrize(
    "secret, said",
    [
        ("short", "5 characters, and at least 16"),
        ("x" * 15, "15 characters, and at least 16"),
        ("abcd" * 10, "4 different characters, and at least 5"),
        ("django-insecure-abcdefghijklmnop", "begins with django-insecure-"),
        ("abcde" + "x" * 11, None),
        (SECRETS[1], None),
    ],
)
def test_what_makes_a_key_too_weak(secret, said):
    weak = keyrings.weakness(secret)
    assert (said in weak) if said else weak is None
    assert secret not in (weak or "")


@pytest.mark.parametrize("secret, marks", [(SECRETS[1], []), ("x" * 40, ["weak"])])
def test_a_weak_key_that_was_adopted_all_the_same_is_marked(secret, marks):
    keyring = adopt(secrets=[secret])
    assert keyring["keys"][0]["marks"] == marks
    assert keyrings.check(keyring) == keyring


def test_the_key_that_signs_is_the_primary():
    assert [keyrings.primary(at(name))["fingerprint"] for name in ("prepared", "promote")] == [OLD, NEW]
    assert steps.next_id(at("promote")) == "k3"
