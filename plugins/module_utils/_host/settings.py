# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's settings in its env files: what a text of one says, what a step writes, and both in fingerprints for a diff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence

from .rules import env_text
from .rules.fingerprint import fingerprint
from .rules.frameworks import Keys, SettingsError, decode, encode
from .rules.order import Order

if TYPE_CHECKING:
    from .._shapes import Evidence


def keys_of(app: Mapping[str, Any], text: str) -> Optional[Keys]:
    """Return what an env file's text says, in fingerprints; None where it holds no key that can be read."""
    try:
        keys = decode(app["profile"], env_text.read(text, app["env_format"], app["profile"].names))
    except SettingsError as error:
        if error.kind == "absent":
            return None
        raise
    return Keys(fingerprint(keys.signs), [fingerprint(key) for key in keys.accepts])


def values_of(app: Mapping[str, Any], order: Order, secrets: Mapping[str, str]) -> Dict[str, Optional[str]]:
    """Return the values that the step writes."""
    keys = Keys(secrets[order.signs], [secrets[key] for key in order.accepts])
    return dict(encode(app["profile"], keys))


def describe(seen: Evidence) -> str:
    """Return what the env files say, in fingerprints: what a diff may show."""
    lines = []
    for file in seen["files"]:
        said = (
            file["problem"]["text"]
            if file["problem"]
            else f"signs {file['signs']}, accepts {' '.join(file['accepts'])}"
        )
        lines.append(f"{file['path']}: {said}\n")
    return "".join(lines)


def describe_order(order: Order, paths: Sequence[str]) -> str:
    """Return what the env files say once the step has written them, in fingerprints."""
    return "".join(f"{path}: signs {order.signs}, accepts {' '.join(order.accepts)}\n" for path in paths)
