# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tokenizers of all formats of env files are made of."""

from __future__ import annotations

import re
from typing import Any, List, NamedTuple

from .errors import PhasedKeysError


class Pattern:
    """A regular expression that is compiled when it is used first: a host reads one format, and pays for no other."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.asked = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(re.compile(*self.asked), name)


class EnvTextError(PhasedKeysError):
    """What a file says about our settings cannot be used; `kind` tells the cases apart, no message holds a value.

    twice: a setting of ours stands more than once.
    not_literal: the text is not the value, for every reader and whatever else is set.
    broken: a quote never closes, or readers disagree where something ends: the rest cannot be told apart.
    unwritable: no spelling of the new value is read back as it is by every common reader of the format.
    format: there is no such format.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Assignment(NamedTuple):
    """One assignment in a text; offsets, so that its value can be replaced and nothing else."""

    name: str
    value: str  # without meaning where there is a problem
    problem: str  # why the text is not the value, or ""
    start: int  # of the statement; -1 where it shares a shell's command with others
    value_start: int
    value_end: int


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def error(kind: str, text: str, offset: int, what: str) -> EnvTextError:
    return EnvTextError(kind, f"line {line_of(text, offset)}: {what}")


def unclosed(text: str, offset: int) -> EnvTextError:
    return error("broken", text, offset, "what is opened here is not closed, or not for every reader")


# Needs quotes in none of the formats.
_PLAIN = Pattern(r"[A-Za-z0-9_@%+=:,./-]*")


def plain(value: str) -> List[str]:
    return [value] if _PLAIN.fullmatch(value) else []
