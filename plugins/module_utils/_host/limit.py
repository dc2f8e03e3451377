# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit on the time of the whole of what is done: whatever waits without an end is cut off.

Everything that is known to wait has a limit of its own, so this one strikes only where something else does: a file on
a mount that is dead, a pipe, a program that takes no signal. Sources: setitimer(2), signal(7), PEP 475.
"""

from __future__ import annotations

import contextlib
import signal
from types import FrameType
from typing import Any, Iterator, Mapping, Optional

# Seconds for all the reading, on a host under load, beside the time that is waited on purpose.
MARGIN = 20.0
# Seconds that clearing up may take after something was cut off. Then that is cut off as well.
GRACE = 10.0

# Each part of a visit waits for at most one timeout and one settling: for the host's lock, for the change, for the way back.
VISIT_PARTS = 3


def look_parts(params: Mapping[str, Any]) -> int:
    """Return of how many such parts a look with these arguments is: a visit that is under way is waited for, then all that is asked for."""
    return 1 + sum(bool(params.get(part)) for part in ("expect", "app_check", "packages", "crossing"))


class Over(BaseException):
    """The time is over. Not an Exception: nothing on the way up may take it for an error that it knows what to do about."""


@contextlib.contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    """Raise Over in what is done inside, if that is not done within so many seconds. Of the main thread only, and not nested."""

    def strike(number: int, frame: Optional[FrameType]) -> None:
        raise Over(f"{what} took longer than {seconds:g} s, and was cut off{_place(frame)}")

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, seconds, GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _place(frame: Optional[FrameType]) -> str:
    """Say where in our own code it was."""
    package = __name__.rpartition(".")[0]
    while frame is not None and not str(frame.f_globals.get("__name__")).startswith(package):
        frame = frame.f_back
    return f" (in {frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_name})" if frame else ""
