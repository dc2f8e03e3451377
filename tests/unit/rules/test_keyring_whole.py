# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring as a whole: what the first one looks like, what is shown of it, what its keys ask, and at which edge it is refused."""

from __future__ import annotations

import copy
import math
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Order
from ansible_collections.phased.keys.plugins.module_utils._rules import in_force, membership, next_step, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from ansible_collections.phased.keys.plugins.module_utils._rules.membership import Voucher
from builders import CLOSED, DAY, FLEET, FP, HOUR, NEW, NEXT, OLD, SECRETS, SOAK, T0, adopt, at, opened, record, rolled

AT = "2023-11-14T22:13:20Z"
FOURTH, FIFTH = FP[4], FP[5]


def test_a_first_keyring_as_it_is_written() -> None:
    start = steps.Start(
        SECRETS[1:3],
        "recovered",
        gone=SECRETS[3:4],
        signing=[NEW],
        partly_accepted=[NEW, FOURTH],
        leaked=[NEW, NEXT],
        counter=7,
    )
    form = {"framework": "django", "settings": {"separator": ";"}}
    keyring = steps.adopt("shop", "ring-1", "n1", start, ["web-2", "web-1"], form, SOAK, {"how": "trust"}, T0)

    def key(number: int, state: str, marks: List[str], **more: Any) -> Dict[str, Any]:
        return {
            "id": f"k{number}", "fingerprint": FP[number], "state": state, "origin": "recovered", "since": 7,
            "times": {"created": AT, state: AT}, "marks": marks, "secret": SECRETS[number], **more,
        }  # fmt: skip

    assert keyring == {
        "kind": "phased.keys/keyring", "schema": 2, "name": "shop", "id": "ring-1", "revision": 0, "framework": "django",
        "settings": {"separator": ";"}, "app_check": {"how": "trust"},
        "profile": in_force.recorded(frameworks.profile("django", {"separator": ";"})),
        # The newest last: the one that signs.
        "keys": [key(3, "dropping", ["compromised"]), key(2, "retiring", ["compromised"], soak=SOAK), key(1, "primary", [])],
        "step": {
            "name": "adopt", "counter": 7, "nonce": "n1", "key": OLD, "signing": sorted([OLD, NEW]), "partly_accepted": sorted([NEW, FOURTH]),
            "skippable_since": None, "opened": AT, "closed": None, "lets_go": [FP[3]],
        },
        "members": {name: {"since": AT, "proven": None} for name in ("web-2", "web-1")},
        "waivers": [],
        "journal": [
            {"at": AT, "event": "begun with a key that was recovered", "counter": 7, "key": OLD, "lets_go": [FP[3]]},
            {"at": AT, "event": "registered", "counter": 7, "members": ["web-2", "web-1"]},
        ],
    }  # fmt: skip
    assert keyrings.check(keyring) == keyring


def test_what_is_shown_is_all_but_the_secrets() -> None:
    keyring = at("promoted")
    shown = keyrings.public(keyring)
    assert shown == {**keyring, "keys": [{k: v for k, v in key.items() if k != "secret"} for key in keyring["keys"]]}
    assert shown["name"] == "shop" and len(shown["keys"]) == 2


# --- what the keys ask of a host ----------------------------------------------------------


def test_what_a_step_asks_in_full() -> None:
    """Two keys soak, one has ended, one has leaked, and a new one is on its way."""
    keyring = rolled(at("retired"), CLOSED["retire"] + DAY, 3)
    keyring = steps.mark_compromised(rolled(keyring, CLOSED["retire"] + DAY, 4), NEXT, CLOSED["retire"] + DAY)
    keyring = opened(keyring, "prepare", CLOSED["retire"] + 2 * DAY, 5)
    assert keyrings.order(keyring) == Order(
        signs=FOURTH, accepts=[FOURTH, FIFTH, NEXT, NEW], may_sign=[FOURTH], must_accept=sorted([FOURTH, NEXT, NEW]),
        may_accept=sorted([FOURTH, FIFTH, NEXT, NEW]), known=sorted([OLD, NEW, NEXT, FOURTH, FIFTH]), leaked=[NEXT], incident=True,
    )  # fmt: skip
    keyring = opened(keyring, "promote", CLOSED["retire"] + 2 * DAY)
    assert keyrings.order(keyring) == Order(
        signs=FIFTH, accepts=[FIFTH, FOURTH, NEXT, NEW], may_sign=[FIFTH, FOURTH], must_accept=sorted([FOURTH, NEXT, NEW]),
        may_accept=sorted([FOURTH, FIFTH, NEXT, NEW]), known=sorted([OLD, NEW, NEXT, FOURTH, FIFTH]), leaked=[NEXT], incident=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keyring", "incident"),
    [
        (at("promoted"), False),
        (opened(at("promoted"), "rollback", T0), True),
        (opened(at("prepared"), "withdraw", T0), True),
        (steps.mark_compromised(at("promoted"), OLD, T0), True),
        (steps.mark_compromised(at("retire"), OLD, T0), True),
        # One that nobody may accept any more is no hurry.
        (steps.mark_compromised(at("retired"), OLD, T0), False),
    ],
)
def test_what_is_urgent(keyring: Any, incident: bool) -> None:
    assert keyrings.order(keyring).incident is incident


@pytest.mark.parametrize(
    ("signs", "accepts", "may"),
    [
        ("a", ["a", "b"], True),
        ("b", ["a", "b"], True),
        # Nothing brings a leaked key back, as what signs or as what is accepted, where the step does not ask for it ...
        ("l", ["a", "b", "l"], False),
        ("a", ["a", "b", "l"], False),
        # ... and what is not safe at all is not put back either.
        ("c", ["a", "b"], False),
        ("a", ["b"], False),
        (None, ["a", "b"], False),
    ],
)
def test_what_a_failed_visit_may_put_back(signs: Any, accepts: List[str], may: bool) -> None:
    order = Order("a", ["a", "b"], ["a", "b", "l"], ["a"], ["a", "b", "l"], ["a", "b", "l"], ["l"], True)
    assert order.may_restore(signs, accepts) is may
    # A leaked key that the step itself still has is no reason.
    assert order._replace(signs="l", accepts=["l", "a"]).may_restore("l", ["a", "l"])
    assert order._replace(accepts=["a", "l"]).may_restore("a", ["a", "l"])


# --- edges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "usable"),
    [(0, True), (0.0, True), (0.5, True), (1e9, True), (-0.5, False), (math.inf, False), (math.nan, False), (True, False), ("1", False), (None, False)],
)  # fmt: skip
def test_a_soak_that_can_be_counted(seconds: Any, usable: bool) -> None:
    keyring = at("promoted")
    keyring["keys"][0]["soak"] = {"seconds": seconds, "source": "x"}
    if usable:
        assert keyrings.check(keyring) == keyring
        return
    with pytest.raises(KeyringError) as error:
        keyrings.check(keyring)
    assert str(error.value) == f"key {OLD} has no usable soak"


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("abcdefghijklmno", "it has 15 characters, and at least 16 are needed"),
        ("abcdefghijklmnop", None),
        ("abcd" * 8, "it has 4 different characters, and at least 5 are needed"),
        ("abcde" * 8, None),
        (
            "django-insecure-abcdefgh",
            "it begins with django-insecure-, as a key that startproject made and that stands in a repository",
        ),
        ("not-django-insecure-abcdefgh", None),
    ],
)
def test_the_weakest_key_that_is_not_weak(secret: str, said: Any) -> None:
    assert keyrings.weakness(secret) == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda keyring: keyring["step"].pop("skippable_since"), "the open step has no usable skippable_since"),
        (lambda keyring: keyring["step"].pop("closed"), "the open step has no usable closed"),
        (lambda keyring: keyring.update(waivers=["web-1"]), "a waiver is not a mapping"),
        *[
            (lambda keyring, name=name: keyring["waivers"][0].pop(name), f"a waiver has no usable {name}")
            for name in ("member", "reason", "since", "until")
        ],
        (lambda keyring: keyring["waivers"][0].update(until="soon"), "a waiver has a time that cannot be read: 'soon'"),
        (lambda keyring: keyring["step"].update(closed="soon"), "the open step has no usable closed"),
        (lambda keyring: keyring["step"].update(closed=5), "the open step has no usable closed"),
        (lambda keyring: keyring["keys"][0].update(state="retired", times={"ended": "soon"}), f"key {OLD} has a time that cannot be read: 'soon'"),
        (lambda keyring: keyring["members"]["web-3"].update(since=None), "member web-3 has no usable since"),
    ],
)  # fmt: skip
def test_what_else_is_no_keyring(change: Any, said: str) -> None:
    keyring = copy.deepcopy(membership.waive(at("promoted"), ["web-2"], "its disk is dead", DAY, T0))
    assert keyrings.check(keyring) == keyring
    change(keyring)
    with pytest.raises(KeyringError) as error:
        keyrings.check(keyring)
    assert str(error.value) == said


def test_the_last_schema_is_known_and_one_later_is_not() -> None:
    keyring = at("promoted")
    assert keyrings.check(keyring, None) == keyrings.check(keyring, "shop") == keyring
    assert keyrings.check(keyring) is not keyring
    keyring["schema"] = keyrings.SCHEMA + 1
    with pytest.raises(KeyringError, match="use the release that wrote it, or a newer one$"):
        keyrings.check(keyring)


# --- steps that cannot open ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyring", "step", "arguments", "said"),
    [
        (at("adopted"), "prepare", {}, "prepare needs a new key"),
        (at("adopted"), "promote", {"soak": SOAK}, "promote needs a staged key that has not leaked"),
        (steps.mark_compromised(at("prepared"), NEW, T0), "promote", {"soak": SOAK}, "promote needs a staged key that has not leaked"),
        (at("prepared"), "promote", {}, "the key that is not to sign any more needs a soak"),
        (at("promoted"), "rollback", {}, "the key that is not to sign any more needs a soak"),
        (at("adopted"), "rollback", {"soak": SOAK},
         "there is no key to go back to: this keyring has promoted no key yet: there is nothing to go back to"),
        (at("prepared"), "rollback", {"soak": SOAK}, "there is no key to go back to: None"),
        (at("promoted"), "retire", {}, "there is no key to let go of"),
        (at("promoted"), "retire", {"now": T0 + 30 * DAY, "go": [NEW]}, "there is no key to let go of"),
        (at("promoted"), "retire", {"now": T0 + 30 * DAY, "go": []}, "there is no key to let go of"),
        (at("adopted"), "rotate", {}, "rotate is not a step that opens"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_open_says_why(keyring: Any, step: str, arguments: Dict[str, Any], said: str) -> None:
    with pytest.raises(KeyringError) as error:
        steps.open_step(keyring, step, **{"now": T0 + HOUR, "nonce": "n", **arguments})
    assert str(error.value) == said


def test_keys_that_are_let_go_of_by_name() -> None:
    keyring = rolled(at("promoted"), CLOSED["promote"] + HOUR, 3)
    over = CLOSED["promote"] + HOUR + SOAK["seconds"]
    for go, dropping in (([OLD], [OLD]), ([NEW], [NEW]), ([OLD, NEW], [NEW, OLD]), (None, [NEW, OLD])):
        gone = steps.open_step(keyring, "retire", over, "n", go=go)
        assert [key["fingerprint"] for key in keyrings.in_state(gone, "dropping")] == dropping
        assert gone["step"]["key"] == dropping[0]


def test_a_leaked_key_that_the_keyring_never_held_is_told_what_it_holds() -> None:
    with pytest.raises(KeyringError) as error:
        steps.mark_compromised(at("retired"), FP[6], T0)
    assert (
        str(error.value) == f"app_keys_compromised names {FP[6]}, which this keyring never held; it holds {NEW}, {OLD}"
    )


def test_the_mark_of_a_leak_is_the_one_keys_alone() -> None:
    keyring = steps.mark_compromised(at("promoted"), OLD, T0)
    assert [key["marks"] for key in keyring["keys"]] == [["compromised"], []]


def test_what_a_rollback_excuses_is_whoever_was_proven_when_the_new_key_came() -> None:
    assert opened(at("promoted"), "rollback", T0)["step"]["skippable_since"] == 2
    assert opened(at("prepared"), "withdraw", T0)["step"]["skippable_since"] == 0
    assert opened(at("promoted"), "withdraw", T0 + 30 * DAY)["step"]["skippable_since"] is None


def test_a_weak_key_that_was_taken_says_so_and_is_told_by_no_other_mark() -> None:
    keyring = adopt(secrets=["x" * 40])
    assert keyring["keys"][0]["marks"] == ["weak"]


# --- who vouches ----------------------------------------------------------------------------------


def partly() -> Dict[str, Any]:
    """The first member was set aside when its fleet was adopted, and is not proven."""
    return steps.close_step(membership.waive(adopt(), ["web-1"], "its disk is dead", HOUR, T0), T0 + 60)


def test_11_once_one_host_was_proven_the_first_one_is_asked_about_like_any_other() -> None:
    keyring = partly()
    assert [entry["proven"] for entry in keyring["members"].values()] == [None, 1, 1]
    for known in (keyring, membership.for_visits(keyring)):
        assert membership.vouched(known, "web-1", {}) == Voucher(False, None)
        assert membership.vouched(known, "web-1", {"web-2": record(keyring)}) == Voucher(True, None)


def test_an_excerpt_is_small_and_has_whom_it_needs() -> None:
    keyring = partly()
    small = membership.for_visits(keyring)
    assert small["members"] == {name: keyring["members"][name] for name in ("web-1", "web-2")}
    assert set(keyring) - set(small) == {"journal"}
    assert membership.for_visits(adopt())["members"] == {"web-1": adopt()["members"]["web-1"]}


def test_11_whoever_refuses_says_no_and_not_nothing() -> None:
    keyring = at("promoted")
    verdict = membership.vouched(
        keyring, "web-9", {"web-1": record(keyring), "web-2": {**record(keyring), "keyring": "ring-2"}}
    )
    assert verdict == Voucher(
        False,
        "web-9 has no record, and web-2 its record is of another keyring (ring-2). Nothing was changed: use the keyring that this fleet was "
        "rolled with",
    )
    assert verdict.ok is False


def test_who_may_be_asked_is_who_was_proven_is_in_the_inventory_and_is_another() -> None:
    keyring = at("promoted")
    keyring["members"]["web-2"]["proven"] = 4
    keyring["members"]["web-8"] = {"since": AT, "proven": 9}
    keyring["members"]["web-9"] = {"since": AT, "proven": None}
    everybody = [*FLEET, "web-9"]
    assert membership.vouchers(keyring, "web-9", everybody) == ["web-2", "web-1", "web-3"]
    assert membership.vouchers(keyring, "web-2", everybody) == ["web-1", "web-3"]
    assert membership.vouchers(keyring, "web-9", ["web-3"]) == ["web-3"]
    assert membership.first_member(keyring) == "web-1"


@pytest.mark.parametrize(
    ("names", "inventory", "said"),
    [
        (["web-1"], ["web-1"], "app_keys_release names web-1, which is in the inventory: take it out of the inventory first, or the next visit would "
         "write it"),
        (["web-7"], [], "app_keys_release names web-7, which is no member; members are web-1, web-2, web-3"),
        (["web-3", "web-2", "web-1"], [], membership.LAST),
    ],
)  # fmt: skip
def test_who_is_not_released(names: List[str], inventory: List[str], said: str) -> None:
    with pytest.raises(KeyringError) as error:
        membership.release(at("promoted"), names, inventory, T0)
    assert str(error.value) == said


def test_whoever_was_released_before_may_be_named_again_beside_others() -> None:
    keyring = membership.release(at("promoted"), ["web-3"], ["web-1"], T0)
    again = membership.release(keyring, ["web-3", "web-2"], ["web-1"], T0)
    assert list(again["members"]) == ["web-1"]
    assert again["journal"][-1]["members"] == ["web-2"]


def test_who_is_not_set_aside() -> None:
    with pytest.raises(KeyringError) as error:
        membership.waive(at("promoted"), ["web-2", "web-7"], "x", HOUR, T0)
    assert str(error.value) == "app_keys_waive names web-7, which is no member; members are web-1, web-2, web-3"


def test_only_those_that_were_not_set_aside_for_this_reason_are_now() -> None:
    keyring = membership.waive(at("promoted"), ["web-2"], "x", HOUR, T0)
    more = membership.waive(keyring, ["web-2", "web-3", "web-3"], "x", HOUR, T0 + 60)
    assert [(waiver["member"], waiver["since"]) for waiver in more["waivers"]] == [
        ("web-2", AT),
        ("web-3", "2023-11-14T22:14:20Z"),
    ]
    assert more["journal"][-1]["members"] == ["web-3"]


@pytest.mark.parametrize(("late", "left"), [(HOUR - 1, ["web-2"]), (HOUR, []), (HOUR + 1, [])])
def test_when_a_waiver_runs_out(late: float, left: List[str]) -> None:
    keyring = membership.waive(at("promoted"), ["web-2"], "x", HOUR, T0)
    assert [waiver["member"] for waiver in membership.open_waivers(keyring, T0 + late)] == left


def test_next_step_takes_the_rings_own_word_for_what_is_open() -> None:
    assert [keyrings.is_open(at(name)) for name in ("promote", "promoted")] == [True, False]
    assert next_step.leaked_staged(steps.mark_compromised(at("prepare"), NEW, T0))[0]["fingerprint"] == NEW
    assert next_step.spreads_a_leak(steps.mark_compromised(at("prepare"), NEW, T0))
    assert not next_step.spreads_a_leak(steps.mark_compromised(opened(at("prepare"), "withdraw", T0), NEW, T0))
