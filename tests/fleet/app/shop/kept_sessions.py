# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The remedy for parallel requests: a session keeps its id when nothing but the signing key has changed.

When Django meets a login that an older key signed, `get_user()` signs it with the new key and calls `cycle_key()`,
which also moves the session to a new id and deletes the old one. A browser that sent other requests with the old id at
the same moment finds them logged out. The move gains nothing here: the id is random and was never made with the key.
So this store leaves the id alone in that one case. Logging in, changing the password and logging out do what they
always did; whoever logs out is logged out at once, with every cookie.

To use it, put this file into an application and say `SESSION_ENGINE = "yourapp.kept_sessions"`.
"""

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends import db
from django.utils.crypto import constant_time_compare


class SessionStore(db.SessionStore):
    """Django's database sessions, except that a mere change of the signing key does not change a session's id."""

    def cycle_key(self):
        if not self._signed_by_fallback():
            super().cycle_key()

    async def acycle_key(self):
        await sync_to_async(self.cycle_key)()

    def _signed_by_fallback(self):
        """Tell whether this is a valid login of which nothing but the key is old: what get_user() asks, too."""
        user = get_user_model()._default_manager.filter(pk=self.get(SESSION_KEY)).first()
        if user is None:  # nobody is logged in yet: a login must get a new id
            return False
        signed = self.get(HASH_SESSION_KEY, "")
        return any(constant_time_compare(signed, old) for old in user.get_session_auth_fallback_hash())
