# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx's ssl_session_ticket_key. Sources: its ngx_http_ssl_module page, and runs of 1.22.1."""

from __future__ import annotations

PROFILE = {
    "title": "nginx session tickets: three ssl_session_ticket_key directives in this order",
    "outputs": [
        {"file": ["ticket.1.key", "ticket.2.key", "ticket.3.key"], "holds": "all", "as": "slots", "decode": "base64"},
    ],
    "signs": {"at": 0},
    "count": {"min": 3, "max": 3},
    "key": "bytes:80",
    "life": [{"what": "TLS sessions", "for": None, "source": "ssl_session_timeout"}],
    "applies": "reload",
    "ends": "TLS sessions: clients make a whole handshake once",
    "notes": ["keys of 80 bytes want nginx 1.11.8; before 1.21.6 only two connections resume with TLS 1.3"],
    "tested": "run by hand: 1.22.1",
}
