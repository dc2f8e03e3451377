# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of a keyring that was read, held against its shape: every field that the shape names, with the right kind."""

from __future__ import annotations

import copy
import typing
from typing import Any, Iterator, List, Literal, Tuple, Union, get_args, get_origin, get_type_hints

import pytest
from ansible_collections.phased.keys.plugins.module_utils import _keyring_shapes as keyring_shapes
from ansible_collections.phased.keys.plugins.module_utils import _shapes as shapes
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import membership
from ansible_collections.phased.keys.plugins.module_utils._rules.keyring import KeyringError
from builders import DAY, FLEET, SECRETS, T0, at, opened

NONE = type(None)  # what Optional adds to a type

Path = Tuple[Any, ...]
WRONG: List[Any] = [None, True, 7, -1, 7.5, "a text", ["a text"], [7], [None], {}, {"a": "b"}, {"a": 7}, [{}]]


def whole() -> Any:
    """A keyring in which every field that there may be is there, and nothing is empty."""
    keyring = membership.waive(at("retired"), ["web-2"], "its disk is dead", DAY, T0)
    keyring = opened(opened_and_closed(keyring), "promote", T0 + 20 * DAY)
    keyring["settings"] = {
        "primary": "A",
        "fallbacks": "B",
        "separator": ";",
        "signs": "first",
        "key": "hex32",
        "soak": "3d",
        "decode": "raw",
        "at_rest": [{"what": "rows", "command": "again", "proof": "read"}],
    }
    keyring["writes"] = ["0123456789abcdef"]
    keyring["app_check"] = {"how": "checked", "at": "2026-01-01T00:00:00Z"}
    keyring["step"].update(
        lets_go=[keyring["keys"][0]["fingerprint"]],
        partly_accepted=[keyring["keys"][1]["fingerprint"]],
        skippable_since=1,
    )
    keyring["keys"][0]["marks"] = ["rolled_back"]
    keyring["keys"][0].update(
        confirmed=["partner"],
        keep_sealed=DAY,
        reencrypted={"began": "2026-01-01T00:00:00Z", "at": "2026-01-01T00:00:00Z", "by": "web-1"},
        spread={"seconds": 60.0, "source": "app_keys_spread"},
    )
    keyring["keys"][0]["probe"] = "a-token"
    keyring["journal"].append(
        {
            "at": "2026-01-01T00:00:00Z", "event": "x", "counter": 1, "key": "k", "lets_go": ["k"], "members": ["m"], "reason": "r",
            "until": "2026-01-01T00:00:00Z", "waived": ["m"],
        }
    )  # fmt: skip
    return keyring


def opened_and_closed(keyring: Any) -> Any:
    from ansible_collections.phased.keys.plugins.module_utils._rules import steps

    return steps.close_step(opened(keyring, "prepare", T0 + 19 * DAY, number=3), T0 + 19 * DAY + 60)


def fields(shape: Any, value: Any, path: Path = ()) -> Iterator[Tuple[Path, Any, bool]]:
    """Every field that a shape names, wherever in `value` it is: where, what it is, and whether it has to be there."""
    if typing.is_typeddict(shape):
        for name, hint in get_type_hints(shape).items():
            if name in value:
                yield (*path, name), hint, name in shape.__required_keys__
                yield from fields(hint, value[name], (*path, name))
    elif get_origin(shape) is list:
        for number, one in enumerate(value):
            yield from fields(get_args(shape)[0], one, (*path, number))
    elif get_origin(shape) is dict:
        for name, one in value.items():
            yield from fields(get_args(shape)[1], one, (*path, name))
    elif get_origin(shape) is Union and value is not None:
        for one in get_args(shape):
            if typing.is_typeddict(one) or get_origin(one) is list:
                yield from fields(one, value, path)


def fits(hint: Any, value: Any, name: str) -> bool:
    """Whether a value is what a hint says; a number counts something, and some texts are moments."""
    if hint is str:
        return isinstance(value, str) and (name not in keyrings.MOMENTS or value.endswith("Z"))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is bool:
        return isinstance(value, bool)
    if hint is NONE:
        return value is None
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union:
        return any(fits(one, value, name) for one in arguments)
    if origin is Literal:
        return value in arguments and not isinstance(value, bool)
    if origin is list:
        return isinstance(value, list) and all(fits(arguments[0], one, name) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(arguments[1], one, name) for one in value.values())
    needed = hint.__required_keys__
    return (
        isinstance(value, dict)
        and set(needed) <= set(value)
        and all(fits(of, value[field], field) for field, of in get_type_hints(hint).items() if field in value)
    )


WHOLE = whole()
FIELDS = list(fields(keyring_shapes.Keyring, WHOLE))


def changed(path: Path, value: Any) -> Any:
    keyring = copy.deepcopy(WHOLE)
    place = keyring
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return keyring


def refused(keyring: Any) -> bool:
    try:
        keyrings.check(keyring)
    except KeyringError as error:
        assert not [secret for secret in SECRETS if secret in str(error)]
        return True
    return False


def test_the_keyring_has_every_field_of_every_shape() -> None:
    """Else what follows would look at less than there is."""
    assert keyrings.check(WHOLE) == WHOLE
    named = {path[-1] for path, _hint, _needed in FIELDS}
    for shape in (
        keyring_shapes.Keyring,
        keyring_shapes.Step,
        keyring_shapes.Key,
        keyring_shapes.Soak,
        keyring_shapes.Settings,
        keyring_shapes.Verified,
        keyring_shapes.Member,
        keyring_shapes.Waiver,
    ):
        assert set(get_type_hints(shape)) <= named, shape
    assert set(get_type_hints(keyring_shapes.JournalEntry)) == set(WHOLE["journal"][-1])
    assert set(FLEET) <= set(WHOLE["members"])


@pytest.mark.parametrize(("path", "hint", "needed"), FIELDS, ids=[".".join(map(str, path)) for path, *_more in FIELDS])
def test_a_field_of_another_kind_is_refused(path: Path, hint: Any, needed: bool) -> None:
    for value in WRONG:
        if not fits(hint, value, str(path[-1])):
            assert refused(changed(path, value)), value


@pytest.mark.parametrize(("path", "hint", "needed"), FIELDS, ids=[".".join(map(str, path)) for path, *_more in FIELDS])
def test_a_field_that_has_to_be_there_is_missed_and_no_other(path: Path, hint: Any, needed: bool) -> None:
    del hint
    # The soak is needed of a key that soaks, which no shape can say.
    soaks = path[-1] == "soak" and path[0] == "keys" and WHOLE["keys"][path[1]]["state"] == "retiring"
    assert refused(changed(path, ...)) is (needed or soaks)


def test_no_shape_holds_what_may_be_anything() -> None:
    for shape in vars(shapes).values():
        if typing.is_typeddict(shape):
            for field, hint in get_type_hints(shape).items():
                assert not loose(hint), (shape, field)


def loose(hint: Any) -> bool:
    """Whether anything goes for a hint, or for a part of it."""
    if hint in (Any, object, dict, list, typing.Dict, typing.List):
        return True
    return any(loose(one) for one in get_args(hint)) if get_origin(hint) is not Literal else False
