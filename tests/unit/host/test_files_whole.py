# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file is written whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
import subprocess
import time
from typing import Any, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files
from shop_env import NEW, OLD, names

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("call", ["fsync", "fchmod", "rename"])
    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_on_any_error_all_is_as_before(
        self, call: str, error: BaseException, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = files.identity(str(path))

        def fail(*_arguments: Any, **_options: Any) -> None:
            assert len(names(path)) == 2  # there is something to clear away
            raise error

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(type(error)):
            files.replace_text(str(path), NEW)
        monkeypatch.undo()
        assert files.identity(str(path)) == before
        assert path.read_text() == OLD
        assert names(path) == ["shop.env"]

    @root
    def test_a_full_disk(self, tmp_path: pathlib.Path) -> None:
        if subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "x", tmp_path], capture_output=True, check=False
        ).returncode:
            pytest.skip("cannot mount here")
        try:
            path = tmp_path / "shop.env"
            path.write_text(OLD)
            with pytest.raises(
                OSError, match=r"No space left on device \(free some space there, and run again\): '.*/shop\.env'"
            ):
                files.replace_text(str(path), "x" * 100_000)
            assert path.read_text() == OLD
            assert names(path) == ["shop.env"]
        finally:
            subprocess.run(["umount", tmp_path], check=True)

    @root
    def test_a_file_that_is_mounted_cannot_be_replaced_and_that_is_said(
        self, path: pathlib.Path, tmp_path: pathlib.Path
    ) -> None:
        (tmp_path / "real").write_text(OLD)
        if subprocess.run(["mount", "--bind", tmp_path / "real", path], capture_output=True, check=False).returncode:
            pytest.skip("cannot mount here")
        try:
            with pytest.raises(
                OSError, match=r"is a mount point of its own.*: mount its folder instead, and run again.*shop\.env"
            ):
                files.replace_text(str(path), NEW)
            assert (tmp_path / "real").read_text() == OLD
            assert names(path) == ["shop.env"]
        finally:
            subprocess.run(["umount", path], check=True)

    def test_the_order(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The content is on the disk before the name is, and both before we say so."""
        done: List[str] = []

        def keeping(call: str, real: Any) -> Any:
            def keep(*arguments: Any, **options: Any) -> None:
                target = arguments[0]
                folder = isinstance(target, int) and stat.S_ISDIR(os.fstat(target).st_mode)
                if call == "fsync" and not folder:
                    assert os.fstat(target).st_size == len(NEW)
                done.append(call + (" folder" if folder else ""))
                real(*arguments, **options)

            return keep

        for call in ("fchmod", "fsync", "rename"):
            monkeypatch.setattr(os, call, keeping(call, getattr(os, call)))
        files.replace_text(str(path), NEW)
        assert done == ["fchmod", "fsync", "rename", "fsync folder"]

    def test_nobody_else_can_read_it_meanwhile(self, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.chmod(0o644)
        seen: List[int] = []
        real = files._dress

        def look(fd: int, *arguments: Any) -> None:
            seen.append(stat.S_IMODE(os.fstat(fd).st_mode))
            assert os.fstat(fd).st_size == len(NEW)
            real(fd, *arguments)

        monkeypatch.setattr(files, "_dress", look)
        files.replace_text(str(path), NEW)
        assert seen == [0o600]

    def test_readers_see_the_old_or_the_new(self, path: pathlib.Path, elsewhere: Any) -> None:
        a, b = "A" * 50_000, "B" * 50_000
        path.write_text(a)
        code = "import sys\nprint('ready', flush=True)\n" + (
            f"while True:\n for c in 'BA': files.replace_text(sys.argv[1], c * {len(a)})\n"
        )
        elsewhere(code, str(path))
        seen = set()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            seen.add(files.read_text(str(path)))
        assert seen == {a, b}

    @pytest.mark.parametrize("at", ["fsync", "fchmod", "rename"])
    def test_killed_in_between(self, at: str, path: pathlib.Path, elsewhere: Any) -> None:
        code = f"""
import os, sys, time
def stop(*arguments, **options):
    print("there", flush=True)
    time.sleep(60)
os.{at} = stop
files.replace_text(sys.argv[1], {NEW!r})
"""
        child = elsewhere(code, str(path))
        assert path.read_text() == OLD
        (left,) = set(names(path)) - {"shop.env"}
        assert left.startswith(f".phased.keys.{child.pid}.")
        # A living one's file is not ours to remove.
        files.replace_text(str(path), OLD + "#\n")
        assert left in names(path)
        child.kill()
        child.wait(10)
        files.replace_text(str(path), NEW)
        assert names(path) == ["shop.env"]
        assert path.read_text() == NEW

    def test_leftovers_by_pid_and_start(self, path: pathlib.Path) -> None:
        ticks = files.start_ticks(os.getpid())
        assert ticks
        kept = [
            f".phased.keys.{os.getpid()}.{ticks}.0123456789abcdef",  # ours, being written by us
            ".phased.keys.4194305.1.short",
            ".phased.keys.d",
            "phased.keys.4194305.1.0123456789abcdef",
            "x.phased.keys.4194305.1.0123456789abcdef",
        ]
        dead = [
            f".phased.keys.{os.getpid()}.{ticks - 1}.0123456789abcdef",  # whoever had our pid before
            ".phased.keys.4194305.1.0123456789abcdef",
        ]
        for name in (*kept, *dead):
            (path.parent / name).write_text("SECRET_KEY=k")
        (path.parent / ".phased.keys.4194306.1.0123456789abcdef").symlink_to(path)
        files.replace_text(str(path), NEW)
        assert names(path) == sorted([*kept, "shop.env"])
        assert path.read_text() == NEW

    def test_leftovers_lie_beside_the_target_of_a_link(self, path: pathlib.Path) -> None:
        dead = path.parent / ".phased.keys.4194305.1.0123456789abcdef"
        dead.write_text("SECRET_KEY=k")
        link = path.parent.parent / "link"
        link.symlink_to(path)
        files.replace_text(str(link), NEW)
        assert not dead.exists()
