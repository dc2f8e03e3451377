# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a key from a host to the keyring, when it is adopted.

A module's result is printed at -vvv over ssh, logged by callbacks and kept in registered variables.
So the keys come back under a one-time pad that went to the host with the module's arguments: what
is printed says nothing to anyone without the pad, and the pad is in no result.
"""

from __future__ import annotations

import base64
import json
from typing import Any, List, Mapping, Sequence

from . import files
from .problems import Unusable
from .rules import env_text
from .rules.fingerprint import fingerprint
from .rules.frameworks import SettingsError, decode

PAD_LENGTH = 16384


def seal(app: Mapping[str, Any], wanted: Sequence[str], pad: str) -> str:
    """Return the keys with these fingerprints from the env files, sealed; Unusable where one is not there."""
    by_name = {fingerprint(key): key for path in app["env_file"] for key in _keys(app, path)}
    return sealed(by_name, wanted, pad, "the env file")


def sealed(by_name: Mapping[str, str], wanted: Sequence[str], pad: str, where: str) -> str:
    """Return those of the keys (`by_name`: by fingerprint) that are wanted, sealed; Unusable where one is not there."""
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise Unusable(f"{where} holds {', '.join(missing)} no longer: somebody changed it meanwhile")
    plain = json.dumps([by_name[name] for name in wanted]).encode()
    return base64.b64encode(_mask(plain, pad)).decode()


def unseal(sealed: str, pad: str) -> List[str]:
    """Return what `seal` sealed with the same pad; Unusable where that is something else."""
    try:
        found = json.loads(_mask(base64.b64decode(sealed), pad).decode())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(key, str) and key for key in found):
        # Not shown: it may be a key all the same.
        raise Unusable("what came back under the pad are no keys")
    return found


def _keys(app: Mapping[str, Any], path: str) -> List[str]:
    text = files.read_text(path, safe=True) or ""
    try:
        return decode(app["profile"], env_text.read(text, app["env_format"], app["profile"].names)).accepts
    except SettingsError:
        return []


def _mask(data: bytes, pad: str) -> bytes:
    mask = base64.b64decode(pad)
    if len(data) > len(mask):
        raise Unusable("the keys are longer than the pad that should seal them")
    return bytes(left ^ right for left, right in zip(data, mask))
