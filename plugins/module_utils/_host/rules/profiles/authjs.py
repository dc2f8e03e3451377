# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auth.js 5 (@auth/core). Sources: its lib/utils/env.ts, and runs of 0.34 and 0.41."""

from __future__ import annotations

PROFILE = {
    "title": "Auth.js",
    "status": "partly",
    "reason": "the cookie of the sign-in form and links in mails hash the whole list: a sign-in that is spread over hosts whose lists differ fails "
    "and is tried again; sessions hold",
    "outputs": [
        {"env": ["AUTH_SECRET", "AUTH_SECRET_1", "AUTH_SECRET_2", "AUTH_SECRET_3"], "holds": "all", "as": "slots"},
    ],
    "signs": {"highest_id": True},
    "lookup": "trial",
    "count": {"min": 1, "max": 4},
    "key": "text",
    "life": [{"what": "sessions", "for": "30d", "source": "session.maxAge"}],
    "ends": "every session that is a token, and links in mails",
    "not_cured": [
        "sign-ins and links in mails that begin on one host and end on another, while the hosts' lists differ"
    ],
    "packages": "npm",
    "versions": [
        {
            "package": "@auth/core",
            "range": "<0.24",
            "verdict": "refused",
            "why": "it takes one secret alone: use 0.24 or later",
        },
        {
            "package": "next-auth",
            "range": "<5.0.0-beta",
            "verdict": "refused",
            "why": "it takes one secret alone: use 5 or later",
        },
    ],
    "tested": "run by hand: 0.34 and 0.41",
}
