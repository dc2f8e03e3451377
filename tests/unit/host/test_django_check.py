# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `adopt` asks a Django application, of a real Django."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import app_check, run_as
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "asked"
execute_from_command_line(sys.argv)
"""
SETTINGS = """
import os
SECRET_KEY = os.environ["SECRET_KEY"]
SECRET_KEY_FALLBACKS = [key for key in os.environ.get("SECRET_KEY_FALLBACKS", "").split(",") if key]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
USE_TZ = True
"""
# As Django 4.1.0 to 4.1.7 are.
OLD = """
from django.apps import AppConfig
class Old(AppConfig):
    name = label = "old"
    def ready(self):
        from django.contrib.auth.base_user import AbstractBaseUser
        del AbstractBaseUser.get_session_auth_fallback_hash
"""


def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> Dict[str, Any]:
    for name, text in (("manage.py", MANAGE), ("asked.py", SETTINGS + more), ("old.py", OLD)):
        (folder / name).write_text(text)
    own = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    person = run_as.Person(os.geteuid(), os.getegid(), [], own, str(folder), "us")
    monkeypatch.setattr(run_as, "persons", lambda app, workers: [person])
    app = {"profile": profile("django"), "timeout": 30.0}
    return app_check.run(app, {"python": sys.executable, "manage": str(folder / "manage.py")}, [])


def test_an_application_that_does_as_its_profile_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(tmp_path, monkeypatch)["ok"]
    # Without logins there is no hash of theirs.
    assert asked(tmp_path, monkeypatch, "INSTALLED_APPS = []\n")["ok"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("SECRET_KEY_FALLBACKS = []", "SECRET_KEY_FALLBACKS does not hold the key that the environment lists"),
        ("SECRET_KEY_FALLBACKS.append('')", "SECRET_KEY_FALLBACKS holds an empty key"),
        ("SECRET_KEY = SECRET_KEY + 'x'", "settings.SECRET_KEY is not what the environment says"),
        (
            "INSTALLED_APPS.append('old.Old')",
            "a login made with a fallback is refused: the session's hash of User (Django ",
        ),
    ],
)
def test_what_would_log_people_out_is_refused(
    more: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked(tmp_path, monkeypatch, more + "\n")
    assert not answer["ok"] and said in answer["text"]
