# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong on this host, in words that say what must hold."""

from __future__ import annotations

import os
import pwd

from . import limit
from .rules.errors import PhasedKeysError


class Unusable(PhasedKeysError):
    """Something on this host is not as it has to be; the text says what, and what to do."""


# What may be met on a host: its words are the answer. Anything else is a bug of ours.
EXPECTED = (PhasedKeysError, OSError, limit.Over)
REPORT = "Report it with the traceback, which -vvv shows"


def message_of(error: BaseException) -> str:
    """Return an error's text; where it says that something is not permitted, with what somebody else than root can do.

    What is not `EXPECTED` is said to be a bug: nobody should look for it on the host.
    """
    if not isinstance(error, EXPECTED):
        return f"a bug in phased.keys ({type(error).__name__}: {error})"
    if not isinstance(error, PermissionError) or error.filename is None or os.geteuid() == 0:
        return str(error)
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = f"uid {os.geteuid()}"
    return (
        f"{error.filename}: {user} may not do this ({error.strerror}). Run with become (-b), as root or as the user whose application "
        "this is; a user's own application needs app_keys_state_dir in a folder of that user's"
    )


def traceback_of(error: BaseException) -> str:
    """Return where a bug is. Nobody may see it before it was searched for secrets."""
    import traceback

    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
