# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that a POSIX shell sources: its assignments, and all that makes it uncertain whether they are made."""

from __future__ import annotations

import re
from typing import Iterator, List, NamedTuple, Sequence

from .env_parts import Assignment, Pattern, error, plain, unclosed

# --- a file that a POSIX shell sources ---------------------------------------
# "Shell Command Language" of POSIX.1-2017, sections 2.2 (quoting), 2.3 (tokens), 2.6 (expansions) and 2.9.1 (simple
# commands). What is not an assignment at the top level is stepped over as words and operators.

_SHELL_GAP = Pattern(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_SHELL_OPERATOR = Pattern(r"\n|&&|\|\||;;|<<|[<>][>&|]?|[;&|()]|\Z")
_SHELL_BARE = Pattern(r"[^ \t\n;&|()<>'\"\\$`]+")
_SHELL_ASSIGNMENT = Pattern(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
# Words before a command, and how much deeper inside compound commands it is after them.
_SHELL_DEEPER = dict.fromkeys(("if", "while", "until", "for", "case", "{"), 1)
_SHELL_DEEPER.update(dict.fromkeys(("fi", "done", "esac", "}"), -1))
_SHELL_DEEPER.update(dict.fromkeys(("then", "else", "elif", "do", "!"), 0))

_COMPOUND = "is part of a compound command, and not set in every case"
_GOES_ON = "a word or an operator goes on in the next line, and is another then than it seems: write it in one line"


class _Word(NamedTuple):
    raw: str
    value: str
    literal: bool
    bare: str  # those characters of it that no quotes protect
    start: int


def _shell(text: str) -> Iterator[Assignment]:
    words: List[_Word] = []
    depth, parentheses, pos, before, ended = 0, 0, 0, "", "\n"
    redirected = False
    held: List[Assignment] = []  # of the list of commands that is being read: one that ends with & is another process's
    while ended:
        gap = _SHELL_GAP.match(text, pos)
        pos = gap.end() if gap else pos
        operator = _SHELL_OPERATOR.match(text, pos)
        if not operator:
            word = _shell_word(text, pos)
            pos += len(word.raw)
            if ended[:1] in ("<", ">"):
                ended = "\n"  # this word was the name of the file
            elif not words and word.raw in _SHELL_DEEPER:
                depth += _SHELL_DEEPER[word.raw]
            else:
                words.append(word)
            continue
        pos, ended = operator.end(), operator[0]
        if ended.strip() and text.startswith("\\\n", pos):
            raise error("broken", text, pos, _GOES_ON)
        if ended == "<<":
            raise error("broken", text, pos, "a here-document, whose end is not looked for")
        if ended[:1] in ("<", ">"):
            redirected = True
            continue
        for item in _shell_command(words):
            if depth or parentheses or before in ("&&", "||", "|") or ended in ("&", "|", "("):
                item = item._replace(problem=_COMPOUND)
            elif redirected:
                item = item._replace(problem="stands beside a redirection, which may fail")
            held.append(item)
        before = before if ended == "\n" and not words else ended
        if before not in ("&&", "||", "|"):
            yield from (item._replace(problem=_COMPOUND) if ended == "&" else item for item in held)
            held = []
        words, redirected = [], False
        # A pattern of `case` closes what was never opened.
        parentheses = max(0, parentheses + (ended == "(") - (ended == ")"))


def _shell_command(words: Sequence[_Word]) -> Iterator[Assignment]:
    command = words[0].raw if words else ""
    exports = command in ("export", "readonly")
    arguments = list(words[1:] if exports else words)
    matches = [_SHELL_ASSIGNMENT.match(word.raw) for word in arguments]
    for place, (word, match) in enumerate(zip(arguments, matches)):
        end = word.start + len(word.raw)
        if match and (exports or all(matches[:place])):
            problem = ""
            if not exports and not all(matches):
                problem = "is set for one command only"
            elif match[2]:
                problem = "is appended to"
            # An argument of `export` is subject to patterns, and in bash to braces.
            elif not word.literal or set("~*?[{" if exports else "~") & set(word.bare):
                problem = "holds what a shell expands: put it in single quotes"
            start = words[0].start if len(arguments) == 1 else -1
            yield Assignment(match[1], word.value[len(match[0]) :], problem, start, word.start + match.end(), end)
        elif command in ("unset", "read"):
            yield Assignment(word.value, "", f"is changed by `{command}`", -1, word.start, end)


def _shell_word(text: str, start: int) -> _Word:
    value, bare, literal, pos = "", "", True, start
    while pos < len(text) and text[pos] not in " \t\n;&|()<>":
        begin, char = pos, text[pos]
        plain = _SHELL_BARE.match(text, pos)
        if plain:
            pos = plain.end()
            value += plain[0]
            bare += plain[0]
        elif char == "\\":
            pos += 2
            if text[begin + 1 : pos] == "\n" and "=" not in text[start:begin]:
                raise error("broken", text, begin, _GOES_ON)
            value += text[begin + 1 : pos].replace("\n", "")
            literal = literal and pos <= len(text)
        elif char == "'":
            pos = text.find("'", pos + 1) + 1
            if not pos:
                raise unclosed(text, begin)
            value += text[begin + 1 : pos - 1]
        else:
            pos = _shell_end(text, pos)
            inner = text[begin + 1 : pos - 1]
            literal = literal and char == '"' and not re.search("[$`]", re.sub(r"(?s)\\.", "", inner))
            value += re.sub(r'\\(?:\n|([$`"\\]))', lambda found: found[1] or "", inner)
    return _Word(text[start:pos], value, literal, bare, start)


def _shell_end(text: str, start: int) -> int:
    """Return where that ends which begins here with a double quote, a backquote, $ or (."""
    opened = next(opener for opener in ("$(", "${", "$", '"', "`", "(") if text.startswith(opener, start))
    closes, pos = {"$(": ")", "${": "}", "(": ")"}.get(opened, opened), start + len(opened)
    if opened == "$":
        return pos
    while pos < len(text) and text[pos] != closes:
        if text[pos] == "\\":
            pos += 2
        elif text[pos] == "'" and opened != '"':
            pos = text.find("'", pos + 1) + 1 or len(text)
        elif text[pos] in '"`$' or (text[pos] == "(" and closes == ")"):
            pos = _shell_end(text, pos)
        else:
            pos += 1
    if pos >= len(text):
        raise unclosed(text, start)
    return pos + 1


def _shell_spellings(value: str) -> List[str]:
    return [*plain(value), "'" + value.replace("'", "'\\''") + "'"]
