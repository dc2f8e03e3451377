# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tornado's signed cookies: a dict of versions and the version that signs. Sources: tornado.web's documentation, and runs."""

from __future__ import annotations

PROFILE = {
    "title": "Tornado's signed cookies",
    "outputs": [
        {"env": "COOKIE_SECRETS", "holds": "all", "as": "json-map"},
        {"env": "COOKIE_SECRET_VERSION", "holds": "signer_id", "as": "raw"},
    ],
    "signs": {"pointer": True},
    "ids": "int",
    "lookup": "id",
    "key": "text",
    "life": [{"what": "signed cookies", "for": "31d", "source": "max_age_days of get_signed_cookie"}],
    "ends": "every signed cookie",
    "snippet": [
        "keys = {int(version): key for version, key in json.loads(os.environ['COOKIE_SECRETS']).items()}",
        "Application(cookie_secret=keys, key_version=int(os.environ['COOKIE_SECRET_VERSION']))",
    ],
    "notes": [
        "a key's version follows from the key (the first 32 bits of its fingerprint), so that none is ever used for another key",
        "cookies of a plain secret have the version 0: let the code add that one for as long as they live",
    ],
    "packages": "pypi",
    "tested": "run: the pinned one in CI, in every pair of states",
}
