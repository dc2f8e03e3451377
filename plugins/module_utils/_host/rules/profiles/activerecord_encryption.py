# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ActiveRecord encryption's primary_key. Source: the guide on Active Record encryption."""

from __future__ import annotations

PROFILE = {
    "title": "ActiveRecord encryption",
    "outputs": [{"env": "ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY", "holds": "all", "as": "join:,"}],
    "signs": {"at": -1},
    "key": "text",
    "at_rest": [
        {
            "what": "encrypted attributes (record.encrypt over every model that has some: there is no task for it)",
            "command": None,
            "proof": None,
        },
    ],
    "ends": "every encrypted attribute that was not encrypted anew: they are lost",
    "not_cured": ["deterministic keys cannot be rotated: leave deterministic_key as it is"],
    "snippet": [
        "# config/application.rb",
        "config.active_record.encryption.primary_key = ENV['ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY'].split(',')",
    ],
    "packages": "gem",
    "tested": "from its source",
}
