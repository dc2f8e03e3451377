# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on this host: read, replaced whole or not at all, and the lock that one visit holds.

Sources: open(2), rename(2), fsync(2), flock(2), xattr(7), acl(5).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import re
import stat
import time
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, Tuple, Union

from .processes import start_ticks

LARGEST = 1024 * 1024
UNKNOWN_HOLDER = -1
# A temporary file's name says who writes it: pid and start, so that what a killed run left is known from what a
# living one is writing. The dot keeps it out of patterns like `EnvironmentFile=/etc/shop/*`.
_PREFIX = ".phased.keys."
_LEFTOVER = re.compile(re.escape(_PREFIX) + r"([0-9]+)\.([0-9]+)\.[0-9a-f]{16}")
_ACL = "system.posix_acl_access"
# What these filesystems do not have cannot be kept.
_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "mount it read-write",
    errno.EPERM: "see lsattr whether the file or its folder is immutable",
    errno.EACCES: "use become, -b",
}
_LOCK_PAUSE, _LOCK_LEAST = 0.02, 0.2

Who = Union[str, int, None]


def read_text(path: str, largest: int = LARGEST) -> Optional[str]:
    """Return a file's content as it is, every byte and line end kept; None if it is absent.

    OSError if it is no regular file, larger than `largest` bytes, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would make us wait for a writer
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        _regular(os.fstat(fd), path)
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"File is larger than {largest // 1024} KiB", path)
    return content.decode("utf-8", "surrogateescape")


def identity(path: str) -> Optional[Dict[str, object]]:
    """Return what tells whether a file was written since; None if it is absent."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return {"inode": found.st_ino, "changed": found.st_ctime, "modified": found.st_mtime, "size": found.st_size}


def replace_text(path: str, text: str, *, mode: Optional[int] = None, owner: Who = None, group: Who = None) -> None:
    """Put `text` in place of the file's content, whole or not at all; OSError if it cannot be.

    Mode, owner, group, access list and SELinux label stay, or become what is given; a new file gets 0600. A
    symbolic link stays, and its target is replaced. Only the fsync of the folder at the very end can fail with the
    new file in place already. ValueError for an owner or a group that this host does not know.
    """
    uid, gid = _number("user", owner, pwd.getpwnam), _number("group", group, grp.getgrnam)
    target = os.path.realpath(path)
    folder = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
    try:
        _remove_leftovers(folder)
        name = os.path.basename(target)
        try:
            present: Optional[int] = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            present = None
        try:
            _replace(folder, name, text, lambda fd: _dress(fd, present, mode, uid, gid))
        finally:
            if present is not None:
                os.close(present)
        os.fsync(folder)
    except OSError as error:
        # A temporary name, or none at all, says nothing to a person.
        text, advice = error.strerror or str(error), _ADVICE.get(error.errno or 0)
        raise OSError(error.errno, f"{text} ({advice}, and run again)" if advice else text, path) from error
    finally:
        os.close(folder)


class Locked(Exception):
    """Somebody else holds the lock: `pid`, since `since` in epoch seconds, as far as the holder could write that."""

    def __init__(self, path: str, pid: int, since: Optional[float]) -> None:
        who = f"pid {pid}" if pid != UNKNOWN_HOLDER else "another process"
        when = time.strftime(" since %Y-%m-%d %H:%M:%S %z", time.localtime(since)) if since is not None else ""
        super().__init__(f"{who} has held {path}{when}")
        self.pid = pid
        self.since = since


class Lock:
    """Holds `path` from `with` to its end, or to the end of the process, however that comes; Locked after `wait` s.

    The file is never removed: whoever waits for it would then hold another file than the next one who comes.
    """

    def __init__(self, path: str, wait: float = 0.0) -> None:
        self.path = path
        self.wait = wait
        self._fd = -1

    def __enter__(self) -> Lock:
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), mode=0o700, exist_ok=True)
        # At least a few tries: `holder` has the lock for a moment, and that is no reason to give up.
        end = time.monotonic() + max(self.wait, _LOCK_LEAST)
        while self._fd < 0:
            self._fd = _take(self.path)
            if self._fd < 0:
                if time.monotonic() >= end:
                    raise Locked(self.path, *_told(self.path))
                time.sleep(_LOCK_PAUSE)
        # Only for people and messages: a full disk must not stop who has come to finish a visit.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d %.3f\n" % (os.getpid(), time.time()), 0)
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1


def holder(path: str) -> Optional[int]:
    """Return the pid of whoever holds the lock now: None if nobody does, UNKNOWN_HOLDER if it has not said it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that those who only look do not see each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _told(path)[0]
    finally:
        os.close(fd)


def _take(path: str) -> int:
    """Return a descriptor that holds the lock, or -1. It is not inherited by any program (PEP 446)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            return fd
    except (BlockingIOError, FileNotFoundError):  # held, or removed by hand meanwhile
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def _told(path: str) -> Tuple[int, Optional[float]]:
    """Return what the holder wrote about itself."""
    for _try in range(5):
        said = re.fullmatch(r"([0-9]+) ([0-9.]+)\n", read_text(path) or "")
        if said:
            return int(said[1]), float(said[2])
        time.sleep(0.01)  # it may just be about to write
    return UNKNOWN_HOLDER, None


def _replace(folder: int, name: str, text: str, dress: Callable[[int], None]) -> None:
    temporary = f"{_PREFIX}{os.getpid()}.{start_ticks(os.getpid())}.{os.urandom(8).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            dress(fd)
            os.fsync(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _dress(fd: int, present: Optional[int], mode: Optional[int], uid: Optional[int], gid: Optional[int]) -> None:
    """Give the new file what it should have, or what the present one has."""
    own = os.fstat(fd)
    if present is not None:
        old = os.fstat(present)
        _regular(old, "the present file")
        mode = stat.S_IMODE(old.st_mode) if mode is None else mode
        uid = old.st_uid if uid is None else uid
        gid = old.st_gid if gid is None else gid
    if (own.st_uid if uid is None else uid, own.st_gid if gid is None else gid) != (own.st_uid, own.st_gid):
        os.fchown(fd, -1 if uid is None else uid, -1 if gid is None else gid)
    if present is not None:
        wanted, has = dict(_attributes(present)), dict(_attributes(fd))
        if _ACL in has and _ACL not in wanted:
            os.removexattr(fd, _ACL)  # from the folder's default: it would let others in
        for attribute, value in wanted.items():
            if has.get(attribute) != value:
                os.setxattr(fd, attribute, value)
    os.fchmod(fd, 0o600 if mode is None else mode)  # after chown, which takes bits away, and the list, which sets some


def _attributes(fd: int) -> Iterator[Tuple[str, bytes]]:
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return
    for name in names:
        # Not those that the kernel computes from the content (security.ima, security.evm).
        if name in ("security.selinux", _ACL) or name.startswith("user."):
            yield name, os.getxattr(fd, name)


def _remove_leftovers(folder: int) -> None:
    for name in os.listdir(folder):
        match = _LEFTOVER.fullmatch(name)
        if match and start_ticks(int(match[1])) != int(match[2]):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def _regular(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", path)


def _number(kind: str, who: Who, lookup: Callable[[str], Sequence[Any]]) -> Optional[int]:
    if who is None or isinstance(who, int):
        return who
    try:
        return int(who) if who.isdigit() else int(lookup(who)[2])
    except KeyError:
        raise ValueError(f"there is no {kind} {who!r} on this host") from None
