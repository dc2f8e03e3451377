# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the shop's database and its users."""

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command

USERS = 400
PASSWORD = "a password of the demo"

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User

    # The tables as the models have them now: three times as fast as thirty migrations that lead to the same.
    settings.MIGRATION_MODULES = dict.fromkeys(("contenttypes", "auth", "sessions"))
    call_command("migrate", run_syncdb=True, verbosity=0)
    hashed = make_password(PASSWORD)
    User.objects.bulk_create(User(username=f"user{number}", password=hashed) for number in range(USERS))
    sys.exit(0)
