# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profile that a keyring was begun with stays in force: another is refused with what differs and what to do, never taken silently."""

from __future__ import annotations

import copy
from typing import Any, Dict, Mapping

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks, shipped
from ansible_collections.phased.keys.plugins.module_utils._rules import in_force
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from builders import adopt

KEY_FILES = ("nginx-tickets", "haproxy-tickets", "keystone-fernet")


def begun(framework: str = "django", **settings: Any) -> Any:
    """A keyring that was begun with this profile."""
    return {**adopt(), "framework": framework, "settings": settings, "profile": in_force.of(framework, settings)}


def later(monkeypatch: pytest.MonkeyPatch, framework: str, **changes: Any) -> None:
    """A later release, in which the shipped profile says something else."""
    data: Mapping[str, Any] = shipped.PROFILES[framework]
    monkeypatch.setitem(shipped.PROFILES._loaded, framework, shipped.checked(framework, {**data, **changes}))  # type: ignore[attr-defined]


def test_a_keyring_records_what_was_in_force_and_is_read_with_it_and_without() -> None:
    keyring: Dict[str, Any] = adopt()
    assert keyring["profile"] == in_force.recorded(frameworks.profile("django"))
    assert keyrings.check(copy.deepcopy(keyring), "shop")["profile"] == keyring["profile"]
    del keyring["profile"]
    assert "profile" not in keyrings.check(keyring, "shop")
    assert in_force.why_another(keyring, "django", {}) is None  # type: ignore[arg-type]
    assert "Put the variables back" in str(in_force.why_another(keyring, "flask", {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [5, {}, {"outputs": []}, {**in_force.recorded(frameworks.profile()), "least": "1"}])
def test_a_record_of_it_that_is_none_is_refused(broken: Any) -> None:
    with pytest.raises(keyrings.KeyringError, match="the keyring has no usable profile"):
        keyrings.check({**adopt(), "profile": broken}, "shop")


@pytest.mark.parametrize("framework", [name for name in [*shipped.PROFILES, *shipped.ALIASES] if name not in KEY_FILES])
def test_the_same_release_finds_no_difference(framework: str) -> None:
    assert in_force.why_another(begun(framework), framework, {}) is None


def test_the_same_said_in_other_words_is_the_same() -> None:
    assert in_force.why_another(begun("keygrip"), "express", {}) is None
    assert in_force.why_another(begun(), "django", {"separator": ",", "soak": "14d"}) is None


def test_what_is_at_rest_may_be_said_anew_and_not_just_left_out() -> None:
    rows = [{"what": "rows"}]
    assert in_force.why_another(begun(), "django", {"at_rest": rows}) is None
    assert in_force.why_another(begun(at_rest=rows), "django", {"at_rest": False}) is None
    assert "Put the variables back" in str(in_force.why_another(begun(at_rest=rows), "django", {}))


@pytest.mark.parametrize(
    ("framework", "settings"),
    [("flask", {}), ("django", {"separator": ";"}), ("django", {"primary": "X"})],
)
def test_variables_that_say_something_else_are_refused(framework: str, settings: Dict[str, Any]) -> None:
    why = str(in_force.why_another(begun(), framework, settings))
    assert why.startswith("the keyring was adopted for django") and why.endswith("Put the variables back")


def test_a_shipped_profile_that_changes_where_keys_are_is_refused_and_can_be_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyring = begun()
    outputs = copy.deepcopy(shipped.PROFILES["django"]["outputs"])
    outputs[1].update({"env": "OLD_KEYS", "as": "json"})
    later(monkeypatch, "django", outputs=outputs)
    why = str(in_force.why_another(keyring, "django", {}))
    assert (
        "outputs was SECRET_KEY (signer, raw) and SECRET_KEY_FALLBACKS (others, join,), and is SECRET_KEY (signer, raw) and OLD_KEYS (others, json)"
        in why
    )
    kept = {
        "primary": "SECRET_KEY", "fallbacks": "SECRET_KEY_FALLBACKS", "separator": ",", "signs": "first", "decode": "raw", "key": "text",
        "soak": "14d",
    }  # fmt: skip
    assert f"To keep what is in force give app_keys_settings: {kept}, or use the release that wrote the keyring" in why
    assert in_force.why_another(keyring, "django", kept) is None, "and what is said works"


def test_so_is_one_that_lets_keys_end_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = begun()
    later(monkeypatch, "django", life=[{"what": "sessions", "for": "1h", "source": "x"}])
    why = str(in_force.why_another(keyring, "django", {}))
    assert "soak was 14d, and is 1h" in why and "app_keys_settings: {'soak': '14d'}" in why
    assert in_force.why_another(keyring, "django", {"soak": "14d"}) is None


def test_so_is_one_that_makes_other_keys_however_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = begun("tornado")
    later(monkeypatch, "tornado", key="hex32")
    why = str(in_force.why_another(keyring, "tornado", {}))
    assert "key was text, and is hex32" in why and "app_keys_settings: {'key': 'text'}" in why
    assert in_force.why_another(keyring, "tornado", {"key": "text"}) is None


@pytest.mark.parametrize(
    ("framework", "changes", "said"),
    [
        ("laravel", {"at_rest": []}, "at_rest was True, and is False"),
        ("authjs", {"signs": {"at": 0}}, "signs was last, and is first"),
        ("django", {"spread": "5m"}, "spread was None, and is 5m"),
    ],
)
def test_what_no_setting_can_keep_wants_the_release_or_a_new_keyring(
    framework: str, changes: Dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = begun(framework)
    later(monkeypatch, framework, **changes)
    why = str(in_force.why_another(keyring, framework, {}))
    assert said in why and "move the keyring away and begin another with phased.keys.adopt" in why


@pytest.mark.parametrize("changes", [{"ends": "nothing"}, {"notes": ["new"]}, {"tested": "more"}, {"not_cured": ["x"]}])
def test_what_only_people_read_may_change(changes: Dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = begun()
    later(monkeypatch, "django", **changes)
    assert in_force.why_another(keyring, "django", {}) is None
