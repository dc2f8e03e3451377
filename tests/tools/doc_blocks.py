# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocks of code in the documentation: those of reStructuredText, and those of Markdown, fenced or indented."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

RST = re.compile(r"^\.\. code-block:: (\S+)\n((?: +:\S.*\n)*)((?:\n|    .*\n)+)", re.MULTILINE)
FENCED = re.compile(r"^( *)```+(\w*)\n(.*?)^ *```+$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)((?:    .*\n|\n(?=    ))+)")


class Block(NamedTuple):
    """One block: its language (empty where none is said), the file that it is by its caption, and its text."""

    language: str
    name: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Return the blocks of a page, in their order."""
    text = path.read_text() + "\n"
    if path.suffix == ".rst":
        found = []
        for language, options, body in RST.findall(text):
            caption = re.search(r":caption: (.*)", options)
            found.append(Block(language, caption[1] if caption else "", textwrap.dedent(body).strip("\n") + "\n"))
        return found
    fenced = [Block(language, "", textwrap.dedent(body)) for _blanks, language, body in FENCED.findall(text)]
    rest = FENCED.sub("", text)
    return fenced + [Block("", "", textwrap.dedent(body)) for body in INDENTED.findall(rest)]


def ran(command: Sequence[str], folder: Path, environment: Mapping[str, str], limit: float) -> str:
    """Run what a page has, in a folder, for `limit` seconds at most; return what it said, or raise AssertionError with that if it failed."""
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, text=True, timeout=limit,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(done.stdout)
    return done.stdout


def block(path: Path, name: str) -> str:
    """Return the text of the one block of a page that is the file `name`."""
    (found,) = [one.text for one in blocks(path) if one.name == name]
    return found
