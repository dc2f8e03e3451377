# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""JupyterHub's CryptKeeper, which encrypts auth_state. Source: its page on authenticators, and runs."""

from __future__ import annotations

PROFILE = {
    "title": "JupyterHub's CryptKeeper",
    "outputs": [{"env": "JUPYTERHUB_CRYPT_KEY", "holds": "all", "as": "join:;"}],
    "signs": {"at": 0},
    "key": "hex32",
    "at_rest": [{"what": "the auth_state of users", "command": None, "proof": None}],
    "ends": "the stored auth_state of every user: they have to log in again",
    "packages": "pypi",
    "tested": "run by hand",
}
