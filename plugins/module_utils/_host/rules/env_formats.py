# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of env files: how the programs that read one take it apart, and how a value is written for them.

`FORMATS`, at the end, holds one entry for each, and nothing else knows a format by its name (CONTRIBUTING.md says how to add one).
Where the readers of a format disagree about a value, it is refused and not guessed: a wrong guess would be a wrong key.
"""

from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from . import env_dotenv
from .env_parts import Assignment, EnvTextError, Pattern, error, line_of, plain, unclosed
from .env_shell import shell_assignments, shell_spellings

__all__ = ["FORMATS", "Assignment", "EnvTextError", "Format", "Pattern", "error", "line_of", "named"]


class Format(NamedTuple):
    """How the readers of one kind of env file see it, and how a value is written for them.

    readings   every assignment of a text, in the order of the text: once for each way in which the format's readers read it;
               None where one stops at the file, and so is not the application's
    spellings  how a value can be written, plainest first. Not each is right for each value: it is read back before it is used
    disputed   what is said of a setting that not all of these readings see alike
    exports    whether an assignment that is added begins with `export`, told whether each of those that are there does
    crlf       whether CR LF ends a line, where the file has it so; else the CR would be part of the value
    """

    readings: Callable[[str], Sequence[Optional[Iterable[Assignment]]]]
    spellings: Callable[[str], Iterable[str]]
    disputed: str = "is read differently by the readers of this format"
    exports: Callable[[Sequence[bool]], bool] = lambda present: False
    crlf: bool = True


def named(name: str) -> Format:
    """Return the format that `app_keys_env_format` names; EnvTextError where there is none."""
    if name not in FORMATS:
        raise EnvTextError("format", f"app_keys_env_format is {name!r}; it is one of {', '.join(FORMATS)}")
    return FORMATS[name]


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
                raise unclosed(text, bare.start("bare"))
            value += re.sub(r"(?s)\\(.?)", lambda found: found[1].strip("\r\n"), bare["bare"])
            end = bare.end("bare")
        pos = end
        start += len(text[start:end]) - len(text[start:end].lstrip(" \t"))
        yield Assignment(match["name"].rstrip(" \t"), value, "", match.start("name"), start, end)


def _systemd_spellings(value: str) -> List[str]:
    single = [f"'{value}'"] if "\\" not in value else []  # old versions take it as an escape in '...', too
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return [*plain(value), *single, f'"{escaped}"', value]


# --- docker run --env-file ---------------------------------------------------
# pkg/kvfile/kvfile.go in docker/cli: the rest of the line is the value, quotes, blanks and "#" included.

_DOCKER_LINE = Pattern(
    r"^(?:\A\ufeff)?[^\S\n]*(?P<name>[^\s=#][^=\n]*?)(?P<equals>=|(?=\r?$))(?P<value>.*?)(?=\r?$)", re.M
)


# bufio.MaxScanTokenSize of Go: docker reads no file with a longer line.
_LONGEST = 64 * 1024 - 2


def _docker(text: str) -> Iterator[Assignment]:
    start = 0
    for line in text.split("\n"):
        if len(line) * 4 > _LONGEST and len(line.encode("utf-8", "surrogateescape")) > _LONGEST:
            raise error("broken", text, start, "is longer than the 64 KiB that docker reads")
        start += len(line) + 1
    for match in _DOCKER_LINE.finditer(text):
        problem = "" if match["equals"] else "has no value here: docker takes that from the one who calls it"
        start, end = match.span("value")
        yield Assignment(match["name"], match["value"], problem, match.start("name"), start, end)


# --- the registry ------------------------------------------------------------


def _if_all_do(present: Sequence[bool]) -> bool:
    return bool(present) and all(present)


def _dotenv(name: str) -> Format:
    return Format(
        readings=lambda text: env_dotenv.named(name, text),
        spellings=env_dotenv.spellings,
        disputed=env_dotenv.DISPUTED,
        exports=_if_all_do,
    )


FORMATS: Dict[str, Format] = {
    "systemd": Format(
        readings=lambda text: [_systemd(text, _OLD_COMMENT), _systemd(text, _NEW_COMMENT)],
        spellings=_systemd_spellings,
        disputed="comes after a comment with a backslash at its end, which goes on in this line before systemd 254",
    ),
    "dotenv": Format(
        readings=env_dotenv.shared,
        spellings=env_dotenv.spellings,
        disputed=env_dotenv.DISPUTED,
        exports=_if_all_do,
    ),
    **{name: _dotenv(name) for name in env_dotenv.READERS},
    "docker": Format(
        readings=lambda text: [_docker(text)],
        spellings=lambda value: [value],
    ),
    "compose": Format(
        readings=lambda text: [env_dotenv.common(text, compose=True)],
        spellings=env_dotenv.spellings,
        exports=_if_all_do,
    ),
    # A shell hands on what is exported, whether or not `set -a` was said before the file was sourced.
    "shell": Format(
        readings=lambda text: [shell_assignments(text)],
        spellings=shell_spellings,
        exports=lambda present: True,
        crlf=False,
    ),
}
