# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where else a unit takes the application's keys from: other environment files, and lines of the unit itself.

Sources: systemd.exec(5) (of several EnvironmentFile= the later one wins, all of them over Environment=, and UnsetEnvironment=
over everything), and exec_context_load_environment in systemd's src/core/execute.c.
"""

from __future__ import annotations

import glob
import os
import re
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence

from . import files
from .rules import env_text
from .units import Unit

if TYPE_CHECKING:
    from .._shapes import Source

_GLOB = re.compile(r"[*?[]")


def of(unit: Unit, ours: Sequence[str], names: Sequence[str]) -> List[Source]:
    """Return what sets one of the settings `names` beside our env files: names of settings and of files, never a value.

    setting   its name
    source    the file, and the line of the unit that has it read
    wins      whether it wins over our files: it comes behind them. Always False where the unit reads none of ours: then
              nobody knows who comes last
    """
    if not unit.files:
        return []
    texts = {path: _content(path) for path in unit.files}
    mine = {os.path.realpath(path) for path in ours}
    read = [(entry, path) for entry in unit.env_files for path in _expanded(entry)]
    places = [place for place, (_entry, path) in enumerate(read) if os.path.realpath(path) in mine]
    found: List[Source] = []
    for place, (entry, path) in enumerate(read):
        if place in places:
            continue
        source = f"{path} ({_line(texts, 'EnvironmentFile', entry, unit.name)})"
        wins = bool(places) and place > places[-1]
        for name in _set_in(path, names):
            found.append({"setting": name, "source": source, "wins": wins})
    for name in names:
        for path, text in texts.items():
            if _has(text, "Environment", f"{name}="):
                found.append({"setting": name, "source": f"Environment= in {path}", "wins": False})
        if name in unit.unset:
            source = _line(texts, "UnsetEnvironment", name, unit.name)
            found.append({"setting": name, "source": source, "wins": bool(places)})
    return found


def _expanded(entry: str) -> List[str]:
    """The files that an EnvironmentFile= names, in the order in which systemd reads them."""
    return sorted(glob.glob(entry)) if _GLOB.search(entry) else [entry]


def _set_in(path: str, names: Sequence[str]) -> List[str]:
    """Which of the settings an environment file sets, however badly."""
    text = _content(path)
    try:
        return list(env_text.read(text, "systemd", names))
    except env_text.EnvTextError:
        return [name for name in names if re.search(rf"^[ \t]*{name}[ \t]*=", text, re.MULTILINE)]


def _line(texts: Dict[str, str], directive: str, what: str, unit: str) -> str:
    """Say which line of the unit it is, as well as can be told: the last one that names it."""
    path: Optional[str] = None
    for place, text in texts.items():
        path = place if _has(text, directive, what) else path
    return f"{directive}= in {path}" if path else f"{directive}= of {unit}"


def _has(text: str, directive: str, what: str) -> bool:
    """Whether a unit's file has such a line with this word in it; one that ends with = may go on."""
    lines = text.replace("\\\n", " ").split("\n")
    end = "" if what.endswith("=") else r"""(?:$|[\s"'])"""
    word = re.compile(rf"""(?:^|[\s"'-]){re.escape(what)}{end}""")
    return any(
        word.search(value)
        for key, _equals, value in (line.partition("=") for line in lines)
        if key.strip() == directive
    )


def _content(path: str) -> str:
    try:
        return files.read_text(path) or ""
    except OSError:
        return ""  # not to be read: what is not known is not told
