# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How keys are written where an application reads them: a setting or a file with one key, or a list, a map, slots or numbers.

A way is an entry of `WAYS`. It turns keys in their order into texts, one for each name of an output, and back.
"""

from __future__ import annotations

import json
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import PhasedKeysError
from .fingerprint import fingerprint

# What a text holds, in its order: each key with the id under which it stands there, if any.
Held = List[Tuple[Optional[str], str]]


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


class Output(NamedTuple):
    """One place where keys are written.

    names   settings of an env file, or files; several for slots. A folder is one name, and its files are numbered
    place   env, file or dir
    holds   which keys: signer, others (all but the signer), all, or signer_id: no key, but the signer's id
    way     of WAYS
    separator  between two keys of a list
    decode  what the application makes of it: json (a JSON text if it is any), base64 (the bytes), raw
    """

    names: Tuple[str, ...]
    place: str = "env"
    holds: str = "all"
    way: str = "raw"
    separator: str = ""
    decode: str = "raw"


class Way(NamedTuple):
    """How one kind of text is written and read; `places` are those where it can stand, `ids` whether each key stands there under one."""

    write: Callable[[Output, Sequence[str]], Dict[str, str]]
    read: Callable[[Output, Mapping[str, str]], Held]
    places: Sequence[str] = ("env",)
    holds: Sequence[str] = ("others", "all")
    ids: bool = False


def write(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    """Return the text of each name of an output that holds these keys; SettingsError for keys that cannot stand there."""
    return WAYS[output.way].write(output, keys)


def read(output: Output, texts: Mapping[str, str]) -> Held:
    """Return what an output's texts hold; SettingsError where that is not certain."""
    held = WAYS[output.way].read(output, texts)
    if not all(key for _id, key in held):
        # An empty key is accepted like any other: whoever signs with nothing would be let in.
        raise SettingsError("empty", f"{output.names[0]} holds an empty key")
    return held


def key_id(key: str) -> str:
    """Return the id of a key where ids are whole numbers. It follows from the key, so that none is ever used for another."""
    return str(int(fingerprint(key)[:8], 16))


# --- one key ---


def _write_raw(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    return {output.names[0]: _encoded(output, keys[0]) if keys else ""}


def _read_raw(output: Output, texts: Mapping[str, str]) -> Held:
    text = texts.get(output.names[0], "")
    return [(None, _decoded(output, text))] if text else []


def _encoded(output: Output, key: str) -> str:
    """Return the text that is decoded as this key."""
    if output.decode != "json":
        return key
    try:
        return key if _decoded(output, key) == key else json.dumps(key)
    except SettingsError:
        return json.dumps(key)


def _decoded(output: Output, text: str) -> str:
    """Return the key that the application makes of a text: Flask's from_prefixed_env decodes what is JSON."""
    if output.decode != "json":
        return text
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(key, str) or not key or not _is_text(key):
        raise SettingsError(
            "not_a_list",
            f"{output.names[0]} is decoded as JSON, and is no text then: put it in double quotes that it reads",
        )
    return key


# --- lists ---


def _write_join(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    for key in keys:
        if output.separator in key:
            raise SettingsError(
                "ambiguous",
                f"a key holds {output.separator!r}, which stands between two keys in {output.names[0]}: "
                "let the application read a JSON list, and set app_keys_settings.separator to json",
            )
    return {output.names[0]: output.separator.join(keys)}


def _read_join(output: Output, texts: Mapping[str, str]) -> Held:
    text = texts.get(output.names[0], "")
    return [(None, key) for key in text.split(output.separator)] if text else []


def _write_json(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    return {output.names[0]: json.dumps(list(keys))}


def _read_json(output: Output, texts: Mapping[str, str]) -> Held:
    text = texts.get(output.names[0], "")
    keys = _json(text) if text else []
    # Flask takes a plain string apart into keys of one character each.
    if not isinstance(keys, list) or not all(isinstance(key, str) and _is_text(key) for key in keys):
        raise SettingsError("not_a_list", f"{output.names[0]} is not a JSON list of strings")
    return [(None, key) for key in keys]


def _write_map(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    by_id = {key_id(key): key for key in keys}
    if len(by_id) != len(set(keys)):
        raise SettingsError("ambiguous", "two keys would have one id: give the application another key")
    return {output.names[0]: json.dumps(by_id)}


def _read_map(output: Output, texts: Mapping[str, str]) -> Held:
    text, name = texts.get(output.names[0], ""), output.names[0]
    keys = _json(text) if text else {}
    if not isinstance(keys, dict) or not all(isinstance(key, str) and _is_text(key) for key in keys.values()):
        raise SettingsError("not_a_list", f"{name} is not a JSON map of ids and strings")
    for given, key in keys.items():
        if key and given != key_id(key):
            raise SettingsError(
                "not_a_list",
                f"{name} has a key under another id than {key_id(key)}, which follows from the key: what was signed under that one would be refused "
                "after the first visit. Sign with it under its own id, and adopt when all has ended that was signed before",
            )
    return list(keys.items())


def _write_lines(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    return {output.names[0]: "".join(f"{key}\n" for key in keys)}


def _read_lines(output: Output, texts: Mapping[str, str]) -> Held:
    text = texts.get(output.names[0], "")
    return [(None, line) for line in text[: -1 if text.endswith("\n") else None].split("\n")] if text else []


# --- several names ---


def _write_slots(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    if len(keys) > len(output.names):
        raise SettingsError("not_a_list", f"{len(keys)} keys do not fit into {', '.join(output.names)}")
    return {name: keys[place] if place < len(keys) else "" for place, name in enumerate(output.names)}


def _read_slots(output: Output, texts: Mapping[str, str]) -> Held:
    return [(None, texts[name]) for name in output.names if texts.get(name)]


def _write_numbered(output: Output, keys: Sequence[str]) -> Dict[str, str]:
    return {f"{output.names[0]}/{number}": key for number, key in enumerate(keys)}


def _read_numbered(output: Output, texts: Mapping[str, str]) -> Held:
    folder, found = output.names[0] + "/", []
    for path, text in texts.items():
        number = path[len(folder) :] if path.startswith(folder) else ""
        if number.isdigit() and number.isascii() and text:  # what is empty Keystone leaves out, without a word
            found.append((int(number), text.strip()))
    return [(str(number), key) for number, key in sorted(found)]


WAYS: Dict[str, Way] = {
    "raw": Way(_write_raw, _read_raw, ("env", "file"), ("signer", "signer_id")),
    "join": Way(_write_join, _read_join),
    "json": Way(_write_json, _read_json, ("env", "file")),
    "json-map": Way(_write_map, _read_map, ("env", "file"), ("all",), ids=True),
    "lines": Way(_write_lines, _read_lines, ("file",)),
    "slots": Way(_write_slots, _read_slots, ("env", "file"), ("all",)),
    "numbered": Way(_write_numbered, _read_numbered, ("dir",), ("all",), ids=True),
}


def _json(text: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def _is_text(key: str) -> bool:
    """Whether a string can be written down: JSON can escape halves of characters (surrogates) that no encoding has."""
    try:
        key.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
