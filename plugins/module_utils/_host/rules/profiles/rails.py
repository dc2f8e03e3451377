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
    "snippet": [
        "# config/application.rb: Rails reads no SECRET_KEY_BASE_PREVIOUS by itself",
        "config.before_initialize do |app|",
        "  ENV.fetch('SECRET_KEY_BASE_PREVIOUS', '').split(',').each do |base|",
        "    app.message_verifiers.rotate(secret_key_base: base)",
        "    keys = ActiveSupport::KeyGenerator.new(base, iterations: 1000, hash_digest_class: OpenSSL::Digest::SHA256)",
        "    cookies = app.config.action_dispatch.cookies_rotations",
        "    cookies.rotate :encrypted, keys.generate_key('authenticated encrypted cookie', 32)",
        "    cookies.rotate :signed, keys.generate_key('signed cookie')",
        "  end",
        "end",
    ],
    "notes": ["message verifiers and encryptors that the application makes itself want rotations of their own"],
    "packages": "gem",
    "versions": [
        {
            "package": "railties",
            "range": "<7.1",
            "verdict": "warned",
            "why": "message_verifiers.rotate and cookies_rotations are both there from 7.1.0 on: each verifier wants rotations of its own",
        },
    ],
    "tested": "from its source; the snippet was not run",
}
