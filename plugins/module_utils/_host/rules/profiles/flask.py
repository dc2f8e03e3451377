# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flask's SECRET_KEY by from_prefixed_env. Source: Flask's configuration page, its sessions.py, and runs of 3.0 and 3.1."""

from __future__ import annotations

PROFILE = {
    "title": "Flask",
    "outputs": [
        {"env": "FLASK_SECRET_KEY", "holds": "signer", "as": "raw", "decode": "json"},
        {"env": "FLASK_SECRET_KEY_FALLBACKS", "holds": "others", "as": "json"},
    ],
    "signs": {"at": 0},
    "key": "text",
    "life": [{"what": "permanent sessions", "for": "31d", "source": "PERMANENT_SESSION_LIFETIME"}],
    "ends": "every session (the cookie is signed with it), and all that the application signed with itsdangerous",
    "packages": "pypi",
    "versions": [
        {
            "package": "Flask",
            "range": "==3.1.0",
            "verdict": "refused",
            "why": "it signs with the last fallback: use 3.1.1 or later",
        },
        {
            "package": "Flask",
            "range": "<3.1",
            "verdict": "refused",
            "why": "it ignores SECRET_KEY_FALLBACKS: use 3.1.1 or later",
        },
    ],
    "tested": "run: the pinned one in CI, in every pair of states",
}
