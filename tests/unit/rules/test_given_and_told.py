# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes a keyring returns another one, and tells the journal who, what and which key."""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, steps
from builders import DAY, FLEET, MINUTE, NEW, NEXT, OLD, SOAK, T0, adopt, at, opened

NOW = T0 + 20 * DAY
AT = "2023-12-04T22:13:20Z"
Keyring = Dict[str, Any]


def waived() -> Keyring:
    return membership.waive(at("promoted"), ["web-2", "web-3"], "its disk is dead", DAY, NOW)


# What is done to which keyring, and the entry of the journal that it adds.
CHANGES = {
    "a member joins": (
        at("promoted"), lambda keyring: membership.register(keyring, ["web-1", "web-9", "web-8"], NOW),
        {"event": "registered", "counter": 3, "members": ["web-9", "web-8"]},
    ),
    "a member is released": (
        waived(), lambda keyring: membership.release(keyring, ["web-2"], ["web-1", "web-3"], NOW),
        {"event": "released", "counter": 3, "members": ["web-2"]},
    ),
    "members are set aside": (
        waived(), lambda keyring: membership.waive(keyring, ["web-1", "web-2"], "it moves", MINUTE, NOW),
        {"event": "waived: asserted to serve no traffic", "counter": 3, "members": ["web-1", "web-2"], "reason": "it moves",
         "until": "2023-12-04T22:14:20Z"},
    ),
    "a member answers again": (
        waived(), lambda keyring: membership.end_waivers(keyring, ["web-1", "web-2"], NOW),
        {"event": "answers again: its waiver has ended", "counter": 3, "members": ["web-2"]},
    ),
    "prepare opens": (at("adopted"), lambda keyring: opened(keyring, "prepare", NOW), {"event": "prepare opened", "counter": 2, "key": NEW}),
    "promote opens": (at("prepared"), lambda keyring: opened(keyring, "promote", NOW), {"event": "promote opened", "counter": 3, "key": NEW}),
    "retire opens": (at("promoted"), lambda keyring: opened(keyring, "retire", NOW), {"event": "retire opened", "counter": 4, "key": OLD, "lets_go": [OLD]}),
    "rollback opens": (at("promoted"), lambda keyring: opened(keyring, "rollback", NOW), {"event": "rollback opened", "counter": 4, "key": OLD}),
    "a step closes": (
        at("retire"), lambda keyring: steps.close_step(keyring, NOW),
        {"event": "retire closed: all 3 members are proven", "counter": 4, "key": OLD, "lets_go": [OLD]},
    ),
    "a step closes without those that are set aside": (
        waived(), lambda keyring: steps.close_step(keyring, NOW),
        {"event": "promote closed: 1 members are proven", "counter": 3, "key": NEW, "waived": ["web-2", "web-3"]},
    ),
    "a key has leaked": (
        at("promoted"), lambda keyring: steps.mark_compromised(keyring, OLD, NOW),
        {"event": "marked as compromised", "counter": 3, "key": OLD},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("keyring", "change", "entry"), CHANGES.values(), ids=CHANGES)
def test_a_change_leaves_what_it_was_given_alone_and_is_told_in_the_journal(
    keyring: Keyring, change: Callable[[Keyring], Keyring], entry: Dict[str, Any]
) -> None:
    before = copy.deepcopy(keyring)
    changed = change(keyring)
    assert keyring == before
    assert changed != before
    assert changed["journal"] == [*before["journal"], {"at": AT, **entry}]


def test_the_journal_of_a_new_keyring_begins_with_where_its_key_is_from_and_who_belongs_to_it() -> None:
    assert adopt(now=NOW)["journal"] == [
        {"at": AT, "event": "begun with a key that was adopted", "counter": 1, "key": OLD},
        {"at": AT, "event": "registered", "counter": 1, "members": list(FLEET)},
    ]


def test_whoever_is_released_takes_a_waiver_along_and_no_other() -> None:
    left = membership.release(waived(), ["web-2"], ["web-1", "web-3"], NOW)
    assert [waiver["member"] for waiver in left["waivers"]] == ["web-3"]


def test_whoever_answers_is_set_aside_no_more_and_the_others_are() -> None:
    left = membership.end_waivers(waived(), ["web-1", "web-2"], NOW)
    assert [waiver["member"] for waiver in left["waivers"]] == ["web-3"]
    assert membership.end_waivers(left, ["web-1"], NOW) is left


def test_a_waiver_as_it_is_written() -> None:
    assert waived()["waivers"] == [
        {"member": name, "reason": "its disk is dead", "since": AT, "until": "2023-12-05T22:13:20Z"}
        for name in ("web-2", "web-3")
    ]
    other = membership.waive(waived(), ["web-2"], "it moves", DAY, NOW)
    assert [(waiver["member"], waiver["reason"]) for waiver in other["waivers"]] == [
        ("web-3", "its disk is dead"),
        ("web-2", "it moves"),
    ]


def test_a_member_as_it_is_written() -> None:
    joined = membership.register(at("promoted"), ["web-9"], NOW)
    assert joined["members"]["web-9"] == {"since": AT, "proven": None}
    assert membership.register(joined, ["web-9", "web-1"], NOW + DAY) is joined


def test_a_key_as_it_is_written_through_its_life() -> None:
    """From prepare to withdraw, with a rollback in between; the soak's clock begins anew whenever the key signs."""
    keyring = opened(at("adopted"), "prepare", NOW)
    (key,) = [key for key in keyring["keys"] if key["fingerprint"] == NEW]
    secret = key["secret"]
    assert key == {
        "id": "k2", "fingerprint": NEW, "state": "staged", "origin": "generated", "since": 2, "times": {"created": AT, "staged": AT},
        "marks": [], "secret": secret,
    }  # fmt: skip

    def key_after(keyring: Keyring, fingerprint: str) -> Dict[str, Any]:
        (found,) = [key for key in keyring["keys"] if key["fingerprint"] == fingerprint]
        return {
            name: value
            for name, value in found.items()
            if name not in ("id", "fingerprint", "origin", "since", "secret")
        }

    keyring = steps.close_step(opened(steps.close_step(keyring, NOW), "promote", NOW), NOW)
    times = {"created": AT, "staged": AT, "primary": AT}
    assert key_after(keyring, NEW) == {"state": "primary", "times": times, "marks": [], "after": OLD}
    assert key_after(keyring, OLD)["soak"] == SOAK
    assert key_after(keyring, OLD)["times"]["soaking"] == AT
    later = "2023-12-05T22:13:20Z"
    keyring = opened(keyring, "rollback", NOW + DAY)
    assert "soaking" not in key_after(keyring, OLD)["times"]
    assert key_after(keyring, NEW) == {
        "state": "retiring", "times": {**times, "retiring": later}, "marks": ["rolled_back"], "after": OLD, "soak": SOAK,
    }  # fmt: skip
    keyring = steps.close_step(keyring, NOW + DAY)
    assert key_after(keyring, NEW)["times"]["soaking"] == later
    # Counted again, its clock goes on.
    assert steps.close_step(keyring, NOW + 2 * DAY)["keys"] == keyring["keys"]
    over = NOW + DAY + SOAK["seconds"]
    keyring = steps.close_step(opened(keyring, "withdraw", over), over)
    ended = "2023-12-19T22:13:20Z"
    assert key_after(keyring, NEW)["state"] == "withdrawn"
    assert {key_after(keyring, NEW)["times"][name] for name in ("dropping", "withdrawn", "ended")} == {ended}
    assert [key["secret"] is None for key in keyring["keys"]] == [False, True]


def test_a_step_as_it_is_written() -> None:
    keyring = opened(at("promoted"), "prepare", NOW, 3)
    assert keyring["step"] == {
        "name": "prepare", "counter": 4, "nonce": "n4", "key": NEXT, "lets_go": [], "signing": [NEW], "partly_accepted": [NEXT], "skippable_since": None,
        "opened": AT, "closed": None,
    }  # fmt: skip
    # Opened before it was closed: what may sign somewhere, and what is not accepted everywhere yet, stay.
    keyring = opened(keyring, "promote", NOW)
    assert (keyring["step"]["signing"], keyring["step"]["partly_accepted"]) == (sorted([NEW, NEXT]), [NEXT])
    keyring = opened(steps.close_step(keyring, NOW), "rollback", NOW)
    assert (keyring["step"]["signing"], keyring["step"]["partly_accepted"], keyring["step"]["skippable_since"]) == (
        sorted([NEW, NEXT]),
        [],
        4,
    )
