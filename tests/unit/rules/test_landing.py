# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Did my write land? Every answer of a store, and everything that may lie there then."""

from __future__ import annotations

import itertools
from typing import Dict, List, NamedTuple, Optional, Set, Tuple, get_args

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import landing

# answer or what was found; after a try without an answer?; time left? -> what is next
ANSWERS = {
    ("done", False, True): "landed", ("done", True, True): "landed", ("done", False, False): "landed", ("done", True, False): "landed",
    ("other", False, True): "read", ("other", True, True): "read", ("other", False, False): "read", ("other", True, False): "read",
    ("refused", False, True): "not_written", ("refused", False, False): "not_written",
    ("refused", True, True): "read", ("refused", True, False): "read",
    ("unclear", False, True): "again", ("unclear", True, True): "again",
    ("unclear", False, False): "unknown", ("unclear", True, False): "unknown",
}  # fmt: skip
LOOKS = {
    ("ours", False, True): "landed", ("ours", True, True): "landed", ("ours", False, False): "landed", ("ours", True, False): "landed",
    ("moved", False, True): "not_written", ("moved", True, True): "not_written",
    ("moved", False, False): "not_written", ("moved", True, False): "not_written",
    ("touched", False, True): "anew", ("touched", True, True): "anew",
    ("touched", False, False): "not_written", ("touched", True, False): "not_written",
    ("same", False, True): "again", ("same", True, True): "again",
    ("same", False, False): "not_written", ("same", True, False): "unknown",
    ("unread", False, True): "read", ("unread", True, True): "read",
    ("unread", False, False): "not_written", ("unread", True, False): "unknown",
    ("strange", False, True): "not_written", ("strange", False, False): "not_written",
    ("strange", True, True): "unknown", ("strange", True, False): "unknown",
    ("gone", False, True): "not_written", ("gone", False, False): "not_written",
    ("gone", True, True): "unknown", ("gone", True, False): "unknown",
}  # fmt: skip


def test_the_tables_are_whole() -> None:
    both = (False, True)
    assert set(ANSWERS) == set(itertools.product(get_args(landing.Answer), both, both))
    assert set(LOOKS) == set(itertools.product(get_args(landing.Found), both, both))


@pytest.mark.parametrize("given", ANSWERS, ids=str)
def test_what_follows_from_an_answer(given: Tuple[landing.Answer, bool, bool]) -> None:
    assert landing.after_answer(*given) == ANSWERS[given]


@pytest.mark.parametrize("given", LOOKS, ids=str)
def test_what_follows_from_what_lies_there(given: Tuple[landing.Found, bool, bool]) -> None:
    assert landing.after_read(*given) == LOOKS[given]


MANY = [f"w{number}" for number in range(landing.KEPT)]


@pytest.mark.parametrize(
    "there, replaced, found",
    [
        (["me", "b", "a"], ["b", "a"], "ours"),
        (["later", "me", "b"], ["b"], "ours"),
        (["she", "b", "a"], ["b", "a"], "moved"),
        (["b", "a"], ["b", "a"], "moved"),
        # Set back, or made anew: all that was ever written to it is told.
        (["a"], ["b", "a"], "moved"),
        (["other"], ["b", "a"], "moved"),
        ([], ["b", "a"], "moved"),
        ([], [], "moved"),
        (["she"], None, "moved"),
        (["me"], None, "ours"),
        # As many as are carried: those before them are not told.
        (MANY, ["w5"], "moved"),
        (MANY, ["gone long ago"], "strange"),
        (MANY, [], "strange"),
        (MANY, None, "strange"),
        ([*MANY[:-1], "me"], ["w5"], "ours"),
    ],
)
def test_what_the_ids_tell(there: List[str], replaced: Optional[List[str]], found: str) -> None:
    assert landing.found("me", there, replaced) == found


def test_a_text_carries_the_newest_ids() -> None:
    assert landing.ids("me", []) == ["me"]
    assert landing.ids("me", ["b", "a"]) == ["me", "b", "a"]
    assert landing.ids("me", MANY) == ["me", *MANY[:-1]]


# --- every course that a write can take -------------------------------------------------


class World(NamedTuple):
    """A register that is compared and swapped, with the requests of ours and of somebody else that are still under way."""

    text: Tuple[str, ...]  # the ids that lie there
    version: int
    flying: int  # requests of ours without an answer, each over version 1
    doubtful: bool
    moves: int
    foreign: int
    look: Optional[str] = None


def _swap(world: World, writer: str) -> World:
    return world._replace(text=(writer, *world.text), version=world.version + 1)


def _ends() -> Set[Tuple[str, bool, bool]]:
    """Return how a write may end, whether it lies there (then, or later), and whether a request of ours can still change anything."""
    ends, seen = set(), set()
    todo = [World(("b",), 1, 0, False, 6, 2)]
    while todo:
        world = todo.pop()
        if world in seen:
            continue
        seen.add(world)
        if world.foreign:
            todo.append(_swap(world._replace(foreign=world.foreign - 1), "she"))
        if world.flying and world.version == 1:
            todo.append(_swap(world._replace(flying=world.flying - 1), "me"))
        time_left = world.moves > 0
        # The store says what is so, or no answer comes: then the request has gone, was lost, or is under way.
        tries: Dict[landing.Answer, World] = {"unclear": world._replace(flying=world.flying + 1)}
        if world.version == 1:
            tries["done"] = _swap(world, "me")
            tries["refused"] = world
        else:
            tries["other"] = world
        for answer, then in tries.items():
            move = landing.after_answer(answer, world.doubtful, time_left)
            doubtful = world.doubtful or answer == "unclear"
            if move == "read":
                said = landing.found("me", then.text, ["b"])
                same: landing.Found = "same" if then.version == 1 else said
                move = landing.after_read(same, doubtful, time_left)
            if move in ("again", "read"):
                todo.append(then._replace(doubtful=doubtful, moves=world.moves - 1))
            else:
                may_land = then.flying > 0 and then.version == 1
                ends.add((move, "me" in then.text, may_land))
    return ends


def test_whatever_happens_nobody_is_told_what_is_not_so() -> None:
    ends = _ends()
    assert {move for move, _there, _may in ends} == {"landed", "not_written", "unknown"}
    assert all(there for move, there, _may in ends if move == "landed")
    assert not any(there or may for move, there, may in ends if move == "not_written")
