# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ory Hydra's secrets.system. Sources: ory/x configx/koanf_env.go, the configuration reference."""

from __future__ import annotations

PROFILE = {
    "title": "Ory Hydra: secrets.system",
    "outputs": [{"env": "SECRETS_SYSTEM", "holds": "all", "as": "json"}],
    "signs": {"at": 0},
    "key": "text",
    "life": [
        {"what": "access tokens and codes", "for": "1h", "source": "ttl.access_token"},
        {"what": "refresh tokens", "for": "720h", "source": "ttl.refresh_token"},
    ],
    "at_rest": [{"what": "private JSON Web Keys and sessions in the database", "command": None, "proof": None}],
    "ends": "every token, and what Hydra encrypted in its database",
    "tested": "from its source",
}
