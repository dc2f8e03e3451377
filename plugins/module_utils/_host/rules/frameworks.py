# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings carry an application's keys, and how a list of keys is written.

A profile is data (see `shipped`). What an application does differently from its framework is said with
`app_keys_settings`, field by field.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from . import ways
from .durations import DurationError, seconds
from .shipped import KEY_FORMS, MOST_KEYS, PROFILES, outputs_of, position_of, soak_of, why_unknown
from .ways import Output, SettingsError

__all__ = [
    "DEFAULT_FRAMEWORK", "FIELDS", "KEY_FORMS", "MOST_KEYS", "PROFILES", "Keys", "Profile", "SettingsError",
    "decode", "encode", "possible_keys", "profile", "unprintable",
]  # fmt: skip
DEFAULT_FRAMEWORK = "django"

# What app_keys_settings can say:
#   primary    the setting whose key signs
#   fallbacks  the setting that lists the keys that are accepted besides. The same name as
#              `primary`: one list holds them all, and `signs` says which of it signs
#   separator  what stands between two keys of a list; "json" for a JSON array of strings
#   signs      "first" or "last" of the one list; without meaning where there are two settings
#   key        form of a new key, of KEY_FORMS
#   decode     "json" where the framework decodes the value of `primary` as JSON if it is any, and else takes it as it is; "raw"
#   soak       the longest life of anything signed, as a duration; None where it has no end
#              that the framework knows, so that the operator has to say it
#   at_rest    what the keys encrypt that is stored: a list of `what` it is, the `command` that encrypts it anew, and the `proof`: a command
#              that fails as long as anything needs another key. Such a key never ends by a clock; see `_rules/at_rest.py`. False: nothing is
FIELDS = ("primary", "fallbacks", "separator", "signs", "key", "soak", "decode", "at_rest")
# Of what is at rest: how it is called, and what encrypts it anew and shows that nothing needs another key any more.
AT_REST = ("what", "command", "proof")
BASE64 = "base64:"
CIPHERS = {16: "AES-128-CBC", 32: "AES-256-CBC"}  # by the bytes of their keys
# Of a framework that writes its keys in another way than those fields can say.
FIXED = ("primary", "fallbacks", "separator", "signs", "decode")
POSITIONS: Dict[str, Optional[int]] = {"first": 0, "last": -1, "last but one": -2, "pointer": None}
NOT_CARRIED = "{name} reads its keys from key files, and key files are not written yet: this release knows how, and no visit does it"


class Profile(NamedTuple):
    """A framework as one application uses it; the first fields are those of `FIELDS`.

    written  where its keys are, where those fields cannot say it
    least, most  how many keys there are: fewer are padded by repeating, more cannot be
    spread   how long those who verify may go by the keys of before, as a duration; None where they read them anew each time. It is no
             field of an application's own, which has app_keys_spread
    """

    primary: str
    fallbacks: str
    separator: str
    signs: str
    key: str
    soak: Optional[str]
    decode: str = "raw"
    at_rest: Sequence[Mapping[str, str]] = ()
    spread: Optional[str] = None
    written: Tuple[Output, ...] = ()
    least: int = 1
    most: int = MOST_KEYS

    @property
    def outputs(self) -> Tuple[Output, ...]:
        """Where the keys are, the signer's before others."""
        if self.written:
            return self.written
        way, separator = ("json", "") if self.separator == "json" else ("join", self.separator)
        if self.primary == self.fallbacks:
            return (Output((self.primary,), "env", "all", way, separator),)
        others = Output((self.fallbacks,), "env", "others", way, separator)
        return (Output((self.primary,), "env", "signer", "raw", decode=self.decode), others)

    @property
    def names(self) -> List[str]:
        """The settings that are ours in an env file; no other is ever touched."""
        return [name for output in self.outputs for name in output.names]

    @property
    def position(self) -> Optional[int]:
        """Which key of a list signs; None where a pointer says it."""
        return POSITIONS[self.signs]


class Keys(NamedTuple):
    """What one process or file does with keys: `signs` with one, `accepts` all of a list, `signs` included."""

    signs: str
    accepts: List[str]


def shipped_profile(framework: str) -> Profile:
    """Return the profile of `framework` as it is shipped; SettingsError where there is none."""
    try:
        data = PROFILES[framework]
    except KeyError:
        raise SettingsError("profile", why_unknown(framework)) from None
    outputs, position = outputs_of(data), position_of(data)
    signs = next(word for word, place in POSITIONS.items() if place == position)
    more = {
        "key": data["key"], "soak": soak_of(data), "least": data["count"]["min"], "most": data["count"]["max"],
        "at_rest": tuple(data["at_rest"]), "spread": data["spread"],
    }  # fmt: skip
    main, last = outputs[0], outputs[-1]
    listed = last.way in ("join", "json") and last.holds in ("all", "others")
    if not listed or any(output.place != "env" for output in outputs) or position not in (0, -1):
        return Profile(main.names[0], last.names[0], "", signs, decode="raw", written=outputs, **more)
    separator = "json" if last.way == "json" else last.separator
    return Profile(main.names[0], last.names[0], separator, signs, decode=main.decode, **more)


def profile(framework: str = DEFAULT_FRAMEWORK, settings: Optional[Mapping[str, Any]] = None) -> Profile:
    """Return the profile of `framework` with the fields of `settings` in place of its own."""
    shipped = shipped_profile(framework)
    if any(output.place != "env" for output in shipped.outputs):
        raise SettingsError("profile", NOT_CARRIED.format(name=framework))
    fields = {field: getattr(shipped, field) for field in FIELDS}
    for field, value in (settings or {}).items():
        if field not in FIELDS:
            raise SettingsError("profile", f"app_keys_settings has no field {field!r}; it has {', '.join(FIELDS)}")
        if shipped.written and field in FIXED:
            said = f"{framework} writes its keys in its own way, into {', '.join(shipped.names)}"
            raise SettingsError("profile", f"app_keys_settings cannot say {field}: {said}")
        if field == "at_rest":
            value = tuple(_at_rest(value))
        elif field != "soak" and not (isinstance(value, str) and value):
            raise SettingsError("profile", f"app_keys_settings.{field} must be a text that is not empty, not {value!r}")
        fields[field] = value
    if not shipped.written:
        _see_list(fields)
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
    return shipped._replace(**fields)


def _see_list(fields: Mapping[str, Any]) -> None:
    """Refuse what app_keys_settings says of a list that cannot be."""
    if fields["signs"] not in ("first", "last"):
        raise SettingsError("profile", f"app_keys_settings.signs is {fields['signs']!r}; it is 'first' or 'last'")
    if fields["decode"] not in ("raw", "json"):
        raise SettingsError("profile", f"app_keys_settings.decode is {fields['decode']!r}; it is 'raw' or 'json'")


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
    others = [key for key in dict.fromkeys(keys.accepts) if key != keys.signs]
    if len(others) + 1 > profile.most:
        raise SettingsError(
            "limit", f"{', '.join(profile.names)} can hold {profile.most} keys, and not {len(others) + 1}"
        )
    held = {
        "signer": [keys.signs],
        "others": others,
        "all": _in_order(profile, keys.signs, others),
        "signer_id": [ways.key_id(keys.signs)],
    }
    values: Dict[str, str] = {}
    for output in profile.outputs:
        values.update(ways.write(output, held[output.holds]))
    return values


def _in_order(profile: Profile, signs: str, others: Sequence[str]) -> List[str]:
    """Return the one list, in which fewer keys than there have to be are padded with the one that signs."""
    pad = [signs] * (profile.least - 1 - len(others))
    if profile.position == -1:
        return [*others, *pad, signs]
    if profile.position == -2:
        # HAProxy: its last but one key signs, and one that is not to sign yet can stand behind it.
        pad = pad[len(others) == 0 :]
        return [*others[:-1], *pad, signs, *(others[-1:] or [signs])]
    return [signs, *others, *pad]


def decode(profile: Profile, values: Mapping[str, str]) -> Keys:
    """Return what an application does that is given `values`; SettingsError where that cannot be known."""
    main = profile.outputs[0]
    if main.place != "dir":
        if all(name not in values for name in main.names):
            raise SettingsError("absent", f"{main.names[0]} is not set")
        if not any(values.get(name) for name in main.names):
            raise SettingsError("empty", f"{main.names[0]} is empty")
    held = ways.read(main, values)
    if not held:
        raise SettingsError("empty", f"{main.names[0]} lists no key")
    listed = [key for _id, key in held]
    if profile.position is None:
        signs = _pointed(profile, held, values)
    elif main.holds == "signer":
        signs = listed[0]
        listed += [key for _id, key in ways.read(profile.outputs[1], values)]
    elif len(listed) < profile.least:
        raise SettingsError("not_a_list", f"{main.names[0]} holds {len(listed)} keys, and {profile.least} are needed")
    else:
        signs = listed[profile.position]
    accepts = [signs] + [key for key in dict.fromkeys(listed) if key != signs]
    if len(accepts) > MOST_KEYS:
        raise SettingsError(
            "not_a_list", f"{profile.fallbacks} lists {len(accepts)} keys, and at most {MOST_KEYS} are looked through"
        )
    if len(accepts) > profile.most:
        raise SettingsError(
            "not_a_list", f"{main.names[0]} holds {len(accepts)} keys, and {profile.most} are all that there can be"
        )
    return Keys(signs, accepts)


def _pointed(profile: Profile, held: ways.Held, values: Mapping[str, str]) -> str:
    """Return the key whose id the other output holds."""
    (pointer,) = (output for output in profile.outputs if output.holds == "signer_id")
    name = pointer.names[0]
    said = values.get(name, "")
    if not said:
        raise SettingsError("absent" if name not in values else "empty", f"{name} is not set, or empty")
    found = [key for key_id, key in held if key_id == said]
    if not found:
        raise SettingsError("not_a_list", f"{name} names a key that {profile.outputs[0].names[0]} does not hold")
    return found[0]


def possible_keys(profile: Profile, text: str) -> List[str]:
    """Return what may be a key in the text of one of the settings, however malformed it is."""
    separators = {output.separator or "," for output in profile.outputs if output.holds in ("others", "all")}
    found = [part for separator in sorted(separators) for part in text.split(separator)]
    values = (
        [part.rpartition(":")[2] for part in found] if any(ways.WAYS[one.way].ids for one in profile.outputs) else []
    )
    return [part.strip(' {}[]"') for part in [*found, *values]]
