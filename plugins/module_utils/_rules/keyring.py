# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring as data: what it must look like, and what its keys mean for every host.

A keyring is a plain dictionary, as it stands in the file. Nothing here changes one: that is for
`steps`, and only the gate calls it.
"""

from __future__ import annotations

import re
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from .._host.rules import frameworks
from .._host.rules.durations import LONGEST, epoch, stamp
from .._host.rules.errors import PhasedKeysError
from .._host.rules.fingerprint import PATTERN, fingerprint
from .._host.rules.order import Order, Token
from .._keyring_shapes import Details, JournalEntry, Key, Keyring, KeyringCore, Member, State, Step, Waiver
from .._shapes import StepName
from . import moving

if TYPE_CHECKING:
    from typing import Unpack

KIND = moving.KEYRING
SCHEMA = 2

STATES: Tuple[State, ...] = get_args(State)
ENDED: Tuple[State, ...] = ("retired", "withdrawn")
STEPS: Tuple[StepName, ...] = get_args(StepName)

# A key of fewer characters, or of fewer different ones, can be guessed. Django's own check
# (security.W009) wants 50 and 5; shorter keys of other origin are in use and are adopted with advice.
LEAST_LENGTH = 16
LEAST_DIFFERENT = 5

NAME = re.compile(r"\A[a-z0-9_-]{1,40}\Z")  # of an application, as far as it is shown

# Whether a value can be used for a field, and the fields of a mapping.
Kind = Callable[[object], bool]
Fields = Mapping[str, Kind]


class KeyringError(PhasedKeysError):
    """A keyring that cannot be used; the text says why, without a secret."""


def token(keyring: KeyringCore) -> Token:
    """Return the token of the open step."""
    return Token(keyring["id"], keyring["step"]["counter"], keyring["step"]["nonce"])


def is_open(keyring: KeyringCore) -> bool:
    """Whether the last step still waits for its closing count."""
    return bool(keyring["step"]["closed"] is None)


def find(keyring: KeyringCore, fingerprint: Optional[str]) -> Optional[Key]:
    """Return the key with this fingerprint; None where the keyring never held it."""
    return next((key for key in keyring["keys"] if key["fingerprint"] == fingerprint), None)


def primary(keyring: KeyringCore) -> Key:
    """Return the key that signs."""
    return in_state(keyring, "primary")[0]


def let_go(keyring: KeyringCore) -> List[str]:
    """Return the keys that the step lets go of, or has let go of, those that have leaked first."""
    step = keyring["step"]
    said = step.get("lets_go")
    if not said and step["name"] in ("retire", "withdraw"):
        # An earlier release did not write it down: these keys moved in the moment that the step opened.
        moved = [
            key["fingerprint"] for key in reversed(keyring["keys"]) if key["times"].get("dropping") == step["opened"]
        ]
        said = moved or [step["key"]]
    return leaked_first(keyring, said or [])


def leaked_first(keyring: KeyringCore, fingerprints: Sequence[str]) -> List[str]:
    """Return these keys with those that have leaked in front."""
    leaked = {key["fingerprint"] for key in keyring["keys"] if "compromised" in key["marks"]}
    return sorted(fingerprints, key=lambda key: key not in leaked)


def step_keys(keyring: KeyringCore) -> List[str]:
    """Return the keys that the step is about: all that it lets go of, or the one that it brings, or that signs by it."""
    step = keyring["step"]
    return let_go(keyring) if step["name"] in ("retire", "withdraw") else [step["key"]]


def in_state(keyring: KeyringCore, *states: State) -> List[Key]:
    """Return the keys in these states, the newest first."""
    return [key for key in reversed(keyring["keys"]) if key["state"] in states]


def order(keyring: KeyringCore) -> Order:
    """Return what the open step asks of every host."""
    step = keyring["step"]
    signs = primary(keyring)["fingerprint"]
    accepts = [signs] + _names(in_state(keyring, "staged", "retiring"))
    may_sign, must_accept = [signs], set(accepts) - set(_names(in_state(keyring, "staged")))
    if is_open(keyring):
        # While the hosts are on their way from one signing key to another, both sign somewhere, and
        # what is on its way to every host is not accepted everywhere.
        may_sign += [key for key in step["signing"] if key != signs]
        must_accept -= set(step["partly_accepted"])
    leaked = [key["fingerprint"] for key in keyring["keys"] if "compromised" in key["marks"]]
    may_accept = set(accepts) | set(_names(in_state(keyring, "dropping")))
    return Order(
        signs=signs,
        accepts=accepts,
        may_sign=may_sign,
        must_accept=sorted(must_accept),
        may_accept=sorted(may_accept),
        known=sorted(key["fingerprint"] for key in keyring["keys"]),
        leaked=sorted(leaked),
        incident=step["skippable_since"] is not None or bool(may_accept & set(leaked)),
    )


def over(keyring: KeyringCore, now: float) -> List[Key]:
    """Return the keys that have ended and still have a secret which nothing keeps any longer; see `Key.keep_sealed`."""
    ended = [key for key in in_state(keyring, *ENDED) if key["secret"] is not None]
    return [key for key in ended if sealed_until(key) <= now]


def sealed_until(key: Key) -> float:
    """Return until when (epoch) the secret of a key that has ended is kept."""
    return epoch(key["times"]["ended"]) + key["keep_sealed"] if key.get("keep_sealed") else 0.0


def secrets(keyring: KeyringCore, fingerprints: Sequence[str]) -> Dict[str, str]:
    """Return the secrets behind fingerprints, for the one place that writes them; a key that was destroyed has none."""
    keys = [key for key in keyring["keys"] if key["fingerprint"] in fingerprints]
    return {key["fingerprint"]: key["secret"] for key in keys if key["secret"] is not None}


def public(keyring: Keyring) -> Dict[str, object]:
    """Return the keyring without a secret: what may be shown."""
    return {
        **keyring,
        "keys": [{k: v for k, v in key.items() if k not in ("secret", "probe")} for key in keyring["keys"]],
    }


def weakness(secret: str) -> Optional[str]:
    """Return why a key is too weak to be used, or None."""
    if len(secret) < LEAST_LENGTH:
        return f"it has {len(secret)} characters, and at least {LEAST_LENGTH} are needed"
    if len(set(secret)) < LEAST_DIFFERENT:
        return f"it has {len(set(secret))} different characters, and at least {LEAST_DIFFERENT} are needed"
    if secret.startswith("django-insecure-"):
        return "it begins with django-insecure-, as a key that startproject made and that stands in a repository"
    return None


def check(keyring: object, name: Optional[str] = None) -> Keyring:
    """Return `keyring` if it is a keyring that this release can work with, else KeyringError.

    `name` is the application that it should belong to. Whatever passes can be decided on, counted and shown without an error, so that a
    keyring that was edited or merged by hand is refused where it is read and not in the middle of a rollout.
    """
    why = moving.why_no_keyring(keyring)
    if why:
        raise KeyringError(why)
    if not isinstance(keyring, Mapping) or keyring.get("kind") != KIND:
        raise KeyringError("this is not a keyring of phased.keys")
    schema = keyring.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise KeyringError(f"the keyring has no usable schema version: {_quoted(schema)}")
    if schema > SCHEMA:
        raise KeyringError(
            f"the keyring has schema {schema}, and this release of phased.keys knows up to {SCHEMA}: "
            "use the release that wrote it, or a newer one"
        )
    _fields(keyring, "the keyring", FIELDS, MORE_FIELDS)
    _parts(keyring, name)
    # What schema 2 added may all be absent. A release that knows 1 alone would let go of keys at rest by the clock, and is not to read it again.
    return cast(Keyring, {**keyring, "schema": SCHEMA})


def _parts(keyring: Mapping[str, Any], name: Optional[str]) -> None:
    """Check the parts of what has the fields of a keyring."""
    if name is not None and keyring["name"] != name:
        other = f"the application {keyring['name']!r}" if NAME.match(keyring["name"]) else "another application"
        raise KeyringError(f"the keyring belongs to {other}, not to {name!r}")
    try:
        frameworks.profile(keyring["framework"], keyring["settings"])
    except frameworks.SettingsError:
        raise KeyringError(
            f"the keyring is for {_quoted(keyring['framework'])}, and this release does not know that, or not with these settings"
        ) from None
    step = keyring["step"]
    _fields(step, "the open step", STEP_FIELDS, MORE_OF_THE_STEP)
    if step["name"] not in STEPS:
        raise KeyringError(f"the open step is {_quoted(step['name'])}; known are {', '.join(STEPS)}")
    _check_keys(keyring["keys"])
    if not keyring["members"]:
        raise KeyringError("the keyring has no members: nobody could tell it from a copy")
    for member, entry in keyring["members"].items():
        if not isinstance(member, str):
            raise KeyringError(f"the keyring has a member whose name is not a text: {_quoted(member)}")
        _fields(entry, f"member {member}", MEMBER_FIELDS)
    for waiver in keyring["waivers"]:
        _fields(waiver, "a waiver", WAIVER_FIELDS)
    for number, entry in enumerate(keyring["journal"], 1):
        _fields(entry, f"entry {number} of the journal", JOURNAL_FIELDS, MORE_OF_THE_JOURNAL)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _moment(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        epoch(value)
    except ValueError:
        return False
    return True


def _list(value: object) -> bool:
    return isinstance(value, list)


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _one_of(*kinds: Kind) -> Kind:
    return lambda value: any(kind(value) for kind in kinds)


def _every(kind: Kind) -> Kind:
    return lambda value: isinstance(value, list) and all(map(kind, value))


def _named(kind: Kind) -> Kind:
    return lambda value: isinstance(value, Mapping) and all(map(_text, value)) and all(map(kind, value.values()))


def _shaped(fields: Fields, more: Fields) -> Kind:
    def fits(value: object) -> bool:
        if not isinstance(value, Mapping):
            return False
        present = {field: kind for field, kind in more.items() if field in value}
        return all(field in value and kind(value[field]) for field, kind in {**fields, **present}.items())

    return fits


def _kind(hint: object, field: str) -> Kind:
    """Return what a usable value of a field is that a shape says to be this."""
    arguments = get_args(hint)
    if hint is str:
        return _moment if field in MOMENTS else _text
    if hint in PLAIN:
        return PLAIN[hint]
    origin = get_origin(hint)
    if origin is Union:
        return _one_of(*(_kind(one, field) for one in arguments))
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in arguments
    if origin is list:
        return _every(_kind(arguments[0], field))
    if origin is dict:
        return _named(_kind(arguments[1], field))
    return _shaped(*_fields_of(hint))


def _fields_of(shape: Any, but: Sequence[str] = (), **apart: Kind) -> Tuple[Fields, Fields]:
    """Return what a usable value of each field of a shape is: of those that have to be there, and of the others.

    `apart` are those whose content is checked where it can be named, and `but` those of which all is.
    """
    hints = {field: hint for field, hint in get_type_hints(shape).items() if field not in but}
    kinds = {field: apart.get(field) or _kind(hint, field) for field, hint in hints.items()}
    # Python 3.8, which ansible-test has import this and no controller runs, does not know which fields are required.
    required = getattr(shape, "__required_keys__", kinds)
    needed = {field: kind for field, kind in kinds.items() if field in required}
    return needed, {field: kind for field, kind in kinds.items() if field not in needed}


PLAIN: Mapping[object, Kind] = {
    int: _count,
    float: _number,
    bool: lambda value: isinstance(value, bool),
    type(None): lambda value: value is None,
}
MOMENTS = ("at", "began", "since", "until", "opened", "closed")  # texts that say when
FIELDS, MORE_FIELDS = _fields_of(
    Keyring, ["kind", "schema"], keys=_list, step=_mapping, members=_mapping, waivers=_list, journal=_list
)
STEP_FIELDS, MORE_OF_THE_STEP = _fields_of(Step, name=_text)
KEY_FIELDS, MORE_OF_A_KEY = _fields_of(Key, ["secret", "soak"], state=_text, times=_mapping)
MEMBER_FIELDS, _NO_MORE = _fields_of(Member)
WAIVER_FIELDS, _NO_MORE = _fields_of(Waiver)
JOURNAL_FIELDS, MORE_OF_THE_JOURNAL = _fields_of(JournalEntry)


def _fields(entry: object, label: str, fields: Fields, more: Optional[Fields] = None) -> None:
    if not isinstance(entry, Mapping):
        raise KeyringError(f"{label} is not a mapping")
    present = {field: kind for field, kind in (more or {}).items() if field in entry}
    for field, usable in {**fields, **present}.items():
        if field in entry and usable is _moment and isinstance(entry[field], str):
            _check_moment(entry[field], label)
        if field not in entry or not usable(entry[field]):
            raise KeyringError(f"{label} has no usable {field}")


def _check_keys(keys: Sequence[Mapping[str, Any]]) -> None:
    seen: Set[str] = set()
    for number, key in enumerate(keys, 1):
        label = f"key number {number}"
        _fields(key, label, KEY_FIELDS, MORE_OF_A_KEY)
        if key["state"] not in STATES:
            raise KeyringError(f"{label} has the state {_quoted(key['state'])}; known are {', '.join(STATES)}")
        if not PATTERN.match(key["fingerprint"]):
            raise KeyringError(f"{label} has no usable fingerprint")
        label = f"key {key['fingerprint']}"
        if key["fingerprint"] in seen:
            raise KeyringError(f"{label} stands in the keyring twice")
        seen.add(key["fingerprint"])
        for moment in key["times"].values():
            _check_moment(moment, label)
        _check_secret(key, label)
        if key["state"] == "retiring" or "soak" in key:
            _check_soak(key.get("soak"), label)
    for state in ("primary", "staged"):
        found = [key["fingerprint"] for key in keys if key["state"] == state]
        if len(found) > 1:
            raise KeyringError(f"the keyring has {len(found)} keys that are {state} ({', '.join(found)}), not one")
        if state == "primary" and not found:
            raise KeyringError("the keyring has no primary key")


def _check_moment(value: object, label: str) -> None:
    if not _moment(value):
        raise KeyringError(f"{label} has a time that cannot be read: {_quoted(value)}")


def _check_soak(soak: object, label: str) -> None:
    said: Mapping[str, object] = soak if isinstance(soak, Mapping) else {}
    length = said.get("seconds")
    if not isinstance(length, (int, float)) or isinstance(length, bool) or not 0 <= length <= LONGEST:
        raise KeyringError(f"{label} has no usable soak")
    if not isinstance(said.get("source"), str):
        raise KeyringError(f"{label} has a soak without a source")


def _check_secret(key: Mapping[str, Any], label: str) -> None:
    secret = key.get("secret")
    if key["state"] in ENDED and secret is None and "secret" in key:
        return
    if not isinstance(secret, str) or not secret:
        raise KeyringError(f"{label} is {key['state']} and has no secret: it is empty, null or not a text")
    if fingerprint(secret) != key["fingerprint"]:
        raise KeyringError(f"{label} has a secret with another fingerprint: the keyring was edited or damaged")
    weak = weakness(secret)
    if weak and "weak" not in key["marks"]:
        raise KeyringError(f"{label} is too weak: {weak}")


def _quoted(value: object) -> str:
    """Return what stands where something else belongs; nothing that is as long as a key, for it may be one."""
    text = repr(value)
    return text if len(text) < LEAST_LENGTH + 2 else f"something of {len(text)} characters"


def note(keyring: Keyring, now: float, event: str, **details: Unpack[Details]) -> None:
    """Add an entry to the journal of a keyring that is being changed."""
    keyring["journal"].append({"at": stamp(now), "event": event, "counter": keyring["step"]["counter"], **details})


def _names(keys: Sequence[Key]) -> List[str]:
    return [key["fingerprint"] for key in keys]
