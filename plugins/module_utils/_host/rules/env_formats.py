# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of env files: how the programs that read one take it apart, and how a value is written for them.

`FORMATS`, at the end, holds one entry for each, and nothing else knows a format by its name (CONTRIBUTING.md says how to add one).
Where the readers of a format disagree about a value, it is refused and not guessed: a wrong guess would be a wrong key.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

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


class Format(NamedTuple):
    """How the readers of one kind of env file see it, and how a value is written for them.

    readings   every assignment of a text, in the order of the text: once for each way in which the format's readers read it
    spellings  how a value can be written, plainest first. Not each is right for each value: it is read back before it is used
    disputed   what is said of a setting that not all of these readings see alike
    exports    whether an assignment that is added begins with `export`, told whether each of those that are there does
    crlf       whether CR LF ends a line, where the file has it so; else the CR would be part of the value
    """

    readings: Callable[[str], Sequence[Iterable[Assignment]]]
    spellings: Callable[[str], Iterable[str]]
    disputed: str = "is read differently by the readers of this format"
    exports: Callable[[Sequence[bool]], bool] = lambda present: False
    crlf: bool = True


def named(name: str) -> Format:
    """Return the format that `app_keys_env_format` names; EnvTextError where there is none."""
    if name not in FORMATS:
        raise EnvTextError("format", f"app_keys_env_format is {name!r}; it is one of {', '.join(FORMATS)}")
    return FORMATS[name]


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def error(kind: str, text: str, offset: int, what: str) -> EnvTextError:
    return EnvTextError(kind, f"line {line_of(text, offset)}: {what}")


def _unclosed(text: str, offset: int) -> EnvTextError:
    return error("broken", text, offset, "what is opened here is not closed, or not for every reader")


# Needs quotes in none of the formats.
_PLAIN = Pattern(r"[A-Za-z0-9_@%+=:,./-]*")


def _plain(value: str) -> List[str]:
    return [value] if _PLAIN.fullmatch(value) else []


# --- systemd: EnvironmentFile= -----------------------------------------------
# parse_env_file_internal in src/basic/env-file.c, version 252. Whitespace is blank, tab, CR and LF, a line ends at CR
# or LF, comments stand alone on their line, `export` is nothing special. A quote opens only at the start or right
# after another closed; what follows joins on. Since version 254 a backslash no longer continues a comment.

_OLD_COMMENT = r"[#;](?:\\.|[^\\\r\n])*"
_NEW_COMMENT = r"[#;][^\r\n]*"
_SYSTEMD_NAME = r"(?P<name>[^ \t\r\n#;][^=\r\n]*)"  # the first character may even be "="
_SYSTEMD_QUOTED = Pattern(r"[ \t]*(?:'(?P<single>[^']*)'|\"(?P<double>(?:\\.|[^\"\\])*)\")", re.DOTALL)
_SYSTEMD_BARE = Pattern(r"[ \t]*(?P<bare>(?:[ \t]*(?:\\(?:.|\Z)|[^ \t\r\n\\]))*)[ \t]*", re.DOTALL)


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


def _systemd_spellings(value: str) -> List[str]:
    single = [f"'{value}'"] if "\\" not in value else []  # old versions take it as an escape in '...', too
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return [*_plain(value), *single, f'"{escaped}"', value]


# --- docker run --env-file ---------------------------------------------------
# pkg/kvfile/kvfile.go in docker/cli: the rest of the line is the value, quotes, blanks and "#" included.

_DOCKER_LINE = Pattern(
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
            raise _unclosed(text, start)


def _line_end(text: str, pos: int) -> int:
    return min((end for end in (text.find("\n", pos), text.find("\r", pos)) if end >= 0), default=len(text))


def _dotenv_quoted(text: str, start: int, compose: bool) -> Tuple[str, int, str]:
    quote = text[start]
    match = _DOTENV_QUOTED[quote].match(text, start)
    after = match and _DOTENV_AFTER_QUOTE.match(text, match.end())
    # A value of several lines ends for some at a quote of its first line, where others take that as escaped.
    if not match or ("\n" in match[1] and (not after or quote in match[1].split("\n")[0])):
        raise _unclosed(text, start)
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
    return [*_plain(value), f"'{value}'", f'"{value}"', value]


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


def _shell_spellings(value: str) -> List[str]:
    return [*_plain(value), "'" + value.replace("'", "'\\''") + "'"]


# --- the registry ------------------------------------------------------------


def _if_all_do(present: Sequence[bool]) -> bool:
    return bool(present) and all(present)


FORMATS: Dict[str, Format] = {
    "systemd": Format(
        readings=lambda text: [_systemd(text, _OLD_COMMENT), _systemd(text, _NEW_COMMENT)],
        spellings=_systemd_spellings,
        disputed="comes after a comment with a backslash at its end, which goes on in this line before systemd 254",
    ),
    "dotenv": Format(
        readings=lambda text: [_dotenv(text, compose=False)],
        spellings=_dotenv_spellings,
        exports=_if_all_do,
    ),
    "docker": Format(
        readings=lambda text: [_docker(text)],
        spellings=lambda value: [value],
    ),
    "compose": Format(
        readings=lambda text: [_dotenv(text, compose=True)],
        spellings=_dotenv_spellings,
        exports=_if_all_do,
    ),
    # A shell hands on what is exported, whether or not `set -a` was said before the file was sourced.
    "shell": Format(
        readings=lambda text: [_shell(text)],
        spellings=_shell_spellings,
        exports=lambda present: True,
        crlf=False,
    ),
}
