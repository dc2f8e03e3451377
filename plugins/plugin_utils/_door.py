# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one door for what a host says: a shape, bounds, printable text, named fields.

A host is not believed to be honest. What it says is evidence about itself and never an instruction: it comes in through
`admit`, or it is a finding of that host alone.
"""

from __future__ import annotations

import functools
import json
import math
import typing
from typing import Any, Dict, FrozenSet, List, Literal, Mapping, Tuple, Union, get_args, get_origin

from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._host.rules.fingerprint import PATTERN

# Far beyond what an honest host says: one with 2,000 workers says half a megabyte.
LARGEST = 4 * 1024 * 1024
ENTRIES = 20_000
TEXT = 2_000
# Texts that may be longer; those for people are cut, since a failure has to be told even if it is told at length.
LONGER = {"token": 4096, "revealed": 64 * 1024, "before": 64 * 1024, "after": 64 * 1024}
CUT = {"msg": 16 * 1024, "exception": 16 * 1024}
WHOLE = 2**64
# What has a date: the years 1 to 9999.
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
NEVER_EMPTY = ("path",)  # by which the rules tell a file from a worker
FINGERPRINTS = ("signs", "accepts", "holds", "leaked")
HOLDER = {"signs", "accepts", "problem"}  # the fields of a worker and of a file
REPLACED = "\ufffd"
NONE = type(None)  # what Optional adds to a type


class Unreadable(PhasedKeysError):
    """An answer that cannot be let in; the text says where and why, and shows nothing of it."""


def admit(shape: Any, text: str) -> Dict[str, Any]:
    """Return the answer in a host's `text` (JSON) as a dictionary of this shape (a TypedDict); Unreadable.

    Fields that the shape does not name are dropped, unprintable characters are replaced.
    """
    if len(text) > LARGEST:
        raise Unreadable(f"it is {len(text):,} characters long, and {LARGEST:,} are the limit")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is not JSON, or is nested too deeply") from error
    found: Dict[str, Any] = _admitted(shape, value, "answer")
    return found


def printable(text: str, longest: int = TEXT, *, lines: bool = False) -> str:
    """Return a text without what a terminal would act on, cut at `longest` characters; with `lines` its line breaks stay."""
    kept = "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else REPLACED for letter in text[:longest]
    )
    return f"{kept} [cut]" if len(text) > longest else kept


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


@functools.lru_cache(maxsize=None)
def _fields(shape: Any) -> Tuple[Dict[str, Any], FrozenSet[str]]:
    return typing.get_type_hints(shape), frozenset(shape.__required_keys__)


def _admitted(shape: Any, value: Any, where: str) -> Any:
    """Return `value` as `shape` has it; `where` is its place, for the message."""
    if typing.is_typeddict(shape):
        return _mapping(shape, value, where)
    origin = get_origin(shape)
    if origin is Union:
        return (
            None if value is None else _admitted(next(arg for arg in get_args(shape) if arg is not NONE), value, where)
        )
    if origin is list:
        return _list(get_args(shape)[0], value, where)
    if origin is dict:
        return _dictionary(get_args(shape)[1], value, where)
    if origin is Literal:
        if value not in get_args(shape) or isinstance(value, bool):
            raise Unreadable(f"{where} is none of {', '.join(map(str, get_args(shape)))}")
        return value
    return _plain(shape, value, where)


def _mapping(shape: Any, value: Any, where: str) -> Dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{where} is {_kind(value)} and not a mapping")
    hints, required = _fields(shape)
    missing = sorted(required - set(value))
    if missing:
        raise Unreadable(f"{where} has no {', '.join(missing)}")
    found = {name: _admitted(hint, value[name], f"{where}.{name}") for name, hint in hints.items() if name in value}
    if set(hints) >= HOLDER:
        _consistent(found, where)
    return found


def _consistent(holder: Mapping[str, Any], where: str) -> None:
    """See that what has keys says which: the rules take that for granted of a worker or a file that has no problem."""
    if holder["problem"] is None and holder["signs"] not in holder["accepts"]:
        raise Unreadable(f"{where} accepts not even what it signs with, and names no problem")
    if holder["problem"] is None and "identity" in holder and holder["identity"] is None:
        raise Unreadable(f"{where} has keys and is not there")
    if holder["problem"] is not None and (holder["signs"] is not None or holder["accepts"]):
        raise Unreadable(f"{where} has keys and a problem with them")


def _list(shape: Any, value: Any, where: str) -> List[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"{where} is {_kind(value)} and not a list")
    if len(value) > ENTRIES:
        raise Unreadable(f"{where} has {len(value):,} entries, and {ENTRIES:,} are the limit")
    return [_admitted(shape, one, f"{where}[{place}]") for place, one in enumerate(value)]


def _dictionary(shape: Any, value: Any, where: str) -> Dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unreadable(f"{where} is {_kind(value)} and not a mapping")
    if len(value) > ENTRIES:
        raise Unreadable(f"{where} has {len(value):,} entries, and {ENTRIES:,} are the limit")
    return {_text(name, f"a name in {where}"): _admitted(shape, one, f"{where}[...]") for name, one in value.items()}


def _plain(shape: Any, value: Any, where: str) -> Any:
    if shape is str:
        return _text(value, where)
    if shape is bool:
        if not isinstance(value, bool):
            raise Unreadable(f"{where} is {_kind(value)} and neither true nor false")
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float) if shape is float else int):
        raise Unreadable(f"{where} is {_kind(value)} and not a number")
    least, most = (EARLIEST, LATEST) if shape is float else (-WHOLE, WHOLE)
    if not (math.isfinite(value) and least <= value <= most):
        raise Unreadable(f"{where} is a number beyond all bounds")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"{where} is {_kind(value)} and not a text")
    name = where.rpartition(".")[2].partition("[")[0]
    if name in CUT:
        return printable(value, CUT[name], lines=True)
    longest = LONGER.get(name, TEXT)
    if len(value) > longest:
        raise Unreadable(f"{where} is {len(value):,} characters long, and {longest:,} are the limit")
    if name in NEVER_EMPTY and not value:
        raise Unreadable(f"{where} is empty")
    if name in FINGERPRINTS and not PATTERN.match(value):
        raise Unreadable(f"{where} is no fingerprint")
    return printable(value, longest, lines=name in LONGER)


def _kind(value: Any) -> str:
    """Return what a value is, in JSON's words, without showing it."""
    kinds = {type(None): "null", bool: "a truth value", str: "a text", list: "a list", dict: "a mapping"}
    return kinds.get(type(value), "a number")
