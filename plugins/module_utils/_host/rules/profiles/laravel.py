# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laravel 11 and later. Sources: its page on encryption, config/app.php, config/session.php, and runs of 11 and 12."""

from __future__ import annotations

PROFILE = {
    "title": "Laravel",
    "outputs": [
        {"env": "APP_KEY", "holds": "signer", "as": "raw"},
        {"env": "APP_PREVIOUS_KEYS", "holds": "others", "as": "join:,"},
    ],
    "signs": {"at": 0},
    "key": "base64:32",
    "life": [
        {"what": "sessions", "for": "120m", "source": "session.lifetime"},
        {"what": "remember me", "for": "400d", "source": "SessionGuard"},
        {"what": "signed URLs", "for": None, "source": "the application"},
    ],
    "at_rest": [
        {
            "what": "columns and files that the application stored with encrypt()",
        },
    ],
    "ends": "every session and every other encrypted cookie, every signed URL and password reset link, and what the application stored with "
    "encrypt(): encrypt that anew first, or it is lost",
    "not_cured": [
        "from 12.45 on AuthenticateSession keeps a hash that is keyed with the current key alone: those logins end at promote",
        "signed closures in queues are verified with the current key alone",
    ],
    "packages": "composer",
    "versions": [
        {
            "package": "laravel/framework",
            "range": "<11",
            "verdict": "refused",
            "why": "it knows no APP_PREVIOUS_KEYS: use 11 or later",
        },
        {
            "package": "laravel/framework",
            "range": ">=12.45",
            "verdict": "warned",
            "why": "AuthenticateSession and signed closures are keyed with the current key alone: they end at promote, whatever the phases",
        },
    ],
    "notes": [
        "for AES-128-CBC, whose keys have 16 bytes, app_keys_settings is {key: 'base64:16'}: adopt looks at the length of the key that is there",
    ],
    "tested": "run by hand: 11 and 12",
}
