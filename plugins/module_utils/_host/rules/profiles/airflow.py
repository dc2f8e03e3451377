# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Airflow's Fernet key, which encrypts connections and variables. Source: its page on secrets, fernet."""

from __future__ import annotations

PROFILE = {
    "title": "Airflow's Fernet key",
    "outputs": [{"env": "AIRFLOW__CORE__FERNET_KEY", "holds": "all", "as": "join:,"}],
    "signs": {"at": 0},
    "key": "fernet",
    "at_rest": [
        {
            "what": "passwords and extras of connections, and variables",
            "command": "airflow rotate-fernet-key",
            "proof": None,
        },
    ],
    "ends": "every stored connection and variable that was not encrypted anew: run `airflow rotate-fernet-key` first, or they are lost",
    "packages": "pypi",
    "tested": "from the source of 3.3; MultiFernet was run",
}
