# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process started after an env file was as it is now: by the boot clock, which nobody sets.

A visit notes of each env file its identity and the boot clock (`stamp`): from that moment on the file was as it is. The wall
clock proves nothing: whoever sets it makes a process that was never restarted look younger than its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ..._shapes import EnvFile, Identity, Stamp

YOUNGER, OLDER, UNDATED = "younger", "older", "undated"


def stamp(identity: Optional[Identity], boot: str, ticks: int, before: Optional[Stamp] = None) -> Optional[Stamp]:
    """Return what a record keeps of a file that is so at this moment of the boot clock; None of one that is absent.

    `before` is what was noted of it last: a file that has not changed since has been so for longer.
    """
    if not identity or (before and before["identity"] == identity):
        return before if identity else None
    return {"identity": identity, "boot": boot, "ticks": ticks}


def judge(file: EnvFile, stamp: Optional[Stamp], boot: str, ticks: int, started: float) -> str:
    """Say whether a process that started at `ticks` is younger than an env file.

    UNDATED where no visit noted when the file became as it is. `started` is the same by the wall clock, which is
    believed only where it says that the process is older.
    """
    identity = file["identity"]
    if not identity:
        return UNDATED
    if not stamp or stamp["identity"] != identity:
        return OLDER if started <= identity["changed"] else UNDATED
    # A file that was there before the host was booted is older than all that runs on it.
    return YOUNGER if stamp["boot"] != boot or ticks > stamp["ticks"] else OLDER
