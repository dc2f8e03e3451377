# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dotenv files: what their readers have in common, and each of them by itself.

A setting of ours is taken as the common rules say it. Beside them each reader's own grammar is followed as far as it says
which settings there are and where each begins and ends; where that is not what the common rules say, it is refused.
"""

from __future__ import annotations

import re
from typing import Iterator, List, Tuple

from .env_parts import Assignment, Pattern, error, plain, unclosed

# --- dotenv and docker compose -----------------------------------------------
# dotenv is what these agree on: python-dotenv (src/dotenv/parser.py, variables.py), Ruby's dotenv (lib/dotenv/parser.rb
# and substitutions/), PHP's vlucas/phpdotenv (src/Parser/) and dotenv for node (LINE in lib/main.js). compose is
# dotenv/parser.go and template/template.go in compose-spec/compose-go; what python-dotenv reads otherwise is refused
# there too, since podman-compose reads with that.

_DOTENV_HEAD = Pattern(r"(?:export[ \t]+)?(?P<name>[^\s=:#'\"]+)[ \t]*(?P<equals>[=:]|(?=[\r\n#]|\Z))[ \t]*")
_DOTENV_QUOTED = {quote: Pattern(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", re.DOTALL) for quote in "'\"`"}
_DOTENV_AFTER_QUOTE = Pattern(r"[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")
# phpdotenv takes a line with one double quote, right after an equals sign, for the first of several, even if it is a
# comment, and python-dotenv one that begins with a single quote.
_DOTENV_GOES_ON = Pattern(r"[^\"]*=\"(?:[^\"]|\\\")*|(?:export[ \t]+)?'[^']*")
_DIFFERS = "is read differently by the readers of this format: put it in single quotes, without backslashes"
_EXPANDS = "holds a $ that some reader expands: put it in single quotes"
# Ruby's dotenv expands $NAME and $(command), python-dotenv ${NAME}, and that even in single quotes.
_DOTENV_EXPANSION = Pattern(r"\$[A-Za-z0-9_({]")


def _dotenv(text: str, compose: bool) -> Iterator[Assignment]:
    pos = 1 if text.startswith("\ufeff") else 0
    while pos < len(text):
        if text[pos].isspace():
            pos += 1
            continue
        start, head = pos, _DOTENV_HEAD.match(text, pos)
        if head:
            pos = head.end()
            quoted = head["equals"] and text[pos : pos + 1] in _DOTENV_QUOTED
            value, end, problem = (_dotenv_quoted if quoted else _dotenv_bare)(text, pos, compose)
            if head["equals"] != "=" or (not compose and start == 1 and text[0] == "\ufeff"):
                problem = "does not stand at the start of a line with an equals sign after it, as every reader needs it"
            yield Assignment(head["name"], value, problem, start, pos, end)
            pos = end
        pos = _line_end(text, pos)
        line = text[start:pos]
        if not compose and "\n" not in line and _DOTENV_GOES_ON.fullmatch(line):
            raise unclosed(text, start)


def _line_end(text: str, pos: int) -> int:
    return min((end for end in (text.find("\n", pos), text.find("\r", pos)) if end >= 0), default=len(text))


def _dotenv_quoted(text: str, start: int, compose: bool) -> Tuple[str, int, str]:
    quote = text[start]
    match = _DOTENV_QUOTED[quote].match(text, start)
    after = match and _DOTENV_AFTER_QUOTE.match(text, match.end())
    # A value of several lines ends for some at a quote of its first line, where others take that as escaped.
    if not match or ("\n" in match[1] and (not after or quote in match[1].split("\n")[0])):
        raise unclosed(text, start)
    value, problem = match[1], ""
    # Ruby's dotenv 2.4 goes on to the last quote of a line.
    disputed = not after or re.search(quote + r"[ \t]*(?:#|\Z)", after[0])
    if "${" in value or (quote == '"' and (_DOTENV_EXPANSION.search(value) or (compose and "$" in value))):
        problem = _EXPANDS
    elif disputed or quote == "`" or "\\" in value or not value.isprintable():
        problem = _DIFFERS
    return value, match.end(), problem


def _dotenv_bare(text: str, start: int, compose: bool) -> Tuple[str, int, str]:
    value, problem = text[start : _line_end(text, start)], ""
    value = re.split(" #" if compose else "[ \t]#", value)[0].rstrip(" \t")
    # Some begin a comment at any "#", some fail at a blank, some drop a backslash. compose keeps all that.
    odd = r"\t#|^#" if compose else r"[\s#\\]"
    if _DOTENV_EXPANSION.search(value) or (compose and "$" in value):
        problem = _EXPANDS
    elif re.search(odd, value) or not value.isprintable():
        problem = _DIFFERS
    return value, start + len(value), problem


def _dotenv_spellings(value: str) -> List[str]:
    return [*plain(value), f"'{value}'", f'"{value}"', value]
