# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ory's secrets.cookie (Kratos, Hydra), from a list in its environment. Sources: ory/x configx/koanf_env.go, the configuration reference."""

from __future__ import annotations

PROFILE = {
    "title": "Ory Kratos and Hydra: secrets.cookie",
    "outputs": [{"env": "SECRETS_COOKIE", "holds": "all", "as": "json"}],
    "signs": {"at": 0},
    "key": "text",
    "life": [{"what": "sessions", "for": "24h", "source": "session.lifespan"}],
    "ends": "every session cookie",
    "not_cured": [
        "up to Kratos 26.2.0 a second cookie secret breaks the continuity cookie: flows that began on another host begin again"
    ],
    "notes": ["Hydra without secrets.cookie signs cookies with secrets.system[0] alone: set it"],
    "tested": "from its source",
}
