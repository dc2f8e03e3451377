# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring moves, cut off anywhere and begun again: there is never more than one that can be used, and it is never lost."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Optional, Tuple

import builders
import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import moving

HERE, THERE = "/keys/shop.yml", "s3://ops/shop.yml"
KEYRING = builders.at("promoted")
NEWER = {**KEYRING, "revision": 9}
OTHER = {**KEYRING, "id": "ring-2"}
COPY = moving.copy(KEYRING, HERE)
POINTER = moving.pointer(KEYRING, THERE)

Places = Tuple[Optional[Dict[str, Any]], Optional[Dict[str, Any]]]


def usable(document: Optional[Dict[str, Any]]) -> bool:
    """Whether a run takes it for a keyring."""
    try:
        return document is not None and bool(keyrings.check(document, "shop"))
    except keyrings.KeyringError:
        return False


@pytest.mark.parametrize(
    "here, there, do",
    [
        (KEYRING, None, "copy"),
        (KEYRING, COPY, "point"),
        (NEWER, COPY, "copy"),  # a run has written meanwhile
        ({**KEYRING, "writes": ["a"]}, {**COPY, "writes": ["b", "c"]}, "point"),
        (POINTER, COPY, "finish"),
        (POINTER, KEYRING, "done"),
        (POINTER, NEWER, "done"),
        (KEYRING, moving.pointer(KEYRING, HERE), "copy"),  # back to where it was
        (None, None, "refuse"),
        (COPY, None, "refuse"),
        (None, KEYRING, "refuse"),
        (KEYRING, KEYRING, "refuse"),
        (KEYRING, OTHER, "refuse"),
        (KEYRING, moving.copy(OTHER, HERE), "refuse"),
        (KEYRING, moving.copy(KEYRING, "/another/place.yml"), "refuse"),
        (KEYRING, moving.pointer(KEYRING, "/another/place.yml"), "refuse"),
        (POINTER, None, "refuse"),
        (POINTER, OTHER, "refuse"),
        (moving.pointer(KEYRING, "/another/place.yml"), KEYRING, "refuse"),
        ({"kind": "something"}, None, "refuse"),
    ],
)
def test_what_is_next(here: Any, there: Any, do: str) -> None:
    step = moving.following(here, there, HERE, THERE)
    assert step.do == do and bool(step.why) == (do == "refuse")
    assert moving.following(here, there, HERE, HERE).do == "refuse"


def test_a_pointer_holds_no_key_and_both_say_what_to_do() -> None:
    assert not [secret for secret in builders.SECRETS if secret in str(POINTER)]
    with pytest.raises(keyrings.KeyringError, match=r"has moved to s3://ops/shop\.yml: set app_keys_keyring to that"):
        keyrings.check(POINTER)
    with pytest.raises(keyrings.KeyringError, match=r"not valid yet: run phased\.keys\.keyring_copy again"):
        keyrings.check(COPY)
    with pytest.raises(keyrings.KeyringError) as error:
        keyrings.check({**POINTER, "moved_to": "a\nb\x1b[2J"})
    assert str(error.value).isprintable()


def done(places: Places) -> Optional[Places]:
    """Return what lies in the two places after the next step; None after the last."""
    here, there = places
    step = moving.following(here, there, HERE, THERE)
    assert step.do != "refuse", step.why
    if step.do == "copy":
        return here, moving.copy(here, HERE)
    if step.do == "point":
        return moving.pointer(here, THERE), there
    return None if step.do == "done" else (here, moving.finished(there))


def courses() -> Iterator[Places]:
    """Yield what lies there at every moment, whenever a run has written meanwhile."""
    todo, seen = [((KEYRING, None), 2)], []
    while todo:
        places, writes = todo.pop()
        if (places, writes) in seen:
            continue
        seen.append((places, writes))
        yield places
        following = done(places)
        if following:
            todo.append((following, writes))
        if writes and usable(places[0]):
            todo.append((({**places[0], "revision": places[0]["revision"] + 1}, places[1]), writes - 1))


def test_at_no_moment_there_are_two_and_it_is_never_lost() -> None:
    everywhere = list(courses())
    assert len(everywhere) > 10
    for here, there in everywhere:
        assert not (usable(here) and usable(there))
        assert usable(here) or usable(there) or (here["kind"] == moving.POINTER and usable(moving.finished(there)))
        if here["kind"] == moving.POINTER:
            assert there["revision"] == here["revision"], "what was written meanwhile is lost"
