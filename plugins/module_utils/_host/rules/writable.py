# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a key that an application has can be written as the steps of a rollout write it."""

from __future__ import annotations

import re
from typing import Optional

from . import env_text
from .frameworks import Keys, Profile, SettingsError, decode, encode, unprintable

# What every format takes as it is, where it does not hold the separator.
_PLAIN = re.compile(r"[A-Za-z0-9_=+/-]*")
_ANOTHER = "another-key"


def why_not(profile: Profile, form: str, key: str) -> Optional[str]:
    """Return why a key could not be rolled with this profile in files of this format, or None.

    It is tried: the key signs and another is accepted beside it, and the other way round.
    """
    why = unprintable(key)
    if why or (_PLAIN.fullmatch(key) and profile.separator and profile.separator not in key):
        return why
    other = _ANOTHER if key != _ANOTHER else _ANOTHER + "-2"
    for keys in (Keys(key, [key]), Keys(key, [key, other]), Keys(other, [other, key])):
        try:
            text = env_text.rewrite("", form, dict(encode(profile, keys)))
            if decode(profile, env_text.read(text, form, profile.names)) != keys:
                return f"would not be read back from a file of the format {form}"
        except SettingsError as error:
            return f"cannot stand among others: {error}"
        except env_text.EnvTextError:
            return f"cannot be written so that every reader of {form} files reads it back"
    return None
