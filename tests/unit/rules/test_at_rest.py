# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that encrypt what is stored: what retire waits for, what counts as done, and for how long a secret is kept."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import SettingsError, misfit, profile
from ansible_collections.phased.keys.plugins.module_utils._rules import (
    adoption,
    at_rest,
    gate,
    next_step,
    steps,
    wording,
)
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.gate import PhaseRequest
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import (
    CLOSED,
    DAY,
    FLEET,
    HOUR,
    MINUTE,
    NEW,
    NEXT,
    OLD,
    OPENED,
    SOAK,
    T0,
    at,
    env_file,
    fleet_of,
    idle,
    opened,
    record,
    rolled,
    seen,
    states,
    survey,
    surveyed,
)  # fmt: skip

ROWS = {"at_rest": [{"what": "rows"}]}
# After the soak of the first rollout, by whatever clock.
OVER = OPENED["promote"] + 400 * DAY
ANEW = CLOSED["promote"] + HOUR
RETIRE = PhaseRequest("retire", "rollout", nonce="n9", keep_sealed=90 * DAY)


def stores(name: str, **more: Any) -> Dict[str, Any]:
    """The keyring of a first rollout whose keys encrypt rows that are stored."""
    return {**at(name), "settings": ROWS, **more}


def anew(name: str = "promoted", began: float = ANEW) -> Dict[str, Any]:
    """The same after a re-encryption."""
    return at_rest.done(stores(name), NEW, "web-1", began, began + MINUTE)


def decided(keyring: Any, goal: str = "rollout", now: float = OVER) -> Any:
    return next_step.decide(keyring, "retire", goal, now)


@pytest.mark.parametrize(
    ("framework", "settings", "what"),
    [
        ("django", {}, []),
        ("laravel", {}, ["columns and files that the application stored with encrypt()"]),
        ("laravel", {"at_rest": False}, []),
        ("laravel", {"at_rest": []}, []),
        ("django", {"at_rest": [{"what": "notes"}, {"what": "files", "command": "again"}]}, ["notes", "files"]),
    ],
)
def test_what_is_stored_is_the_profiles_or_the_applications_own_word(framework, settings, what):
    assert at_rest.stored({**at("adopted"), "framework": framework, "settings": settings}) == what


@pytest.mark.parametrize(
    "value",
    [True, None, "", "rows", 5, {}, [{}], [{"what": ""}], [{"what": 5}], [{"what": "x", "when": "y"}], ["rows"]],
)
def test_what_is_said_of_it_is_false_or_a_list_of_things(value):
    with pytest.raises(SettingsError, match="app_keys_settings.at_rest is .*; it is false where nothing"):
        profile("django", {"at_rest": value})


def test_19_retire_waits_for_the_re_encryption_whatever_the_clock_says():
    keyring = stores("promoted")
    decision = decided(keyring)
    assert (decision.action, decision.until) == ("wait", None), "no clock ends it"
    assert decision.text.startswith(
        f"{OLD} is needed until what is at rest (rows) is encrypted anew: set app_keys_reencrypt"
    )
    assert f"-e app_keys_reencrypted={NEW}" in decision.text
    assert next_step.may_go(keyring, OVER) == []
    with pytest.raises(KeyringError, match="no key to let go of"):
        opened(keyring, "retire", OVER)
    coming = next_step.upcoming(keyring, OVER)
    assert coming.what == at_rest.why(keyring) and coming.todo and not coming.begins
    # The same fleet that stores nothing, and one that has encrypted anew.
    assert decided(at("promoted")).action == decided(anew()).action == "open"
    # Then the clock counts as always.
    assert decided(anew(), now=ANEW + HOUR).text.startswith(f"waiting for the soak of {OLD}")


def test_19_promote_says_so():
    look = survey()._replace(clock=OPENED["promote"])
    for keyring, said in ((stores("prepared"), True), (at("prepared"), False)):
        wish = PhaseRequest("promote", "rollout", nonce="n3", soak=SOAK)
        text = gate.opening(surveyed(keyring, FLEET, fleet_of(keyring), look), wish).text
        assert (
            "what is at rest (rows) has to be encrypted anew before retire, whatever the clock says" in text
        ) == said


@pytest.mark.parametrize(
    ("name", "due"),
    [("adopted", False), ("prepared", False), ("promote", False), ("promoted", True), ("retire", False)],
)
def test_19_it_is_time_when_every_host_signs_with_the_new_key_and_no_sooner(name, due):
    keyring = {**at(name), "settings": ROWS}
    assert at_rest.due(keyring) == due
    if name == "promote":
        with pytest.raises(KeyringError, match="promote is still open: not every host signs with it yet"):
            at_rest.done(keyring, NEW, "web-1", T0, T0)


def test_19_the_gate_names_the_host_only_over_the_whole_fleet():
    keyring = stores("promoted")
    look = survey()._replace(clock=ANEW)
    verdict = gate.reencrypting(surveyed(keyring, FLEET, fleet_of(keyring), look), "web-2", None)
    assert verdict.outcome == "visit" and verdict.text.endswith(
        f"what is at rest (rows) is encrypted with {NEW} by web-2"
    )
    assert verdict.keyring["journal"][-1]["event"] == "re-encryption began on web-2"
    late = fleet_of(keyring, web_3=seen(keyring, OLD, NEW))
    refused = gate.reencrypting(surveyed(keyring, FLEET, late, look), "web-2", None)
    assert refused.outcome == "refuse" and refused.keyring is keyring and "web-3" in refused.text
    word = gate.reencrypting(surveyed(keyring, FLEET, late, look), None, NEW)
    assert word.outcome == "refuse", "the operator's word needs the same"
    said = gate.reencrypting(surveyed(keyring, FLEET, fleet_of(keyring), look), None, NEW)
    assert said.outcome == "stay" and keyrings.primary(said.keyring)["reencrypted"]["by"] == "app_keys_reencrypted"
    wrong = gate.reencrypting(surveyed(keyring, FLEET, fleet_of(keyring), look), None, OLD)
    assert wrong.outcome == "refuse" and f"the key that signs is {NEW}" in wrong.text
    checked = gate.reencrypting(surveyed(keyring, FLEET, fleet_of(keyring), look), "web-2", None, checking=True)
    assert (checked.outcome, checked.keyring) == ("stay", keyring)


def test_19_it_counts_for_the_key_that_signs_alone():
    keyring = rolled(anew(), ANEW + DAY, 3)
    assert states(keyring) == {OLD: "retiring", NEW: "retiring", NEXT: "primary"}
    assert decided(keyring).action == "wait", "the next rollout needs it anew"
    with pytest.raises(KeyringError, match=f"the key that signs is {NEXT}"):
        at_rest.done(keyring, NEW, "web-1", OVER, OVER)
    assert decided(at_rest.done(keyring, NEXT, "web-1", OVER - 300 * DAY, OVER - 300 * DAY)).action == "open"
    back = steps.close_step(opened(anew(), "rollback", ANEW + DAY), ANEW + DAY)
    assert decided(back).action == "wait", "and so does one that is taken back"
    again = steps.close_step(opened(at_rest.done(back, OLD, "web-1", OVER, OVER), "prepare", OVER, 4), OVER)
    assert "reencrypted" not in keyrings.find(again, NEW)


@pytest.mark.parametrize(
    ("stopped", "age", "outcome"), [(-1.0, 0.0, "visit"), (60.0, 0.0, "stay"), (-1.0, 250.0, "visit")]
)
def test_19_a_host_that_signed_with_another_key_since_has_it_done_once_more(stopped, age, outcome):
    """`stopped`: how long after the re-encryption began the host has stopped to sign with the old key; its clock is another than the controller's."""
    keyring, off = anew(), 5 * HOUR
    look = survey(now=1000.0 + age)._replace(clock=OVER)
    strange = seen(
        keyring, now=OVER - age + off, machine="boot-1/1", state="boot-1/2:3",
        record=record(keyring, stopped={OLD: ANEW + stopped + off}),
    )  # fmt: skip
    hosts = {one: dict(entry, now=OVER - age) for one, entry in fleet_of(keyring).items()}
    keyring["keys"][0]["soak"] = {"seconds": 0.0, "source": "app_keys_soak"}
    verdict = gate.opening(surveyed(keyring, FLEET, {**hosts, "web-2": strange}, look), RETIRE)
    assert verdict.outcome == outcome, verdict.text
    if outcome == "stay":
        assert (
            "1 of 3 hosts may have signed with another key after it began" in verdict.text and "web-2" in verdict.text
        )
        assert at_rest.due(verdict.keyring) and verdict.keyring["journal"][-1]["members"] == ["web-2"]


def test_19_a_leaked_key_waits_too_and_a_staged_one_does_not():
    leaked = steps.mark_compromised(stores("promoted"), OLD, ANEW)
    assert decided(leaked, now=ANEW).action == "wait"
    assert decided(steps.mark_compromised(anew(), OLD, ANEW), now=ANEW).action == "open", "its soak is waived"
    staged = steps.mark_compromised(stores("prepared"), NEW, ANEW)
    assert decided(staged, now=ANEW).step == "withdraw", "it has never encrypted anything"


def test_7_a_secret_that_was_at_rest_stays_sealed_for_its_time_and_is_destroyed_at_the_next_count():
    look = survey()._replace(clock=OVER)
    keyring = anew()
    hosts = {one: dict(entry, now=OVER) for one, entry in fleet_of(keyring).items()}
    keyring = gate.opening(surveyed(keyring, FLEET, hosts, look), RETIRE).keyring
    closed = steps.close_step(keyring, OVER)
    assert states(closed)[OLD] == "retired" and keyrings.find(closed, OLD)["secret"]
    assert OLD not in keyrings.order(closed).may_accept, "no host gets it"
    assert at_rest.told(closed, keyrings.find(closed, OLD), OVER).startswith("its secret stays sealed until 2025-03-")
    for later, kept in ((89 * DAY, True), (90 * DAY + 1, False)):
        after = gate.closed_keyring(surveyed(closed, FLEET, fleet_of(closed), look._replace(clock=OVER + later)))
        assert bool(keyrings.find(after, OLD)["secret"]) == kept
        assert (after is closed) == kept, "nothing is written for nothing"
    assert keyrings.check(closed)


@pytest.mark.parametrize(
    ("adopted", "says", "unlike", "stored"),
    [
        ({}, {}, False, []),
        ({}, ROWS, False, ["rows"]),
        (ROWS, {"at_rest": False}, False, []),
        (ROWS, {}, True, None),
        ({}, {"primary": "OTHER"}, True, None),
        ({"primary": "OTHER"}, {"primary": "OTHER", **ROWS}, False, ["rows"]),
    ],
)
def test_what_is_at_rest_may_be_said_anew_and_not_just_left_out(adopted, says, unlike, stored):
    keyring = {**at("promoted"), "settings": adopted}
    assert at_rest.unlike(keyring, "django", says) == unlike
    assert at_rest.unlike(keyring, "flask", says)
    if not unlike:
        after = at_rest.said(keyring, says, T0)
        assert at_rest.stored(after) == stored and (after is keyring) == (adopted == says)
        assert after is keyring or "at rest is" in after["journal"][-1]["event"]


@pytest.mark.parametrize(
    ("keyring", "key", "now", "text"),
    [
        (stores("promoted"), OLD, ANEW, "needed by what is at rest"),
        (anew(), OLD, ANEW, ""),
        (anew(), NEW, ANEW, "all that is at rest is encrypted with it since 2023-11-15T01:24:20Z, by web-1"),
        (at("promoted"), OLD, ANEW, ""),
    ],
)
def test_status_says_of_a_key_what_it_has_to_do_with_it(keyring, key, now, text):
    assert at_rest.told(keyring, keyrings.find(keyring, key), now) == text
    survey_ = surveyed(keyring, FLEET, fleet_of(keyring), survey()._replace(clock=now))
    assert text in wording.status(survey_)


def test_an_idle_host_counts_by_its_record():
    keyring = anew()
    assert at_rest.shortfall(keyring, idle(keyring, now=OVER), keyring["keys"][0], OVER) is None


@pytest.mark.parametrize(
    ("form", "key", "text"),
    [
        ("base64:32", "base64:" + "A" * 43 + "=", None),
        ("base64:32", "a" * 32, None),
        ("base64:16", "base64:" + "A" * 22 + "==", None),
        ("base64:32", "base64:" + "A" * 22 + "==",
         'has 16 bytes, as AES-128-CBC wants, and new keys would have 32 -> set app_keys_settings to {key: "base64:16"}'),
        ("base64:16", "base64:" + "A" * 43, 'has 32 bytes, as AES-256-CBC wants, and new keys would have 16 -> set app_keys_settings to {key: "base64:32"}'),
        ("base64:32", "base64:" + "A" * 20, "has 15 bytes, and Laravel takes 16 (AES-128-CBC) or 32 (AES-256-CBC) -> put a key that"),
        ("base64:32", "SomeRandomString", 'has 16 bytes, as AES-128-CBC wants'),
        ("base64:32", "base64:%%%", "begins with base64: and is no base64 -> "),
        ("text", "anything at all", None),
        ("fernet", "anything at all", None),
    ],
)  # fmt: skip
def test_a_key_of_laravels_fits_its_cipher(form, key, text):
    found = misfit(profile("laravel", {"key": form}), key)
    assert found is None if text is None else found is not None and found.startswith(text)


def test_adopt_says_what_to_set_where_it_does_not():
    entry = env_file(OLD)
    entry["unusable"] = {OLD: misfit(profile("laravel"), "base64:" + "A" * 22)}
    found = adoption._trouble(seen(at("adopted"), files=[entry]), set())
    assert [(one.seen, one.advice) for one in found] == [
        (
            f"/etc/shop.env: the key {OLD} has 16 bytes, as AES-128-CBC wants, and new keys would have 32",
            'set app_keys_settings to {key: "base64:16"}',
        )
    ]


def ended() -> Dict[str, Any]:
    """A keyring whose old key was retired, and is sealed."""
    keyring = steps.open_step(anew(), "retire", OVER, "n9", keep_sealed=90 * DAY)
    return steps.close_step(keyring, OVER)


def test_a_sealed_key_is_accepted_once_more_never_signs_and_is_taken_back():
    keyring = ended()
    look = survey()._replace(clock=OVER + DAY)
    wish = PhaseRequest("prepare", "prepare", nonce="n10", bring_back=OLD)
    hosts = {one: dict(entry, now=OVER + DAY) for one, entry in fleet_of(keyring).items()}
    verdict = gate.opening(surveyed(keyring, FLEET, hosts, look), wish)
    assert verdict.outcome == "visit", verdict.text
    assert states(verdict.keyring) == {OLD: "staged", NEW: "primary"}
    back = keyrings.check(steps.close_step(verdict.keyring, OVER + DAY))
    order = keyrings.order(back)
    assert (order.signs, order.accepts) == (NEW, [NEW, OLD]) and keyrings.secrets(back, [OLD])[OLD]
    # It never signs, and says what is next; whoever runs a rollout is not stopped by it.
    assert next_step.decide(back, "promote", "promote", OVER + DAY).text.startswith(
        f"{OLD} was brought back for what it encrypted"
    )
    assert [
        next_step.decide(back, phase, "rollout", OVER + DAY).action for phase in ("prepare", "promote", "retire")
    ] == ["skip"] * 3
    with pytest.raises(KeyringError, match="no old one"):
        opened(back, "promote", OVER + DAY)
    assert next_step.next_text(back, OVER + DAY).startswith(f"{OLD} was brought back")
    gone = opened(back, "withdraw", OVER + 2 * DAY)
    assert keyrings.let_go(gone) == [OLD]
    gone = keyrings.check(steps.close_step(gone, OVER + 2 * DAY))
    assert states(gone) == {OLD: "withdrawn", NEW: "primary"}
    assert keyrings.sealed_until(keyrings.find(gone, OLD)) == OVER + 2 * DAY + 90 * DAY


@pytest.mark.parametrize(
    ("keyring", "key", "text"),
    [
        (ended(), NEW, "which is primary and has not ended"),
        (ended(), NEXT, "which this keyring never held"),
        (at("retired"), OLD, "whose secret is destroyed"),
        (steps.mark_compromised(ended(), OLD, OVER), OLD, "which has leaked"),
    ],
)
def test_what_cannot_be_brought_back_is_refused(keyring, key, text):
    with pytest.raises(KeyringError, match=text):
        steps.open_step(keyring, "prepare", OVER, "n10", bring_back=key)


@pytest.mark.parametrize(
    "given, stores, kept",
    [(None, True, 90 * DAY), (None, False, 0.0), (0.0, True, 0.0), (5.0, True, 5.0), (5.0, False, 5.0)],
)
def test_19_for_how_long_the_secret_of_a_key_that_went_is_kept(given, stores, kept):
    assert at_rest.keep_sealed(given, stores) == kept
