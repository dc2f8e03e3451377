# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's settings, all of which come from the environment."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
SECRET_KEY_FALLBACKS = [key for key in os.environ.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
if os.environ.get("SHOP_IGNORE_FALLBACKS") == "1":
    # The application that a rotation breaks however carefully it is done: it is given the old key and never reads it.
    SECRET_KEY_FALLBACKS = []

# How long a session without requests and a reset link live. The soak has to be longer.
SHOP_LIFE = int(os.environ.get("SHOP_LIFE", "1209600"))
SESSION_COOKIE_AGE = SHOP_LIFE
PASSWORD_RESET_TIMEOUT = SHOP_LIFE
SESSION_SAVE_EVERY_REQUEST = True  # a login lasts as long as it is used, and each use signs it anew

ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# No CsrfViewMiddleware: its token is not signed with SECRET_KEY, and the clients would fetch a form for every login.
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",  # sets Content-Length, by which a cut answer is told from a whole one
    "shop.middleware.SessionByPath",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", ":memory:"),
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            # A transaction that reads first and writes later would fail at once while another one writes.
            "transaction_mode": "IMMEDIATE",
            # A database that lives for minutes need not survive a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
    }
}

# A good hasher takes 100 ms of CPU on purpose. The clients log in all the time, and what is measured here is what
# becomes of sessions: never do this in an application that people use.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
