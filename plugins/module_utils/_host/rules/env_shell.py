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

# What a command may do to all that comes after it, or to settings that nobody can name here.
_ENDS = "a shell may end here, and not read what comes after it"
_ELSEWHERE = "what this does to a setting stands elsewhere"
_UNCERTAIN = {
    **dict.fromkeys(("return", "exit", "exec", "trap", "shift"), _ENDS),
    **dict.fromkeys((".", "source", "eval", "alias", "unalias", "enable", "shopt", "break", "continue"), _ELSEWHERE),
}
# Where a shell knows these words, all depends on what follows them; others take them for the name of a command.
_SOME_SHELLS = ("[[", "select", "function", "coproc", "time")
# They make a command of their first word, or of another one.
_PREFIXES = ("command", "builtin")
# They set what their words name, some of them in some shells only.
_CHANGES = (
    "unset",
    "read",
    "typeset",
    "declare",
    "local",
    "printf",
    "let",
    "getopts",
    "mapfile",
    "readarray",
    "export",
    "readonly",
)
_EXPORTING = (("-a",), ("-o", "allexport"))
_NOT_EXPORTING = (("+a",), ("+o", "allexport"))
_NOT_EXPORTED = "is not handed on by every shell: `set +a` stands before it, so begin it with `export`"
_NAME = Pattern(r"([A-Za-z_][A-Za-z0-9_]*)(?:\+?=.*)?", re.DOTALL)
# In a word that is expanded: what ends the shell if it is not set, and what is set by the expansion.
_DEMANDS = Pattern(r"\$\{[A-Za-z0-9_@*#]+:?\?")
_SETS = Pattern(
    r"\$\{([A-Za-z_][A-Za-z0-9_]*):?=|(?:\$\(\(.*?|(?:\+\+|--)\s*)\b([A-Za-z_][A-Za-z0-9_]*)(?=\s*(?:\+\+|--|[-+*/%&|^]?=(?!=)|\)|[^A-Za-z0-9_]))",
    re.DOTALL,
)

_COMPOUND = "is part of a compound command, and not set in every case"
_GOES_ON = "a word or an operator goes on in the next line, and is another then than it seems: write it in one line"


class _Word(NamedTuple):
    raw: str
    value: str
    literal: bool  # no part of it is expanded
    bare: str  # those characters of it that no quotes protect
    start: int


def shell_assignments(text: str) -> Iterator[Assignment]:
    words: List[_Word] = []
    depth, parentheses, pos, before, ended = 0, 0, 0, "", "\n"
    redirected, header, exporting = False, "", True
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
            elif not words and word.raw in _SOME_SHELLS:
                raise error("broken", text, word.start, _ENDS)
            elif not words and word.raw in _SHELL_DEEPER:
                depth += _SHELL_DEEPER[word.raw]
                header = word.raw if word.raw in ("for", "case") else ""
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
        if ended == "(" and words and words[0].value in {*_UNCERTAIN, *_CHANGES, *_PREFIXES, "set"}:
            raise error("broken", text, words[0].start, _ELSEWHERE)
        _refuse(text, words, header)
        certain = not depth and not parentheses and before not in ("&&", "||", "|")
        exporting = _exporting(words, exporting, certain)
        for item in _header(header, words) if header else _shell_command(words):
            if not item.problem and not exporting and words[0].raw not in ("export", "readonly"):
                item = item._replace(problem=_NOT_EXPORTED)
            if depth or parentheses or before in ("&&", "||", "|") or ended in ("&", "|", "("):
                item = item._replace(problem=_COMPOUND)
            elif redirected:
                item = item._replace(problem="stands beside a redirection, which may fail")
            held.append(item)
        before = before if ended == "\n" and not words else ended
        if before not in ("&&", "||", "|"):
            yield from (item._replace(problem=_COMPOUND) if ended == "&" else item for item in held)
            held = []
        words, redirected, header = [], False, ""
        # A pattern of `case` closes what was never opened.
        parentheses = max(0, parentheses + (ended == "(") - (ended == ")"))


def _refuse(text: str, words: Sequence[_Word], header: str) -> None:
    """Raise EnvTextError where a command makes uncertain what comes after it, or what it sets."""
    for word in words:
        if not word.literal and _DEMANDS.search(word.raw):
            raise error("broken", text, word.start, _ENDS)
    called = [] if header else _called(words)
    if not called:
        return
    name, arguments = called[0], called[1:]
    plain_options = tuple(word.value for word in arguments)
    if not name.literal:
        raise error("broken", text, name.start, _ELSEWHERE)
    if name.value == "set" and plain_options not in _EXPORTING + _NOT_EXPORTING:
        raise error("broken", text, name.start, _ENDS)
    if name.value in _UNCERTAIN and not (name.value == "alias" and all(_harmless(word) for word in arguments)):
        raise error("broken", text, name.start, _UNCERTAIN[name.value])
    if name.value in _CHANGES and name.value != "printf":
        for word in arguments:
            if not (word.literal or _SHELL_ASSIGNMENT.match(word.raw)):
                raise error("broken", text, word.start, _ELSEWHERE)
            if (
                name.value in ("export", "readonly", "unset")
                and not word.value.startswith("-")
                and not _NAME.fullmatch(word.value)
            ):
                raise error("broken", text, word.start, _ENDS)


def _harmless(word: _Word) -> bool:
    """Whether an alias is of a name that no assignment and none of these commands begins with."""
    name = word.value.partition("=")[0]
    known = {*_UNCERTAIN, *_CHANGES, *_PREFIXES, *_SHELL_DEEPER, "set"}
    return word.literal and name not in known and not (name.isupper() or "_" in name)


def _called(words: Sequence[_Word]) -> Sequence[_Word]:
    """Return a command with its arguments, without what is set for it and what it is only handed to."""
    place = 0
    while place < len(words) and _SHELL_ASSIGNMENT.match(words[place].raw):
        place += 1
    while place < len(words) and words[place].value in _PREFIXES:
        place += 1
        while place < len(words) and words[place].value.startswith("-"):
            place += 1
    return words[place:]


def _exporting(words: Sequence[_Word], exporting: bool, certain: bool) -> bool:
    """Return whether what is set after this command is handed on for sure."""
    called = _called(words)
    if not called or called[0].value != "set":
        return exporting
    return tuple(word.value for word in called[1:]) in _EXPORTING and (certain or exporting)


def _header(header: str, words: Sequence[_Word]) -> Iterator[Assignment]:
    """What the words behind `for` and `case` set: `for` its variable."""
    yield from _expanded(words)
    for word in words[:1] if header == "for" else ():
        yield Assignment(word.value, "", "is changed by `for`", -1, word.start, word.start + len(word.raw))


def _expanded(words: Sequence[_Word]) -> Iterator[Assignment]:
    """What an expansion sets on its way."""
    for word in words:
        if not word.literal:
            for name in {name for found in _SETS.findall(word.raw) for name in found if name}:
                yield Assignment(name, "", "is changed by an expansion", -1, word.start, word.start + len(word.raw))


def _shell_command(words: Sequence[_Word]) -> Iterator[Assignment]:
    yield from _expanded(words)
    called = _called(words)
    command = called[0].value if called else ""
    exports = bool(words) and words[0].raw in ("export", "readonly")
    arguments = list(words[1:] if exports else words)
    options = "".join(f" {word.value}" for word in called[1:] if word.value.startswith(("-", "+")))
    if not exports and command in _CHANGES:
        # What is set for this command only is not what it sets.
        arguments = [word for word in words if word not in called]
        for word in called[1:]:
            name = _NAME.fullmatch(word.value)
            if name:
                said = " ".join(word.value for word in words[len(arguments) : words.index(called[0]) + 1])
                yield Assignment(name[1], "", f"is changed by `{said}`", -1, word.start, word.start + len(word.raw))
        exports = False
    matches = [_SHELL_ASSIGNMENT.match(word.raw) for word in arguments]
    for place, (word, match) in enumerate(zip(arguments, matches)):
        end = word.start + len(word.raw)
        if match and (exports or all(matches[:place])):
            problem = ""
            if not exports and not (all(matches) and len(arguments) == len(words)):
                problem = "is set for one command only"
            elif match[2]:
                problem = "is appended to"
            elif options:
                problem = f"is changed by `{command}{options}`"
            # An argument of `export` is subject to patterns, and in bash to braces.
            elif not word.literal or set("~*?[{" if exports else "~") & set(word.bare):
                problem = "holds what a shell expands: put it in single quotes"
            start = words[0].start if len(arguments) == 1 else -1
            yield Assignment(match[1], word.value[len(match[0]) :], problem, start, word.start + match.end(), end)
        elif exports and options:
            yield Assignment(word.value, "", f"is changed by `{command}{options}`", -1, word.start, end)


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


def shell_spellings(value: str) -> List[str]:
    if not value:
        return ["''", ""]  # quoted, for who reads the file with Ruby's dotenv
    return [*plain(value), "'" + value.replace("'", "'\\''") + "'"]
