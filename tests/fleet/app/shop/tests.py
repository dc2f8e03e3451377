# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the remedy may and may not do: `manage.py test` (tests/unit/fleet runs it)."""

import asyncio

from django.contrib.auth import get_user, login, logout, update_session_auth_hash
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.http import HttpRequest
from django.test import TestCase, TransactionTestCase, override_settings

from shop import kept_sessions

OLD, NEW, OTHER = (letter * 50 for letter in "one")


def signs_with(key, *fallbacks):
    return override_settings(SECRET_KEY=key, SECRET_KEY_FALLBACKS=list(fallbacks))


def request(session_id=None, store=kept_sessions.SessionStore):
    found = HttpRequest()
    found.session = store(session_id)
    found.user = get_user(found)
    return found


def save(made):
    made.session.save()
    return made.session.session_key


class KeptSessions(TestCase):
    def setUp(self):
        self.user = User.objects.create_user("somebody", password="first")

    def logged_in(self, store=kept_sessions.SessionStore):
        made = request(store=store)
        login(made, self.user)
        return save(made)

    def test_key_change_alone_keeps_the_id(self):
        with signs_with(OLD):
            session_id = self.logged_in()
        with signs_with(NEW, OLD):
            later = request(session_id)
            assert later.user == self.user
            assert save(later) == session_id
        with signs_with(NEW):  # it has been signed anew, so the old key is needed no more
            assert request(session_id).user == self.user

    def test_django_alone_logs_a_parallel_request_out(self):
        with signs_with(OLD):
            session_id = self.logged_in(db.SessionStore)
        with signs_with(NEW, OLD):
            first = request(session_id, db.SessionStore)
            assert save(first) != session_id
            assert request(session_id, db.SessionStore).user.is_anonymous

    def test_parallel_requests_of_hosts_that_sign_with_different_keys(self):
        with signs_with(OLD):
            session_id = self.logged_in()
        with signs_with(NEW, OLD):
            there = request(session_id)
        with signs_with(OLD, NEW):
            here = request(session_id)
            save(here)
        with signs_with(NEW, OLD):
            save(there)
        for keys in ((OLD, NEW), (NEW, OLD)):
            with signs_with(*keys):
                assert request(session_id).user == self.user

    def test_logging_in_always_makes_a_new_id(self):
        """An id that somebody planted in a browser must never become a login, in the middle of a rotation either."""
        with signs_with(OLD):
            planted = request()
            planted.session["basket"] = 1
            planted_id = save(planted)
        with signs_with(NEW, OLD):
            found = request(planted_id)
            login(found, self.user)
            assert save(found) != planted_id
            assert request(planted_id).user.is_anonymous

    def test_changing_the_password_makes_a_new_id(self):
        for keys in ((OLD,), (NEW, OLD)):
            with self.subTest(keys=keys):
                with signs_with(OLD):
                    session_id = self.logged_in()
                with signs_with(*keys):
                    found = request(session_id)
                    found.user.set_password("second")
                    found.user.save()
                    update_session_auth_hash(found, found.user)
                    assert save(found) != session_id
                    assert request(session_id).user.is_anonymous
                self.user.refresh_from_db()

    def test_logging_out_deletes(self):
        with signs_with(OLD):
            session_id = self.logged_in()
        with signs_with(NEW, OLD):
            logout(request(session_id))
            assert request(session_id).user.is_anonymous
        assert not kept_sessions.SessionStore().exists(session_id)

    def test_unknown_key_is_refused(self):
        with signs_with(OTHER):
            session_id = self.logged_in()
        with signs_with(NEW, OLD):
            assert request(session_id).user.is_anonymous


class KeptSessionsAsync(TransactionTestCase):
    def test_acycle_key(self):
        user = User.objects.create_user("somebody")
        with signs_with(OLD):
            made = request()
            login(made, user)
            session_id = save(made)
        with signs_with(NEW, OLD):
            store = kept_sessions.SessionStore(session_id)
            asyncio.run(store.acycle_key())
            assert store.session_key == session_id
        with signs_with(NEW):
            store = kept_sessions.SessionStore(self.signed_by_new(user))
            before = store.session_key
            asyncio.run(store.acycle_key())
            assert store.session_key != before

    def signed_by_new(self, user):
        made = request()
        login(made, user)
        return save(made)
