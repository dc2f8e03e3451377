# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""dotenv files: what their readers have in common, and each of them by itself.

A setting of ours is taken as the common rules say it. Beside them each reader's own grammar is followed as far as it says
which settings there are and where each begins and ends; where that is not what the common rules say, it is refused.
"""

from __future__ import annotations

import re
from typing import Callable, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .env_parts import Assignment, Pattern, error, plain, unclosed
from .errors import PhasedKeysError

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
_EXPANDS_ALWAYS = (
    "holds a $ that dotenv-expand for node expands even in single quotes: name the reader that the application has as app_keys_env_format, "
    "or give it a key without"
)
# Ruby's dotenv expands $NAME and $(command), python-dotenv ${NAME}, and that even in single quotes.
_DOTENV_EXPANSION = Pattern(r"\$[A-Za-z0-9_({]")


def common(text: str, compose: bool = False, expand: bool = False) -> Iterator[Assignment]:
    """What all readers agree on; with `expand` a $ is nowhere itself, and `compose` is docker compose's own grammar."""
    pos = 1 if text.startswith("\ufeff") else 0
    while pos < len(text):
        if text[pos].isspace():
            pos += 1
            continue
        start, head = pos, _DOTENV_HEAD.match(text, pos)
        if (
            compose
            and text.startswith("\r", _line_end(text, pos))
            and not text.startswith("\r\n", _line_end(text, pos))
        ):
            raise error("broken", text, start, "a CR without an LF, where some readers end the line and others do not")
        if head:
            pos = head.end()
            quoted = head["equals"] and text[pos : pos + 1] in _DOTENV_QUOTED
            value, end, problem = (_dotenv_quoted if quoted else _dotenv_bare)(text, pos, compose)
            if head["equals"] != "=" or (not compose and start == 1 and text[0] == "\ufeff"):
                problem = "does not stand at the start of a line with an equals sign after it, as every reader needs it"
            elif expand and not problem and _DOTENV_EXPANSION.search(value):
                problem = _EXPANDS_ALWAYS
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


def spellings(value: str) -> List[str]:
    # Ruby's dotenv from 3.1.8 on reads no file with `export NAME=` and nothing behind it.
    if not value:
        return ["''"]
    return [*plain(value), f"'{value}'", f'"{value}"', value]


# --- each reader by itself ---------------------------------------------------


class Fails(PhasedKeysError):
    """A reader stops at this file: an application that has it does not start, and no setting is hidden from anybody."""


def _lines(text: str) -> Tuple[str, Sequence[int]]:
    """Return the text with LF at the end of each line, as most readers make it first, and where each character stood."""
    if "\r" not in text:
        return text, range(len(text) + 1)
    places = [place for place, char in enumerate(text) if char != "\n" or text[place - 1 : place] != "\r"]
    return re.sub("\r\n?", "\n", text), [*places, len(text)]


def _raw(name: str, text: str, start: int, end: int, places: Sequence[int], begin: int) -> Assignment:
    """The assignment whose value stands between two places, without blanks around it and without quotes."""
    written = text[start:end]
    start += len(written) - len(written.lstrip())
    written = written.strip()
    quoted = len(written) > 1 and written[0] in _DOTENV_QUOTED and written[0] == written[-1]
    return Assignment(
        name, written[1:-1] if quoted else written, "", places[begin], places[start], places[start + len(written)]
    )


DISPUTED = (
    "is read differently by the readers of this format: write it as NAME=value at the start of a line, or name the reader that the "
    "application has as app_keys_env_format"
)
_NO_VALUE = "has no value here for some reader"

# dotenv/parser.py of python-dotenv 1.
_PYTHON_KEY = Pattern(
    r"\s*(?:export[^\S\r\n]+)?(?:(?P<comment>\#)|'(?P<quoted>[^']+)'|(?P<bare>(?!')[^=\#\s]+))?[^\S\r\n]*"
)
_PYTHON_VALUE = Pattern(r"=[^\S\r\n]*(?P<value>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|(?!['\"])[^\r\n]*)", re.DOTALL)
_PYTHON_END = Pattern(r"[^\r\n]*?(?:[^\S\r\n]*\#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|\Z)")
_PYTHON_AFTER_QUOTES = Pattern(r"(?:[^\S\r\n]*\#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|\Z)")


def _python(text: str) -> Iterator[Assignment]:
    pos = 1 if text.startswith("\ufeff") else 0
    places = range(len(text) + 1)
    while pos < len(text):
        head = _PYTHON_KEY.match(text, pos)
        name = head["quoted"] or head["bare"]
        pos, begin = head.end(), head.start() + len(head[0]) - len(head[0].lstrip())
        if name:
            value = _PYTHON_VALUE.match(text, pos)
            at = value.end() if value else pos
            quoted = value is None or value["value"][:1] in ("'", '"')
            if text.startswith("=", pos) and not value:
                pass  # a quote that is not closed: the line says nothing
            elif not (_PYTHON_AFTER_QUOTES if quoted else _PYTHON_END).match(text, at):
                pos = at  # what is skipped is the rest of the line in which the quotes end
            elif value:
                pos = at
                marks = () if quoted else re.finditer("#", value["value"])
                ends = (mark.start() for mark in marks if value["value"][mark.start() - 1 : mark.start()].isspace())
                at = value.start("value") + next(ends, len(value["value"]))
                yield _raw(name, text, value.start("value"), at, places, begin)
            else:
                yield Assignment(name, "", _NO_VALUE, begin, pos, pos)
        end = _line_end(text, pos)
        pos = end + (2 if text.startswith("\r\n", end) else 1)


# LINE in lib/main.js of dotenv 15 to 17; what JavaScript takes for blanks and for the end of a line.
_JS_BLANK = "\\t\\n\\v\\f\\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
# LINE in lib/dotenv/parser.rb of Ruby's dotenv 2.7.3 to 3.1.7, and from 3.1.8 on, where a name needs no value.
_RUBY_BLANK = "\\t\\n\\v\\f\\r "


def _line_pattern(blank: str, name: str, quotes: str, bare: str, alone: bool) -> Pattern:
    quoted = "|".join(f"[{blank}]*{quote}(?:\\\\{quote}|[^{quote}])*{quote}" for quote in quotes)
    value = f"(?:[{blank}]*=[{blank}]*?|:[{blank}]+?)(?P<value>{quoted}|[^{bare}]+)?"
    # A line begins at its first character that is no blank: what the blank lines before it are taken for is no matter.
    begin = f"^(?:(?!\\n)[{blank}])*(?P<export>export[{blank}]+)?(?P<key>{name})"
    end = f"[{blank}]*(?:\\#.*)?$"
    return Pattern(begin + (f"(?:{value})?" if alone else value) + end, re.M)


_NODE = _line_pattern(_JS_BLANK, "[A-Za-z0-9_.-]+", "'\"`", "#\\r\\n", alone=False)
_RUBY = _line_pattern(_RUBY_BLANK, "[A-Za-z0-9_.]+", "'\"", "#\\r\\n", alone=False)
_RUBY_ALONE = _line_pattern(_RUBY_BLANK, "[A-Za-z0-9_.]+", "'\"", "#\\n", alone=True)
# LINE of Ruby's dotenv up to 2.7.2, which takes one line after the other.
_OLD_RUBY = Pattern(
    r"^[ \t\v\f]*(?P<export>export[ \t\v\f]+)?(?P<key>[A-Za-z0-9_.]+)(?:[ \t\v\f]*=[ \t\v\f]*|:[ \t\v\f]+?)"
    r"(?P<value>'.*'|\".*\"|[^#\n]+)?[ \t\v\f]*(?:\#.*)?$",
    re.M,
)


def _by_line(text: str, pattern: Pattern) -> Iterator[Assignment]:
    lines, places = _lines(text)
    known = set()
    for found in pattern.finditer(lines):
        if found["value"] is not None:
            yield _raw(found["key"], lines, found.start("value"), found.end("value"), places, found.start())
        elif pattern is _RUBY_ALONE and found["export"] and found["key"] not in known:
            raise Fails(f"Ruby's dotenv stops at `export {found['key']}` without a value")
        else:
            end = places[found.end("key")]
            equals = re.compile(r"[^=\n]*=[ \t]*").match(lines, found.end("key"))
            problem = "" if equals and equals.end() <= found.end() else _NO_VALUE
            at = places[equals.end()] if equals and not problem else end
            yield Assignment(found["key"], "", problem, places[found.start()], at, at)
        known.add(found["key"])


def _old_ruby(text: str) -> Iterable[Assignment]:
    """Each line by itself, also within quotes; what comes last counts."""
    return {item.name: item for item in _by_line(text, _OLD_RUBY)}.values()


def _node(text: str) -> Iterator[Assignment]:
    for char in "\u2028\u2029":
        if char in text:
            raise error("broken", text, text.index(char), "a line separator of Unicode, where only node ends the line")
    return _by_line(text, _NODE)


# src/Parser/Lines.php and EntryParser.php of vlucas/phpdotenv 5.
_PHP_BLANK = " \t\n\r\0\x0b"
_PHP_NAME = Pattern(r"(?:(?=.{9})export[ \t\n\v\f\r]+)?(?P<name>'[A-Za-z0-9_.]+'|\"[A-Za-z0-9_.]+\"|[A-Za-z0-9_.]+)")
_PHP_SINGLE = Pattern(r"'[^']*'\s*(?:\#.*)?", re.DOTALL)
_PHP_DOUBLE = Pattern(r'"(?:\\["\\$fnrtv]|[^"\\])*"\s*(?:\#.*)?', re.DOTALL)
_PHP_BARE = Pattern(r"(?P<value>[^\s#]*)(?:\s+)?(?:\#.*)?", re.DOTALL)


def _php(text: str) -> Iterator[Assignment]:
    lines, places = _lines(text)
    start, opened = 0, -1
    for line in lines.split("\n"):
        marks = len(re.findall(r'(?=[^\\]")', line.replace("\\\\", "")))
        begins = '="' in line and line != '"' and marks <= 1
        opened = start if begins and opened < 0 else opened
        if opened >= 0 and (line == '"' or (not begins and marks)):
            yield from _php_entry(lines, opened, start + len(line), places)
            opened = -1
        elif opened < 0:
            yield from _php_entry(lines, start, start + len(line), places)
        start += len(line) + 1


def _php_entry(lines: str, start: int, end: int, places: Sequence[int]) -> Iterator[Assignment]:
    entry = lines[start:end]
    if entry.strip(_PHP_BLANK)[:1] in ("", "#"):
        return
    written, equals, value = entry.partition("=")
    name = _PHP_NAME.fullmatch(written.strip(_PHP_BLANK) if equals else written)
    if not name:
        raise Fails("phpdotenv stops at a line that is no setting")
    at = start + len(written) + 1
    if not equals:
        yield Assignment(name["name"].strip("'\""), "", _NO_VALUE, places[start], places[end], places[end])
        return
    stripped = value.strip(_PHP_BLANK)
    form = {"'": _PHP_SINGLE, '"': _PHP_DOUBLE}.get(stripped[:1], _PHP_BARE)
    found = form.fullmatch(stripped)
    if not found:
        raise Fails("phpdotenv stops at a value that it cannot read")
    at += len(value) - len(value.lstrip(_PHP_BLANK))
    length = len(found["value"]) if form is _PHP_BARE else stripped.index(stripped[0], 1) + 1
    if form is _PHP_DOUBLE:
        length = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL).match(stripped).end()  # type: ignore[union-attr]
    yield _raw(name["name"].strip("'\""), lines, at, at + length, places, start)


# src/node_dotenv.cc of node, whose versions from 20.6 to 24 differ in nearly all that is not the plainest: no setting of
# ours is read from a file that has anything else.
_ENV_FILE_LINE = Pattern(
    r"(?:(?P<head>(?:export )?(?P<name>[A-Za-z_][A-Za-z0-9_.]*) *= *)(?P<value>'[^'\\\r\n]*'|\"[^\"\\\r\n]*\"|[^\s'\"`\#\\]*)"
    r"(?: +\#[^'\"`\r\n]*| *)|\#[^\r\n]*|)(?:\r?\n|\Z)"
)


def _env_file(text: str) -> Iterator[Assignment]:
    pos, empty = 0, False
    while pos < len(text):
        line = _ENV_FILE_LINE.match(text, pos)
        if not line:
            raise error(
                "broken",
                text,
                pos,
                "is not read alike by all versions of node: begin it with NAME= or a #, and quote all that is not plain",
            )
        if line["name"]:
            found = _raw(line["name"], text, line.start("value"), line.end("value"), range(len(text) + 1), pos)
            problem = "comes after a setting without a value, which some versions of node take it for" if empty else ""
            yield found._replace(problem=problem or ("" if found.value.isprintable() else _DIFFERS))
            empty = not line["value"]
        pos = line.end()


class Reader(NamedTuple):
    """A reader of dotenv files: how its versions read one, and whether a $ in single quotes may be expanded."""

    versions: Sequence[Callable[[str], Iterable[Assignment]]]
    expand: bool = False
    common: bool = True  # whether it reads what all others read, too


READERS: Mapping[str, Reader] = {
    "python-dotenv": Reader([_python]),
    "node-dotenv": Reader([_node], expand=True),
    "ruby-dotenv": Reader([_old_ruby, lambda text: _by_line(text, _RUBY), lambda text: _by_line(text, _RUBY_ALONE)]),
    "phpdotenv": Reader([_php]),
    "node-env-file": Reader([_env_file], common=False),
}


def named(name: str, text: str) -> List[Optional[Iterable[Assignment]]]:
    """How the versions of one reader read a text."""
    reader = READERS[name]
    found: List[Optional[Iterable[Assignment]]] = []
    for version in reader.versions:
        try:
            found.append(list(version(text)))
        except Fails as fails:
            raise error("broken", text, 0, f"{fails}, and an application with it does not start") from None
    return [list(common(text, expand=reader.expand)), *found] if reader.common else found


def shared(text: str) -> List[Optional[Iterable[Assignment]]]:
    """How all readers that have the common rules read a text; None for one that stops at it, and so is nobody's."""
    found: List[Optional[Iterable[Assignment]]] = [list(common(text, expand=True))]
    for version in [version for reader in READERS.values() if reader.common for version in reader.versions]:
        try:
            found.append(list(version(text)))
        except Fails:
            found.append(None)
    return found
