# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of an env file: what its reader makes of our settings, and the text with other values.

The format's tokenizer (see `env_formats`) finds every assignment and where its value stands. Only that
stretch of text is ever replaced, so that all else in the file stays byte for byte.
"""

from __future__ import annotations

import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from .env_formats import FORMATS, Assignment, EnvTextError, Pattern, error, line_of, named

__all__ = ["FORMATS", "EnvTextError", "read", "read_all", "rewrite"]


def read(text: str, env_format: str, names: Sequence[str]) -> Dict[str, str]:
    """Return the values of `names` as the reader of the format sees them; an absent one is left out."""
    return {name: found.value for name, found in _ours(text, env_format, names).items()}


def read_all(text: str, env_format: str) -> Dict[str, str]:
    """Return every setting that can be read, for an environment that only has to be like the application's."""
    return {item.name: item.value for item in _first(text, env_format) if not item.problem}


def rewrite(text: str, env_format: str, values: Mapping[str, Optional[str]]) -> str:
    """Return the text with these settings in place of what they were; None removes one."""
    found = _ours(text, env_format, list(values))
    new = text
    for name, value in values.items():
        if (found[name].value if name in found else None) != value or _has_to_be_quoted(
            text, env_format, found.get(name)
        ):
            new = _without(new, env_format, name) if value is None else _with(new, env_format, name, value)
    if read(new, env_format, list(values)) != {name: value for name, value in values.items() if value is not None}:
        raise EnvTextError("unwritable", f"{', '.join(values)} would not be read back as written")
    return new


def _has_to_be_quoted(text: str, env_format: str, found: Optional[Assignment]) -> bool:
    """Whether a setting is exported with nothing behind it, as it was written once, where a reader of the format stops at that."""
    empty = found is not None and found.value_start == found.value_end
    exported = empty and found is not None and re.match("export[ \t]", text[found.start :] if found.start >= 0 else "")
    return bool(exported) and "" not in named(env_format).spellings("")


def _readings(text: str, env_format: str) -> List[Optional[List[Assignment]]]:
    """Return every assignment of the text, once for each way in which the format's readers read it; None where one stops at it."""
    reader = named(env_format)
    if "\0" in text:
        raise error("broken", text, text.index("\0"), "a NUL byte, where readers stop or fail")
    return [None if reading is None else list(reading) for reading in reader.readings(text)]


def _ours(text: str, env_format: str, names: Sequence[str]) -> Dict[str, Assignment]:
    readings = []
    for reading in [reading for reading in _readings(text, env_format) if reading is not None]:
        found: Dict[str, Assignment] = {}
        for item in (item for item in reading if item.name in names):
            if item.name in found:
                line = line_of(text, found[item.name].value_start)
                raise error("twice", text, item.value_start, f"{item.name} stands in line {line} already")
            found[item.name] = item
        readings.append(found)
    for name in names:
        seen = [reading.get(name) for reading in readings]
        ours = next((one for one in seen if one and one.problem), None) or next((one for one in seen if one), None)
        if ours and not ours.problem and any(one is None or _where(one) != _where(ours) for one in seen):
            raise error("broken", text, ours.value_start, f"{name} {named(env_format).disputed}")
        if ours and (ours.problem or re.search("[\ud800-\udfff]", ours.value)):
            raise error("not_literal", text, ours.value_start, f"{name} {ours.problem or 'is not UTF-8'}")
    return readings[0]


def _where(item: Assignment) -> Tuple[str, int, int]:
    """What readings have to agree on: the value, and where it stands. Where the statement begins is no reader's business."""
    return item.value, item.value_start, item.value_end


# --- writing -----------------------------------------------------------------

_REST_OF_LINE = Pattern(r"[ \t]*;?[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")


def _with(text: str, env_format: str, name: str, value: str) -> str:
    old = _ours(text, env_format, [name]).get(name)
    if value.isprintable():
        for spelling in named(env_format).spellings(value):
            new = _appended(text, env_format, f"{name}={spelling}")
            if old:
                new = text[: old.value_start] + spelling + text[old.value_end :]
            try:
                if read(new, env_format, [name]) == {name: value} and _leaves_others(new, text, env_format, name):
                    return new
            except EnvTextError:
                pass  # the next spelling may be better
    what = f"{name} cannot be given its new value here so that every reader of {env_format} files reads it back"
    raise error("unwritable", text, old.value_start if old else len(text), what)


def _without(text: str, env_format: str, name: str) -> str:
    old = _ours(text, env_format, [name])[name]
    start = max(text.rfind("\n", 0, old.start), text.rfind("\r", 0, old.start)) + 1
    rest = _REST_OF_LINE.match(text, old.value_end)
    if old.start >= 0 and rest and not text[start : old.start].strip(" \t"):
        new = text[:start] + text[rest.end() :]
        if not read(new, env_format, [name]) and _leaves_others(new, text, env_format, name):
            return new
    raise error("unwritable", text, old.value_start, f"{name} cannot be removed, it shares its line with more")


def _appended(text: str, env_format: str, assignment: str) -> str:
    reader = named(env_format)
    newline = "\r\n" if reader.crlf and re.match(r"[^\n]*\r\n", text) else "\n"
    exported = [bool(re.match("export[ \t]", text[item.start :])) for item in _first(text, env_format)]
    if reader.exports(exported):
        assignment = "export " + assignment
    return text + (newline if text and not text.endswith("\n") else "") + assignment + newline


def _first(text: str, env_format: str) -> List[Assignment]:
    return next(reading for reading in _readings(text, env_format) if reading is not None)


def _leaves_others(new: str, text: str, env_format: str, name: str) -> bool:
    """Whether all other settings are read as before by whoever read them before: a change of ours must not change them.

    What was uncertain only because of ours may become certain.
    """
    for before, after in zip(_readings(text, env_format), _readings(new, env_format)):
        if before is not None:
            then = [item for item in before if item.name != name]
            now = [item for item in after or [] if item.name != name]
            if [item[:2] for item in then] != [item[:2] for item in now]:
                return False
            if any(new_one.problem not in (old_one.problem, "") for old_one, new_one in zip(then, now)):
                return False
    return True
