# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module answers on a host, whichever way its code came there."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Mapping, Sequence

from ..rules.variables import VariableError
from . import files, limit, units
from .trouble import words

Answer = Dict[str, Any]
# What a person can mend: its words are the answer. Anything else is a fault of ours.
TROUBLE = (VariableError, files.Locked, units.UnitsUnavailable, OSError, ValueError, limit.Over)
HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # as ansible-core writes it


def answer(module: str, arguments: Mapping[str, Any], check: bool) -> Answer:
    """Return the result of a module with these arguments, failures included; `check` is Ansible's check mode."""
    try:
        return _command(module)(arguments, check)
    except TROUBLE as error:
        return {"failed": True, "msg": words(error)}
    except (
        Exception
    ) as error:  # whatever it is, the text of it must not reach anybody before it was searched for secrets
        import traceback

        return {"failed": True, "msg": f"{type(error).__name__}: {error}", "exception": traceback.format_exc()}


def hidden(answer: Answer, secrets: Sequence[str]) -> str:
    """Return the answer as JSON, with none of the secrets in it."""
    text = json.dumps(answer)
    for secret in secrets:
        text = text.replace(json.dumps(secret)[1:-1], HIDDEN)
    return text


def _command(module: str) -> Callable[[Mapping[str, Any], bool], Answer]:
    # Each imports what it needs, here and below: on a host that was sent its code every import costs a compilation.
    if module == "env_keys":
        from . import visit

        return visit.run
    from . import survey

    return survey.run
