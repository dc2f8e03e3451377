# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One application with three kinds of session, so that they are measured on the same fleet at the same time."""

from django.contrib.sessions.backends import db, signed_cookies
from django.contrib.sessions.middleware import SessionMiddleware

from shop import kept_sessions

STORES = {
    "database": db.SessionStore,
    "cookie": signed_cookies.SessionStore,
    "kept": kept_sessions.SessionStore,
}


class SessionByPath(SessionMiddleware):
    """Django's own session middleware; only the store is chosen by the path's first part."""

    def process_request(self, request):
        self.SessionStore = STORES.get(request.path.split("/")[1], db.SessionStore)
        super().process_request(request)
