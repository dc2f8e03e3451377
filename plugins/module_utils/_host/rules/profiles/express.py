# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What signs cookies with a list of keys in Node: the first signs, any verifies. Sources: the packages' documentation and runs."""

from __future__ import annotations

PROFILE = {
    "title": "Express and its kind: keygrip, cookie-session, express-session, koa-session, cookie-parser, csrf-csrf 4, @fastify/cookie",
    "outputs": [{"env": "COOKIE_KEYS", "holds": "all", "as": "join:,"}],
    "signs": {"at": 0},
    "key": "text",
    "life": [{"what": "cookies", "for": None, "source": "the application's maxAge"}],
    "ends": "every cookie that was signed with it, sessions among them",
    "snippet": ["app.use(cookieSession({keys: process.env.COOKIE_KEYS.split(',')}))"],
    "packages": "npm",
    "tested": "run by hand: keygrip 1.1, express-session 1.19, @fastify/cookie 11",
}
