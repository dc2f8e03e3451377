# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host may answer that lies: every field of a true answer, with something else in its place."""

from __future__ import annotations

import copy
import json
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[H\u202egnp.\u2066\u200b\ud800\r\n\x0b\x1c"
DEEP = "[" * 100_000
NASTY: List[Any] = [
    *[None, True, 0, -1, 7, 1.5, 2**70, -(2**70), 1e308, "", "web-1", "0" * 16, "../../etc/shadow", ESCAPES, "x" * 3_000],
    *[[], [1], [None], [[]], {}, {"a": 1}, {"__proto__": None}, ["id"] * 3, "{{ lookup('pipe', 'id') }}", "-1", "1e400"],
]  # fmt: skip
# Of everything a huge one, for which a few places are enough.
HUGE: List[Any] = ["x" * 2_000_000, ["y"] * 300_000, {str(number): number for number in range(100_000)}]
# What steers Ansible, or our own tasks, if it gets there.
STEERING: Dict[str, Any] = {
    "ansible_facts": {"app_keys_restart_command": "id", "app_keys_name": "other", "__app_keys_again": {"results": []}},
    "add_host": {"host_name": "evil"}, "add_group": "evil", "_ansible_delegated_vars": {}, "_ansible_no_log": False,
    "first": "/tmp/evil", "vouchers": ["web-1"], "stale": {"web-1": ["web-2"]}, "go": True, "look": False, "plain": True,
    "warnings": [ESCAPES], "deprecations": [{"msg": ESCAPES}], "invocation": {"module_args": {}}, "results": [], "asked": 1e9,
    "unreachable": True, "ansible_connection": "local", "exception": ESCAPES, "msg": ESCAPES,
}  # fmt: skip


class Lie(NamedTuple):
    """A lie: its name, and the text that the host prints."""

    name: str
    text: str


def lies(answer: Dict[str, Any]) -> Iterator[Lie]:
    """Make lies out of a true answer."""
    places = list(_places(answer, ()))
    for place, path in enumerate(places):
        # Half of them in each place, the other half in the next.
        for number, nasty in list(enumerate(NASTY))[place % 2 :: 2]:
            yield Lie(f"{_name(path)}={number}", json.dumps(_put(answer, path, nasty)))
        yield Lie(f"{_name(path)} missing", json.dumps(_without(answer, path)))
    for place, path in enumerate(places[:: max(1, len(places) // 12)]):
        yield Lie(f"{_name(path)} huge", json.dumps(_put(answer, path, HUGE[place % len(HUGE)])))
    for name, value in STEERING.items():
        yield Lie(f"steers by {name}", json.dumps({**answer, name: value}))
        yield Lie(
            f"steers by {name} in its evidence", json.dumps({**answer, "evidence": {**answer["evidence"], name: value}})
        )
    whole = json.dumps(answer)
    for name, text in {
        "is cut": whole[: len(whole) // 2], "is deep": f'{{"evidence": {DEEP}', "is a list": f"[{whole}]", "is twice": f"{whole}\n{whole}",
        "has junk behind": f"{whole} trailing", "is empty": "{}", "has NaN": whole.replace("true", "NaN"), "has Infinity": whole.replace("true", "-Infinity"),
        "has a number of 5,000 digits": f'{{"changed": {"9" * 5_000}}}', "has a long line": "{" + " " * 9_000_000 + "}",
    }.items():  # fmt: skip
        yield Lie(name, text)


def _places(value: Any, path: Tuple[Any, ...]) -> Iterator[Tuple[Any, ...]]:
    """Every place in a document, of a list the first entry alone."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _places(one, (*path, name))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _put(answer: Dict[str, Any], path: Tuple[Any, ...], value: Any) -> Dict[str, Any]:
    changed = copy.deepcopy(answer)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return changed


def _without(answer: Dict[str, Any], path: Tuple[Any, ...]) -> Dict[str, Any]:
    changed = copy.deepcopy(answer)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    return changed


def _name(path: Tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
