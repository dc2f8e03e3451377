# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's tls-ticket-keys. Sources: its configuration manual, and runs of 2.6.12."""

from __future__ import annotations

PROFILE = {
    "title": "HAProxy session tickets: tls-ticket-keys of a bind line",
    "outputs": [{"file": "ticket.keys", "holds": "all", "as": "lines"}],
    "signs": {"at": -2},
    "count": {"min": 3, "max": 3},
    "key": "bytes:80",
    "life": [
        {"what": "TLS sessions", "for": "7200s", "source": "measured: the documented 300 s are not what it takes"}
    ],
    "applies": "reload",
    "ends": "TLS sessions: clients make a whole handshake once",
    "notes": ["`set ssl tls-key` by the socket makes the filler sign after one call: reload instead"],
    "tested": "run by hand: 2.6.12",
}
