# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring that moves from one place to another, so that at no moment there are two that can be used.

First it is written there as a copy, which nobody takes for a keyring; then a pointer takes its place here, if it is still what was copied; then
the copy becomes the keyring. Each of these is one write that is compared and swapped. Cut off after any of them, what lies in the two places
says what is next.
"""

from __future__ import annotations

from typing import Any, Dict, Literal, Mapping, NamedTuple, Optional

KEYRING, COPY, POINTER = "phased.keys/keyring", "phased.keys/copy", "phased.keys/pointer"
OWN = ("kind", "copied_from", "writes")  # what a copy has for itself

Document = Mapping[str, Any]
Do = Literal["copy", "point", "finish", "done", "refuse"]


class Step(NamedTuple):
    """What is next, and why that is nothing."""

    do: Do
    why: str = ""


def why_no_keyring(document: object) -> Optional[str]:
    """Say why something that this module wrote is no keyring to work with; None for anything else."""
    kind = document.get("kind") if isinstance(document, Mapping) else None
    if kind == POINTER and isinstance(document, Mapping):
        return f"the keyring has moved to {_place(document.get('moved_to'))}: set app_keys_keyring to that"
    if kind == COPY and isinstance(document, Mapping):
        return (
            f"this is a copy of the keyring {_place(document.get('copied_from'))}, which is not valid yet: run phased.keys.keyring_copy again, "
            "with app_keys_keyring and app_keys_copy_to as before"
        )
    return None


def copy(keyring: Document, here: str) -> Dict[str, Any]:
    """Return what is written there first."""
    return {**keyring, "kind": COPY, "copied_from": here}


def pointer(keyring: Document, there: str) -> Dict[str, Any]:
    """Return what takes the keyring's place here. No secret is in it."""
    kept = {field: keyring[field] for field in ("schema", "name", "id", "revision", "writes") if field in keyring}
    return {"kind": POINTER, **kept, "moved_to": there}


def finished(document: Document) -> Dict[str, Any]:
    """Return the keyring that a copy becomes."""
    return {**{field: value for field, value in document.items() if field != "copied_from"}, "kind": KEYRING}


def following(here: Optional[Document], there: Optional[Document], place: str, other: str) -> Step:
    """Say what is next, by what lies `here` (in `place`) and `there` (in `other`); None where nothing does."""
    ours, theirs = _kind(here), _kind(there)
    if place == other:
        return Step("refuse", f"app_keys_copy_to is the place that the keyring is in already, {place}")
    if ours == POINTER and here is not None:
        return _after_the_pointer(here, there, place, other)
    if ours != KEYRING or here is None:
        return Step("refuse", f"there is no keyring at {place} that could be copied")
    if there is None:
        return Step("copy")
    if there.get("name") != here.get("name") or there.get("id") != here.get("id"):
        return Step(
            "refuse",
            f"{other} holds something else, and it is not overwritten: choose another place, or move that away",
        )
    if theirs == COPY and there.get("copied_from") == place:
        return Step("point" if _same(here, there) else "copy")
    if theirs == POINTER and there.get("moved_to") == place:
        return Step("copy")  # the keyring was there before, and goes back
    return Step(
        "refuse",
        f"{other} holds a copy of this keyring that was made otherwise: nobody could tell which of the two is the fleet's. Move that one away",
    )


def _after_the_pointer(here: Document, there: Optional[Document], place: str, other: str) -> Step:
    if here.get("moved_to") != other:
        return Step(
            "refuse", f"the keyring has moved from {place} to {_place(here.get('moved_to'))}: copy it from there"
        )
    if there is None or there.get("id") != here.get("id"):
        return Step(
            "refuse",
            f"{place} says that the keyring has moved to {other}, and it is not there: put the last good version back there",
        )
    if _kind(there) == COPY:
        return Step("finish")
    return Step("done") if _kind(there) == KEYRING else Step("refuse", f"{other} holds no keyring")


def _same(keyring: Document, copied: Document) -> bool:
    return {field: value for field, value in keyring.items() if field not in OWN} == {
        field: value for field, value in copied.items() if field not in OWN
    }


def _kind(document: Optional[Document]) -> Any:
    return document.get("kind") if isinstance(document, Mapping) else None


def _place(value: object) -> str:
    """Return a place as it may be shown."""
    text = "".join(one if one.isprintable() else "?" for one in str(value))
    return text[:300]
