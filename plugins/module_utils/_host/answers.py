# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module answers on a host, whichever way its code came there."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Callable, Dict, List, Mapping, Sequence

from .problems import EXPECTED, REPORT, message_of, traceback_of

Answer = Dict[str, Any]
OLDEST = (3, 8)
TOO_OLD = "this host's Python is %d.%d, and 3.8 or later is needed: set ansible_python_interpreter to one that is"
_QUOTING = "\\'\"`"
# A secret of fewer characters besides quotes would be found where it is not; one as long as a pad is in no output of a program.
LEAST, LONGEST = 6, 4096
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # as ansible-core writes it


def answer(module: str, arguments: Mapping[str, Any], check: bool) -> Answer:
    """Return the result of a module with these arguments, failures included; `check` is Ansible's check mode."""
    if sys.version_info < OLDEST:
        return {"failed": True, "msg": TOO_OLD % sys.version_info[:2]}
    try:
        return _command(module)(arguments, check)
    except EXPECTED as error:
        return {"failed": True, "msg": message_of(error)}
    except Exception as error:
        # Whatever it is, the text of it must not reach anybody before it was searched for secrets.
        return {"failed": True, "msg": f"{message_of(error)}. {REPORT}", "exception": traceback_of(error)}


def hidden(answer: Answer, secrets: Sequence[str]) -> str:
    """Return the answer as JSON, with none of the secrets in it."""
    return json.dumps(masked(answer, secrets))


def masked(answer: Answer, secrets: Sequence[str]) -> Answer:
    """Return the answer with none of the secrets in it, however they are quoted: as our own files do it, a shell or a log."""
    bare = _bare(json.dumps(answer, ensure_ascii=False))
    # To compile a pattern takes longer than all else here, and hardly ever is there anything to hide.
    patterns = [_spelled(secret) for secret in secrets if secret and _anchor(secret) in bare]
    if not patterns:
        return answer
    pattern = re.compile("|".join(patterns))

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(HIDDEN, value)
        if isinstance(value, dict):
            return {walk(name): walk(one) for name, one in value.items()}
        return [walk(one) for one in value] if isinstance(value, (list, tuple)) else value

    return dict(walk(answer))


def _bare(text: str) -> str:
    """Return a text without all that quoting puts between the characters of a value."""
    return text.translate(dict.fromkeys(map(ord, _QUOTING)))


def _anchor(secret: str) -> str:
    """Return the longest part of a secret that is spelled the same in every way."""
    found: List[str] = re.findall(r"[ -~]+", _bare(secret))
    return max(found, key=len, default="")


def _spelled(secret: str) -> str:
    """Return a pattern for the spellings of a secret: as it is, and with quotes and backslashes anywhere between its characters."""
    kept = _bare(secret)
    if len(kept) < LEAST or len(secret) > LONGEST:
        return re.escape(secret)
    between = "[" + re.escape(_QUOTING) + "]*"
    return f"{re.escape(secret)}|{between.join(_character(char, between) for char in kept)}"


def _character(char: str, between: str) -> str:
    if char.isascii():
        return re.escape(char)
    utf16, utf8 = char.encode("utf-16-be", "surrogatepass"), char.encode("utf-8", "surrogateescape")
    coded: List[List[str]] = [
        [f"u{utf16[place : place + 2].hex()}" for place in range(0, len(utf16), 2)],
        [f"x{byte:02x}" for byte in utf8],
        [f"{byte:03o}" for byte in utf8],
        [f"u{ord(char):08x}"],
        [f"x{ord(char):02x}"],
    ]
    return f"(?:{re.escape(char)}|(?i:{'|'.join(between.join(units) for units in coded)}))"


def _command(module: str) -> Callable[[Mapping[str, Any], bool], Answer]:
    # Each imports what it needs, here and below: on a host that was sent its code every import costs a compilation.
    if module == "env_keys":
        from . import visit

        return visit.run
    if module == "reencrypt":
        from . import reencrypt

        return reencrypt.run
    from . import survey

    return survey.run
