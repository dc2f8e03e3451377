# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring that was edited, damaged, or is of another release: each has its clear message, and none a secret."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import ALIEN, CLOSED, DAY, FP, NEW, OLD, SECRETS, adopt, at, opened, rolled


def changed(keyring, path, value):
    """The keyring with the entry at `path` ("keys.0.state") in place of its own; `...` removes it."""
    keyring = copy.deepcopy(keyring)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = keyring
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return keyring


@pytest.mark.parametrize(
    "name", ["adopt", "adopted", "prepare", "prepared", "promote", "promoted", "retire", "retired"]
)
def test_every_keyring_that_the_rules_make_is_one(name):
    keyring = at(name)
    assert keyrings.check(keyring, "shop") == keyring


@pytest.mark.parametrize(
    "keyring",
    [adopt(secrets=SECRETS[1:4]), opened(rolled(at("promoted"), CLOSED["promote"] + DAY, 3), "prepare", 2e9, 4)],
)
def test_a_keyring_with_several_retiring_keys_is_one(keyring):
    assert keyrings.check(keyring) == keyring


@pytest.mark.parametrize(
    "document", [None, "", "text", 5, [], {}, {"kind": "other"}, {"kind": None, "schema": 1}, ["phased.keys/keyring"]]
)
def test_what_is_no_keyring_at_all(document):
    with pytest.raises(KeyringError, match="this is not a keyring of phased.keys"):
        keyrings.check(document)


BAD = [
    ("schema", ..., "the keyring has no usable schema version: None"),
    ("schema", "1", "the keyring has no usable schema version: '1'"),
    ("schema", 0, "the keyring has no usable schema version: 0"),
    (
        "schema",
        3,
        "the keyring has schema 3, and this release of phased.keys knows up to 2: use the release that wrote it",
    ),
    *[(field, ..., f"the keyring has no usable {field}") for field in keyrings.FIELDS],
    ("name", 5, "the keyring has no usable name"),
    ("id", None, "the keyring has no usable id"),
    ("revision", "3", "the keyring has no usable revision"),
    ("revision", True, "the keyring has no usable revision"),
    ("keys", {}, "the keyring has no usable keys"),
    ("step", None, "the keyring has no usable step"),
    ("members", ["web-1"], "the keyring has no usable members"),
    *[(f"step.{field}", ..., f"the open step has no usable {field}") for field in keyrings.STEP_FIELDS],
    ("step.counter", "3", "the open step has no usable counter"),
    ("step.counter", True, "the open step has no usable counter"),
    ("step.name", "rotate", "the open step is 'rotate'; known are adopt, prepare"),
    ("step.opened", "yesterday", "the open step has a time that cannot be read: 'yesterday'"),
    ("keys.0", "text", "key number 1 is not a mapping"),
    ("keys.1", None, "key number 2 is not a mapping"),
    *[(f"keys.1.{field}", ..., f"key number 2 has no usable {field}") for field in keyrings.KEY_FIELDS],
    ("keys.0.state", "active", "key number 1 has the state 'active'; known are staged, primary"),
    ("keys.0.fingerprint", "xyz", "key number 1 has no usable fingerprint"),
    ("keys.1.fingerprint", OLD, f"key {OLD} stands in the keyring twice"),
    (
        "keys.0.fingerprint",
        ALIEN,
        f"key {ALIEN} has a secret with another fingerprint: the keyring was edited or damaged",
    ),
    ("keys.0.secret", ..., f"key {OLD} is retiring and has no secret"),
    ("keys.0.secret", None, f"key {OLD} is retiring and has no secret"),
    ("keys.0.secret", "", f"key {OLD} is retiring and has no secret"),
    ("keys.0.secret", 12345, f"key {OLD} is retiring and has no secret"),
    ("keys.0.secret", SECRETS[2], f"key {OLD} has a secret with another fingerprint"),
    ("keys.0.secret", SECRETS[1] + "\n", f"key {OLD} has a secret with another fingerprint"),
    ("keys.1.secret", None, f"key {NEW} is primary and has no secret"),
    ("keys.0.times.created", "soon", f"key {OLD} has a time that cannot be read: 'soon'"),
    ("keys.0.times.soaking", 5, f"key {OLD} has a time that cannot be read: 5"),
    ("keys.0.state", "primary", f"the keyring has 2 keys that are primary ({OLD}, {NEW}), not one"),
    ("keys.1.state", "retiring", "has no usable soak"),
    ("keys.1.state", "retired", "the keyring has no primary key"),
    ("keys", [], "the keyring has no primary key"),
    ("members.web-1", None, "member web-1 is not a mapping"),
    ("members.web-1.since", ..., "member web-1 has no usable since"),
    ("members.web-1.since", "soon", "member web-1 has a time that cannot be read: 'soon'"),
]


@pytest.mark.parametrize(
    "path, value, said", BAD, ids=[f"{path}={'gone' if value is ... else value}"[:60] for path, value, _said in BAD]
)
def test_13_every_bad_keyring_has_its_message_and_never_a_secret(path, value, said):
    with pytest.raises(KeyringError) as error:
        keyrings.check(changed(at("promoted"), path, value))
    assert said in str(error.value)
    assert not [secret for secret in SECRETS if secret in str(error.value)]


@pytest.mark.parametrize(
    "path, value",
    [
        ("step.closed", ...),
        ("step.closed", "soon"),
        ("step.closed", 5),
        ("step.key", ...),
        ("step.lets_go", None),
        ("step.lets_go", OLD),
        ("step.lets_go", [None]),
        ("keys.0.soak", ...),
        ("keys.0.soak", {}),
        ("keys.0.soak", {"seconds": "soon", "source": "x"}),
        ("keys.0.soak", {"seconds": -1, "source": "x"}),
        ("keys.0.soak", {"seconds": float("nan"), "source": "x"}),
    ],
)
def test_a_keyring_on_which_the_next_decision_would_fail_is_refused_when_it_is_read(path, value):
    with pytest.raises(KeyringError):
        keyrings.check(changed(at("promoted"), path, value))


def test_two_staged_keys_are_one_too_many():
    keyring = opened(at("promoted"), "prepare", CLOSED["promote"] + DAY, 3)
    keyring = changed(keyring, "keys.0.state", "staged")
    with pytest.raises(KeyringError, match=f"2 keys that are staged \\({OLD}, {FP[3]}\\)"):
        keyrings.check(keyring)


def test_6_the_keyring_of_another_application_is_refused():
    with pytest.raises(KeyringError, match="belongs to the application 'shop', not to 'blog'"):
        keyrings.check(at("promote"), "blog")


@pytest.mark.parametrize("state", keyrings.ENDED)
def test_an_ended_key_needs_no_secret(state):
    keyring = changed(changed(at("promoted"), "keys.0.state", state), "keys.0.secret", None)
    assert keyrings.check(keyring) == keyring


@pytest.mark.parametrize("marks, refused", [([], True), (["weak"], False)])
def test_a_weak_key_is_refused_unless_it_was_taken_as_one(marks, refused):
    keyring = changed(adopt(secrets=["x" * 40]), "keys.0.marks", marks)
    if not refused:
        assert keyrings.check(keyring) == keyring
        return
    with pytest.raises(KeyringError, match="is too weak: it has 1 different") as error:
        keyrings.check(keyring)
    assert "xxx" not in str(error.value)


def test_a_dropping_key_still_has_its_secret_since_its_retire_may_not_close():
    keyring = changed(at("retire"), "keys.0.secret", None)
    with pytest.raises(KeyringError, match="is dropping and has no secret"):
        keyrings.check(keyring)
