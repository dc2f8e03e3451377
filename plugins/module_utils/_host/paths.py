# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path leads: gone once, name by name, and held open, so that nobody leads it elsewhere afterwards.

Who owns a folder or a link decides what it leads to. What a user other than root has decided may lead to that user's
own things alone: else he has us read and write for him what he may not (CHASE_SAFE in systemd's src/basic/chase.c, but
that a link of a user may pass through folders of root's on its way to what is the user's own). And whoever may put
another file into a folder must be one who may read the file that is to be there.

Sources: path_resolution(7), openat(2), symlink(7), inode(7), acl(5), linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
import struct
from typing import List, Optional, Set, Tuple

from .rules.errors import PhasedKeysError

ACL = "system.posix_acl_access"
_LINKS = 40  # as the kernel's own limit
_READ, _WRITE = 4, 2
# Entries of an access list.
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32

Subject = Tuple[str, int]  # ("user", uid), ("group", gid) or this:
EVERYBODY = ("others", 0)


class Unsafe(PhasedKeysError):
    """A path leads where somebody else than root could have led it; the text says who, and what to do."""


class Place:
    """Where a path leads to, held open until `close`: a folder, a name in it, and the file of that name if there is one.

    folder    descriptor of the folder; None if it is not there
    name      the file's name in it
    file      descriptor of the file, which tells what it is and cannot be read; None if it is not there
    real      the path without links, for people
    linked    whether that name is a link, which leads to the file
    deciders  the users other than root and ourselves who had a say in where the path leads
    writers   who else may put an entry into one of the folders on the way, each with that folder

    `safe` is False where it does not matter who decides. With `own` nobody may have had a say at all, with `make`
    folders that are missing are made. OSError, and Unsafe.
    """

    def __init__(self, path: str, *, safe: bool = True, own: bool = False, make: bool = False) -> None:
        self.path, self.real, self.name = path, path, ""
        self.safe, self.make = safe, make
        self.linked = False
        self.folder: Optional[int] = None
        self.file: Optional[int] = None
        self.deciders: Set[int] = set()
        self.writers: List[Tuple[Subject, str]] = []
        self.trusted = {0, os.geteuid(), os.stat("/").st_uid}  # who has the root folder has everything
        try:
            self._go()
            if own:
                self._check_own()
            if safe and self.file is not None:
                self.check(os.fstat(self.file).st_uid, may(self.file, _READ))
        except OSError as error:
            self.close()
            raise OSError(error.errno, error.strerror, path) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of what is held."""
        for held in (self.folder, self.file):
            if held is not None:
                os.close(held)
        self.folder = self.file = None

    def same(self, other: Place) -> bool:
        """Whether another place is this one: the same file, or none, in the same folder."""
        return (_inode(self.folder), self.name, _inode(self.file)) == (
            _inode(other.folder),
            other.name,
            _inode(other.file),
        )

    def check(self, owner: int, readers: Set[Subject]) -> None:
        """Unsafe, if a file of this owner that these may read must not be here."""
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        everybody = [where for writer, where in self.writers if writer == EVERYBODY]
        if EVERYBODY in may(self.folder, _WRITE) and owner not in self.trusted:
            everybody.append(self._here())
        if everybody:
            raise Unsafe(
                f"everybody may write the folder {everybody[0]}, and anybody could have put {self.path} there: keep it in a folder that root "
                "or its owner alone may write"
            )
        if self.deciders and {*self.deciders, os.fstat(self.folder).st_uid, owner} != {min(self.deciders)}:
            who = " or ".join(user(uid) for uid in sorted(self.deciders))
            raise Unsafe(
                f"{self.path} leads to {self.real}, which is {user(owner)}'s, and {who} could have led it there: keep the file in a "
                f"folder of root's, or let the folder and the file belong to {who}"
            )
        for writer, where in self.writers:
            if writer not in readers and EVERYBODY not in readers and not self._nobody_but(writer, owner):
                raise Unsafe(
                    f"the {writer[0]} {_called(writer)} may write the folder {where}, and may not read {self.path}: with a file of their own in "
                    f"its place they would be given the keys. Take that right away (chmod g-w {where}), or let them read the file"
                )

    def _check_own(self) -> None:
        owners = {os.fstat(held).st_uid for held in (self.folder, self.file) if held is not None}
        others = sorted((self.deciders | owners) - self.trusted)
        everybody = [where for writer, where in self.writers if writer == EVERYBODY]
        if everybody:
            raise Unsafe(
                f"everybody may write the folder {everybody[0]}: {self.path} has to be where root alone may write"
            )
        if others:
            raise Unsafe(
                f"{self.path} can be changed by {user(others[0])}, and its content decides what is done as {user(os.geteuid())}: give "
                f"the folder and all in it to {user(os.geteuid())}, name another place, or become {user(others[0])}"
            )

    def _nobody_but(self, writer: Subject, owner: int) -> bool:
        """Whether a subject is no one but the file's owner and those that are trusted anyway."""
        kind, number = writer
        known = self.trusted | {owner}
        return number in known if kind == "user" else number == 0 or _members(number) <= known

    def _go(self) -> None:
        # What is mounted when somebody comes is mounted by stat(2), and not by openat(2) with O_PATH.
        with contextlib.suppress(OSError):
            os.stat(self.path)
        todo = _parts(self.path)
        self._enter(os.open("/" if self.path.startswith("/") else ".", os.O_PATH | os.O_DIRECTORY))
        links = 0
        while True:
            if not todo:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self.name = todo.pop()
            found = self._opened(bool(todo))
            if found is None:
                return self._missing(todo)
            entry = os.fstat(found)
            if stat.S_ISLNK(entry.st_mode):
                links, self.linked = links + 1, self.linked or not todo
                if links > _LINKS:
                    os.close(found)
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                target = os.readlink("", dir_fd=found)
                os.close(found)
                todo += _parts(target)
                if target.startswith("/"):
                    self._enter(os.open("/", os.O_PATH | os.O_DIRECTORY))
            elif not todo:
                self.file = found
                return None
            else:
                self._enter(found)

    def _opened(self, on_the_way: bool) -> Optional[int]:
        """Open the entry that is next, if it may be where it is; None if it is not there."""
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        folder = os.fstat(self.folder)
        self.real = os.path.join(self._here(), self.name)
        try:
            found = os.open(self.name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.folder)
        except FileNotFoundError:
            self._decides(folder.st_uid)
            self._write_here(folder, True)
            if not (on_the_way and self.make):
                return None
            self._make(folder.st_uid)
            found = os.open(self.name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self.folder)
        try:
            self._passed(folder, os.fstat(found))
        except BaseException:
            os.close(found)
            raise
        return found

    def _passed(self, folder: os.stat_result, entry: os.stat_result) -> None:
        """Hold an entry against the folder that it is in, and note who may have put it there."""
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        self._decides(folder.st_uid)
        if stat.S_ISLNK(entry.st_mode):
            self._decides(entry.st_uid)
        if self.name == "..":
            return  # nobody put that there
        # In a folder like /tmp others can neither move nor remove what is not theirs, but link it there.
        kept = stat.S_ISDIR(entry.st_mode) or (entry.st_uid in self.trusted and entry.st_nlink == 1)
        self._write_here(folder, kept)
        if self.safe and folder.st_uid not in self.trusted and entry.st_uid != folder.st_uid:
            owner = user(folder.st_uid)
            raise Unsafe(
                f"{self.real} is {user(entry.st_uid)}'s, in a folder of {owner}'s, who could have put it there. If it is the right one, give "
                f"it to {owner}: chown -h {argument(folder.st_uid)} {self.real}; else keep it in a folder of root's"
            )

    def _write_here(self, folder: os.stat_result, kept: bool) -> None:
        """Note who else than its owner may put something into the folder; but in a sticky one not in the place of what is `kept`."""
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        if not (folder.st_mode & stat.S_ISVTX and kept):
            writers = may(self.folder, _WRITE) - {("user", folder.st_uid)}
            self.writers += [(writer, self._here()) for writer in sorted(writers)]

    def _decides(self, uid: int) -> None:
        if uid not in self.trusted:
            self.deciders.add(uid)

    def _make(self, owner: int) -> None:
        if self.folder is None:
            raise AssertionError("there is no folder to work in")
        if self.safe and owner not in self.trusted:
            raise Unsafe(
                f"{self.real} is not there, and is not made in a folder of {user(owner)}'s: name another place"
            )
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.name, 0o700, dir_fd=self.folder)

    def _missing(self, todo: List[str]) -> None:
        self.real = os.path.join(self.real, *reversed(todo))
        if todo:
            if self.folder is None:
                raise AssertionError("there is no folder to work in")
            os.close(self.folder)
            self.folder = None

    def _enter(self, folder: int) -> None:
        """Hold this folder in place of the one before."""
        if self.folder is not None:
            os.close(self.folder)
        self.folder = folder
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def _here(self) -> str:
        return os.readlink(f"/proc/self/fd/{self.folder}")


def may(held: int, right: int) -> Set[Subject]:
    """Return who may read (4) or write (2) what is held open, by its mode and its access list."""
    found = os.fstat(held)
    entries = [
        (_USER_OBJ, found.st_mode >> 6, 0),
        (_GROUP_OBJ, found.st_mode >> 3, 0),
        (_OTHER, found.st_mode, 0),
    ]
    with contextlib.suppress(OSError):  # none, or a file system without
        # A descriptor of this kind has no attributes; the name that the kernel has for it does.
        raw = os.getxattr(f"/proc/self/fd/{held}", ACL)
        entries = [struct.unpack_from("<HHI", raw, place) for place in range(4, len(raw) - 7, 8)]
    mask = next((rights for tag, rights, _number in entries if tag == _MASK), 7)
    allowed: Set[Subject] = set()
    for tag, rights, number in entries:
        if rights & right and (tag in (_USER_OBJ, _OTHER) or rights & mask & right):
            subject = {
                _USER_OBJ: ("user", found.st_uid),
                _USER: ("user", number),
                _GROUP_OBJ: ("group", found.st_gid),
                _GROUP: ("group", number),
                _OTHER: EVERYBODY,
            }.get(tag)
            if subject:
                allowed.add(subject)
    return allowed


def _members(gid: int) -> Set[int]:
    """Return the users of a group; one that nobody knows by name may be anybody's."""
    try:
        names = grp.getgrgid(gid).gr_mem
    except KeyError:
        return {-1}
    return {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid or entry.pw_name in names}


def _parts(path: str) -> List[str]:
    """Return the names of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _inode(held: Optional[int]) -> Optional[Tuple[int, int]]:
    if held is None:
        return None
    found = os.fstat(held)
    return found.st_dev, found.st_ino


def argument(uid: int) -> str:
    """Return a user as chown(1) takes one."""
    return user(uid).replace("uid ", "")


def user(uid: int) -> str:
    """Return what a user is called."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _called(subject: Subject) -> str:
    kind, number = subject
    if kind == "user":
        return user(number)
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
