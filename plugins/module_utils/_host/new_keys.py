# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""New keys, from the system's random source, in the form that a framework wants."""

from __future__ import annotations

import base64
import secrets
from typing import Callable, Dict

# "text": 64 characters of A-Z a-z 0-9 - _, so that no list separator and no quote is among them.
# "fernet": 32 bytes in URL-safe base64, the format of a Fernet key (https://github.com/fernet/spec).
# "base64:32": what `php artisan key:generate` writes; "base64:16" the same for the cipher AES-128-CBC.
MAKERS: Dict[str, Callable[[], str]] = {
    "text": lambda: secrets.token_urlsafe(48),
    "hex32": lambda: secrets.token_hex(32),
    "hex64": lambda: secrets.token_hex(64),
    "base64:32": lambda: "base64:" + base64.b64encode(secrets.token_bytes(32)).decode(),
    "base64:16": lambda: "base64:" + base64.b64encode(secrets.token_bytes(16)).decode(),
    "fernet": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
}


def new_key(form: str) -> str:
    """Return a new key; `form` is the field `key` of a profile."""
    return MAKERS[form]()
