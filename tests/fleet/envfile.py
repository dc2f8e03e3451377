# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write an env file as systemd's `EnvironmentFile=` does.

Written for the fleet alone, and not shared with the collection: were both to misread a quote in the same way, no test
would see it. The states are those of systemd's own parser (`src/basic/env-file.c`).
"""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_BLANK = " \t\r\n"
_END = "\r\n"


def parse(text: str) -> dict[str, str]:
    """Return the variables that systemd would set from this text."""
    found: dict[str, str] = {}
    state, name, value, kept = "before name", "", "", 0

    def store() -> None:
        if _NAME.match(name.rstrip(_BLANK)):
            found[name.rstrip(_BLANK)] = value[:kept] + value[kept:].rstrip(_BLANK)

    for char in text:
        if state == "before name":
            name, value, kept = "", "", 0
            if char in "#;":
                state = "comment"
            elif char not in _BLANK:
                state, name = "name", char
        elif state == "name":
            if char in _END:
                state = "before name"
            elif char == "=":
                state = "before value"
            else:
                name += char
        elif state in ("before value", "value"):
            if char in _END:
                store()
                state = "before name"
            elif char == "\\":
                state = "escape"
            elif state == "value":
                value += char
            elif char in "'\"":
                state = char
            elif char not in _BLANK:
                state, value = "value", value + char
        elif state == "escape":
            state = "value"
            if char not in _END:
                value += char
                kept = len(value)  # an escaped blank at the end is meant, and stays
        elif state == "'":
            state, value = ("before value", value) if char == "'" else (state, value + char)
            kept = len(value)
        elif state == '"':
            if char == "\\":
                state = '"escape'
            else:
                state, value = ("before value", value) if char == '"' else (state, value + char)
            kept = len(value)
        elif state == '"escape':
            state = '"'
            if char in '"\\`$':
                value += char
            elif char != "\n":
                value += "\\" + char
            kept = len(value)
        elif state == "comment":
            state = "comment escape" if char == "\\" else "before name" if char in _END else state
        elif state == "comment escape":
            state = "comment"
    if state not in ("before name", "name", "comment", "comment escape"):
        store()
    return found


def quote(value: str) -> str:
    """Write a value so that systemd reads it back as it is."""
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def read(path: Path) -> dict[str, str]:
    """Return the variables of an env file."""
    return parse(path.read_text())


def assign(path: Path, **values: str) -> None:
    """Set variables in an env file and leave every other line as it is, the way a person would by hand."""
    lines = path.read_text().splitlines()
    for name, value in values.items():
        lines = [line for line in lines if not line.startswith(name + "=")]
        lines.append(f"{name}={quote(value)}")
    beside = path.with_name(path.name + ".new")
    beside.touch(0o600)
    beside.write_text("\n".join(lines) + "\n")
    beside.replace(path)
