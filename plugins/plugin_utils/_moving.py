# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a keyring to another place, and gives it another vault secret: `moving` says what is next, and each step is one write."""

from __future__ import annotations

from typing import Any, Iterator, List, Tuple

from ..module_utils._rules import keyring as keyrings
from ..module_utils._rules import moving
from ._keyring_store import KeyringFileError, NotWrittenError, Seen, Store

SAID = {
    "copy": "a copy is written to {other}, which is not valid yet",
    "point": "what lies in {place} says from now on that the keyring has moved to {other}",
    "finish": "the keyring in {other} is valid: set app_keys_keyring to that",
}


def moved(here: Store, there: Store, name: str) -> Iterator[str]:
    """Do one step after the other until the keyring is `there`, and yield what each has done. KeyringFileError where that cannot be."""
    while True:
        ours, theirs = here.seen(), there.seen()
        step = moving.following(
            ours.document if ours else None, theirs.document if theirs else None, here.path, there.path
        )
        if step.do == "done":
            return
        if step.do == "refuse" or ours is None:
            raise NotWrittenError(step.why)
        if step.do == "copy":
            keyring = keyrings.check(ours.document, name)
            there.swap(theirs, ours._replace(document=moving.copy(keyring, here.path)))
        elif step.do == "point":
            keyring = keyrings.check(ours.document, name)
            here.swap(ours, ours._replace(document=moving.pointer(keyring, there.path)))
        elif theirs is not None:
            there.swap(theirs, theirs._replace(document=dict(keyrings.check(moving.finished(theirs.document), name))))
        yield SAID[step.do].format(place=here.path, other=there.path)


def rekeyed(file: Store, label: str, secrets: List[Tuple[str, Any]]) -> bool:
    """Seal what lies in a store with the vault secret of this label; return whether it was sealed with another."""
    seen = file.seen()
    if seen is None:
        raise KeyringFileError(
            f"there is no keyring at {file.path}: run phased.keys.adopt first, or set app_keys_keyring"
        )
    found = [(vault_id, secret) for vault_id, secret in secrets if vault_id == label]
    if not found:
        given = ", ".join(sorted({vault_id for vault_id, _secret in secrets}))
        raise NotWrittenError(
            f"app_keys_rekey_to is {label}, and no vault secret of that label was given ({given}): give the old one and the new one, --vault-id "
            f"OLD@FILE --vault-id {label}@FILE"
        )
    vault_id, secret = found[-1]
    if (seen.vault_id, seen.secret.bytes) == (vault_id, secret.bytes):
        return False
    file.swap(seen, Seen(seen.document, vault_id, secret, None))
    return True
