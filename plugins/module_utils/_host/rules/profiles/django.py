# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Django's SECRET_KEY. Sources: the settings reference, ticket 35400, and runs of 4.1 to 6.0."""

from __future__ import annotations

PROFILE = {
    "title": "Django",
    "outputs": [
        {"env": "SECRET_KEY", "holds": "signer", "as": "raw"},
        {"env": "SECRET_KEY_FALLBACKS", "holds": "others", "as": "join:,"},
    ],
    "signs": {"at": 0},
    "key": "text",
    "life": [
        {"what": "sessions", "for": "14d", "source": "SESSION_COOKIE_AGE"},
        {"what": "password reset links", "for": "3d", "source": "PASSWORD_RESET_TIMEOUT"},
    ],
    "ends": "every login (the session's hash is checked against SECRET_KEY and SECRET_KEY_FALLBACKS), every password reset link, and all "
    "that the application signed with django.core.signing",
    "packages": "pypi",
    "versions": [
        {
            "package": "Django",
            "range": ">=4.1,<4.1.8",
            "verdict": "refused",
            "why": "it refuses sessions across promote in both directions: use 4.1.8 or later",
        },
        {
            "package": "Django",
            "range": "<4.1",
            "verdict": "refused",
            "why": "it knows no SECRET_KEY_FALLBACKS: use 4.1.8 or later",
        },
    ],
    "conflicts": [
        {
            "package": "django-fernet-encrypted-fields",
            "verdict": "refused",
            "why": "it encrypts columns with SECRET_KEY and its fallbacks, and what is not encrypted anew before retire cannot be read any more",
            "cure": "save every row with such a column once all hosts sign with the new key, before each retire",
        },
        {
            "package": "djangorestframework-simplejwt",
            "verdict": "refused",
            "why": "it signs and verifies with SECRET_KEY alone, so that hosts refuse each other's tokens during promote",
            "cure": "give it a key of its own, SIGNING_KEY in SIMPLE_JWT",
        },
        {
            "package": "django-cryptography",
            "verdict": "refused",
            "why": "it encrypts with SECRET_KEY alone, and what it stored cannot be read any more from promote on",
            "cure": "give it a key of its own, CRYPTOGRAPHY_KEY",
        },
        {
            "package": "wagtail",
            "verdict": "warned",
            "why": "the URLs of its view for images are signed with SECRET_KEY alone",
            "cure": "those URLs have to be made anew after promote",
        },
    ],
    "tested": "run: 4.1 to 6.0 by hand, the pinned one in CI, sessions and signatures in every pair of states",
}
