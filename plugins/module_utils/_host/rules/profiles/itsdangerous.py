# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""itsdangerous 2: a signer with a list of keys. Source: its documentation of key rotation."""

from __future__ import annotations

PROFILE = {
    "title": "itsdangerous 2",
    "outputs": [{"env": "SECRET_KEYS", "holds": "all", "as": "join:,"}],
    "signs": {"at": -1},
    "key": "text",
    "life": [{"what": "what the application signs", "for": None, "source": "the application's max_age"}],
    "ends": "everything that the application signed with it",
    "snippet": ["URLSafeTimedSerializer(os.environ['SECRET_KEYS'].split(','))"],
    "packages": "pypi",
    "tested": "run: the pinned one in CI, in every pair of states",
}
