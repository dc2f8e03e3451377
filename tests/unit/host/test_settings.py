# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the env files say of the keys, and what a step writes into them."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import settings
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import Keys, SettingsError, profile
from visited import NEW, OLD, SECRET, order

APP: Dict[str, Any] = {"profile": profile("django"), "env_format": "systemd"}


def test_the_keys_of_a_text_are_told_by_their_fingerprints() -> None:
    text = f"A=1\nSECRET_KEY={SECRET[NEW]}\nSECRET_KEY_FALLBACKS={SECRET[OLD]}\n"
    assert settings.keys_of(APP, text) == Keys(NEW, [NEW, OLD])


@pytest.mark.parametrize("text", ["", "A=1\n"])
def test_a_text_without_a_key_has_none(text: str) -> None:
    assert settings.keys_of(APP, text) is None


def test_a_text_with_a_key_that_cannot_be_read_is_an_error_and_not_one_without() -> None:
    """Or it would be overwritten as if nothing had been there (rule 6)."""
    with pytest.raises(SettingsError) as caught:
        settings.keys_of(APP, f"SECRET_KEY=\nSECRET_KEY_FALLBACKS={SECRET[OLD]}\n")
    assert caught.value.kind == "empty"


@pytest.mark.parametrize(("others", "listed"), [((OLD,), SECRET[OLD]), ((), "")])
def test_a_step_writes_the_key_that_signs_and_those_that_are_accepted_besides(others: Any, listed: str) -> None:
    written = settings.values_of(APP, order(NEW, *others), SECRET)
    assert written == {"SECRET_KEY": SECRET[NEW], "SECRET_KEY_FALLBACKS": listed}


def test_a_diff_is_told_in_fingerprints_file_by_file() -> None:
    right = {"path": "/etc/a.env", "problem": None, "signs": NEW, "accepts": [NEW, OLD]}
    broken = {"path": "/etc/b.env", "problem": {"kind": "twice", "text": "sets it twice"}, "signs": None, "accepts": []}
    assert settings.describe({"files": [right, broken]}) == (
        f"/etc/a.env: signs {NEW}, accepts {NEW} {OLD}\n/etc/b.env: sets it twice\n"
    )
    assert settings.describe_order(order(NEW, OLD), ["/etc/a.env", "/etc/b.env"]) == (
        f"/etc/a.env: signs {NEW}, accepts {NEW} {OLD}\n/etc/b.env: signs {NEW}, accepts {NEW} {OLD}\n"
    )
