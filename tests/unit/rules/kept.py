# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyrings and records of released schemas that are kept in `released/`, the oldest first, and what fields they have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator

import yaml

RELEASED = Path(__file__).resolve().parent / "released"


def number(path: Path) -> int:
    """The schema that a file is kept for, by its name."""
    return int(path.stem.rpartition("-")[2])


KEYRINGS = sorted(RELEASED.glob("keyring-*.yml"), key=number)
RECORDS = sorted(RELEASED.glob("record-*.json"), key=number)
# What stands below these has the names of hosts, files or keys, or is the user's own.
NAMED = ("members", "settings", "stopped", "files", "linked", "stamps")


def load(path: Path) -> Dict[str, Any]:
    """What stands in one of them."""
    return dict(yaml.safe_load(path.read_text()) if path.suffix == ".yml" else json.loads(path.read_text()))


def fields(value: Any, where: str = "") -> Iterator[str]:
    """Every field of a document, as docs/keyring.md names it: `keys.state`, `members.*.since`."""
    if isinstance(value, list):
        for one in value:
            yield from fields(one, where)
    elif isinstance(value, dict):
        named = where.rpartition(".")[2] in NAMED
        for name, one in value.items():
            place = f"{where}.{'*' if named else name}".lstrip(".")
            if not named:
                yield place
            yield from fields(one, place)


def values(value: Any, place: str) -> Iterator[Any]:
    """Every value that a document has at a place that `fields` named."""
    name, _dot, rest = place.partition(".")
    if isinstance(value, list):
        for one in value:
            yield from values(one, place)
    elif not place:
        yield value
    elif isinstance(value, dict):
        for one in value.values() if name == "*" else [value[name]] if name in value else []:
            yield from values(one, rest)
