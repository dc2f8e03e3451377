# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a pid file names, as far as whoever may write that file may name them.

Sources: open(2), credentials(7), proc_pid_fd(5).
"""

from __future__ import annotations

import os
import re
import stat
from typing import List, Mapping, NamedTuple, Optional, Set, Tuple

from .problems import Unusable
from .processes import Process, below, whole
from .rules.durations import in_words

# A process that started this much later than its pid file was written may be another one: pids are used again. Or the wall clock
# was set in between, which nobody can tell from here.
TOLERANCE = 60.0
_LARGEST = 4096


class Named(NamedTuple):
    """A process with its descendants; `doubt` says why it may not be the one that the file means."""

    processes: List[Process]
    doubt: Optional[str] = None


def read(table: Mapping[int, Process], path: str) -> Named:
    """Return the process that the pid file names, and its descendants; none if the file is absent or nothing runs by that pid.

    The first line counts (PostgreSQL writes more). Unusable if that is not a pid, if the file is none that root should read,
    and if a user who may write it names somebody else's process.
    """
    try:
        content, written, owners = _content(path)
    except FileNotFoundError:
        return Named([])
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    first = content.strip().split(b"\n")[0].strip()
    if not re.fullmatch(rb"0*[1-9][0-9]{0,9}", first):
        # What it holds is not shown: a path that is wrong by one line may be that of the env file.
        raise Unusable(f"{path} should hold a pid, and {'holds something else' if first else 'is empty'}")
    known = table.get(int(first))
    process = whole(known) if known else None
    if not process:
        return Named([])
    if owners and not any(set(process.uids) == {owner} for owner in owners):
        raise Unusable(
            f"{path} can be changed by uid {_listed(owners)} and names pid {process.pid}, which runs as uid {_listed(set(process.uids))}: a "
            "pid file that others than root may write names only processes of theirs. Let root alone write it, in a folder of root's, or "
            "name the workers in another way"
        )
    late = process.started - written
    doubt = None
    if late > TOLERANCE:
        doubt = f"{path} names pid {process.pid}, which started {in_words(late)} after that file was written: it may be another process"
    return Named(below(table, process.pid), doubt)


def _content(path: str) -> Tuple[bytes, float, Set[int]]:
    """Return the beginning of a file, when it was written, and whose processes alone it may name (empty: anybody's)."""
    # Held from here on: what is asked of the folder and the file, and what is read, are the same ones.
    folder = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        # Opened without effect first: a device does things when it is opened, and a pipe waits.
        place = os.open(os.path.basename(path), os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
        try:
            found, around = os.fstat(place), os.fstat(folder)
            if stat.S_ISLNK(found.st_mode):
                raise Unusable(f"{path} is a link: give app_keys_processes the path of the pid file itself")
            if not stat.S_ISREG(found.st_mode):
                raise Unusable(f"{path} should be a pid file, and is no regular file")
            content = _beginning(place)
        finally:
            os.close(place)
    finally:
        os.close(folder)
    ours = (0, os.geteuid())
    sticky = around.st_mode & stat.S_ISVTX  # nobody replaces another's file there
    if not (_writable(found) or (_writable(around) and not sticky) or {found.st_uid, around.st_uid} - {*ours}):
        return content, found.st_mtime, set()
    # A server that root started writes it before it becomes the folder's owner, or never does (php-fpm in www-data's /run/php).
    return content, found.st_mtime, {found.st_uid} | ({around.st_uid} - {*ours})


def _beginning(place: int) -> bytes:
    file = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(file, _LARGEST)
    finally:
        os.close(file)


def _writable(found: os.stat_result) -> bool:
    """Whether others than its owner may write it."""
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and found.st_gid != 0))


def _listed(uids: Set[int]) -> str:
    return ", ".join(str(uid) for uid in sorted(uids))
