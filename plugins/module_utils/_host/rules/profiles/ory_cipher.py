# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ory Kratos' secrets.cipher. Sources: ory/x configx/koanf_env.go, the configuration reference."""

from __future__ import annotations

PROFILE = {
    "title": "Ory Kratos: secrets.cipher",
    "outputs": [{"env": "SECRETS_CIPHER", "holds": "all", "as": "json"}],
    "signs": {"at": 0},
    "key": "text:32",
    "at_rest": [{"what": "tokens of other providers in the database", "command": None, "proof": None}],
    "ends": "the stored tokens of other providers",
    "tested": "from its source",
}
