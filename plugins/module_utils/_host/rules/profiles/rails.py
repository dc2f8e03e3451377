# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rails' secret_key_base; the old ones are read by code of the application's own. Source: the guides on security and the upgrade to 7.1."""

from __future__ import annotations

PROFILE = {
    "title": "Rails",
    "outputs": [
        {"env": "SECRET_KEY_BASE", "holds": "signer", "as": "raw"},
        {"env": "SECRET_KEY_BASE_PREVIOUS", "holds": "others", "as": "join:,"},
    ],
    "signs": {"at": 0},
    "key": "hex64",
    "life": [{"what": "cookies, signed ids, URLs of ActiveStorage", "for": None, "source": "the application"}],
    "ends": "every session, every signed and encrypted cookie, signed ids, and messages of a verifier or encryptor",
    "notes": [
        "Rails reads no SECRET_KEY_BASE_PREVIOUS by itself: docs/examples/rails/phased_keys.rb is an initializer that does it, for cookies, "
        "sessions and what Rails.application.message_verifier makes; signed ids of records have a verifier of their own, which it does not reach",
    ],
    "packages": "gem",
    "versions": [
        {
            "package": "railties",
            "range": "<7.1",
            "verdict": "warned",
            "why": "message_verifiers.rotate and cookies_rotations are both there from 7.1.0 on: each verifier wants rotations of its own",
        },
    ],
    "tested": "the initializer, with Rails 6.1 in every pair of states; its branch for 7.1 and later was not run",
}
