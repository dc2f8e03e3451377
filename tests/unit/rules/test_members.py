# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members that leave, that are set aside, and that join: rules 1 and 11."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import evidence as proofs
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership, steps
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import DAY, FLEET, HOUR, OLD, T0, adopt, at, fleet_of, opened, record, seen, survey, surveyed, texts

NOW = T0 + 20 * DAY
WHY = "its disk is dead"


def waived(keyring=None, names=("web-2",), length=DAY, now=NOW):
    return membership.waive(keyring or at("promoted"), names, WHY, length, now)


# --- leaving --------------------------------------------------------------------


def test_1_a_member_that_is_gone_is_released_by_name_and_the_journal_tells():
    keyring = membership.release(at("promoted"), ["web-3"], FLEET[:2], NOW)
    assert list(keyring["members"]) == ["web-1", "web-2"]
    assert (keyring["journal"][-1]["event"], keyring["journal"][-1]["members"]) == ("released", ["web-3"])
    # The same command again finds nothing to do.
    assert membership.release(keyring, ["web-3"], FLEET[:2], NOW) is keyring


@pytest.mark.parametrize(
    "name, said",
    [("web-1", "is in the inventory: take it out"), ("web-33", "is no member; members are web-1, web-2, web-3")],
)
def test_1_whoever_is_in_the_inventory_or_misspelt_is_not_released(name, said):
    with pytest.raises(KeyringError, match=said):
        membership.release(at("promoted"), [name], FLEET[:2], NOW)


def test_1_only_who_was_released_before_may_be_named_again():
    keyring = at("promoted")
    keyring["journal"].append({"at": "2023-11-14T22:13:20Z", "event": "something else", "members": ["web-33"]})
    with pytest.raises(KeyringError, match="is no member"):
        membership.release(keyring, ["web-33"], FLEET[:2], NOW)


def test_1_the_last_members_are_not_released_since_nobody_could_vouch_for_the_keyring_then():
    keyring = membership.release(at("promoted"), ["web-3", "web-2"], [], NOW)
    for gone in (["web-1"], ["web-2", "web-1"]):
        with pytest.raises(KeyringError, match="names all members that there are"):
            membership.release(keyring, gone, ["web-9"], NOW)


# --- set aside ------------------------------------------------------------------


def count(keyring, now=NOW, **odd):
    return surveyed(keyring, FLEET, fleet_of(keyring, **odd), survey()._replace(clock=now)).count


def test_a_waiver_stands_in_for_evidence_that_is_not_there():
    found = count(waived(), web_2=None)
    assert (found.proven, found.findings, found.waived, found.complete) == (["web-1", "web-3"], {}, ["web-2"], True)


def test_a_waiver_hides_nothing_that_is_seen():
    keyring = waived()
    found = count(keyring, web_2=seen(keyring, OLD))
    assert (list(found.findings), found.waived) == (["web-2"], [])


def test_a_waiver_that_has_run_out_blocks_again_and_says_so():
    found = count(waived(), now=NOW + DAY, web_2=None)
    assert not found.complete
    assert "its waiver ran out at 2023-12-05T22:13:20Z" in texts(found.findings)


def test_a_fleet_that_is_set_aside_as_a_whole_is_not_proven():
    keyring = waived(names=FLEET)
    assert not count(keyring, web_1=None, web_2=None, web_3=None).complete


def test_the_same_command_again_does_not_prolong_a_waiver_and_another_reason_does():
    keyring = waived()
    assert waived(keyring, now=NOW + HOUR) is keyring
    again = membership.waive(keyring, ["web-2"], "a new disk is on its way", DAY, NOW + HOUR)
    assert [waiver["reason"] for waiver in again["waivers"]] == ["a new disk is on its way"]


def test_a_waiver_that_has_ended_is_not_opened_again_by_the_same_command():
    ended = membership.end_waivers(waived(), ["web-2"], NOW)
    assert ended["waivers"] == []
    assert waived(ended, now=NOW + HOUR) is ended


def test_how_to_set_a_host_aside_is_said_where_it_is_unreachable():
    found = surveyed(
        at("promoted"), FLEET, fleet_of(at("promoted"), web_2=None), survey()._replace(cut_off=["web-2"])
    ).count
    assert "set it aside with -e app_keys_waive=web-2" in found.findings["web-2"][0].advice


def test_whoever_is_no_member_cannot_be_set_aside():
    with pytest.raises(KeyringError, match="app_keys_waive names web-33, which is no member"):
        waived(names=["web-33"])


def test_the_journal_tells_what_was_asserted():
    entry = waived()["journal"][-1]
    assert (entry["event"], entry["members"], entry["reason"]) == (
        "waived: asserted to serve no traffic",
        ["web-2"],
        WHY,
    )
    assert entry["until"] == "2023-12-05T22:13:20Z"


def test_7_secrets_stay_sealed_while_a_waiver_is_open_and_are_destroyed_at_the_next_count_without():
    keyring = opened(at("promoted"), "retire", NOW)
    closed = steps.close_step(waived(keyring), NOW)
    old = keyrings.find(closed, OLD)
    assert (old["state"], old["secret"] is None) == ("retired", False)
    assert closed["members"]["web-2"]["proven"] == 3, "it has to be visited before it counts again"
    ended = membership.end_waivers(closed, ["web-1", "web-2"], NOW)
    assert ended["waivers"] == []
    assert keyrings.find(steps.close_step(ended, NOW), OLD)["secret"] is None


def test_a_host_that_is_set_aside_does_not_hold_up_the_visits_of_others():
    keyring = waived()
    look = survey()._replace(clock=NOW)
    assert proofs.not_visitable(surveyed(keyring, FLEET, fleet_of(keyring, web_2=None), look)) == {}
    assert proofs.batch_findings(surveyed(keyring, FLEET, fleet_of(keyring, web_2=None), look), {}, [], ["web-1"]) == {}
    assert proofs.visits(surveyed(opened(keyring, "retire", NOW), FLEET, fleet_of(keyring, web_2=None), look)) == [
        "web-1",
        "web-3",
    ]


def test_whoever_is_released_takes_only_its_own_waiver_along():
    keyring = membership.release(waived(names=["web-2", "web-3"]), ["web-3"], FLEET[:2], NOW)
    assert [waiver["member"] for waiver in keyring["waivers"]] == ["web-2"]


def test_whoever_answers_ends_only_its_own_waiver():
    keyring = waived(names=["web-2", "web-3"])
    ended = membership.end_waivers(keyring, ["web-1", "web-2"], NOW)
    assert [waiver["member"] for waiver in ended["waivers"]] == ["web-3"]
    assert ended["journal"][-1]["members"] == ["web-2"]
    assert membership.end_waivers(keyring, ["web-1"], NOW) is keyring


def test_only_a_waiver_of_before_keeps_the_same_reason_from_opening_one():
    keyring = at("promoted")
    keyring["journal"].append(
        {"at": "2023-11-14T22:13:20Z", "event": "something else", "members": ["web-2"], "reason": WHY}
    )
    assert [waiver["member"] for waiver in waived(keyring)["waivers"]] == ["web-2"]


def test_the_members_are_listed_in_the_order_of_their_names():
    keyring = at("promoted", ["web-3", "web-1", "web-2"])
    for refused in (
        lambda: membership.release(keyring, ["web-33"], [], NOW),
        lambda: waived(keyring, names=["web-33"]),
    ):
        with pytest.raises(KeyringError, match="which is no member; members are web-1, web-2, web-3"):
            refused()


# --- joining --------------------------------------------------------------------


def vouch(records, keyring=None, host="web-9", **more):
    return membership.vouched(keyring or at("promoted"), host, records, **more)


def test_11_a_host_without_a_record_needs_another_that_has_one():
    assert vouch({}) == (False, None)
    assert vouch({"web-1": None}) == (False, None)
    assert vouch({"web-9": record(at("promoted"))}) == (False, None), "its own does not count"
    assert vouch({"web-1": record(at("promoted"))}) == (True, None)
    assert vouch({"web-1": record(at("prepared"))}) == (True, None), "a host that lags behind shows no later step"


@pytest.mark.parametrize("changes", [{"counter": 9}, {"nonce": "another"}, {"keyring": "ring-2"}])
def test_11_a_record_that_knows_more_than_the_keyring_refuses_the_joiner(changes):
    ok, refuse = vouch({"web-1": record(at("promoted")), "web-2": record(at("promoted"), **changes)})
    assert not ok
    assert refuse.startswith("web-9 has no record, and web-2 ")
    assert "Nothing was changed" in refuse


def test_11_with_a_new_keyring_the_first_member_goes_first():
    nobody_yet = {"web-2": None}
    assert vouch(nobody_yet, adopt(), "web-1").ok
    assert not vouch(nobody_yet, adopt(), "web-2").ok
    assert vouch({"web-1": record(adopt())}, adopt(), "web-2").ok
    assert not vouch({}, at("adopted"), "web-1").ok, "once hosts are proven they can be asked"
    one = at("adopted")
    one["members"]["web-1"]["proven"] = None
    assert not vouch({}, one, "web-1").ok, "one of them is enough"


def test_11_a_copy_from_when_the_keyring_began_is_told_from_a_keyring_that_begins():
    """Its first member may have been set up anew since, and has no record; somebody else has one."""
    assert not vouch({}, adopt(), "web-1").ok, "nobody was asked"
    assert not vouch({"web-1": None}, adopt(), "web-1").ok, "its own word does not count"
    assert vouch({}, adopt(), "web-1", alone=True).ok, "there is nobody to ask"
    assert not vouch({}, at("adopted"), "web-1", alone=True).ok
    asked = vouch({"web-2": record(at("promoted")), "web-3": None}, adopt(), "web-1")
    assert not asked.ok and "web-1 has no record, and web-2 has seen step 3 (promote)" in asked.refuse
    assert membership.vouchers(adopt(), "web-1", ["web-1", "web-3", "web-2", "web-8"]) == ["web-2", "web-3"]


@pytest.mark.parametrize("step", ["adopt", "adopted", "prepare", "promote", "promoted", "retire"])
def test_an_excerpt_says_what_the_keyring_says(step):
    keyring = at(step, [f"web-{number}" for number in range(30, 0, -1)])
    small = membership.for_visits(keyring)
    assert (keyrings.order(small), keyrings.token(small)) == (keyrings.order(keyring), keyrings.token(keyring))
    known = keyrings.order(keyring).may_accept
    assert keyrings.secrets(small, known) == keyrings.secrets(keyring, known)
    others = [{}, {"web-7": record(keyring)}, {"web-7": record(keyring, counter=9)}]
    for host in ("web-1", "web-2", "web-30", "web-31"):
        for records in others:
            assert membership.vouched(small, host, records) == membership.vouched(keyring, host, records)
    assert len(small["members"]) <= 2
    with pytest.raises(KeyringError, match="no usable journal"):
        keyrings.check(small)


def test_an_excerpt_keeps_one_that_was_proven_wherever_it_stands():
    keyring = at("adopted", [f"web-{number}" for number in range(9)])
    for member, entry in keyring["members"].items():
        entry["proven"] = 1 if member == "web-7" else None
    small = membership.for_visits(keyring)
    assert sorted(small["members"]) == ["web-0", "web-7"]
    assert membership.vouched(small, "web-0", {}) == membership.vouched(keyring, "web-0", {}) == (False, None)


def test_11_those_that_were_proven_last_are_asked_first():
    keyring = at("promoted")
    keyring["members"]["web-1"]["proven"] = 2
    keyring["members"]["web-4"] = {"since": "2023-11-14T22:13:20Z", "proven": None}
    assert membership.vouchers(keyring, "web-9", ["web-9", *FLEET, "web-4"]) == ["web-2", "web-3", "web-1"]
    assert membership.vouchers(keyring, "web-2", FLEET[:2]) == ["web-1"]


def test_the_first_member_is_visited_first_and_alone():
    keyring = opened(at("promoted"), "retire", NOW)
    assert proofs.visiting_order(surveyed(keyring, ["web-3", "web-1", "web-2"], fleet_of(keyring))) == [
        "web-1",
        "web-3",
        "web-2",
    ]
    assert [proofs.batch_sizes(sizes) for sizes in ([1, "25%"], ["100%"], [5])] == [[1, "25%"], [1, "100%"], [1, 5]]
