# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong on this host, in words that say what must hold."""

from __future__ import annotations

import os
import pwd


def words(error: BaseException) -> str:
    """Return an error's text; where it says that something is not permitted, with what somebody else than root can do."""
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
