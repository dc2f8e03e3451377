# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The explorations: which fleet, and how many faults of which kind may happen on one path."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import stamp
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps

from .invariants import settle
from .world import FIRST, SOAK_TICKS, T0, TICK, Book, File, Host, Record, State, Worker, secret


class Profile(NamedTuple):
    """One exploration.

    joiners   hosts that are not in the inventory at first, and have keys of an image
    image     the numbers of those keys
    stranger  whether a joiner has the record of another keyring
    adopted   whether there is a keyring already
    soak      how long what is signed lives, in ticks
    at_rest   whether it is stored, and lives until it is encrypted anew
    spread    how late some who verify learn of a key, in ticks
    """

    name: str
    faults: Dict[str, int]
    hosts: Tuple[str, ...] = ("b", "c")
    joiners: Tuple[str, ...] = ()
    operators: int = 1
    copies: int = 1
    image: Tuple[int, ...] = (1,)
    stranger: bool = False
    adopted: bool = True
    soak: int = SOAK_TICKS
    at_rest: bool = False
    spread: int = 0


PROFILES = [
    Profile("plain", {"new": 1, "crash": 1}),
    Profile("crashes", {"crash": 1, "reboot": 1}),
    Profile("late", {"crash": 2}),
    Profile("restarts", {"restart": 2}),
    Profile("broken", {"restart": 1, "crash": 1}),
    Profile("outages", {"cut": 1, "lose": 1}),
    Profile("leavers", {"unlist": 1, "release": 1}),
    Profile("steps", {"prepare": 1, "promote": 1, "crash": 1}),
    Profile("steps away", {"promote": 1, "cut": 1, "retire": 1}),
    Profile("rollback", {"rollback": 1, "crash": 1}),
    Profile("overlap", {"rollback": 1, "new": 1}),
    Profile("incident", {"rollback": 1, "cut": 1}),
    Profile("operators", {"copy": 1, "runs of B": 1, "deploy": 1}, operators=2, copies=2),
    Profile("race", {"copy": 1, "runs of B": 1, "rollback": 1}, operators=2, copies=2),
    Profile("twins", {"runs of B": 1}, operators=2),
    Profile("backup", {"copy": 1, "restore": 1, "crash": 1}, copies=2),
    Profile("joiners", {"join": 1, "deploy": 1, "crash": 1}, hosts=("b",), joiners=("a",)),
    Profile("deploys", {"join": 1, "deploy": 1, "crash": 1}, hosts=("b",), joiners=("c",)),
    Profile("images", {"join": 1, "deploy": 1}, hosts=("b",), joiners=("c",), image=(2, 1)),
    Profile("copied", {"join": 1, "deploy": 1, "copy": 1}, hosts=("b",), joiners=("c",), copies=2),
    Profile("strangers", {"join": 1, "deploy": 1}, hosts=("b",), joiners=("c",), stranger=True),
    Profile("emergency", {"mark": 2}),
    Profile("leak", {"mark": 1, "restart": 1}),
    Profile("leak and back", {"mark": 1, "rollback": 1, "crash": 1}),
    Profile("clocks", {"jump": 1, "crash": 1}),
    Profile("no soak", {"restart": 1, "crash": 1}, soak=0),
    Profile("no soak and back", {"rollback": 1, "cut": 1}, soak=0),
    Profile("host clocks", {"jump host": 1, "new": 1}, hosts=("b",)),
    Profile("rewrites", {"rewrite": 2, "slow": 1}),
    Profile("files", {"rewrite": 1, "reboot": 1, "crash": 1}),
    Profile("harm", {"harm": 1, "mishap": 1, "crash": 1}),
    Profile("facts", {"facts": 1, "rewrite": 1, "crash": 1}),
    Profile("strays", {"stray": 1, "crash": 1}),
    Profile("outsiders", {"outsider": 1, "crash": 1}),
    Profile("aliens", {"alien": 1, "crash": 1}),
    Profile("waivers", {"cut": 1, "waive": 1, "crash": 1}),
    Profile("set aside", {"cut": 1, "waive": 1, "restart": 1}),
    Profile("waived twice", {"cut": 2, "waive": 1}),
    Profile("at rest", {"crash": 2}, soak=0, at_rest=True),
    Profile("at rest and back", {"rollback": 1, "crash": 1}, soak=0, at_rest=True),
    Profile("at rest rewritten", {"rewrite": 1}, at_rest=True),
    Profile("at rest leaked", {"mark": 1, "crash": 1}, at_rest=True),
    Profile("spread", {"crash": 1, "rollback": 1}, soak=0, spread=1),
    Profile("spread and clocks", {"jump": 1}, soak=0, spread=2),
    Profile("spread and host clocks", {"jump host": 1}, hosts=("b",), soak=0, spread=2),
    Profile("takeover", {"hand": 1, "recover": 1, "crash": 1}, adopted=False),
    Profile("recovery", {"lose keyring": 1, "recover": 2}),
    Profile("found again", {"mark": 1, "lose keyring": 1, "recover": 1}),
]


THREE = ("b", "c", "d")
# What `make model-full` explores besides.
FULL = [
    Profile("three hosts, crashes", {"crash": 2, "reboot": 1}, hosts=THREE),
    Profile("three hosts, restarts", {"restart": 2, "crash": 1}, hosts=THREE),
    Profile("three hosts, outages", {"cut": 1, "lose": 1, "crash": 1}, hosts=THREE),
    Profile("three hosts, rollback", {"rollback": 1, "crash": 1, "new": 1}, hosts=THREE),
    Profile("three hosts, incident", {"rollback": 1, "cut": 1, "restart": 1}, hosts=THREE),
    Profile("three hosts, recovery", {"lose keyring": 1, "recover": 2, "crash": 1}, hosts=THREE),
    Profile("three hosts, race", {"copy": 1, "runs of B": 1}, hosts=THREE, operators=2, copies=2),
    Profile("three hosts, emergency", {"mark": 1, "crash": 1}, hosts=THREE),
    Profile("two hosts and a joiner", {"join": 1, "deploy": 1, "crash": 1}, joiners=("d",)),
    Profile("three hosts, at rest", {"rollback": 1, "crash": 1}, hosts=THREE, soak=0, at_rest=True),
    Profile("many crashes", {"crash": 3, "reboot": 1}),
    Profile("many restarts", {"restart": 3, "crash": 1}),
    Profile("many rollbacks", {"rollback": 2, "new": 1, "crash": 1}),
]


def start(profile: Profile) -> State:
    """Return a fleet that was adopted with its first key, long ago."""
    began = T0 - 100 * TICK
    keyring = steps.adopt(
        "shop", "ring", "0.1", steps.Start([secret(0, 1)], "adopted"), profile.hosts,
        {"framework": "django", "settings": {}}, {"seconds": profile.soak * TICK, "source": "the model"}, {"how": "trust"},
        began,
    )  # fmt: skip
    keyring = steps.close_step(keyring, began)
    if profile.at_rest:
        # By the first key, too, for what was encrypted anew once is of no use to what comes.
        keyring["settings"] = {"at_rest": [{"what": "rows"}]}
        keyring["keys"][0]["reencrypted"] = {"began": stamp(began), "at": stamp(began), "by": "b"}
    file, worker = File(FIRST, (FIRST,), 1, -100), Worker(FIRST, (FIRST,), -100)
    token = keyrings.token(keyring)
    record = Record(token.keyring, token.counter, token.nonce, "adopt", "proven", -100, FIRST, 2, (), (1, -100))
    fleet = [Host(name, True, True, True, file, (worker, worker), record) for name in profile.hosts]
    keys = tuple(fingerprint(secret(0, number)) for number in profile.image)
    other = record._replace(keyring="another ring", file=(1, -100)) if profile.stranger else None
    image = Host("", False, True, False, File(keys[0], keys, 1, -100), (Worker(keys[0], keys, -100),) * 2, other)
    fleet += [image._replace(name=name) for name in profile.joiners]
    books: Tuple[Optional[Book], ...] = (Book(keyring, 0), *[None] * (profile.copies - 1))
    if not profile.adopted:
        fleet = [host._replace(record=None) for host in fleet]
        books = (None,)
    state = State(
        now=0, skew=0, hosts=tuple(sorted(fleet)), books=books, runs=(None,) * profile.operators, alive=(),
        budget=tuple(sorted(profile.faults.items())), soak=profile.soak, at_rest=profile.at_rest, spread=profile.spread,
        published=((FIRST, -100),),
    )  # fmt: skip
    return settle(state)


def by_name(name: str) -> Profile:
    """Return a profile by its name."""
    return next(profile for profile in [*PROFILES, *FULL] if profile.name == name)
