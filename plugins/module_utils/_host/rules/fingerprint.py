# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a key: what a person or a log may see of it."""

from __future__ import annotations

import hashlib
import hmac
import re

MESSAGE = b"phased.keys/fingerprint/v1"
PATTERN = re.compile(r"\A[0-9a-f]{16}\Z")


def fingerprint(secret: str) -> str:
    """Return the 16 hex digits that name `secret`.

    HMAC-SHA256 (RFC 2104) with the secret as the key: whoever holds a cookie that the
    application signed learns no more from it than from the cookie. An empty secret has no
    fingerprint, since two hosts without a key would then seem to agree: ValueError.
    """
    if not secret:
        raise ValueError("an empty key has no fingerprint")
    try:
        key = secret.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half a character, as only a JSON list can say it: no key that can be rolled, and it has to have a name to be refused by.
        key = secret.encode("utf-8", "surrogatepass")
    return hmac.new(key, MESSAGE, hashlib.sha256).hexdigest()[:16]
