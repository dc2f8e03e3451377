# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The profiles that are shipped: one file of data each in `profiles`, checked when it is loaded.

The fields of a profile; what is not said is as in `DEFAULTS`:
  title, ends, tested   what it is; what ends with a key, in words; how it is known to be as it says
  status, reason        phased, or partly with the reason
  outputs     where and how keys are written: {env, file or dir: a name or several, holds, as, decode}; see `ways`
  signs       who signs: {at: 0, -1 or -2} of a list, {pointer: True} where an output holds the signer's id, {highest_id: True}
  ids, lookup the ids under which keys stand: none or int; whether readers try all keys or look one up: trial or id
  count       {min, max}: how many keys there may be; fewer than min are padded by repeating
  key         form of a new key, of KEY_FORMS
  life        [{what, for, source}]: how long what is signed lives; null where the framework sets no end
  at_rest     [{what, command, proof}]: what is stored encrypted; it has to be encrypted anew before a key ends
  spread      how long others may cache a set of keys, as a duration
  applies     restart, reload or live
  packages    where its packages come from: pypi, npm, composer or gem
  versions    [{package, range, verdict, why}], conflicts [{package, verdict, why, cure}]: refused or warned of at adopt
  not_cured   what ends at promote, whatever the phases
  notes       what else there is to know, in words
  snippet     lines of what the application's own code has to do
"""

from __future__ import annotations

import difflib
import importlib
import re
from contextlib import suppress
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from . import profiles
from .durations import DurationError, seconds
from .ways import WAYS, Output, SettingsError

# A list of more keys is none that anybody means, and takes long to look through.
MOST_KEYS = 256
# The forms of a new key, and beside letters and digits the characters that it may hold.
KEY_FORMS: Dict[str, Set[str]] = {
    "text": set("-_"),
    "text:32": set("-_"),
    "hex32": set(),
    "hex64": set(),
    "base64:32": set("+/=:"),
    "base64:16": set("+/=:"),
    "bytes:80": set("+/="),
    "fernet": set("-_="),
}
ALIASES = {"keygrip": "express"}
DEFAULTS: Dict[str, Any] = {
    "status": "phased", "reason": None, "ids": "none", "lookup": "trial", "count": {"min": 1, "max": MOST_KEYS}, "life": [], "at_rest": [],
    "spread": None, "applies": "restart", "packages": None, "versions": [], "conflicts": [], "not_cured": [], "notes": [], "snippet": [],
}  # fmt: skip
NEEDED = ("title", "outputs", "signs", "key", "ends", "tested")
CHOICES: Dict[str, Sequence[Any]] = {
    "status": ("phased", "partly"),
    "ids": ("none", "int"),
    "lookup": ("trial", "id"),
    "applies": ("restart", "reload", "live"),
    "packages": (None, "pypi", "npm", "composer", "gem"),
    "key": tuple(KEY_FORMS),
}
SIGNERS: Sequence[Mapping[str, Any]] = ({"at": 0}, {"at": -1}, {"at": -2}, {"pointer": True}, {"highest_id": True})
ENTRIES = {
    "life": ("what", "for", "source"),
    "at_rest": ("what", "command", "proof"),
    "versions": ("package", "range", "verdict", "why"),
    "conflicts": ("package", "verdict", "why", "cure"),
}
VERDICTS = ("refused", "warned")
PLACES = ("env", "file", "dir")
RANGE = re.compile(r"(<|<=|>|>=|==)\d+(\.\d+)*(-?[a-z]+\d*)?")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class _Shipped(Mapping[str, Mapping[str, Any]]):
    """Every profile by its name. One is loaded when it is asked for: a host is sent the one that it needs, and can list none."""

    def __init__(self) -> None:
        self._loaded: Dict[str, Mapping[str, Any]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        file = module_of(name)
        if name not in self._loaded and file:
            with suppress(ModuleNotFoundError):
                module = importlib.import_module(f"{profiles.__name__}.{file}")
                self._loaded[name] = checked(name, module.PROFILE)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        from pkgutil import iter_modules  # no host needs it

        names = [found.name for found in iter_modules(profiles.__path__)]
        return iter(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))

    def __len__(self) -> int:
        return len(list(iter(self)))


PROFILES: Mapping[str, Mapping[str, Any]] = _Shipped()


def module_of(name: str) -> Optional[str]:
    """Return the name of the file of a profile, without its ending; None for what can be no profile's name."""
    return ALIASES.get(name, name).replace("-", "_") if _NAME.fullmatch(name) else None


def why_unknown(framework: str) -> str:
    """Say why there is no profile of this name: it is refused, with the reason; or what is like it."""
    for names, called, why, instead in _refused():
        if _letters(framework) in [_letters(name) for name in names]:
            return f"app_keys_framework is {framework!r}: {called} cannot be rolled by phased.keys, since {why}. Instead: {instead}"
    known = list(PROFILES)
    by_letters = {
        _letters(name): name for name in [*known, *ALIASES, *(name for entry in _refused() for name in entry[0])]
    }
    near = difflib.get_close_matches(_letters(framework), by_letters, 1)
    hint = f"; did you mean {by_letters[near[0]]}?" if near else ""
    return f"app_keys_framework is {framework!r}; known are {', '.join(known)}{hint}"


def _refused() -> Sequence[Tuple[Sequence[str], str, str, str]]:
    """Return what is refused by name: the names, what it is called, why, and what to do instead. No host has the list."""
    with suppress(ModuleNotFoundError):
        found: Sequence[Tuple[Sequence[str], str, str, str]] = importlib.import_module(
            f"{profiles.__name__}._refused"
        ).REFUSED
        return found
    return ()


def _letters(name: str) -> str:
    """Return a name as people mean it, however they write it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def checked(name: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a profile's data with what it does not say; SettingsError that names what is wrong with it."""

    def wrong(what: str) -> SettingsError:
        return SettingsError("profile", f"the profile {name} cannot be used: {what}")

    found = {**DEFAULTS, **data}
    for field in data:
        if field not in DEFAULTS and field not in NEEDED:
            raise wrong(f"it has no field {field!r}")
    for field in NEEDED:
        if not found.get(field):
            raise wrong(f"it has no {field}")
    for field, choices in CHOICES.items():
        if found[field] not in choices:
            raise wrong(f"{field} is {found[field]!r}, and one of {', '.join(map(str, choices))}")
    for check in (_check_entries, _check_outputs, _check_signer, _check_count, _check_times):
        what = check(found)
        if what:
            raise wrong(what)
    return found


def outputs_of(data: Mapping[str, Any]) -> Tuple[Output, ...]:
    """Return the outputs of a profile's data."""
    return tuple(_output(said) for said in data["outputs"])


def position_of(data: Mapping[str, Any]) -> Optional[int]:
    """Return which key of a list signs; None where a pointer says it."""
    signs = data["signs"]
    return None if "pointer" in signs else int(signs.get("at", -1))


def soak_of(data: Mapping[str, Any]) -> Optional[str]:
    """Return the longest life of what is signed; None where something has no end, or nothing is known."""
    lives = [entry["for"] for entry in data["life"]]
    if not lives or None in lives:
        return None
    return str(max(lives, key=lambda life: seconds(life, "life")))


def _output(said: Mapping[str, Any]) -> Output:
    place = next(place for place in PLACES if place in said)
    names = said[place] if isinstance(said[place], list) else [said[place]]
    way, _colon, separator = said["as"].partition(":")
    return Output(tuple(names), place, said["holds"], way, separator, said.get("decode", "raw"))


def _check_entries(found: Mapping[str, Any]) -> Optional[str]:
    if found["status"] == "partly" and not found["reason"]:
        return "its status is partly, and no reason says what is left"
    for field, parts in ENTRIES.items():
        for entry in found[field]:
            if set(entry) != set(parts):
                return f"an entry of {field} has the fields {', '.join(sorted(entry))}, and not {', '.join(parts)}"
            if entry.get("verdict", VERDICTS[0]) not in VERDICTS:
                return f"{field}: the verdict on {entry['package']} is {entry['verdict']!r}, and one of {', '.join(VERDICTS)}"
            if "package" in entry and not found["packages"]:
                return f"{field} names {entry['package']}, and packages does not say where packages come from"
    for entry in found["versions"]:
        if not all(RANGE.fullmatch(part) for part in entry["range"].split(",")):
            return f"versions: {entry['range']!r} is no range, like >=4.1,<4.1.8"
    return None


def _check_outputs(found: Mapping[str, Any]) -> Optional[str]:
    for said in found["outputs"]:
        unknown = set(said) - {*PLACES, "holds", "as", "decode"}
        if unknown or len(set(said) & set(PLACES)) != 1 or not {"holds", "as"} <= set(said):
            return f"an output has the fields {', '.join(sorted(said))}: one of {', '.join(PLACES)}, with holds, as and decode"
        output = _output(said)
        what = _wrong_output(output, KEY_FORMS[found["key"]])
        if what:
            return f"{', '.join(output.names)}: {what}"
        if WAYS[output.way].ids and output.place == "env" and found["ids"] == "none":
            return f"{output.names[0]} holds keys under ids, and ids is none"
    names = [name for said in found["outputs"] for name in _output(said).names]
    if len(set(names)) < len(names):
        return "two outputs have one name"
    return None


def _wrong_output(output: Output, letters: Set[str]) -> Optional[str]:
    way = WAYS.get(output.way)
    if way is None:
        return f"as is {output.way!r}, and one of {', '.join(WAYS)}"
    if output.place not in way.places:
        return f"{output.way} cannot stand in {output.place}"
    if output.holds not in way.holds:
        return f"{output.way} cannot hold {output.holds}, but {', '.join(way.holds)}"
    if output.decode not in ("raw", "json", "base64") or (output.decode == "base64" and output.place == "env"):
        return f"decode cannot be {output.decode!r} there"
    if (output.way == "join") != bool(output.separator):
        return f"{output.way} {'needs' if output.way == 'join' else 'has no'} separator"
    if set(output.separator) & letters or output.separator.isalnum():
        return f"keys may hold {output.separator!r}, which stands between two"
    if len(output.names) > 1 and output.way != "slots":
        return f"{output.way} has one name"
    if output.place == "env":
        return next((f"{name!r} is no name of a variable" for name in output.names if not _WORD.fullmatch(name)), None)
    return None


def _check_signer(found: Mapping[str, Any]) -> Optional[str]:
    signs = found["signs"]
    if signs not in SIGNERS:
        return f"signs is {signs!r}, and one of {', '.join(map(str, SIGNERS))}"
    if "highest_id" in signs and found["lookup"] == "id":
        return "the highest id signs and readers look keys up by id, so that a key signs as soon as it is there: that cannot be phased"
    held = sorted(output.holds for output in outputs_of(found))
    if "pointer" in signs:
        return (
            None
            if held == ["all", "signer_id"] and found["ids"] != "none"
            else "a pointer needs an output with all keys by id, and one with signer_id"
        )
    if "at" in signs and found["lookup"] == "id":
        return "readers look keys up by id, and no pointer says which one signs"
    if held not in (["all"], ["others", "signer"]):
        return f"its outputs hold {', '.join(held)}: all, or signer and others"
    if held != ["all"] and signs != {"at": 0}:
        return "an output of its own holds the signer, which is {'at': 0}"
    return None


def _check_count(found: Mapping[str, Any]) -> Optional[str]:
    least, most = found["count"].get("min"), found["count"].get("max")
    if set(found["count"]) != {"min", "max"} or not 1 <= least <= most <= MOST_KEYS:
        return f"count is {found['count']!r}: min and max, from 1 to {MOST_KEYS}"
    if most < 2:
        return "it takes one key alone, and a phased rollout needs place for two"
    if found["signs"].get("at") == -2 and least < 3:
        return "the last but one signs, so that fewer than three keys have to be padded: count.min"
    for output in outputs_of(found):
        if output.way == "slots" and len(output.names) != most:
            return f"count.max is {most}, and there are {len(output.names)} slots"
    return None


def _check_times(found: Mapping[str, Any]) -> Optional[str]:
    said: List[Tuple[str, Any]] = [(f"life of {entry['what']}", entry["for"]) for entry in found["life"]]
    for name, value in [*said, ("spread", found["spread"])]:
        try:
            if value is not None:
                seconds(value, name)
        except DurationError as error:
            return str(error)
    return None
