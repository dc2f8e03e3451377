# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a path leads, and who may have had a say in that."""

from __future__ import annotations

import grp
import os
import pwd
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, List, Optional, Set

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files, paths

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
SHOP, OTHER, STAFF = 4001, 4002, 5001
OURS = os.getuid()


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def made(path: Path, owner: int = 0, mode: Optional[int] = None, group: Optional[int] = None, text: Any = None) -> Path:
    """Make a folder, or a file with a text, of somebody's."""
    path.mkdir() if text is None else path.write_text(text)
    os.chown(path, owner, owner if group is None else group)
    if mode is not None:
        path.chmod(mode)
    return path


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shop and other, each with a group of its own, and the staff, which both are."""
    users = [SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=uid) for name, uid in (("shop", SHOP), ("other", OTHER))]
    groups = {SHOP: ("shop", []), OTHER: ("other", []), STAFF: ("staff", ["other"]), 5002: ("empty", [])}

    def group(gid: int) -> Any:
        name, members = groups[gid]
        return SimpleNamespace(gr_name=name, gr_mem=members)

    def known(uid: int) -> Any:
        return next(user for user in users if user.pw_uid == uid) if uid else SimpleNamespace(pw_name="root")

    monkeypatch.setattr(grp, "getgrgid", group)
    monkeypatch.setattr(pwd, "getpwall", lambda: users)
    monkeypatch.setattr(pwd, "getpwuid", known)


# --- where it leads -------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "real", "there"),
    [
        ("a/file", "a/file", True),
        ("a/./b/..//file", "a/file", True),
        ("to-file", "a/file", True),
        ("to-folder/file", "a/file", True),
        ("absolute", "a/file", True),
        ("twice", "a/file", True),
        ("a/none", "a/none", False),
        ("dangling", "a/none", False),
        ("nowhere/b/c", "nowhere/b/c", False),
        ("to-nowhere", "nowhere/x", False),
    ],
)
def test_links_are_followed_by_name(path: str, real: str, there: bool, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_text("text")
    for name, target in (
        ("to-file", "a/file"), ("to-folder", "./a"), ("absolute", tmp_path / "a/file"), ("twice", "to-folder/../to-file"),
        ("dangling", "a/none"), ("to-nowhere", "nowhere/x"),
    ):  # fmt: skip
        (tmp_path / name).symlink_to(target)
    before = fds()
    with files.Place(str(tmp_path / path)) as place:
        assert place.real == str(tmp_path / real)
        assert (place.file is not None) is there
        assert place.text() == ("text" if there else None)
        assert place.linked is (path in ("to-file", "absolute", "twice", "dangling", "to-nowhere"))
        assert place.absent() == (
            "there is no such file"
            if os.path.normpath(path) == real
            else f"leads to {place.real}, and nothing is there: a link that dangles"
        )
    assert fds() == before


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("ring", "symbolic links"),
        ("file/below", "Not a directory"),
        ("to-file/below", "Not a directory"),
        ("..", "directory"),
        ("to-itself", "directory"),
        ("", "directory"),
    ],
)
def test_what_leads_nowhere_is_an_error_with_the_path(
    path: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    for name, target in (("ring", "ring"), ("to-file", "file"), ("to-itself", ".")):
        (tmp_path / name).symlink_to(target)
    before = fds()
    with pytest.raises(OSError, match=error) as caught:
        files.read_text(path)
    assert caught.value.filename == path
    assert fds() == before


def test_what_is_held_stays_the_same_whatever_becomes_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/env").write_text("first")
    with files.Place(str(tmp_path / "a/env")) as place:
        identity = place.identity()
        (tmp_path / "a/env").rename(tmp_path / "away")
        (tmp_path / "a/env").write_text("second")
        assert place.text() == "first"
        assert place.identity()["inode"] == identity["inode"] == (tmp_path / "away").stat().st_ino
        with pytest.raises(OSError, match="another file was put there meanwhile.*run again"):
            place.replace("third")
    assert (tmp_path / "a/env").read_text() == "second"
    assert (tmp_path / "away").read_text() == "first"


@pytest.mark.parametrize("change", ["file came", "file went", "folder", "link"])
def test_a_path_that_leads_elsewhere_since_is_not_written(change: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "env").write_text("first")
    (tmp_path / "current").symlink_to("a")
    if change == "file came":
        (tmp_path / "a/env").unlink()
    with files.Place(str(tmp_path / "current/env")) as place:
        if change == "file came":
            (tmp_path / "a/env").write_text("by hand")
        elif change == "file went":
            (tmp_path / "a/env").unlink()
        elif change == "folder":
            (tmp_path / "a").rename(tmp_path / "old")
            (tmp_path / "b").rename(tmp_path / "a")
        else:
            (tmp_path / "current").unlink()
            (tmp_path / "current").symlink_to("b")
        left = {path: path.read_text() for path in tmp_path.rglob("env")}
        with pytest.raises(OSError, match="meanwhile"):
            place.replace("second")
    assert {path: path.read_text() for path in tmp_path.rglob("env")} == left
    assert not list(tmp_path.rglob(".phased*"))


def test_what_is_put_in_its_place_in_the_moment_of_the_rename_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def renamed(*names: Any, **folders: Any) -> None:
        rename(*names, **folders)
        (tmp_path / "other").write_text("theirs")
        rename(tmp_path / "other", tmp_path / "env")

    monkeypatch.setattr(os, "rename", renamed)
    with pytest.raises(OSError, match="another file was put in its place at once"):
        files.replace_text(str(tmp_path / "env"), "ours")


def test_how_many_names_a_file_has(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("")
    with files.Place(str(tmp_path / "env")) as one:
        os.link(tmp_path / "env", tmp_path / "second")
        assert one.links() == 2
    with files.Place(str(tmp_path / "none")) as none:
        assert none.links() == 0


# --- who had a say --------------------------------------------------------------


Layout = Callable[[Path], str]


def ok(path: str) -> str:
    with files.Place(path) as place:
        return str(place.text())


def put(path: Path, text: str, **more: Any) -> None:
    with files.Place(str(path)) as place:
        place.replace(text, **more)


@root
@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("folder", "file", "good"),
    [
        # owner, group and mode of each
        ((0, 0, 0o755), (0, 0, 0o600), True),
        ((0, 0, 0o755), (SHOP, SHOP, 0o600), True),
        ((SHOP, SHOP, 0o755), (SHOP, SHOP, 0o600), True),
        ((SHOP, SHOP, 0o755), (0, SHOP, 0o640), False),
        ((SHOP, SHOP, 0o755), (OTHER, SHOP, 0o640), False),
        # a group that may write the folder
        ((0, SHOP, 0o775), (SHOP, SHOP, 0o600), True),
        ((0, SHOP, 0o775), (0, SHOP, 0o640), True),
        ((0, SHOP, 0o775), (0, 0, 0o600), False),
        ((0, SHOP, 0o775), (0, 0, 0o644), True),
        ((0, STAFF, 0o775), (SHOP, SHOP, 0o600), False),
        ((0, STAFF, 0o775), (SHOP, STAFF, 0o640), True),
        ((0, STAFF, 0o775), (SHOP, STAFF, 0o600), False),
        ((SHOP, STAFF, 0o2775), (SHOP, SHOP, 0o600), False),
        ((0, 5002, 0o775), (0, 0, 0o600), True),  # a group without anybody
        ((0, 5003, 0o775), (0, 0, 0o600), False),  # and one that nobody knows
        ((0, 0, 0o775), (0, 0, 0o600), True),  # root's own
        # everybody
        ((0, 0, 0o777), (0, 0, 0o600), False),
        ((0, 0, 0o777), (0, 0, 0o644), False),
        ((0, 0, 0o1777), (0, 0, 0o600), True),
        ((0, 0, 0o1777), (SHOP, SHOP, 0o600), False),
    ],
)
def test_who_may_put_a_file_there_must_be_one_who_may_read_it(
    folder: Any, file: Any, good: bool, tmp_path: Path
) -> None:
    place = made(tmp_path / "place", folder[0], group=folder[1])
    env = made(place / "env", file[0], file[2], file[1], "A=1\n")
    place.chmod(folder[2])
    before = fds()
    if good:
        assert ok(str(env)) == "A=1\n"
        put(env, "B=1\n")
        found = env.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == file
        env.unlink()
    else:
        with pytest.raises(paths.Unsafe):
            ok(str(env))
        assert files.read_text(str(env)) == "A=1\n", "whose it is does not matter where that is not asked"
        env.unlink()
    # A new one of the same kind is made, or not, for the same reasons.
    wanted = {"owner": file[0], "group": file[1], "mode": file[2]}
    if good:
        put(env, "C=1\n", **wanted)
        assert ok(str(env)) == "C=1\n"
    else:
        with pytest.raises(paths.Unsafe):
            put(env, "C=1\n", **wanted)
        assert list(place.iterdir()) == []
    assert fds() == before


@root
@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(("mode", "good"), [(0o755, True), (0o775, False), (0o777, False), (0o1777, True)])
def test_a_folder_on_the_way_counts_too(mode: int, good: bool, tmp_path: Path) -> None:
    way = made(tmp_path / "way", 0, group=STAFF)
    env = made(made(way / "shop", SHOP) / "env", SHOP, 0o600, text="A=1\n")
    way.chmod(mode)
    if good:
        assert ok(str(env)) == "A=1\n"
    else:
        with pytest.raises(paths.Unsafe, match="group staff may write the folder .*/way, and may not read|everybody"):
            ok(str(env))


def acl(*entries: Any) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


NONE = 2**32 - 1


@root
@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("user", "mask", "reads", "good"), [(OTHER, 7, False, False), (OTHER, 5, False, True), (OTHER, 7, True, True), (SHOP, 7, False, True)]
)  # fmt: skip
def test_access_lists_count(user: int, mask: int, reads: bool, good: bool, tmp_path: Path) -> None:
    place = made(tmp_path / "place")
    env = made(place / "env", SHOP, 0o600, text="A=1\n")
    listed = acl((1, 7, NONE), (2, 7, user), (4, 5, NONE), (16, mask, NONE), (32, 5, NONE))
    try:
        os.setxattr(place, paths.ACL, listed)
    except OSError as error:
        pytest.skip(f"no access lists here: {error}")
    if reads:
        os.setxattr(env, paths.ACL, acl((1, 6, NONE), (2, 4, user), (4, 0, NONE), (16, 4, NONE), (32, 0, NONE)))
    if good:
        assert ok(str(env)) == "A=1\n"
    else:
        with pytest.raises(paths.Unsafe, match="the user other may write the folder"):
            ok(str(env))


def test_who_may_by_an_access_list(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("")
    entries = [
        (1, 6, NONE),
        (2, 6, 7001),
        (2, 4, 7002),
        (4, 6, NONE),
        (8, 2, 8001),
        (8, 4, 8002),
        (16, 6, NONE),
        (32, 4, NONE),
    ]
    try:
        os.setxattr(path, paths.ACL, acl(*entries))
    except OSError as error:
        pytest.skip(f"no access lists here: {error}")
    me, us = ("user", os.getuid()), ("group", path.stat().st_gid)
    assert may_of(None, tmp_path, 4) == {me, us, ("user", 7001), ("user", 7002), ("group", 8002), paths.EVERYBODY}
    assert may_of(None, tmp_path, 2) == {me, us, ("user", 7001), ("group", 8001)}
    entries[-2] = (16, 4, NONE)
    os.setxattr(path, paths.ACL, acl(*entries))
    assert may_of(None, tmp_path, 2) == {me}


def may_of(mode: Optional[int], tmp_path: Path, right: int = 2) -> Set[Any]:
    path = tmp_path / "x"
    if mode is not None:
        path.write_text("")
        path.chmod(mode)
    held = os.open(path, os.O_PATH)
    try:
        return paths.may(held, right)
    finally:
        os.close(held)


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o755, ["user"]), (0o575, ["group"]), (0o557, ["others"]), (0o444, []), (0o222, ["group", "others", "user"])],
)
def test_who_may_by_the_mode(mode: int, who: List[str], tmp_path: Path) -> None:
    found = may_of(mode, tmp_path)
    assert sorted(kind for kind, _number in found) == who
    assert found <= {("user", os.getuid()), ("group", (tmp_path / "x").stat().st_gid), ("others", 0)}


@root
def test_a_text_that_refuses_says_who_and_what_to_do(tmp_path: Path) -> None:
    made(tmp_path / "home", SHOP)
    made(tmp_path / "home/env", 0, text="A=1\n")
    with pytest.raises(paths.Unsafe) as caught:
        ok(str(tmp_path / "home/env"))
    said = str(caught.value)
    assert f"{tmp_path}/home/env is root's, in a folder of uid {SHOP}'s" in said
    assert f"chown -h {SHOP} {tmp_path}/home/env" in said


@root
def test_a_way_that_only_passes_through_a_users_folder_is_the_users_all_the_same(tmp_path: Path) -> None:
    made(tmp_path / "home", SHOP)
    made(tmp_path / "env", 0, text="A=1\n")
    assert ok(str(tmp_path / "env")) == "A=1\n"
    for path in ("home/../env", "home/./../env"):
        with pytest.raises(paths.Unsafe, match="leads to .*/env, which is root's"):
            ok(str(tmp_path / path))


@root
@pytest.mark.parametrize("target", ["env", "absolute", "../place/env"])
def test_who_owns_a_link_decides_too(target: str, tmp_path: Path) -> None:
    place = made(tmp_path / "place")
    env = made(place / "env", 0, text="A=1\n")
    link = place / "link"
    link.symlink_to(env if target == "absolute" else target)
    assert ok(str(link)) == "A=1\n"
    os.lchown(link, SHOP, SHOP)
    with pytest.raises(paths.Unsafe, match=f"leads to {env}, which is root's, and uid {SHOP} could have led it there"):
        ok(str(link))


@root
def test_nothing_is_made_in_a_users_folder(tmp_path: Path) -> None:
    made(tmp_path / "home", SHOP)
    with pytest.raises(paths.Unsafe, match="is not made in a folder of"):
        paths.Place(str(tmp_path / "home/state/shop.lock"), make=True)
    assert list((tmp_path / "home").iterdir()) == []
    place = paths.Place(str(tmp_path / "state/deep/shop.lock"), make=True)
    assert (place.folder is not None, place.file, place.name) == (True, None, "shop.lock")
    place.close()
    assert (tmp_path / "state/deep").stat().st_mode & 0o777 == 0o700
    assert not (tmp_path / "state/deep/shop.lock").exists()


@root
@pytest.mark.parametrize(
    "folder, file, good", [(0, 0, True), (0, None, True), (SHOP, SHOP, False), (SHOP, None, False), (0, SHOP, False)]
)
def test_what_decides_for_us_is_in_nobody_elses_hands(
    folder: int, file: Optional[int], good: bool, tmp_path: Path
) -> None:
    place = made(tmp_path / "state", folder)
    if file is not None:
        made(place / "shop.json", file, text="{}")
    before = fds()
    if good:
        files.replace_text(str(place / "shop.json"), "[]", own=True)
        assert files.read_text(str(place / "shop.json"), own=True) == "[]"
    else:
        with pytest.raises(paths.Unsafe, match=f"can be changed by uid {SHOP}"):
            files.read_text(str(place / "shop.json"), own=True)
        with pytest.raises(paths.Unsafe), files.Lock(str(place / "shop.json")):
            pass
        with pytest.raises(paths.Unsafe):
            files.holder(str(place / "shop.json"))
    assert fds() == before


@root
def test_a_plain_user_trusts_root_and_himself(tmp_path: Path, start: Any) -> None:
    """In a process of its own: the user's own folder, and one of root's, lead to what is the user's; another's do not."""
    tmp_path.chmod(0o755)
    code = (
        "import os, sys\nfrom ansible_collections.phased.keys.plugins.module_utils._host import files, paths\n"
        f"os.setgroups([]); os.setgid({SHOP}); os.setuid({SHOP})\n"
        "os.chdir(sys.argv[1])\nprint('begun', flush=True)\n"
        "for name in ('mine/env', 'roots/env', 'theirs/env', 'theirs/mine'):\n"
        "    try: files.Place(name).replace('new', mode=0o644); print('written', flush=True)\n"
        "    except (OSError, paths.Unsafe) as error: print(type(error).__name__, flush=True)\n"
        "files.replace_text('mine/fresh', 'new'); print(os.stat('mine/fresh').st_uid, flush=True)\n"
    )
    for name, owner in (("mine", SHOP), ("roots", 0), ("theirs", OTHER)):
        made(tmp_path / name, owner, 0o755)
        made(tmp_path / name / "env", owner, 0o644, text="old")
    made(tmp_path / "theirs/mine", SHOP, 0o644, text="old")
    # pytest's own folders are root's alone: the process enters before it becomes the user.
    code = code.replace("os.setgroups", "os.chdir(sys.argv[1]); os.setgroups", 1).replace(
        "os.chdir(sys.argv[1])\nprint", "print"
    )
    child = start(
        code, {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, __import__("sys").path))}, [str(tmp_path)]
    )
    out, _none = child.communicate(timeout=20)
    assert out.decode().split() == ["written", "PermissionError", "PermissionError", "Unsafe", str(SHOP)]


def test_the_container_is_named_where_an_owner_is_not_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root of a user namespace that has one user."""
    code = (
        "import sys\nfrom ansible_collections.phased.keys.plugins.module_utils._host import files, paths\n"
        "try: files.replace_text(sys.argv[1], 'new', group=7)\nexcept OSError as error: print(error)\n"
    )
    (tmp_path / "env").write_text("old")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, __import__("sys").path))}
    argv = ["unshare", "--user", "--map-root-user", __import__("sys").executable, "-c", code, str(tmp_path / "env")]
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare(1) here")
    if done.returncode:
        pytest.skip(f"no user namespaces here: {done.stderr[-200:]}")
    assert "cannot be given to uid -1, gid 7" in done.stdout or "cannot be given" in done.stdout, done.stdout
    assert "not users of this container (user namespace)" in done.stdout
    assert (tmp_path / "env").read_text() == "old"
