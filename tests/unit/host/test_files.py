# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import pathlib
import stat
import struct
from typing import Any, Dict, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files, paths
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from shop_env import NEW, OLD, names

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def acl(*entries: Tuple[int, int, int]) -> bytes:
    """An access list as the kernel takes it: (tag, permissions, id) after a version; see linux/posix_acl_xattr.h."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


# rw for the owner, r for user 1234, mask r, nothing for others
ACL = acl((1, 6, 2**32 - 1), (2, 4, 1234), (4, 0, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1))


class TestRead:
    def test_as_it_is(self, path: pathlib.Path) -> None:
        path.write_bytes(b"A=1\r\nB=\xff\xc3\xbc\rC\n\n")
        text = files.read_text(str(path))
        assert text == "A=1\r\nB=\udcff\xfc\rC\n\n"
        files.replace_text(str(path), text)
        assert path.read_bytes() == b"A=1\r\nB=\xff\xc3\xbc\rC\n\n"

    def test_absent(self, path: pathlib.Path) -> None:
        (path.parent / "dangling").symlink_to("nowhere")
        for name in ("none", "dangling", "no/folder"):
            assert files.read_text(str(path.parent / name)) is None
            assert files.identity(str(path.parent / name)) is None

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (
                OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
                "No space left on device (free some space there, and run again)",
            ),
            (OSError(errno.ENOSPC, "what to do is said already"), "what to do is said already"),
            (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
            (OSError("no number"), "no number"),
        ],
    )
    def test_an_error_is_told_with_the_path_and_what_to_do(self, path: pathlib.Path, error: OSError, said: str) -> None:
        with files.Place(str(path)) as place:
            told = place._told(error)
        assert (told.errno, told.strerror, told.filename) == (error.errno, said, str(path))

    @pytest.mark.parametrize("everybody", [True, False])
    @pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.EOVERFLOW, errno.EIO])
    def test_who_is_no_user_of_the_container_is_said(
        self, number: int, everybody: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_given: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fchown", refused)
        monkeypatch.setattr(files, "_all_users", lambda: everybody)
        with pytest.raises(OSError, match="^") as caught:
            files._give(7, 33, 44)
        text = str(caught.value.strerror)
        assert caught.value.errno == number
        assert text.startswith(f"cannot be given to uid 33, gid 44: {os.strerror(number)}")
        assert ("not users of this container" in text) is (number != errno.EIO and not everybody)

    def test_only_where_nobody_else_has_a_say_if_that_matters(self, path: pathlib.Path) -> None:
        path.parent.chmod(0o777)
        assert files.read_text(str(path)) == OLD
        for how in ({"safe": True}, {"own": True}):
            with pytest.raises(paths.Unsafe, match="everybody may write the folder"):
                files.read_text(str(path), **how)

    def test_not_for_reading(self, path: pathlib.Path) -> None:
        os.mkfifo(path.parent / "pipe")
        with pytest.raises(IsADirectoryError):
            files.read_text(str(path.parent))
        for odd in ("/dev/null", str(path.parent / "pipe")):
            with pytest.raises(OSError, match="Not a regular file"):
                files.read_text(odd)
        with pytest.raises(NotADirectoryError):
            files.read_text(str(path / "below"))

    def test_size(self, path: pathlib.Path) -> None:
        path.write_bytes(b"x" * files.LARGEST)
        assert len(files.read_text(str(path)) or "") == files.LARGEST
        path.write_bytes(b"x" * (files.LARGEST + 1))
        with pytest.raises(OSError, match="larger than 1024 KiB"):
            files.read_text(str(path))

    def test_identity(self, path: pathlib.Path) -> None:
        link = path.parent / "link"
        link.symlink_to(path)
        before = files.identity(str(link))
        found = path.stat()
        assert before == {
            "inode": found.st_ino,
            "changed": found.st_ctime,
            "modified": found.st_mtime,
            "size": len(OLD),
        }
        assert files.identity(str(path)) == before
        files.replace_text(str(path), OLD)
        assert files.identity(str(path)) != before


class TestReplace:
    def test_new(self, path: pathlib.Path) -> None:
        before = os.umask(0o000)
        try:
            files.replace_text(str(path.parent / "new"), NEW)
        finally:
            os.umask(before)
        found = (path.parent / "new").stat()
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert (path.parent / "new").read_text() == NEW
        assert names(path) == ["new", "shop.env"]

    @pytest.mark.parametrize("umask", [0o000, 0o077])
    def test_new_as_given(self, umask: int, path: pathlib.Path) -> None:
        before = os.umask(umask)
        try:
            files.replace_text(str(path.parent / "new"), NEW, mode=0o640, owner=os.getuid(), group=str(os.getgid()))
        finally:
            os.umask(before)
        assert stat.S_IMODE((path.parent / "new").stat().st_mode) == 0o640

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o440, 0o000])
    def test_mode_stays(self, mode: int, path: pathlib.Path) -> None:
        path.chmod(mode)
        if mode == 0 and os.geteuid() != 0:
            pytest.skip("only root reads that")
        files.replace_text(str(path), NEW)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        path.chmod(0o600)
        assert path.read_text() == NEW

    def test_mode_as_given(self, path: pathlib.Path) -> None:
        files.replace_text(str(path), NEW, mode=0o440)
        assert stat.S_IMODE(path.stat().st_mode) == 0o440

    @root
    def test_owner_and_group_stay_and_the_group_becomes_what_is_given(self, path: pathlib.Path) -> None:
        def owners() -> Tuple[int, int]:
            return path.stat().st_uid, path.stat().st_gid

        os.chown(path, 65534, 4321)
        files.replace_text(str(path), NEW)
        assert owners() == (65534, 4321)
        files.replace_text(str(path), NEW, owner="nobody", group="8")
        assert owners() == (65534, 8)
        files.replace_text(str(path), NEW, group="root", mode=0o2640)
        assert owners() == (65534, 0)
        assert stat.S_IMODE(path.stat().st_mode) == 0o2640
        files.replace_text(str(path), OLD)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, "nobody's program becomes another group's by our hand"

    @root
    @pytest.mark.parametrize("owner", ["nobody", 7, "7"])
    def test_a_file_that_exists_is_given_to_nobody(self, owner: Any, path: pathlib.Path) -> None:
        name = "7" if owner in (7, "7") else "nobody"
        with pytest.raises(Unusable, match=f"belongs to root, and .* right file: chown (uid )?.*{path}"):
            files.replace_text(str(path), NEW, owner=owner)
        assert (path.read_text(), path.stat().st_uid) == (OLD, 0)
        os.chown(path, int(name) if name.isdigit() else 65534, 0)
        files.replace_text(str(path), NEW, owner=owner)
        assert path.read_text() == NEW

    @root
    def test_a_new_file_is_its_folders_or_as_given(self, path: pathlib.Path) -> None:
        os.chown(path.parent, 0, 4321)
        files.replace_text(str(path.parent / "its"), NEW)
        files.replace_text(str(path.parent / "given"), NEW, owner="nobody", group=8)
        its, given = ((path.parent / name).stat() for name in ("its", "given"))
        assert (its.st_uid, its.st_gid, given.st_uid, given.st_gid) == (0, 4321, 65534, 8)

    @root
    def test_the_folders_group_is_not_for_files_that_had_another(self, path: pathlib.Path) -> None:
        os.chown(path.parent, 0, 4321)
        path.parent.chmod(0o2755)
        files.replace_text(str(path), NEW)
        assert path.stat().st_gid == 0

    @pytest.mark.parametrize(
        "who", [{"owner": "no-such-user-x"}, {"group": "no-such-group-x"}, {"owner": "\u00b2"}, {"group": str(2**32)}]
    )
    def test_nobody_of_that_name(self, who: Dict[str, Any], path: pathlib.Path) -> None:
        with pytest.raises(Unusable, match="there is no (user|group) '"):
            files.replace_text(str(path), NEW, **who)
        assert path.read_text() == OLD

    def test_who_may_not_keep_the_owner_changes_nothing(
        self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_arguments: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "fchown", refuse)
        with pytest.raises(PermissionError, match=f"cannot be given to uid {os.getuid() + 1}"):
            files.replace_text(str(path.parent / "new"), NEW, owner=os.getuid() + 1)
        assert os.listdir(path.parent) == ["shop.env"]
        with pytest.raises(PermissionError):
            files.replace_text(str(path), NEW, group=os.getgid() + 1)
        assert os.listdir(path.parent) == ["shop.env"]
        assert path.read_text() == OLD

    @pytest.mark.parametrize("target", ["shop.env", "../etc/shop.env", "absolute", "second"])
    def test_a_link_stays(self, target: str, path: pathlib.Path) -> None:
        link = path.parent.parent / "run" / "link.env"
        link.parent.mkdir()
        if target == "second":
            (link.parent / "second").symlink_to(path)
        link.symlink_to({"absolute": str(path), "shop.env": "../etc/shop.env"}.get(target, target))
        files.replace_text(str(link), NEW)
        assert link.is_symlink()
        assert not path.is_symlink()
        assert path.read_text() == NEW
        assert names(path) == ["shop.env"]

    def test_a_link_to_what_is_not_there_yet(self, path: pathlib.Path) -> None:
        (path.parent / "link").symlink_to("later")
        files.replace_text(str(path.parent / "link"), NEW)
        assert (path.parent / "link").is_symlink()
        assert (path.parent / "later").read_text() == NEW

    def test_links_in_a_ring(self, path: pathlib.Path) -> None:
        (path.parent / "a").symlink_to("b")
        (path.parent / "b").symlink_to("a")
        with pytest.raises(OSError, match="symbolic links"):
            files.replace_text(str(path.parent / "a"), NEW)
        assert names(path) == ["a", "b", "shop.env"]

    def test_no_place_for_a_file(self, path: pathlib.Path) -> None:
        (path.parent / "folder").mkdir()
        os.mkfifo(path.parent / "pipe")
        with pytest.raises(IsADirectoryError):
            files.replace_text(str(path.parent / "folder"), NEW)
        with pytest.raises(OSError, match="Not a regular file"):
            files.replace_text(str(path.parent / "pipe"), NEW)
        with pytest.raises(FileNotFoundError, match=f"no such file. Make the folder {path.parent}/no, and run again"):
            files.replace_text(str(path.parent / "no/folder"), NEW)
        (path.parent / "dangling").symlink_to("/no/such/folder/env")
        with pytest.raises(
            FileNotFoundError, match="leads to /no/such/folder/env, and nothing is there: a link that dangles. Make"
        ):
            files.replace_text(str(path.parent / "dangling"), NEW)
        (path.parent / "dangling").unlink()
        assert names(path) == ["folder", "pipe", "shop.env"]

    def test_a_relative_path(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(path.parent)
        files.replace_text("shop.env", NEW)
        assert path.read_text() == NEW

    def test_the_access_list_stays(self, path: pathlib.Path) -> None:
        try:
            os.setxattr(path, "system.posix_acl_access", ACL)
        except OSError as error:
            pytest.skip(f"no access lists here: {error}")
        mode = path.stat().st_mode
        files.replace_text(str(path), NEW)
        assert os.getxattr(path, "system.posix_acl_access") == ACL
        assert path.stat().st_mode == mode
        files.replace_text(str(path), NEW, mode=0o600)  # asked for: the mask shuts the list out
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_the_folders_default_list_lets_nobody_in(self, path: pathlib.Path) -> None:
        path.chmod(0o640)
        try:
            os.setxattr(path.parent, "system.posix_acl_default", ACL)
        except OSError as error:
            pytest.skip(f"no access lists here: {error}")
        files.replace_text(str(path), NEW)
        assert "system.posix_acl_access" not in os.listxattr(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_marks_stay(self, path: pathlib.Path) -> None:
        try:
            os.setxattr(path, "user.origin", b"puppet")
        except OSError as error:
            pytest.skip(f"no extended attributes here: {error}")
        files.replace_text(str(path), NEW)
        assert os.getxattr(path, "user.origin") == b"puppet"

    @pytest.mark.parametrize(("number", "harmless"), [(errno.ENOTSUP, True), (errno.EIO, False)])
    def test_marks_that_cannot_be_read(
        self, number: int, harmless: bool, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_arguments: Any) -> Any:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "listxattr", refuse)
        if harmless:
            files.replace_text(str(path), NEW)
        else:
            with pytest.raises(OSError, match="Input/output"):
                files.replace_text(str(path), NEW)
        assert path.read_text() == (NEW if harmless else OLD)
        assert names(path) == ["shop.env"]

    def test_a_label_that_cannot_be_kept_is_an_error(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own: List[str] = []

        def listed(_fd: int) -> List[str]:
            own.append("x")
            return ["security.selinux", "security.ima"]

        monkeypatch.setattr(os, "listxattr", listed)
        monkeypatch.setattr(os, "getxattr", lambda fd, name: b"label-%d" % len(own))

        def refuse(fd: int, name: str, value: bytes) -> None:
            assert name == "security.selinux"
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "setxattr", refuse)
        with pytest.raises(PermissionError):
            files.replace_text(str(path), NEW)
        assert path.read_text() == OLD
        assert names(path) == ["shop.env"]
