# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of an env file: what its reader makes of our settings, and the text with other values.

A tokenizer per format finds every assignment and where its value stands. Only that stretch of text
is ever replaced, so that all else in the file stays byte for byte. Where the programs that read a
format disagree about a value, it is refused and not guessed: a wrong guess would be a wrong key.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import PhasedKeysError


class _Pattern:
    """A regular expression that is compiled when it is used first: a host reads one format, and pays for no other."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.asked = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        return getattr(re.compile(*self.asked), name)


FORMATS = ("systemd", "dotenv", "docker", "compose", "shell")


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


def read(text: str, form: str, names: Sequence[str]) -> Dict[str, str]:
    """Return the values of `names` as the reader of the format sees them; an absent one is left out."""
    return {name: found.value for name, found in _ours(text, form, names).items()}


def read_all(text: str, form: str) -> Dict[str, str]:
    """Return every setting that can be read, for an environment that only has to be like the application's."""
    return {item.name: item.value for item in _readings(text, form)[0] if not item.problem}


def rewrite(text: str, form: str, values: Mapping[str, Optional[str]]) -> str:
    """Return the text with these settings in place of what they were; None removes one."""
    found = _ours(text, form, list(values))
    new = text
    for name, value in values.items():
        if (found[name].value if name in found else None) != value:
            new = _without(new, form, name) if value is None else _with(new, form, name, value)
    if read(new, form, list(values)) != {name: value for name, value in values.items() if value is not None}:
        raise EnvTextError("unwritable", f"{', '.join(values)} would not be read back as written")
    return new


def _readings(text: str, form: str) -> List[List[Assignment]]:
    """Return every assignment of the text, once for each way in which the format's readers read it."""
    if form not in FORMATS:
        raise EnvTextError("format", f"app_keys_env_format is {form!r}; it is one of {', '.join(FORMATS)}")
    if "\0" in text:
        raise _error("broken", text, text.index("\0"), "a NUL byte, where readers stop or fail")
    if form == "systemd":
        return [list(_systemd(text, _OLD_COMMENT)), list(_systemd(text, _NEW_COMMENT))]
    if form == "docker":
        return [list(_docker(text))]
    return [list(_shell(text) if form == "shell" else _dotenv(text, form))]


def _ours(text: str, form: str, names: Sequence[str]) -> Dict[str, Assignment]:
    readings = []
    for reading in _readings(text, form):
        found: Dict[str, Assignment] = {}
        for item in (item for item in reading if item.name in names):
            if item.name in found:
                line = _line(text, found[item.name].value_start)
                raise _error("twice", text, item.value_start, f"{item.name} stands in line {line} already")
            found[item.name] = item
        readings.append(found)
    for name in names:
        first, last = readings[0].get(name), readings[-1].get(name)
        ours = first or last
        if ours and first != last:
            what = "comes after a comment with a backslash at its end, which goes on in this line before systemd 254"
            raise _error("broken", text, ours.value_start, f"{name} {what}")
        if ours and (ours.problem or re.search("[\ud800-\udfff]", ours.value)):
            raise _error("not_literal", text, ours.value_start, f"{name} {ours.problem or 'is not UTF-8'}")
    return readings[0]


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _error(kind: str, text: str, offset: int, what: str) -> EnvTextError:
    return EnvTextError(kind, f"line {_line(text, offset)}: {what}")


def _unclosed(text: str, offset: int) -> EnvTextError:
    return _error("broken", text, offset, "what is opened here is not closed, or not for every reader")


# --- writing -----------------------------------------------------------------

# Needs quotes in none of the formats.
_PLAIN = _Pattern(r"[A-Za-z0-9_@%+=:,./-]*")
_REST_OF_LINE = _Pattern(r"[ \t]*;?[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")


def _spellings(form: str, value: str) -> Iterator[str]:
    """How a value can be written, plainest first. Not each is right for each value: the reader says."""
    if form == "docker":
        yield value
        return
    if _PLAIN.fullmatch(value):
        yield value
    if form == "shell":
        yield "'" + value.replace("'", "'\\''") + "'"
        return
    if form != "systemd" or "\\" not in value:  # old versions take it as an escape in '...', too
        yield f"'{value}'"
    escaped = re.sub(r'(["\\`$])', r"\\\1", value) if form == "systemd" else value
    yield f'"{escaped}"'
    yield value


def _with(text: str, form: str, name: str, value: str) -> str:
    old = _ours(text, form, [name]).get(name)
    if value.isprintable():
        for spelling in _spellings(form, value):
            new = _appended(text, form, f"{name}={spelling}")
            if old:
                new = text[: old.value_start] + spelling + text[old.value_end :]
            try:
                if read(new, form, [name]) == {name: value} and _others(new, form, name) == _others(text, form, name):
                    return new
            except EnvTextError:
                pass  # the next spelling may be better
    what = f"{name} cannot be given its new value here so that every reader of {form} files reads it back"
    raise _error("unwritable", text, old.value_start if old else len(text), what)


def _without(text: str, form: str, name: str) -> str:
    old = _ours(text, form, [name])[name]
    start = max(text.rfind("\n", 0, old.start), text.rfind("\r", 0, old.start)) + 1
    rest = _REST_OF_LINE.match(text, old.value_end)
    if old.start >= 0 and rest and not text[start : old.start].strip(" \t"):
        new = text[:start] + text[rest.end() :]
        if not read(new, form, [name]) and _others(new, form, name) == _others(text, form, name):
            return new
    raise _error("unwritable", text, old.value_start, f"{name} cannot be removed, it shares its line with more")


def _appended(text: str, form: str, assignment: str) -> str:
    # A carriage return would be part of the value for a shell.
    newline = "\r\n" if form != "shell" and re.match(r"[^\n]*\r\n", text) else "\n"
    # A shell hands on what is exported, whether or not `set -a` was said before the file was sourced.
    exported = [bool(re.match("export[ \t]", text[item.start :])) for item in _readings(text, form)[0]]
    if form == "shell" or (form in ("dotenv", "compose") and exported and all(exported)):
        assignment = "export " + assignment
    return text + (newline if text and not text.endswith("\n") else "") + assignment + newline


def _others(text: str, form: str, name: str) -> List[List[Tuple[str, str, str]]]:
    """What all other settings are read as: a change of ours must not change them."""
    return [[item[:3] for item in reading if item.name != name] for reading in _readings(text, form)]


# --- systemd: EnvironmentFile= -----------------------------------------------
# parse_env_file_internal in src/basic/env-file.c, version 252. Whitespace is blank, tab, CR and LF, a line ends at CR
# or LF, comments stand alone on their line, `export` is nothing special. A quote opens only at the start or right
# after another closed; what follows joins on. Since version 254 a backslash no longer continues a comment.

_OLD_COMMENT = r"[#;](?:\\.|[^\\\r\n])*"
_NEW_COMMENT = r"[#;][^\r\n]*"
_SYSTEMD_NAME = r"(?P<name>[^ \t\r\n#;][^=\r\n]*)"  # the first character may even be "="
_SYSTEMD_QUOTED = _Pattern(r"[ \t]*(?:'(?P<single>[^']*)'|\"(?P<double>(?:\\.|[^\"\\])*)\")", re.DOTALL)
_SYSTEMD_BARE = _Pattern(r"[ \t]*(?P<bare>(?:[ \t]*(?:\\(?:.|\Z)|[^ \t\r\n\\]))*)[ \t]*", re.DOTALL)


def _systemd(text: str, comment: str) -> Iterator[Assignment]:
    head = re.compile(rf"[ \t\r\n]*(?:{comment}|{_SYSTEMD_NAME}(?P<equals>=?)|\Z)", re.DOTALL)
    pos = 0
    while pos < len(text):
        match = head.match(text, pos)
        pos = match.end() if match else len(text)
        if not match or not match["equals"]:
            continue
        value, start, end = "", pos, pos
        quoted = _SYSTEMD_QUOTED.match(text, end)
        while quoted:
            # Before other characters than these a backslash stays, as in a shell.
            inner = re.sub(r'\\(?:\n|(["\\`$]))', lambda found: found[1] or "", quoted["double"] or "")
            value += quoted["single"] or inner
            end = quoted.end()
            quoted = _SYSTEMD_QUOTED.match(text, end)
        bare = _SYSTEMD_BARE.match(text, end)
        if bare and bare["bare"]:
            if bare["bare"][0] in "'\"":
                raise _unclosed(text, bare.start("bare"))
            value += re.sub(r"(?s)\\(.?)", lambda found: found[1].strip("\r\n"), bare["bare"])
            end = bare.end("bare")
        pos = end
        start += len(text[start:end]) - len(text[start:end].lstrip(" \t"))
        yield Assignment(match["name"].rstrip(" \t"), value, "", match.start("name"), start, end)


# --- docker run --env-file ---------------------------------------------------
# pkg/kvfile/kvfile.go in docker/cli: the rest of the line is the value, quotes, blanks and "#" included.

_DOCKER_LINE = _Pattern(
    r"^(?:\A\ufeff)?[^\S\n]*(?P<name>[^\s=#][^=\n]*?)(?P<equals>=|(?=\r?$))(?P<value>.*?)(?=\r?$)", re.M
)


def _docker(text: str) -> Iterator[Assignment]:
    for match in _DOCKER_LINE.finditer(text):
        problem = "" if match["equals"] else "has no value here: docker takes that from the one who calls it"
        start, end = match.span("value")
        yield Assignment(match["name"], match["value"], problem, match.start("name"), start, end)


# --- dotenv and docker compose -----------------------------------------------
# dotenv is what these agree on: python-dotenv (src/dotenv/parser.py, variables.py), Ruby's dotenv (lib/dotenv/parser.rb
# and substitutions/), PHP's vlucas/phpdotenv (src/Parser/) and dotenv for node (LINE in lib/main.js). compose is
# dotenv/parser.go and template/template.go in compose-spec/compose-go; what python-dotenv reads otherwise is refused
# there too, since podman-compose reads with that.

_DOTENV_HEAD = _Pattern(r"(?:export[ \t]+)?(?P<name>[^\s=:#'\"]+)[ \t]*(?P<equals>[=:]|(?=[\r\n#]|\Z))[ \t]*")
_DOTENV_QUOTED = {quote: _Pattern(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", re.DOTALL) for quote in "'\"`"}
_DOTENV_AFTER_QUOTE = _Pattern(r"[ \t]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")
# phpdotenv takes a line with one double quote, right after an equals sign, for the first of several, even if it is a
# comment, and python-dotenv one that begins with a single quote.
_DOTENV_GOES_ON = _Pattern(r"[^\"]*=\"(?:[^\"]|\\\")*|(?:export[ \t]+)?'[^']*")
_DIFFERS = "is read differently by the readers of this format: put it in single quotes, without backslashes"
_EXPANDS = "holds a $ that some reader expands: put it in single quotes"
# Ruby's dotenv expands $NAME and $(command), python-dotenv ${NAME}, and that even in single quotes.
_DOTENV_EXPANSION = _Pattern(r"\$[A-Za-z0-9_({]")


def _dotenv(text: str, form: str) -> Iterator[Assignment]:
    pos = 1 if text.startswith("\ufeff") else 0
    while pos < len(text):
        if text[pos].isspace():
            pos += 1
            continue
        start, head = pos, _DOTENV_HEAD.match(text, pos)
        if head:
            pos = head.end()
            quoted = head["equals"] and text[pos : pos + 1] in _DOTENV_QUOTED
            value, end, problem = (_dotenv_quoted if quoted else _dotenv_bare)(text, pos, form)
            if head["equals"] != "=" or (form == "dotenv" and start == 1 and text[0] == "\ufeff"):
                problem = "does not stand at the start of a line with an equals sign after it, as every reader needs it"
            yield Assignment(head["name"], value, problem, start, pos, end)
            pos = end
        pos = _line_end(text, pos)
        line = text[start:pos]
        if form == "dotenv" and "\n" not in line and _DOTENV_GOES_ON.fullmatch(line):
            raise _unclosed(text, start)


def _line_end(text: str, pos: int) -> int:
    return min((end for end in (text.find("\n", pos), text.find("\r", pos)) if end >= 0), default=len(text))


def _dotenv_quoted(text: str, start: int, form: str) -> Tuple[str, int, str]:
    quote = text[start]
    match = _DOTENV_QUOTED[quote].match(text, start)
    after = match and _DOTENV_AFTER_QUOTE.match(text, match.end())
    # A value of several lines ends for some at a quote of its first line, where others take that as escaped.
    if not match or ("\n" in match[1] and (not after or quote in match[1].split("\n")[0])):
        raise _unclosed(text, start)
    value, problem = match[1], ""
    # Ruby's dotenv 2.4 goes on to the last quote of a line.
    disputed = not after or re.search(quote + r"[ \t]*(?:#|\Z)", after[0])
    if "${" in value or (quote == '"' and (_DOTENV_EXPANSION.search(value) or (form == "compose" and "$" in value))):
        problem = _EXPANDS
    elif disputed or quote == "`" or "\\" in value or not value.isprintable():
        problem = _DIFFERS
    return value, match.end(), problem


def _dotenv_bare(text: str, start: int, form: str) -> Tuple[str, int, str]:
    value, problem = text[start : _line_end(text, start)], ""
    value = re.split(" #" if form == "compose" else "[ \t]#", value)[0].rstrip(" \t")
    # Some begin a comment at any "#", some fail at a blank, some drop a backslash. compose keeps all that.
    odd = r"\t#|^#" if form == "compose" else r"[\s#\\]"
    if _DOTENV_EXPANSION.search(value) or (form == "compose" and "$" in value):
        problem = _EXPANDS
    elif re.search(odd, value) or not value.isprintable():
        problem = _DIFFERS
    return value, start + len(value), problem


# --- a file that a POSIX shell sources ---------------------------------------
# "Shell Command Language" of POSIX.1-2017, sections 2.2 (quoting), 2.3 (tokens), 2.6 (expansions) and 2.9.1 (simple
# commands). What is not an assignment at the top level is stepped over as words and operators.

_SHELL_GAP = _Pattern(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_SHELL_OPERATOR = _Pattern(r"\n|&&|\|\||;;|<<|[<>][>&|]?|[;&|()]|\Z")
_SHELL_BARE = _Pattern(r"[^ \t\n;&|()<>'\"\\$`]+")
_SHELL_ASSIGNMENT = _Pattern(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
# Words before a command, and how much deeper inside compound commands it is after them.
_SHELL_DEEPER = dict.fromkeys(("if", "while", "until", "for", "case", "{"), 1)
_SHELL_DEEPER.update(dict.fromkeys(("fi", "done", "esac", "}"), -1))
_SHELL_DEEPER.update(dict.fromkeys(("then", "else", "elif", "do", "!"), 0))

_COMPOUND = "is part of a compound command, and not set in every case"


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
        if ended == "<<":
            raise _error("broken", text, pos, "a here-document, whose end is not looked for")
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
            value += text[begin + 1 : pos].replace("\n", "")
            literal = literal and pos <= len(text)
        elif char == "'":
            pos = text.find("'", pos + 1) + 1
            if not pos:
                raise _unclosed(text, begin)
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
        raise _unclosed(text, start)
    return pos + 1
