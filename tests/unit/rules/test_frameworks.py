# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: which settings carry the keys, which position signs, and that what is written is what is read."""

from __future__ import annotations

import json

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks, shipped, ways
from ansible_collections.phased.keys.plugins.module_utils._host.rules.durations import seconds
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import (
    KEY_FORMS,
    MOST_KEYS,
    PROFILES,
    Keys,
    SettingsError,
    decode,
    encode,
    profile,
)

DJANGO = profile("django")
NEW_ID, OLD_ID, OLDER_ID = map(ways.key_id, ("new", "old", "older"))
ONE_LIST = {"primary": "KEYS", "fallbacks": "KEYS"}


def kind_of(error) -> str:
    return error.value.kind


# The settings of new, old and older, of which new signs; by every name that a profile has.
WRITTEN = {
    "django": {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": "old,older"},
    "flask": {"FLASK_SECRET_KEY": "new", "FLASK_SECRET_KEY_FALLBACKS": '["old", "older"]'},
    "itsdangerous": {"SECRET_KEYS": "old,older,new"},
    "laravel": {"APP_KEY": "new", "APP_PREVIOUS_KEYS": "old,older"},
    "rails": {"SECRET_KEY_BASE": "new", "SECRET_KEY_BASE_PREVIOUS": "old,older"},
    "airflow": {"AIRFLOW__CORE__FERNET_KEY": "new,old,older"},
    "keygrip": {"COOKIE_KEYS": "new,old,older"},
    "express": {"COOKIE_KEYS": "new,old,older"},
    "jupyterhub": {"JUPYTERHUB_CRYPT_KEY": "new;old;older"},
    "authjs": {"AUTH_SECRET": "old", "AUTH_SECRET_1": "older", "AUTH_SECRET_2": "new", "AUTH_SECRET_3": ""},
    "activerecord-encryption": {"ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY": "old,older,new"},
    "tornado": {
        "COOKIE_SECRETS": json.dumps({NEW_ID: "new", OLD_ID: "old", OLDER_ID: "older"}),
        "COOKIE_SECRET_VERSION": NEW_ID,
    },
    "ory": {"SECRETS_COOKIE": '["new", "old", "older"]'},
    "ory-system": {"SECRETS_SYSTEM": '["new", "old", "older"]'},
    "ory-cipher": {"SECRETS_CIPHER": '["new", "old", "older"]'},
}


@pytest.mark.parametrize("framework", WRITTEN)
def test_each_framework_signs_with_the_position_that_it_signs_with(framework):
    assert encode(profile(framework), Keys("new", ["new", "old", "older"])) == WRITTEN[framework]


def test_the_table_above_has_every_framework():
    assert set(WRITTEN) == {*PROFILES, *shipped.ALIASES}


@pytest.mark.parametrize("framework", sorted(PROFILES))
@pytest.mark.parametrize("accepts", [["new"], ["new", "old"], ["new", "old", "older"]])
def test_what_is_written_is_what_is_read(framework, accepts):
    form = profile(framework)
    assert decode(form, encode(form, Keys("new", accepts))) == Keys("new", accepts)


@pytest.mark.parametrize("framework", sorted(PROFILES))
def test_every_profile_can_be_used(framework):
    form = profile(framework)
    assert form.key in KEY_FORMS
    assert form.signs in frameworks.POSITIONS
    assert form.soak is None or seconds(form.soak, framework) > 0


@pytest.mark.parametrize(
    "framework, settings, values, signs, accepts",
    [
        ("django", {}, {"SECRET_KEY": "a"}, "a", ["a"]),
        ("django", {}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": ""}, "a", ["a"]),
        ("django", {}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b,c"}, "a", ["a", "b", "c"]),
        ("django", {}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b,a,b"}, "a", ["a", "b"]),
        ("django", {}, {"SECRET_KEY": "a,b"}, "a,b", ["a,b"]),
        ("django", {"separator": "json"}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": '["b,c"]'}, "a", ["a", "b,c"]),
        ("django", {"separator": "json"}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": ""}, "a", ["a"]),
        ("django", {"separator": "::"}, {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b::c:d"}, "a", ["a", "b", "c:d"]),
        ("django", ONE_LIST, {"KEYS": "a,b"}, "a", ["a", "b"]),
        ("django", {**ONE_LIST, "signs": "last"}, {"KEYS": "a,b"}, "b", ["b", "a"]),
        ("flask", {}, {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": '["b"]', "OTHER": "x"}, "a", ["a", "b"]),
        ("itsdangerous", {}, {"SECRET_KEYS": "old,new"}, "new", ["new", "old"]),
    ],
)
def test_what_an_application_does_that_is_given_these_settings(framework, settings, values, signs, accepts):
    assert decode(profile(framework, settings), values) == Keys(signs, accepts)


@pytest.mark.parametrize(
    "framework, values, kind",
    [
        ("django", {}, "absent"),
        ("django", {"SECRET_KEY_FALLBACKS": "a"}, "absent"),
        ("django", {"SECRET_KEY": ""}, "empty"),
        ("django", {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": ","}, "empty"),
        ("django", {"SECRET_KEY": "a", "SECRET_KEY_FALLBACKS": "b,"}, "empty"),
        ("flask", {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": '["b", ""]'}, "empty"),
        ("flask", {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": "b,c"}, "not_a_list"),
        ("flask", {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": '"b"'}, "not_a_list"),
        ("flask", {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": '{"b": 1}'}, "not_a_list"),
        ("flask", {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": "[1]"}, "not_a_list"),
        ("airflow", {"AIRFLOW__CORE__FERNET_KEY": "a,,b"}, "empty"),
        ("itsdangerous", {"SECRET_KEYS": ""}, "empty"),
    ],
)
def test_settings_of_which_nothing_certain_follows_are_told_apart(framework, values, kind):
    with pytest.raises(SettingsError) as error:
        decode(profile(framework), values)
    assert kind_of(error) == kind


def test_a_json_list_without_a_key_signs_with_nothing():
    with pytest.raises(SettingsError) as error:
        decode(profile("flask", ONE_LIST), {"KEYS": "[]"})
    assert kind_of(error) == "empty"


@pytest.mark.parametrize(
    "settings, keys",
    [
        ({}, Keys("new", ["new", "old,with,commas"])),
        (ONE_LIST, Keys("new,er", ["new,er"])),
        ({"separator": "::"}, Keys("new", ["new", "o::ld"])),
    ],
)
def test_a_key_that_holds_the_separator_is_refused_and_not_read_as_two(settings, keys):
    with pytest.raises(SettingsError, match="set app_keys_settings.separator to json") as error:
        encode(profile("django", settings), keys)
    assert kind_of(error) == "ambiguous"
    assert not any(key in str(error.value) for key in keys.accepts)


def test_a_json_list_carries_every_key():
    form = profile("django", {"separator": "json"})
    keys = Keys("new", ["new", 'with,comma and "quote"', "\u2603"])
    assert decode(form, encode(form, keys)) == keys


@pytest.mark.parametrize("key", ["a secret,which nobody may read", 'a secret" which nobody may read'])
@pytest.mark.parametrize("framework", ["flask", "django"])
def test_13_no_message_about_settings_holds_a_value(framework, key):
    form = profile(framework)
    with pytest.raises(SettingsError) as error:
        decode(form, {form.primary: key, form.fallbacks: key + ","})
    assert "nobody" not in str(error.value)


@pytest.mark.parametrize("settings, names", [({}, ["SECRET_KEY", "SECRET_KEY_FALLBACKS"]), (ONE_LIST, ["KEYS"])])
def test_the_settings_that_are_ours(settings, names):
    assert profile("django", settings).names == names


def test_one_field_can_differ_from_the_profile():
    assert profile("django", {"primary": "SHOP_KEY"}) == DJANGO._replace(primary="SHOP_KEY")


@pytest.mark.parametrize(
    "framework, settings, said",
    [
        ("jango", {}, "app_keys_framework is 'jango'; known are activerecord-encryption, airflow,"),
        ("django", {"fallback": "X"}, "app_keys_settings has no field 'fallback'"),
        ("django", {"primary": ""}, "app_keys_settings.primary must be a text that is not empty"),
        ("django", {"primary": None}, "app_keys_settings.primary must be a text"),
        ("django", {"separator": 5}, "app_keys_settings.separator must be a text"),
        ("django", {"separator": ""}, "app_keys_settings.separator must be a text that is not empty"),
        ("django", {"signs": "middle"}, "app_keys_settings.signs is 'middle'; it is 'first' or 'last'"),
        ("django", {"key": "rsa"}, "app_keys_settings.key is 'rsa'; it is one of text,"),
        ("django", {"primary": "SECRET KEY"}, "'SECRET KEY' cannot be the name of an environment variable"),
        ("django", {"fallbacks": "A=B"}, "'A=B' cannot be the name"),
        ("django", {"primary": "1KEY"}, "'1KEY' cannot be the name"),
        ("django", {"primary": "SCHL\u00dcSSEL"}, "cannot be the name"),
        ("django", {"primary": "SECRET-KEY"}, "cannot be the name"),
        ("django", {"primary": "KEY\n"}, "cannot be the name"),
    ],
)
def test_a_profile_that_cannot_be_used_is_refused_and_says_why(framework, settings, said):
    with pytest.raises(SettingsError) as error:
        profile(framework, settings)
    assert said in str(error.value)
    assert kind_of(error) == "profile"


@pytest.mark.parametrize("framework", ["itsdangerous", "laravel", "rails", "airflow", "keygrip", "jupyterhub"])
def test_a_framework_that_sets_no_end_has_no_soak_of_its_own(framework):
    assert profile(framework).soak is None


@pytest.mark.parametrize("soak", ["for ever", ["14d"], "", -1])
def test_a_soak_that_is_no_duration_is_refused(soak):
    with pytest.raises(SettingsError, match="app_keys_settings.soak"):
        profile("django", {"soak": soak})


@pytest.mark.parametrize(
    "settings",
    [
        {"separator": "-"},
        {"separator": "_"},
        {"key": "fernet", "separator": "="},
        {"key": "base64:32", "separator": "+"},
    ],
)
def test_a_separator_that_new_keys_may_hold_is_refused_before_a_key_is_made(settings):
    with pytest.raises(SettingsError) as error:
        profile("django", settings)
    assert kind_of(error) == "profile"


def test_a_list_that_nobody_means_is_none():
    keys = [f"key-{number}" for number in range(MOST_KEYS)]
    assert len(decode(DJANGO, {"SECRET_KEY": keys[0], "SECRET_KEY_FALLBACKS": ",".join(keys)}).accepts) == MOST_KEYS
    with pytest.raises(SettingsError, match=f"lists {MOST_KEYS + 1} keys") as error:
        decode(DJANGO, {"SECRET_KEY": "one more", "SECRET_KEY_FALLBACKS": ",".join(keys)})
    assert kind_of(error) == "not_a_list"


@pytest.mark.parametrize("text", ["[" * 100_000, '["\\ud800"]', '["a", "\\udfff"]', '{"a": ' * 50_000])
def test_what_json_can_say_and_no_setting_can_hold_is_no_list(text):
    with pytest.raises(SettingsError) as error:
        decode(profile("flask"), {"FLASK_SECRET_KEY": "a", "FLASK_SECRET_KEY_FALLBACKS": text})
    assert kind_of(error) == "not_a_list"


@pytest.mark.parametrize(
    ("text", "key"), [('"abc"', "abc"), ("abc", "abc"), ('a"b', 'a"b'), ('"a\\u0062c"', "abc"), ("1e5x", "1e5x")]
)
def test_what_flask_decodes_is_decoded(text: str, key: str) -> None:
    """from_prefixed_env takes what is JSON for that, and all else as it is."""
    flask = frameworks.profile("flask")
    keys = frameworks.decode(flask, {"FLASK_SECRET_KEY": text})
    assert keys.signs == key
    assert frameworks.decode(flask, frameworks.encode(flask, keys)) == keys


@pytest.mark.parametrize("text", ["12345", "true", "null", "[]", '["abc"]', "{}", "NaN", '""'])
def test_what_flask_decodes_to_no_text_is_refused(text: str) -> None:
    with pytest.raises(frameworks.SettingsError) as error:
        frameworks.decode(frameworks.profile("flask"), {"FLASK_SECRET_KEY": text})
    assert text.strip('"') == "" or text not in str(error.value)


@pytest.mark.parametrize("key", ["12345", "true", '"abc"', "NaN"])
def test_a_key_that_flask_would_decode_is_written_so_that_it_does_not_change(key: str) -> None:
    flask = frameworks.profile("flask")
    keys = frameworks.Keys(key, [key, "other"])
    assert frameworks.decode(flask, frameworks.encode(flask, keys)) == keys
