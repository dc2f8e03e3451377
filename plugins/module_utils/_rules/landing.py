# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Did my write land? What follows from a store's answer to a write that is compared and swapped, or from none.

A write without a clear answer may still be under way: to find the old version proves nothing, since it may land a moment later. So the
same text is written again over the same version, until the store says yes or no; that harms nobody, for of two tries only one can
land. When the store says no, what lies there tells: it is this write if it has its text, or if it carries its id, since every text
carries the id of its write and of those before it. Once another version lies there, no try that is still under way can land.
"""

from __future__ import annotations

from typing import List, Literal, Optional, Sequence

# So many ids a text carries. More than that are not written in the time in which one write is waited for.
KEPT = 128

# What a store says to one try.
#   done     written
#   other    not written: another version is there
#   refused  not written, whatever version is there: it is forbidden, full, too large
#   unclear  no answer, or one that does not say
Answer = Literal["done", "other", "refused", "unclear"]

# What lies there, held against the write.
#   ours      its text, or one that was made from it
#   moved     one that was made from the version that was to be replaced, or from nothing, and without this write
#   touched   the text that was to be replaced, as another version: something else changed beside it
#   same      the text and the version that were to be replaced
#   strange   one of which this cannot be told: its ids do not reach back that far, or it cannot be opened
#   gone      nothing any more
#   unread    it could not be read
Found = Literal["ours", "moved", "touched", "same", "strange", "gone", "unread"]

# What is next.
#   landed       the write has landed
#   read         read what lies there
#   again        write the same text over the same version once more
#   anew         write the same text over the version that lies there now
#   not_written  it is certain that it has not landed, and will not
#   unknown      that cannot be told
Move = Literal["landed", "read", "again", "anew", "not_written", "unknown"]


def after_answer(answer: Answer, doubtful: bool, time_left: bool) -> Move:
    """Say what is next after the store's answer; `doubtful`: a try before this one had no clear answer."""
    if answer == "done":
        return "landed"
    if answer == "other":
        return "read"
    if answer == "unclear":
        return "again" if time_left else "unknown"
    # That this try was refused says nothing of those before.
    return "read" if doubtful else "not_written"


def after_read(found: Found, doubtful: bool, time_left: bool) -> Move:
    """Say what is next after a look at what lies there, which the store's "no" led to."""
    if found == "ours":
        return "landed"
    if found == "moved":
        return "not_written"
    if found == "touched":
        return "anew" if time_left else "not_written"
    if found in ("same", "unread") and time_left:
        return "again" if found == "same" else "read"
    return "unknown" if doubtful else "not_written"


def ids(mine: str, before: Sequence[str]) -> List[str]:
    """Return the ids that a text of this write carries, made from one that carries those; the newest first."""
    return [mine, *before][:KEPT]


def found(mine: str, there: Sequence[str], replaced: Optional[Sequence[str]]) -> Found:
    """Hold the ids that a text carries against those of the one that was to be replaced (None: there was none).

    Of a text that carries all there ever were nothing is hidden. Otherwise it has to carry the last id of the one that was replaced: then
    whatever was written over that one is in front of it.
    """
    if mine in there:
        return "ours"
    whole = len(there) < KEPT
    reaches = bool(replaced) and replaced is not None and replaced[0] in there
    return "moved" if whole or reaches else "strange"
