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
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Sequence, Tuple, Union

from . import paths
from .problems import Unusable
from .processes import start_ticks
from .rules.errors import PhasedKeysError

if TYPE_CHECKING:
    from .._shapes import Identity

LARGEST = 1024 * 1024
UNKNOWN_HOLDER = -1
# A temporary file's name says who writes it: pid and start, so that what a killed run left is known from what a
# living one is writing. The dot keeps it out of patterns like `EnvironmentFile=/etc/shop/*`.
_PREFIX = ".phased.keys."
_LEFTOVER = re.compile(re.escape(_PREFIX) + r"([0-9]+)\.([0-9]+)\.[0-9a-f]{16}")
# What these filesystems do not have cannot be kept.
_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_ADVICE = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EROFS: "mount it read-write",
    errno.EPERM: "see lsattr whether the file or its folder is immutable",
    errno.EACCES: "use become, -b",
    errno.EBUSY: "it is a mount point of its own, as containers have for single files: mount its folder instead",
}
_LOCK_PAUSE, _LOCK_LEAST = 0.02, 0.2
_LARGEST_ID = 2**32 - 2  # uids and gids; the one after says that nothing changes. (chown(2))

Who = Union[str, int, None]


class Place(paths.Place):
    """Where a path leads, as in `paths`, with what is there: the same folder and file from the first read to the rename."""

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def text(self, largest: int = LARGEST) -> Optional[str]:
        """Return the file's content as it is, every byte and line end kept; None if it is absent.

        OSError if it is no regular file, larger than `largest` bytes, or cannot be read.
        """
        if self.file is None:
            return None
        _regular(os.fstat(self.file), self.path)
        with _named(self.path), open(_readable(self.file), "rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise OSError(errno.EFBIG, f"File is larger than {largest // 1024} KiB", self.path)
        return content.decode("utf-8", "surrogateescape")

    def identity(self) -> Optional[Identity]:
        """Return what tells whether the file was written since; None if it is absent."""
        if self.file is None:
            return None
        found = os.fstat(self.file)
        return {"inode": found.st_ino, "changed": found.st_ctime, "modified": found.st_mtime, "size": found.st_size}

    def links(self) -> int:
        """Return how many names the file has: with more than one the others keep what is replaced under this one."""
        return os.fstat(self.file).st_nlink if self.file is not None else 0

    def owner(self) -> int:
        """Return whose the file is; -1 if it is absent."""
        return os.fstat(self.file).st_uid if self.file is not None else -1

    def inode(self) -> int:
        """Return the file's number on its disk, which its other names have too; 0 if it is absent."""
        return os.fstat(self.file).st_ino if self.file is not None else 0

    def absent(self) -> str:
        """Say what is not there."""
        away = self.real != os.path.abspath(self.path)
        return f"leads to {self.real}, and nothing is there: a link that dangles" if away else "there is no such file"

    def replace(self, text: str, *, mode: Optional[int] = None, owner: Who = None, group: Who = None) -> None:
        """Put `text` in place of the file's content, whole or not at all; OSError or Unusable if it cannot be.

        Mode, owner, group, access list and SELinux label stay; mode and group become what is given. A new file gets 0600,
        and its folder's owner and group. A symbolic link stays, and its target is replaced. An existing file is given
        to nobody: Unusable where `owner` is another, and for an owner or a group that this host does not know. Only the
        fsync of the folder at the very end, and the look at what is there then, can fail with the new file in place already.
        """
        uid, gid = _number("user", owner, pwd.getpwnam), _number("group", group, grp.getgrnam)
        if self.folder is None:
            text = f"{self.absent()}. Make the folder {os.path.dirname(self.real)}, and run again"
            raise FileNotFoundError(errno.ENOENT, text, self.path)
        if self.file is None:
            uid, gid, mode = self._as_new(uid, gid, 0o600 if mode is None else mode)
        elif uid not in (None, os.fstat(self.file).st_uid):
            has, wants = paths.user(os.fstat(self.file).st_uid), paths.user(int(uid or 0))
            raise Unusable(
                f"{self.path} belongs to {has}, and app_keys_env_owner is {wants}: a file that exists is given to nobody. If it is the right "
                f"file: chown {paths.argument(int(uid or 0))} {self.real}; else correct app_keys_env_owner"
            )
        try:
            self._replace(text, mode, uid, gid)
        except OSError as error:
            raise self._told(error) from error

    def _as_new(self, uid: Optional[int], gid: Optional[int], mode: int) -> Tuple[Optional[int], Optional[int], int]:
        """Return owner, group and mode of a file that is new here."""
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        found = os.fstat(self.folder)
        # Who is not root can give nothing away.
        its, theirs = (found.st_uid, found.st_gid) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
        owners = (its if uid is None else uid, theirs if gid is None else gid)
        rights = (("user", owners[0], 0o400), ("group", owners[1], 0o040), ("others", 0, 0o004))
        if self.safe:
            self.check(owners[0], {(kind, number) for kind, number, right in rights if mode & right})
        return (*owners, mode) if os.geteuid() == 0 else (uid, gid, mode)

    def _replace(self, text: str, mode: Optional[int], uid: Optional[int], gid: Optional[int]) -> None:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.folder)
        present: Optional[int] = None
        try:
            if self.file is not None:
                _regular(os.fstat(self.file), "the present file")
                present = _readable(self.file)
            _remove_leftovers(folder)
            _replace(folder, self.name, text, lambda fd: _dress(fd, present, mode, uid, gid), self._still)
            os.fsync(folder)
        finally:
            os.close(folder)
            if present is not None:
                os.close(present)

    def _still(self) -> None:
        """OSError, if the path leads to another file by now than when it was read."""
        with Place(self.path, safe=self.safe) as now:
            if not self.same(now):
                raise OSError(errno.ESTALE, "another file was put there meanwhile, and was left as it is: run again")

    def _told(self, error: OSError) -> OSError:
        """Return an error with the file's path, for a temporary name says nothing to a person, and with what to do."""
        text, number = error.strerror or str(error), error.errno or 0
        advice = _ADVICE.get(number) if text == os.strerror(number) else None
        return OSError(error.errno, f"{text} ({advice}, and run again)" if advice else text, self.path)


def read_text(path: str, largest: int = LARGEST, *, safe: bool = False, own: bool = False) -> Optional[str]:
    """Return the content of a file; None if it is absent. With `safe` and `own` it matters who has a say in where it is (see `Place`).

    Without, whoever else has one is as good as we are: on the controller that folder's playbooks are run anyway.
    """
    with Place(path, safe=safe or own, own=own) as place:
        return place.text(largest)


def identity(path: str) -> Optional[Identity]:
    """Return what tells whether a file was written since; None if it is absent."""
    with Place(path, safe=False) as place:
        return place.identity()


def replace_text(
    path: str,
    text: str,
    *,
    mode: Optional[int] = None,
    owner: Who = None,
    group: Who = None,
    own: bool = False,
) -> None:
    """Put `text` in place of a file's content, whole or not at all (see `Place.replace`); `own` as with `read_text`."""
    with Place(path, safe=own, own=own) as place:
        place.replace(text, mode=mode, owner=owner, group=group)


class Locked(PhasedKeysError):
    """Somebody else holds the lock: `pid`, since `since` in epoch seconds, as far as the holder could write that."""

    def __init__(self, path: str, pid: int, since: Optional[float]) -> None:
        who = f"pid {pid}" if pid != UNKNOWN_HOLDER else "another process"
        when = time.strftime(" since %Y-%m-%d %H:%M:%S %z", time.localtime(since)) if since is not None else ""
        super().__init__(f"{who} has held {path}{when}")
        self.pid = pid
        self.since = since


class Lock:
    """Holds `path` from `with` to its end, or to the end of the process, however that comes; Locked after `wait` s.

    The file is never removed: whoever waits for it would then hold another file than the next one who comes. With `own`
    nobody else may have a say in where it is (see `Place`).
    """

    def __init__(self, path: str, wait: float = 0.0, *, own: bool = True) -> None:
        self.path = path
        self.wait = wait
        self.own = own
        self._fd = -1

    def __enter__(self) -> Lock:
        # At least a few tries: `holder` has the lock for a moment, and that is no reason to give up.
        end = time.monotonic() + max(self.wait, _LOCK_LEAST)
        while self._fd < 0:
            self._fd = _take(self.path, self.own)
            if self._fd < 0:
                if time.monotonic() >= end:
                    raise Locked(self.path, *_told(self.path, self.own))
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
    with Place(path, own=True) as place:
        if place.file is None:
            return None
        if place.linked:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        with _named(path):
            fd = _readable(place.file)
    try:
        # Shared, so that those who only look do not see each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _told(path, True)[0]
    finally:
        os.close(fd)


def _take(path: str, own: bool) -> int:
    """Return a descriptor that holds the lock, or -1. It is not inherited by any program (PEP 446)."""
    with Place(path, safe=own, own=own, make=True) as place:
        if place.linked:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        with _named(path):
            fd = os.open(place.name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=place.folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(place.name, dir_fd=place.folder), os.fstat(fd)):
                return fd
        except (BlockingIOError, FileNotFoundError):  # held, or removed by hand meanwhile
            pass
        except BaseException:
            os.close(fd)
            raise
    os.close(fd)
    return -1


def _told(path: str, own: bool) -> Tuple[int, Optional[float]]:
    """Return what the holder wrote about itself."""
    for _try in range(5):
        said = re.fullmatch(r"([0-9]+) ([0-9.]+)\n", read_text(path, own=own) or "")
        if said:
            return int(said[1]), float(said[2])
        time.sleep(0.01)  # it may just be about to write
    return UNKNOWN_HOLDER, None


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Let an error say which file it is about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _readable(held: int) -> int:
    """Open for reading what is held, whatever has become of its name."""
    return os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK)  # a pipe would make us wait for a writer


def _replace(folder: int, name: str, text: str, dress: Callable[[int], None], still: Callable[[], None]) -> None:
    temporary = f"{_PREFIX}{os.getpid()}.{start_ticks(os.getpid())}.{os.urandom(8).hex()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            dress(fd)
            os.fsync(fd)
            written = os.fstat(fd)
        still()
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        if not os.path.samestat(written, os.stat(name, dir_fd=folder, follow_symlinks=False)):
            raise OSError(errno.ESTALE, "another file was put in its place at once: find out who does that")
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
        mode = stat.S_IMODE(old.st_mode) & 0o777 if mode is None else mode
        uid = old.st_uid if uid is None else uid
        gid = old.st_gid if gid is None else gid
    if (own.st_uid if uid is None else uid, own.st_gid if gid is None else gid) != (own.st_uid, own.st_gid):
        _give(fd, -1 if uid is None else uid, -1 if gid is None else gid)
    if present is not None:
        wanted, has = dict(_attributes(present)), dict(_attributes(fd))
        if paths.ACL in has and paths.ACL not in wanted:
            os.removexattr(fd, paths.ACL)  # from the folder's default: it would let others in
        for attribute, value in wanted.items():
            if has.get(attribute) != value:
                os.setxattr(fd, attribute, value)
    os.fchmod(fd, 0o600 if mode is None else mode)  # after chown, which takes bits away, and the list, which sets some


def _give(fd: int, uid: int, gid: int) -> None:
    try:
        os.fchown(fd, uid, gid)
    except OSError as error:
        text = f"cannot be given to uid {uid}, gid {gid}: {error.strerror}"
        if error.errno in (errno.EINVAL, errno.EPERM, errno.EOVERFLOW) and not _all_users():
            text += (
                ". They are not users of this container (user namespace), and nothing can be given to them from inside: let the file belong to "
                "a user of the container, or run outside of it"
            )
        raise OSError(error.errno, text) from error


def _all_users() -> bool:
    """Whether this user namespace has every user of the machine. (user_namespaces(7))"""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return [int(number) for number in file.read().split()] == [0, 0, 2**32 - 1]


def _attributes(fd: int) -> Iterator[Tuple[str, bytes]]:
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return
    for name in names:
        # Not those that the kernel computes from the content (security.ima, security.evm).
        if name in ("security.selinux", paths.ACL) or name.startswith("user."):
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
    number = int(who) if who.isdecimal() else None
    with contextlib.suppress(KeyError):
        number = int(lookup(who)[2]) if number is None else number
    if number is None or number > _LARGEST_ID:
        raise Unusable(f"there is no {kind} {who!r} on this host")
    return number
