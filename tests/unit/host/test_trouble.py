# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.problems import message_of

DENIED = PermissionError(13, "Permission denied", "/etc/shop.env")


def test_somebody_who_is_not_root_is_told_to_become_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert message_of(DENIED).startswith(
        "/etc/shop.env: nobody may not do this (Permission denied). Run with become (-b)"
    )
    assert message_of(OSError(28, "No space left on device", "/etc")) == "[Errno 28] No space left on device: '/etc'"
    assert message_of(PermissionError("a text of our own")) == "a text of our own"


def test_root_is_told_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert message_of(DENIED) == "[Errno 13] Permission denied: '/etc/shop.env'"
