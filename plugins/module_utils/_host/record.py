# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: what a host remembers of its visits, without a secret. docs/keyring.md says of each field who writes and reads it.

schema   the number of this form; one that is higher was written by a newer release
name     the application
keyring, counter, nonce, step   the token of the last step that visited, written before anything else
member   whose record it is: the host's name in the inventory, where the controller said it
state    visiting, proven, or unproven: how that visit ended
at       when the record was written (this host's clock, epoch seconds)
signs    the key that the host was last proven to sign with
workers  how many workers there were then
pools    how far below each main process its pool was then (see `rules.pools`); null where that was not noted
stopped  keys that the host signed with before, and since when it does not (epoch seconds)
leaked   keys that are marked as compromised, so that a keyring that is recovered knows it
files    the identity of each env file after the last proof
linked   env files that had a second name when a visit replaced them, with the inode that the other names still have
stamps   of each env file its identity and since when, by the boot clock, it is so (see rules.age); written before any restart
uids     whose the workers were at the last proof
"""

from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence, Tuple, cast

from . import files, processes
from .rules.errors import PhasedKeysError
from .rules.order import Token

if TYPE_CHECKING:
    from .._shapes import Ended as State
    from .._shapes import Record

SCHEMA = 1
_YEARS = -62_135_596_800.0, 253_402_300_799.0  # 1 to 9999: what has a date


class RecordError(PhasedKeysError):
    """A record that is there and cannot be used."""


def path(state_dir: str, name: str) -> str:
    """Return where the record of an application is."""
    return os.path.join(state_dir, f"{name}.json")


def lock_path(state_dir: str, name: str) -> str:
    """Return the lock that a visit holds from before it writes until it has ended."""
    return os.path.join(state_dir, f"{name}.lock")


def load(state_dir: str, name: str) -> Optional[Record]:
    """Return the record that is here, whosever it is, or None where no visit has been; RecordError."""
    where = path(state_dir, name)
    text = files.read_text(where, own=True)
    return None if text is None else read(text, where, f"rm {where}")


def read(text: str, where: str, remove: str) -> Record:
    """Return the record that is written so at `where`; RecordError, with the command that would `remove` one that is damaged."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, str(error), remove) from None
    if not isinstance(record, dict) or not _whole(record.get("schema")) or record["schema"] < 1:
        raise _damaged(where, "schema", remove)
    if record["schema"] > SCHEMA:
        raise RecordError(f"{where} was written by a newer release of phased.keys: use that one")
    for field, right in _FIELDS.items():
        if field not in record or not right(record[field]):
            raise _damaged(where, field, remove)
    for field, right in _MORE.items():
        if not right(record.get(field)):
            raise _damaged(where, field, remove)
    return cast("Record", record)


def _damaged(where: str, what: str, remove: str) -> RecordError:
    return RecordError(
        f"{where}, the record of its visits, is damaged ({what}). It tells late visits and copies of the keyring from the right "
        f"ones: if no other keyring than this one is in use, remove it ({remove}) and run again, and it joins like a new one"
    )


def own(state_dir: str, name: str, member: str) -> Tuple[Optional[Record], Optional[str]]:
    """Return this host's record; or None, and the name of the host whose record is here: an image brought it.

    A record that does not say whose it is, and a host that is not told its name, are taken for each other's.
    """
    return of_member(load(state_dir, name), member)


def of_member(record: Optional[Record], member: str) -> Tuple[Optional[Record], Optional[str]]:
    """Return a record that is this member's; or None, and the name of the one whose it is."""
    whose = record.get("member") if record else None
    return (None, str(whose)) if member and whose and whose != member else (record, None)


def folder_mark(state_dir: str) -> str:
    """Return what two hosts share exactly if they have one folder for their records: its boot, and the inode of the folder.

    Of one that is not there yet it is that of the folder in which it will be made.
    """
    above, below = os.path.realpath(state_dir), ""
    while True:
        try:
            found = os.stat(above)
            return f"{processes.boot_id()}/{found.st_dev}:{found.st_ino}{below}"
        except (FileNotFoundError, NotADirectoryError):
            above, last = os.path.split(above)
            below = f"/{last}{below}"


def save(
    state_dir: str,
    name: str,
    token: Token,
    step: str,
    state: State,
    kept: Mapping[str, Any],
    leaked: Sequence[str] = (),
    member: str = "",
) -> Record:
    """Write the record of a visit of `member` that is at `state`, keeping what `kept` says of the last proof."""
    record = made(name, token, step, state, kept, leaked, member, time.time())
    where = path(state_dir, name)
    try:
        files.replace_text(where, json.dumps(record, indent=1, sort_keys=True) + "\n", own=True)
    except OSError as error:
        raise OSError(error.errno, f"this host's record cannot be written: {error.strerror}", where) from error
    return record


def made(
    name: str,
    token: Token,
    step: str,
    state: State,
    kept: Mapping[str, Any],
    leaked: Sequence[str],
    member: str,
    at: float,
) -> Record:
    """Return the record of a visit of `member` that is at `state` at this moment, keeping what `kept` says of the last proof."""
    return {
        "schema": SCHEMA, "name": name, "keyring": token.keyring, "counter": token.counter, "nonce": token.nonce,
        "step": step, "state": state, "at": at, "member": member or None, "signs": kept.get("signs"),
        "workers": kept.get("workers", 0), "pools": kept.get("pools"), "stopped": kept.get("stopped", {}), "files": kept.get("files", {}),
        "linked": kept.get("linked", {}), "leaked": list(leaked), "stamps": kept.get("stamps", {}),
        "uids": kept.get("uids", []),
    }  # fmt: skip


def _number(value: Any) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _moment(value: Any) -> bool:
    return _number(value) and bool(_YEARS[0] <= value <= _YEARS[1])


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return _number(value) and isinstance(value, int)


def _stamp(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("identity"), dict)
        and _text(value.get("boot"))
        and _whole(value.get("ticks"))
    )


def _every(kind: type, right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check of a list, or of a mapping by names, that may be missing."""

    def check(value: Any) -> bool:
        of = list(value.values()) if isinstance(value, dict) else value
        return value is None or (isinstance(value, kind) and all(right(one) for one in of))

    return check


# What every record has, and what one may lack that was written by an earlier release.
_FIELDS: Dict[str, Callable[[Any], bool]] = {
    "keyring": _text,
    "counter": _whole,
    "nonce": _text,
    "step": _text,
    "state": _text,
    "at": _moment,
}
_MORE: Dict[str, Callable[[Any], bool]] = {
    "member": lambda value: value is None or _text(value),
    "signs": lambda value: value is None or _text(value),
    "workers": lambda value: value is None or _whole(value),
    "pools": _every(list, _whole),
    "stopped": _every(dict, _number),
    "leaked": _every(list, _text),
    "files": _every(dict, lambda value: value is None or isinstance(value, dict)),
    "linked": _every(dict, _number),
    "stamps": _every(dict, _stamp),
    "uids": _every(list, _whole),
}
