# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: what a host remembers of its visits, without a secret.

ring, counter, nonce, step   the token of the last step that visited, written before anything else
state    visiting, proven, or unproven: how that visit ended
at       when the record was written (this host's clock, epoch seconds)
signs    the key that the host was last proven to sign with
workers  how many workers there were then
pools    how far below each main process its pool was then (see `rules.pools`); null where that was not noted
stopped  keys that the host signed with before, and since when it does not (epoch seconds)
leaked   keys that are marked as compromised, so that a keyring that is recovered knows it
files    the identity of each env file after the last proof
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Dict, Mapping, Optional, Sequence

from ..rules.order import Token
from . import files

SCHEMA = 1


class RecordError(ValueError):
    """A record that is there and cannot be used."""


def path(state_dir: str, name: str) -> str:
    """Return where the record of an application is."""
    return os.path.join(state_dir, f"{name}.json")


def lock_path(state_dir: str, name: str) -> str:
    """Return the lock that a visit holds from before it writes until it has ended."""
    return os.path.join(state_dir, f"{name}.lock")


def load(state_dir: str, name: str) -> Optional[Dict[str, Any]]:
    """Return the host's record, or None where no visit has been."""
    text = files.read_text(path(state_dir, name))
    if text is None:
        return None
    try:
        record = json.loads(text)
        if record["schema"] > SCHEMA:
            raise RecordError(f"{path(state_dir, name)} was written by a newer release of phased.keys")
        for field, kind in (("ring", str), ("counter", int), ("nonce", str), ("state", str)):
            if not isinstance(record[field], kind):
                raise TypeError(field)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise RecordError(
            f"{path(state_dir, name)} is damaged ({error}): it orders the visits. Remove it only when no other keyring is in use"
        ) from None
    return dict(record)


def save(
    state_dir: str, name: str, token: Token, step: str, state: str, kept: Mapping[str, Any], leaked: Sequence[str] = ()
) -> Dict[str, Any]:
    """Write the record of a visit that is at `state`, keeping what `kept` says of the last proof."""
    record = {
        "schema": SCHEMA, "name": name, "ring": token.ring, "counter": token.counter, "nonce": token.nonce,
        "step": step, "state": state, "at": time.time(), "signs": kept.get("signs"),
        "workers": kept.get("workers", 0), "pools": kept.get("pools"), "stopped": kept.get("stopped", {}), "files": kept.get("files", {}),
        "leaked": list(leaked),
    }  # fmt: skip
    files.replace_text(path(state_dir, name), json.dumps(record, indent=1, sort_keys=True) + "\n")
    return record
