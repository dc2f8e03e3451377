# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of settings that cannot be used: which setting, and what about it; never a key."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import (
    Keys,
    SettingsError,
    decode,
    encode,
    profile,
)

DJANGO, FLASK, KEYGRIP, ITSDANGEROUS = (profile(name) for name in ("django", "flask", "keygrip", "itsdangerous"))


def error_of(form: Any, values: Dict[str, str]) -> Any:
    with pytest.raises(SettingsError) as error:
        decode(form, values)
    return error.value.kind, str(error.value)


@pytest.mark.parametrize(
    ("form", "values", "error"),
    [
        (DJANGO, {}, ("absent", "SECRET_KEY is not set")),
        (DJANGO, {"SECRET_KEY_FALLBACKS": "a"}, ("absent", "SECRET_KEY is not set")),
        (DJANGO, {"SECRET_KEY": ""}, ("empty", "SECRET_KEY is empty")),
        (DJANGO, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b,,c"}, ("empty", "SECRET_KEY_FALLBACKS holds an empty key")),
        (KEYGRIP, {"COOKIE_KEYS": "a,"}, ("empty", "COOKIE_KEYS holds an empty key")),
        (FLASK, {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": '["b", ""]'},
         ("empty", "FLASK_SECRET_KEY_FALLBACKS holds an empty key")),
        *[
            (FLASK, {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": text},
             ("not_a_list", "FLASK_SECRET_KEY_FALLBACKS is not a JSON list of strings"))
            for text in ("b", '"b"', "[1]", '{"b": 1}', '["b", null]', "[", "null", "0")
        ],
        (profile("keygrip", {"separator": "json"}), {"COOKIE_KEYS": "[]"}, ("empty", "COOKIE_KEYS lists no key")),
    ],
)  # fmt: skip
def test_settings_that_say_nothing_usable(form: Any, values: Dict[str, str], error: Any) -> None:
    assert error_of(form, values) == error


@pytest.mark.parametrize(
    ("form", "values", "keys"),
    [
        (DJANGO, {"SECRET_KEY": "a"}, Keys("a", ["a"])),
        (DJANGO, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": ""}, Keys("a", ["a"])),
        (DJANGO, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b,a,b,c"}, Keys("a", ["a", "b", "c"])),
        (FLASK, {"FLASK_SECRET_KEY": "a"}, Keys("a", ["a"])),
        (FLASK, {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": "[]"}, Keys("a", ["a"])),
        (KEYGRIP, {"COOKIE_KEYS": "a,b"}, Keys("a", ["a", "b"])),
        (ITSDANGEROUS, {"SECRET_KEYS": "b,a,a"}, Keys("a", ["a", "b"])),
    ],
)
def test_settings_that_do(form: Any, values: Dict[str, str], keys: Keys) -> None:
    assert decode(form, values) == keys


def test_a_key_with_the_separator_in_it_is_refused_without_being_said() -> None:
    with pytest.raises(SettingsError) as error:
        encode(DJANGO, Keys("a", ["a", "hid,den"]))
    assert (error.value.kind, str(error.value)) == (
        "ambiguous",
        "a key holds ',', which stands between two keys in SECRET_KEY_FALLBACKS: let the application read a JSON list, and set "
        "app_keys_settings.separator to json",
    )
    assert encode(DJANGO, Keys("hid,den", ["hid,den", "b"])) == {"SECRET_KEY": "hid,den", "SECRET_KEY_FALLBACKS": "b"}


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("djagno", {}, "app_keys_framework is 'djagno'; known are airflow, django, flask, itsdangerous, jupyterhub, keygrip, laravel, rails"),
        ("django", {"seperator": ";"},
         "app_keys_settings has no field 'seperator'; it has primary, fallbacks, separator, signs, key, soak, decode, at_rest"),
        ("django", {"primary": ""}, "app_keys_settings.primary must be a text that is not empty, not ''"),
        ("django", {"separator": 1}, "app_keys_settings.separator must be a text that is not empty, not 1"),
        ("django", {"signs": "middle"}, "app_keys_settings.signs is 'middle'; it is 'first' or 'last'"),
        ("django", {"key": "hex"}, "app_keys_settings.key is 'hex'; it is one of text, hex32, hex64, base64:32, base64:16, fernet"),
        ("django", {"soak": "soon"}, "app_keys_settings.soak is 'soon'; a duration is written like 14d, 90m, 1h30m or 45s"),
        ("django", {"separator": ";_"}, "app_keys_settings.separator is ';_', which new keys of the form text may hold"),
        *[
            ("django", {field: name}, f"{name!r} cannot be the name of an environment variable")
            for field in ("primary", "fallbacks") for name in ("1KEY", "A-B", "SCHLÜSSEL", "A B")
        ],
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be(name: str, settings: Dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as error:
        profile(name, settings)
    assert (error.value.kind, str(error.value)) == ("profile", text)


def test_a_profile_with_fields_of_its_own() -> None:
    settings = {"primary": "A_1", "fallbacks": "B", "separator": ";", "signs": "last", "key": "hex32", "soak": None}
    assert profile("django", settings) == frameworks.Profile("A_1", "B", ";", "last", "hex32", None)
    assert profile("keygrip", {"separator": "json", "key": "base64:32"}).separator == "json"
    assert profile() == profile("django", {}) == profile("django", None)
    assert profile("django", {"primary": "_A"}).primary == "_A"
