# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files, as texts: padding, slots and numbers, in every state of a rollout and on the way from one to the next. No visit writes them yet."""

from __future__ import annotations

from typing import Dict, List, Mapping, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks, ways
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import Keys, SettingsError

NGINX, HAPROXY, KEYSTONE = (
    frameworks.shipped_profile(name) for name in ("nginx-tickets", "haproxy-tickets", "keystone-fernet")
)
STEADY, PREPARED, PROMOTED = Keys("old", ["old"]), Keys("old", ["old", "new"]), Keys("new", ["new", "old"])
SOAKING = Keys("new", ["new", "next", "old"])


@pytest.mark.parametrize("name", ["nginx-tickets", "haproxy-tickets", "keystone-fernet"])
def test_a_profile_of_key_files_is_known_and_no_visit_does_it_yet(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} reads its keys from key files, and key files are not written yet"):
        frameworks.profile(name)


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (STEADY, ["old", "old", "old"]),
        (PREPARED, ["old", "old", "new"]),
        (PROMOTED, ["new", "new", "old"]),
        (SOAKING, ["next", "new", "old"]),
        (Keys("new", ["new"]), ["new", "new", "new"]),
    ],
)
def test_haproxys_last_but_one_of_three_signs(keys: Keys, lines: List[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    assert frameworks.encode(HAPROXY, keys) == {"ticket.keys": text}
    assert frameworks.decode(HAPROXY, {"ticket.keys": text}) == keys
    assert frameworks.decode(HAPROXY, {"ticket.keys": text[:-1]}) == keys


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("a\n", "not_a_list", "ticket.keys holds 1 keys, and 3 are needed"),
        ("a\nb\nc\nd\n", "not_a_list", "ticket.keys holds 4 keys, and 3 are all that there can be"),
        ("a\n\nb\nc\n", "empty", "ticket.keys holds an empty key"),
        ("", "empty", "ticket.keys is empty"),
    ],
)
def test_a_file_that_haproxy_reads_otherwise_is_told_apart(text: str, kind: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        frameworks.decode(HAPROXY, {"ticket.keys": text})
    assert (error.value.kind, str(error.value)) == (kind, said)


@pytest.mark.parametrize("profile", [NGINX, HAPROXY], ids=["nginx", "haproxy"])
def test_more_keys_than_there_is_place_for_are_refused(profile: frameworks.Profile) -> None:
    with pytest.raises(SettingsError, match="can hold 3 keys, and not 4") as error:
        frameworks.encode(profile, Keys("a", ["a", "b", "c", "d"]))
    assert error.value.kind == "limit"


@pytest.mark.parametrize("keys", [STEADY, PREPARED, PROMOTED, SOAKING])
def test_nginxs_first_file_signs_and_none_is_ever_missing(keys: Keys) -> None:
    texts = frameworks.encode(NGINX, keys)
    assert list(texts) == ["ticket.1.key", "ticket.2.key", "ticket.3.key"]
    assert texts["ticket.1.key"] == keys.signs and all(texts.values())
    assert frameworks.decode(NGINX, texts) == keys


# --- numbers -----------------------------------------------------------------------


def numbers(texts: Mapping[str, str]) -> Dict[int, str]:
    return {int(path.rpartition("/")[2]): key for path, key in texts.items()}


def on_the_way(before: Dict[str, str], after: Dict[str, str]) -> List[Dict[str, str]]:
    """What a reader may find: what is new is written first, in the order that is given, and then what is gone is removed."""
    found, now = [], dict(before)
    for path, key in after.items():
        now[path] = key
        found.append(dict(now))
    for path in [path for path in before if path not in after]:
        del now[path]
        found.append(dict(now))
    return found


def test_keystones_numbers_only_grow_and_a_staged_key_is_nought() -> None:
    (output,) = KEYSTONE.outputs
    texts = frameworks.encode(KEYSTONE, STEADY)
    seen = [numbers(texts)]
    for keys in (["new", "old"], ["old", "new"], ["new"], ["next", "new"], ["new", "next"], ["next"]):
        texts = ways.renumbered(output, keys, texts)
        seen.append(numbers(texts))
    assert seen == [
        {0: "old"},
        {1: "new", 2: "old"},
        {2: "old", 3: "new"},
        {3: "new"},
        {0: "next", 3: "new"},
        {3: "new", 4: "next"},
        {4: "next"},
    ]


ROLLOUTS: List[Tuple[Keys, Keys]] = [
    (STEADY, PREPARED),
    (PREPARED, PROMOTED),
    (PROMOTED, Keys("new", ["new"])),
    (PROMOTED, SOAKING),
    (SOAKING, Keys("next", ["next", "new", "old"])),
    (PROMOTED, PREPARED),
    (PREPARED, STEADY),
    (Keys("a", ["a", "b", "c"]), Keys("x", ["x", "a", "b", "c", "y", "z"])),
]


@pytest.mark.parametrize("shift", [0, 1, 7])
@pytest.mark.parametrize(("first", "then"), ROLLOUTS)
def test_whoever_looks_while_files_are_numbered_anew_finds_every_key_of_both(
    first: Keys, then: Keys, shift: int
) -> None:
    (output,) = KEYSTONE.outputs
    texts = frameworks.encode(KEYSTONE, first)
    before = {f"{output.names[0]}/{number + shift}": key for number, key in numbers(texts).items()}
    others = [key for key in then.accepts if key != then.signs]
    after = ways.renumbered(output, [*others, then.signs], before)
    assert frameworks.decode(KEYSTONE, after).signs == then.signs
    assert set(frameworks.decode(KEYSTONE, after).accepts) == set(then.accepts)
    for now in on_the_way(before, after):
        keys = frameworks.decode(KEYSTONE, now)
        assert set(first.accepts) & set(then.accepts) <= set(keys.accepts)
        assert keys.signs in (first.signs, then.signs)
    assert ways.renumbered(output, [*others, then.signs], after) == after, "and doing it again changes nothing"


@pytest.mark.parametrize(
    "path", ["fernet-keys/", "fernet-keys/x", "fernet-keys/1.tmp", "other/5", "fernet-keys/\u0661"]
)
def test_what_is_no_number_is_no_key_of_keystones(path: str) -> None:
    assert frameworks.decode(KEYSTONE, {"fernet-keys/1": "a\n", path: "b", "fernet-keys/7": ""}) == Keys("a", ["a"])
