# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import signal
import stat
import time
from typing import Any

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files
from ansible_collections.phased.keys.plugins.module_utils._host.files import Lock, Locked

HOLD = """
import sys, time
with files.Lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


class TestLock:
    @pytest.fixture
    def lock(self, tmp_path: pathlib.Path) -> str:
        return str(tmp_path / "state" / "shop.lock")

    def test_makes_its_place(self, lock: str) -> None:
        assert files.holder(lock) is None
        before = os.umask(0o000)
        try:
            with Lock(lock):
                assert stat.S_IMODE(os.stat(lock).st_mode) == 0o600
                assert stat.S_IMODE(os.stat(os.path.dirname(lock)).st_mode) == 0o700
                assert files.holder(lock) == os.getpid()
        finally:
            os.umask(before)
        assert files.holder(lock) is None
        with Lock(lock):
            assert files.holder(lock) == os.getpid()

    def test_one_at_a_time(self, lock: str, elsewhere: Any) -> None:
        child = elsewhere(HOLD, lock)
        assert files.holder(lock) == child.pid
        begun = time.monotonic()
        with pytest.raises(Locked) as caught, Lock(lock, wait=0.5):
            pass
        assert 0.5 <= time.monotonic() - begun < 10
        assert caught.value.pid == child.pid
        assert abs((caught.value.since or 0) - time.time()) < 10
        assert f"pid {child.pid} has held {lock} since 20" in str(caught.value)

    def test_free_when_its_holder_is_killed(self, lock: str, elsewhere: Any) -> None:
        child = elsewhere(HOLD, lock)
        child.kill()
        child.wait(10)
        assert files.read_text(lock)  # what it wrote is still there, and means nothing
        assert files.holder(lock) is None
        with Lock(lock):
            assert files.holder(lock) == os.getpid()

    def test_waits_for_its_turn(self, lock: str, elsewhere: Any) -> None:
        child = elsewhere(HOLD.replace("60", "0.5"), lock)
        begun = time.monotonic()
        with Lock(lock, wait=30):
            assert time.monotonic() - begun < 20
            assert files.holder(lock) == os.getpid()
        assert child.wait(10) == 0

    def test_not_twice_in_one_process(self, lock: str) -> None:
        with Lock(lock), pytest.raises(Locked), Lock(lock):
            pass
        assert files.holder(lock) is None

    def test_free_after_an_error(self, lock: str) -> None:
        with pytest.raises(ZeroDivisionError), Lock(lock):
            raise ZeroDivisionError
        assert files.holder(lock) is None

    def test_no_program_inherits_it(self, lock: str, start: Any) -> None:
        with Lock(lock):
            child = start(["/bin/sleep", "60"], close_fds=False)
        assert child.poll() is None
        assert files.holder(lock) is None

    def test_looking_does_not_disturb(self, lock: str, elsewhere: Any) -> None:
        code = "import sys\nprint('ready', flush=True)\nwhile True: files.holder(sys.argv[1])"
        with Lock(lock):
            pass
        for _looker in range(3):
            elsewhere(code, lock)
        for _try in range(30):
            with Lock(lock, wait=0):
                assert files.holder(lock) == os.getpid()

    def test_whoever_looks_is_no_holder(self, lock: str) -> None:
        with Lock(lock):
            pass
        fd = os.open(lock, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_SH)
        try:
            assert files.holder(lock) is None
        finally:
            os.close(fd)

    def test_a_holder_that_has_not_said_who_it_is(self, lock: str) -> None:
        os.makedirs(os.path.dirname(lock))
        fd = os.open(lock, os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            assert files.holder(lock) == files.UNKNOWN_HOLDER
            assert files.holder(lock)  # not to be taken for "nobody"
            with pytest.raises(Locked, match="another process has held") as caught, Lock(lock):
                pass
            assert caught.value.since is None
        finally:
            os.close(fd)

    def test_a_lock_file_that_was_removed_is_no_lock(self, lock: str, elsewhere: Any) -> None:
        """Whoever waits on the old file must not believe to have the lock that the next one holds."""
        os.makedirs(os.path.dirname(lock))
        fd = os.open(lock, os.O_RDWR | os.O_CREAT)
        real = fcntl.flock

        def removed_meanwhile(which: int, how: int) -> None:
            real(which, how)
            if os.path.samestat(os.fstat(which), os.fstat(fd)) and os.path.exists(lock):
                os.unlink(lock)

        try:
            fcntl.flock = removed_meanwhile  # type: ignore[assignment]
            with Lock(lock):
                assert not os.path.samestat(os.stat(lock), os.fstat(fd))
                fcntl.flock = real
                assert files.holder(lock) == os.getpid()
        finally:
            fcntl.flock = real
            os.close(fd)

    def test_a_full_disk_does_not_stop_it(self, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_arguments: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwrite", full)
        with Lock(lock):
            assert files.holder(lock) == files.UNKNOWN_HOLDER

    def test_a_link_is_not_followed(self, lock: str, tmp_path: pathlib.Path) -> None:
        (tmp_path / "other").write_text("kept")
        os.makedirs(os.path.dirname(lock))
        os.symlink(tmp_path / "other", lock)
        with pytest.raises(OSError, match="symbolic links"), Lock(lock):
            pass
        assert (tmp_path / "other").read_text() == "kept"
        with pytest.raises(OSError, match="symbolic links") as caught:
            files.holder(lock)
        assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, lock)

    def test_it_is_given_back_though_the_disk_is_broken(self, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_arguments: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "ftruncate", broken)
        with Lock(lock):
            pass
        assert files.holder(lock) is None

    def test_interrupted_while_it_waits(self, lock: str, elsewhere: Any) -> None:
        class Interrupted(BaseException):
            pass

        def interrupt(*_: Any) -> None:
            raise Interrupted

        elsewhere(HOLD, lock)
        open_before = len(os.listdir("/proc/self/fd"))
        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            with pytest.raises(Interrupted), Lock(lock, wait=30):
                pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(os.listdir("/proc/self/fd")) == open_before
