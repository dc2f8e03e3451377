# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who belongs to the fleet: members that join, that leave, and that are set aside for a while.

A member stays one until it is released by name, since its workers may still be running. One that cannot be
reached may be waived: somebody asserts, with a reason and an end, that it serves no traffic.
"""

from __future__ import annotations

import copy
from typing import Collection, List, Mapping, NamedTuple, Optional, Sequence, cast

from .._host.rules.durations import epoch, stamp
from .._host.rules.proof import outdated
from .._keyring_shapes import JournalEntry, Keyring, KeyringCore, Waiver
from .._shapes import Record
from .keyring import KeyringError, note

WAIVED = "waived: asserted to serve no traffic"
LAST = (
    "app_keys_release names all members that there are, and nobody would be left whose record says that this is the fleet's keyring: let a new "
    "host join first (a deploy with the role), while one of them can be reached. If all are gone for good, put the keys into the env files of "
    "the new hosts by hand (ansible-vault view shows them), move the keyring away, and run phased.keys.adopt"
)


def register(keyring: Keyring, joining: Sequence[str], now: float) -> Keyring:
    """Return the keyring with these members too; a member that is there already stays as it is."""
    joining = [member for member in joining if member not in keyring["members"]]
    if not joining:
        return keyring
    keyring = copy.deepcopy(keyring)
    for member in joining:
        keyring["members"][member] = {"since": stamp(now), "proven": None}
    note(keyring, now, "registered", members=joining)
    return keyring


def take_over(keyring: Keyring, member: str, managers: Sequence[str], now: float) -> Keyring:
    """Return the keyring with a note that a visit of this member takes its entries from these managers; the same one where that is noted."""
    what = ", ".join(managers)
    if any(entry.get("members") == [member] and entry.get("reason") == what for entry in _noted(keyring, "take_over")):
        return keyring
    keyring = copy.deepcopy(keyring)
    note(keyring, now, "take_over", members=[member], reason=what)
    return keyring


def _noted(keyring: Keyring, event: str) -> List[JournalEntry]:
    return [entry for entry in keyring["journal"] if entry["event"] == event]


def release(keyring: Keyring, names: Sequence[str], fleet: Collection[str], now: float) -> Keyring:
    """Return the keyring without these members. KeyringError for one that is in the inventory, or that never was a member, and for all at once."""
    released = {
        name for entry in keyring["journal"] if entry["event"] == "released" for name in entry.get("members", ())
    }
    fleet = frozenset(fleet)
    for name in names:
        if name in fleet:
            raise KeyringError(
                f"app_keys_release names {name}, which is in the inventory: take it out of the inventory first, or the next visit would write it"
            )
        if name not in keyring["members"] and name not in released:
            raise KeyringError(
                f"app_keys_release names {name}, which is no member; members are {', '.join(sorted(keyring['members']))}"
            )
    leaving = {name: None for name in names if name in keyring["members"]}
    if not leaving:
        return keyring
    if len(leaving) == len(keyring["members"]):
        raise KeyringError(LAST)
    keyring = copy.deepcopy(keyring)
    for name in leaving:
        del keyring["members"][name]
    keyring["waivers"] = [waiver for waiver in keyring["waivers"] if waiver["member"] not in leaving]
    note(keyring, now, "released", members=list(leaving))
    return keyring


def waive(keyring: Keyring, names: Sequence[str], reason: str, length: float, now: float) -> Keyring:
    """Return the keyring with these members set aside for `length` seconds. KeyringError for one that is no member.

    A member that was waived for the same reason before stays as it is: running the command again neither prolongs a waiver
    nor opens one again that has ended.
    """
    for name in names:
        if name not in keyring["members"]:
            raise KeyringError(
                f"app_keys_waive names {name}, which is no member; members are {', '.join(sorted(keyring['members']))}"
            )
    before = [entry for entry in keyring["journal"] if entry["event"] == WAIVED and entry.get("reason") == reason]
    same = {name for entry in before for name in entry.get("members", ())}
    aside = {name: None for name in names if name not in same}
    if not aside:
        return keyring
    keyring = copy.deepcopy(keyring)
    keyring["waivers"] = [waiver for waiver in keyring["waivers"] if waiver["member"] not in aside]
    for name in aside:
        keyring["waivers"].append({"member": name, "reason": reason, "since": stamp(now), "until": stamp(now + length)})
    note(keyring, now, WAIVED, members=list(aside), reason=reason, until=stamp(now + length))
    return keyring


def end_waivers(keyring: Keyring, answering: Collection[str], now: float) -> Keyring:
    """Return the keyring without the waivers of members that answer: they are visited and counted like any other."""
    answering = frozenset(answering)
    ended = [waiver["member"] for waiver in keyring["waivers"] if waiver["member"] in answering]
    if not ended:
        return keyring
    keyring = copy.deepcopy(keyring)
    keyring["waivers"] = [waiver for waiver in keyring["waivers"] if waiver["member"] not in answering]
    note(keyring, now, "answers again: its waiver has ended", members=ended)
    return keyring


def arrive(keyring: Keyring, names: Collection[str], now: float) -> Keyring:
    """Return the keyring with these hosts as members, and none of them set aside: they answer, and are to be visited."""
    return end_waivers(register(keyring, sorted(names), now), names, now)


def open_waivers(keyring: Keyring, now: float) -> List[Waiver]:
    """Return the waivers that have not run out."""
    return [waiver for waiver in keyring["waivers"] if epoch(waiver["until"]) > now]


def vouchers(keyring: Keyring, host: str, fleet: Collection[str]) -> List[str]:
    """Return the members whose records can tell whether this is the keyring that the fleet was last rolled with.

    `host` itself has no record, and so cannot. Those that were proven last come first: had the fleet gone on
    with another keyring, they would have been visited from it. Where nobody was proven yet anybody may be asked: of a keyring that
    has just begun nobody has a record, and of one that is a copy from that moment somebody has.
    """
    entries = keyring["members"]
    fleet = frozenset(fleet)
    others = [member for member in entries if member != host and member in fleet]
    known = [member for member in others if entries[member].get("proven")]
    return sorted(known or others, key=lambda member: (-(entries[member].get("proven") or 0), member))


def first_member(keyring: KeyringCore) -> str:
    """Return the member that is visited first at every step."""
    return str(min(keyring["members"]))


def for_visits(keyring: Keyring) -> KeyringCore:
    """Return of a keyring what a visit needs: no journal, and of the members the first one and one that was proven.

    `keyrings.order`, `token` and `secrets` and `vouched` say the same of it, and it is as small in a fleet of thousands as in one of
    ten. It cannot be written, for a keyring without a journal is none.
    """
    entries = keyring["members"]
    kept = [first_member(keyring), *[member for member in entries if entries[member]["proven"]][:1]]
    found = {field: value for field, value in keyring.items() if field not in ("journal", "writes")}
    return cast(KeyringCore, {**found, "members": {member: entries[member] for member in kept}})


class Voucher(NamedTuple):
    """Whether other hosts' records say that this is the fleet's keyring: `ok`; they say no: `refuse` says why; nobody said: neither."""

    ok: bool
    refuse: Optional[str] = None


def vouched(keyring: KeyringCore, host: str, records: Mapping[str, Optional[Record]], alone: bool = False) -> Voucher:
    """Say whether a host without a record may be written from this keyring.

    It cannot fence off a copy or a backup itself, so the `records` of others stand in for its own; None is that of a member that
    was looked at and has none. Before any host was proven with a new keyring, the first member by name is visited first: of two
    keyrings it takes one. Then another member has to have said that it has no record either, unless there is none (`alone`).
    """
    others = {member: record for member, record in records.items() if member != host}
    for member, record in others.items():
        found = outdated(keyring, record)
        if found:
            return Voucher(
                False, f"{host} has no record, and {member} {found[0].seen}. Nothing was changed: {found[0].advice}"
            )
    if any(others.values()):
        return Voucher(True)
    begun = any(entry["proven"] for entry in keyring["members"].values())
    return Voucher(not begun and host == first_member(keyring) and (alone or bool(others)))
