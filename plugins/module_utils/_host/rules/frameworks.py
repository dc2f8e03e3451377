# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings carry an application's keys, and how a list of keys is written.

A profile is data. What an application does differently from its framework is said with
`app_keys_settings`, field by field.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from .durations import DurationError, seconds
from .errors import PhasedKeysError

DEFAULT_FRAMEWORK = "django"

# The fields of a profile:
#   primary    the setting whose key signs
#   fallbacks  the setting that lists the keys that are accepted besides. The same name as
#              `primary`: one list holds them all, and `signs` says which of it signs
#   separator  what stands between two keys of a list; "json" for a JSON array of strings
#   signs      "first" or "last" of the one list; without meaning where there are two settings
#   key        form of a new key: "text" (64 URL-safe characters), "hex32" and "hex64" (bytes in
#              hex digits), "base64:32" (Laravel's), "base64:16" (Laravel's with AES-128-CBC) or "fernet"
#   decode     "json" where the framework decodes the value of `primary` as JSON if it is any, and else takes it as it is; "raw"
#   soak       the longest life of anything signed, as a duration; None where it has no end
#              that the framework knows, so that the operator has to say it
#   at_rest    what the key encrypts that is stored: a list of `what` it is, the `command` that encrypts it anew, and the `proof`: a command
#              that fails as long as anything needs another key. Such a key never ends by a clock; see `_rules/at_rest.py`. Empty: nothing is
#   spread     how long those who verify may go by the keys of before, as a duration; None where they read them anew each time. No field of
#              an application's own, which has app_keys_spread
#   ends       what ends with a key, in words: whoever rolls a leaked one without its soak is told. No field of an application's own
# Sources: the frameworks' own documentation of these settings. Laravel's sessions last 120 minutes by default, but "remember me" 400 days,
# and what encrypt() made lies in columns without any end.
PROFILES: Dict[str, Dict[str, Any]] = {
    "django": {
        "primary": "SECRET_KEY", "fallbacks": "SECRET_KEY_FALLBACKS", "separator": ",",
        "signs": "first", "key": "text", "decode": "raw", "soak": "14d",
        "ends": "every login (the session's hash is checked against SECRET_KEY and SECRET_KEY_FALLBACKS), every password reset link, and all "
        "that the application signed with django.core.signing",
        "at_rest": [], "spread": None,
    },
    "flask": {
        "primary": "FLASK_SECRET_KEY", "fallbacks": "FLASK_SECRET_KEY_FALLBACKS", "separator": "json",
        "signs": "first", "key": "text", "decode": "json", "soak": "31d",
        "ends": "every session (the cookie is signed with it), and all that the application signed with itsdangerous",
        "at_rest": [], "spread": None,
    },
    "itsdangerous": {
        "primary": "SECRET_KEYS", "fallbacks": "SECRET_KEYS", "separator": ",",
        "signs": "last", "key": "text", "decode": "raw", "soak": None,
        "ends": "everything that the application signed with it",
        "at_rest": [], "spread": None,
    },
    "laravel": {
        "primary": "APP_KEY", "fallbacks": "APP_PREVIOUS_KEYS", "separator": ",",
        "signs": "first", "key": "base64:32", "decode": "raw", "soak": None,
        "ends": "every session and every other encrypted cookie, every signed URL and password reset link, and what the application stored with "
        "encrypt(): encrypt that anew first, or it is lost",
        "at_rest": [{"what": "columns and files that the application stored with encrypt()"}],
        "spread": None,
    },
    "rails": {
        "primary": "SECRET_KEY_BASE", "fallbacks": "SECRET_KEY_BASE_PREVIOUS", "separator": ",",
        "signs": "first", "key": "hex64", "decode": "raw", "soak": None,
        "ends": "every session, every signed and encrypted cookie, signed ids, and messages of a verifier or encryptor",
        "at_rest": [], "spread": None,
    },
    "airflow": {
        "primary": "AIRFLOW__CORE__FERNET_KEY", "fallbacks": "AIRFLOW__CORE__FERNET_KEY", "separator": ",",
        "signs": "first", "key": "fernet", "decode": "raw", "soak": None,
        "ends": "every stored connection and variable that was not encrypted anew: run `airflow rotate-fernet-key` first, or they are lost",
        "at_rest": [{"what": "connections, variables and triggers in Airflow's database", "command": "airflow rotate-fernet-key"}],
        "spread": None,
    },
    "keygrip": {
        "primary": "COOKIE_KEYS", "fallbacks": "COOKIE_KEYS", "separator": ",",
        "signs": "first", "key": "text", "decode": "raw", "soak": None,
        "ends": "every cookie that was signed with it, sessions among them",
        "at_rest": [], "spread": None,
    },
    "jupyterhub": {
        "primary": "JUPYTERHUB_CRYPT_KEY", "fallbacks": "JUPYTERHUB_CRYPT_KEY", "separator": ";",
        "signs": "first", "key": "hex32", "decode": "raw", "soak": None,
        "ends": "the stored auth_state of every user: they have to log in again",
        "at_rest": [{"what": "the auth_state of every user in the hub's database, which is encrypted anew when its user logs in"}],
        "spread": None,
    },
}  # fmt: skip
FIELDS = ("primary", "fallbacks", "separator", "signs", "key", "soak", "decode", "at_rest")
# Of what is at rest: how it is called, and what encrypts it anew and shows that nothing needs another key any more.
AT_REST = ("what", "command", "proof")
# The forms of a new key, and beside letters and digits the characters that it may hold.
KEY_FORMS: Dict[str, Set[str]] = {
    "text": set("-_"),
    "hex32": set(),
    "hex64": set(),
    "base64:32": set("+/=:"),
    "base64:16": set("+/=:"),
    "fernet": set("-_="),
}

BASE64 = "base64:"
CIPHERS = {16: "AES-128-CBC", 32: "AES-256-CBC"}  # by the bytes of their keys

# A list of more keys is none that anybody means, and takes long to look through.
MOST_KEYS = 256


class SettingsError(PhasedKeysError):
    """What a set of settings says about keys cannot be used; `kind` tells the cases apart.

    absent, empty: the signing setting is not there, or has no key in it.
    not_a_list: the list is not written as the profile says.
    ambiguous: a key holds the separator, so that the list would be read as other keys.
    profile: the profile itself is wrong.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Profile(NamedTuple):
    """A framework as one application uses it; the fields are those of `FIELDS`, and the profile's `spread`."""

    primary: str
    fallbacks: str
    separator: str
    signs: str
    key: str
    soak: Optional[str]
    decode: str = "raw"
    at_rest: Sequence[Mapping[str, str]] = ()
    spread: Optional[str] = None

    @property
    def names(self) -> List[str]:
        """The settings that are ours in an env file; no other is ever touched."""
        return [self.primary] if self.primary == self.fallbacks else [self.primary, self.fallbacks]


class Keys(NamedTuple):
    """What one process or file does with keys: `signs` with one, `accepts` all of a list, `signs` included."""

    signs: str
    accepts: List[str]


def profile(framework: str = DEFAULT_FRAMEWORK, settings: Optional[Mapping[str, Any]] = None) -> Profile:
    """Return the profile of `framework` with the fields of `settings` in place of its own."""
    if framework not in PROFILES:
        raise SettingsError("profile", f"app_keys_framework is {framework!r}; known are {', '.join(sorted(PROFILES))}")
    fields = {field: PROFILES[framework][field] for field in FIELDS}
    for field, value in (settings or {}).items():
        if field not in FIELDS:
            raise SettingsError("profile", f"app_keys_settings has no field {field!r}; it has {', '.join(FIELDS)}")
        if field == "at_rest":
            value = _at_rest(value)
        elif field != "soak" and not (isinstance(value, str) and value):
            raise SettingsError("profile", f"app_keys_settings.{field} must be a text that is not empty, not {value!r}")
        fields[field] = value
    if fields["signs"] not in ("first", "last"):
        raise SettingsError("profile", f"app_keys_settings.signs is {fields['signs']!r}; it is 'first' or 'last'")
    if fields["decode"] not in ("raw", "json"):
        raise SettingsError("profile", f"app_keys_settings.decode is {fields['decode']!r}; it is 'raw' or 'json'")
    if fields["key"] not in KEY_FORMS:
        raise SettingsError(
            "profile", f"app_keys_settings.key is {fields['key']!r}; it is one of {', '.join(KEY_FORMS)}"
        )
    try:
        if fields["soak"] is not None:
            seconds(fields["soak"], "app_keys_settings.soak")
    except DurationError as error:
        raise SettingsError("profile", str(error)) from None
    if fields["separator"] != "json" and set(fields["separator"]) & KEY_FORMS[fields["key"]]:
        raise SettingsError(
            "profile",
            f"app_keys_settings.separator is {fields['separator']!r}, which new keys of the form {fields['key']} may hold",
        )
    for name in (fields["primary"], fields["fallbacks"]):
        if not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
            raise SettingsError("profile", f"{name!r} cannot be the name of an environment variable")
    fields["at_rest"] = tuple(fields["at_rest"])
    return Profile(**fields, spread=PROFILES[framework]["spread"])


def _at_rest(value: Any) -> Sequence[Mapping[str, str]]:
    """Return what an application says of itself that its keys encrypt and is stored; `false`, or an empty list, says that nothing is."""
    if value is False or value == []:
        return []
    usable: bool = isinstance(value, list) and all(
        isinstance(one, Mapping)
        and one.get("what")
        and set(one) <= set(AT_REST)
        and all(isinstance(said, str) for said in one.values())
        for one in value
    )
    if not usable:
        raise SettingsError(
            "profile",
            f"app_keys_settings.at_rest is {value!r}; it is false where nothing that the keys encrypt is stored, or a list of what is: "
            "[{what: encrypted columns, command: what encrypts them anew, proof: what shows that it is done}]",
        )
    return list(value)


def unprintable(key: str) -> Optional[str]:
    """Return why a key can stand in no env file, or None.

    HMAC takes a key and the same with a NUL behind it for one, so two that differ in that alone could not be told apart either.
    """
    if key.isprintable():
        return None
    return "holds a character that cannot be printed, like a NUL, a line break or half a character, and no env file can carry that"


def misfit(profile: Profile, key: str) -> Optional[str]:
    """Return why a key that an application has does not fit those that would be made for it, with what to do behind ` -> `; None where it does.

    Laravel's cipher wants a key of just one length, and takes no other beside it.
    """
    if not profile.key.startswith(BASE64):
        return None
    made = int(profile.key[len(BASE64) :])
    text = key[len(BASE64) :].rstrip("=")
    encoded = key.startswith(BASE64)
    if encoded and not re.fullmatch(r"[A-Za-z0-9+/]+", text):
        return f"begins with {BASE64} and is no base64 -> write it as php artisan key:generate does"
    length = len(text) * 3 // 4 if encoded else len(key.encode("utf-8", "surrogateescape"))
    if length == made:
        return None
    if length in CIPHERS:
        form = f'{{key: "{BASE64}{length}"}}'
        return f"has {length} bytes, as {CIPHERS[length]} wants, and new keys would have {made} -> set app_keys_settings to {form}"
    sizes = " or ".join(f"{size} ({cipher})" for size, cipher in CIPHERS.items())
    return f"has {length} bytes, and Laravel takes {sizes} -> put a key that php artisan key:generate made there by hand, and adopt that"


def encode(profile: Profile, keys: Keys) -> Dict[str, str]:
    """Return the value of each of the profile's settings, so that an application does as `keys` says."""
    others = [key for key in keys.accepts if key != keys.signs]
    if profile.primary != profile.fallbacks:
        return {profile.primary: _written(profile, keys.signs), profile.fallbacks: _join(profile, others)}
    ordered = [keys.signs] + others if profile.signs == "first" else others + [keys.signs]
    return {profile.primary: _join(profile, ordered)}


def decode(profile: Profile, values: Mapping[str, str]) -> Keys:
    """Return what an application does that is given `values`; SettingsError where that cannot be known."""
    if profile.primary not in values:
        raise SettingsError("absent", f"{profile.primary} is not set")
    if not values[profile.primary]:
        raise SettingsError("empty", f"{profile.primary} is empty")
    if profile.primary != profile.fallbacks:
        signs = _decoded(profile, values[profile.primary])
        others = _split(profile, values.get(profile.fallbacks, ""))
    else:
        listed = _split(profile, values[profile.primary])
        if not listed:
            raise SettingsError("empty", f"{profile.primary} lists no key")
        signs = listed[0] if profile.signs == "first" else listed[-1]
        others = listed
    accepts = [signs] + [key for key in dict.fromkeys(others) if key != signs]
    if len(accepts) > MOST_KEYS:
        raise SettingsError(
            "not_a_list", f"{profile.fallbacks} lists {len(accepts)} keys, and at most {MOST_KEYS} are looked through"
        )
    return Keys(signs, accepts)


def _decoded(profile: Profile, text: str) -> str:
    """Return the key that the framework makes of the value of `primary`: Flask's from_prefixed_env decodes what is JSON."""
    if profile.decode == "raw":
        return text
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(key, str) or not key or not _is_text(key):
        raise SettingsError(
            "not_a_list",
            f"{profile.primary} is decoded as JSON, and is no text then: put it in double quotes that it reads",
        )
    return key


def _written(profile: Profile, key: str) -> str:
    """Return the value of `primary` that is decoded as this key."""
    try:
        return key if _decoded(profile, key) == key else json.dumps(key)
    except SettingsError:
        return json.dumps(key)


def _join(profile: Profile, keys: Sequence[str]) -> str:
    if profile.separator == "json":
        return json.dumps(list(keys))
    for key in keys:
        if profile.separator in key:
            raise SettingsError(
                "ambiguous",
                f"a key holds {profile.separator!r}, which stands between two keys in {profile.fallbacks}: "
                "let the application read a JSON list, and set app_keys_settings.separator to json",
            )
    return profile.separator.join(keys)


def _split(profile: Profile, text: str) -> List[str]:
    if profile.separator != "json":
        keys = text.split(profile.separator) if text else []
    else:
        keys = _json_list(profile, text) if text else []
    if not all(keys):
        # An empty key is accepted like any other: whoever signs with nothing would be let in.
        raise SettingsError("empty", f"{profile.fallbacks} holds an empty key")
    return keys


def _json_list(profile: Profile, text: str) -> List[str]:
    try:
        keys = json.loads(text)
    except (ValueError, RecursionError):
        keys = None
    # Flask takes a plain string apart into keys of one character each.
    if not isinstance(keys, list) or not all(isinstance(key, str) and _is_text(key) for key in keys):
        raise SettingsError("not_a_list", f"{profile.fallbacks} is not a JSON list of strings")
    return keys


def _is_text(key: str) -> bool:
    """Whether a string can be written down: JSON can escape halves of characters (surrogates) that no encoding has."""
    try:
        key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
