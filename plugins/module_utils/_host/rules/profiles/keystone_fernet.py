# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keystone's repository of token keys. Sources: its fernet FAQ, and runs of its own fernet_utils."""

from __future__ import annotations

PROFILE = {
    "title": "Keystone's token keys",
    "outputs": [{"dir": "fernet-keys", "holds": "all", "as": "numbered"}],
    "signs": {"highest_id": True},
    "ids": "int",
    "lookup": "trial",
    "key": "fernet",
    "life": [{"what": "tokens", "for": "49h", "source": "an hour and allow_expired_window"}],
    "applies": "live",
    "ends": "every token",
    "notes": ["an empty file of the highest number is ignored without a word, and the one before it signs"],
    "tested": "run by hand",
}
