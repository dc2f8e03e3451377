# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes a pid file names, and whom it may name."""

from __future__ import annotations

import os
import pathlib
import stat
import time
from typing import Any, Iterator

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import pid_files, processes
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable

READY = "import time; print('ready', flush=True); time.sleep(60)"
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


class TestPidFile:
    @pytest.fixture
    def path(self, tmp_path: pathlib.Path) -> pathlib.Path:
        return tmp_path / "shop.pid"

    @pytest.mark.parametrize("form", ["{}", "{}\n", " {} \n", "{}\n/var/lib/postgresql\n5432\n"])
    def test_the_process_and_its_children(self, form: str, path: pathlib.Path, start: Any) -> None:
        child = start("import subprocess; subprocess.Popen(['/bin/sleep', '60']); " + READY)
        path.write_text(form.format(child.pid))
        table = processes.table()
        found = pid_files.read(table, str(path))
        assert found == (processes.below(table, child.pid), None)
        assert len(found.processes) == 2

    def test_absent(self, path: pathlib.Path) -> None:
        assert pid_files.read(processes.table(), str(path)).processes == []

    def test_not_running(self, path: pathlib.Path, start: Any) -> None:
        child = start(READY)
        path.write_text(str(child.pid))
        child.kill()
        assert child.wait(10)
        assert pid_files.read(processes.table(), str(path)).processes == []

    @pytest.mark.parametrize(
        ("ago", "doubtful"),
        [(1.0, False), (50.0, False), (70.0, True), (86400.0, True), (-70.0, False), (-86400.0, False)],
    )
    def test_a_process_that_lives_is_named_however_old_the_file_looks(
        self, ago: float, doubtful: bool, path: pathlib.Path, start: Any
    ) -> None:
        child = start(READY)
        path.write_text(str(child.pid))
        table = processes.table()
        written = table[child.pid].started - ago
        os.utime(path, (written, written))
        found = pid_files.read(table, str(path))
        assert [process.pid for process in found.processes] == [child.pid]
        assert bool(found.doubt) is doubtful
        if found.doubt:
            assert f"{path} names pid {child.pid}, which started" in found.doubt

    @pytest.mark.parametrize("content", ["", "\n", "x", "-1", "0", "12x", "1.5", "\n12", "9" * 20, "12 13", "1\x0b"])
    def test_no_pid(self, content: str, path: pathlib.Path) -> None:
        path.write_text(content)
        if content.strip() in ("12", "1"):
            assert pid_files.read({}, str(path)).processes == []
            return
        with pytest.raises(Unusable, match="should hold a pid") as caught:
            pid_files.read(processes.table(), str(path))
        assert str(path) in str(caught.value)


class TestWhatIsNoPidFile:
    """Whoever may write it puts what he likes there: nothing of it waits, takes memory or does things when it is opened."""

    @pytest.fixture(autouse=True)
    def quick(self) -> Iterator[None]:
        begun = time.monotonic()
        yield
        assert time.monotonic() - begun < 1

    @pytest.fixture
    def path(self, tmp_path: pathlib.Path) -> pathlib.Path:
        return tmp_path / "shop.pid"

    def test_a_pipe(self, path: pathlib.Path) -> None:
        os.mkfifo(path)
        with pytest.raises(Unusable, match="no regular file"):
            pid_files.read({}, str(path))

    def test_a_folder(self, path: pathlib.Path) -> None:
        path.mkdir()
        with pytest.raises(Unusable, match="no regular file"):
            pid_files.read({}, str(path))

    @root
    def test_a_device_is_not_even_opened(self, path: pathlib.Path) -> None:
        # Nothing has this driver: to open it would fail with another error.
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(250, 250))
        with pytest.raises(Unusable, match="no regular file"):
            pid_files.read({}, str(path))

    @pytest.mark.parametrize("to", ["/dev/zero", "other.pid"])
    def test_a_link(self, to: str, path: pathlib.Path) -> None:
        (path.parent / "other.pid").write_text("1")
        path.symlink_to(to)
        with pytest.raises(Unusable, match="is a link"):
            pid_files.read({}, str(path))

    @pytest.mark.parametrize("begins", [b"", b"1"])
    def test_a_huge_one(self, begins: bytes, path: pathlib.Path) -> None:
        path.write_bytes(begins)
        os.truncate(path, 1 << 40)
        with pytest.raises(Unusable, match="should hold a pid"):
            pid_files.read({}, str(path))

    def test_one_that_somebody_holds_a_lease_of(self, path: pathlib.Path, start: Any) -> None:
        path.write_text("1")
        start(f"import fcntl; f = open({str(path)!r}, 'w'); fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK); " + READY)
        with pytest.raises(OSError, match="unavailable") as caught:
            pid_files.read({}, str(path))
        assert caught.value.filename == str(path)


NOBODY, SOMEBODY = 65534, 65533


@root
class TestWhomItMayName:
    """Whoever may write the file names processes of his own, and of nobody else."""

    # By the ids of the file, of its folder, and of the process; the modes of file and folder.
    @pytest.mark.parametrize(
        "what, file, folder, modes, process, may",
        [
            ("root's alone", 0, 0, (0o644, 0o755), (NOBODY, NOBODY, NOBODY), True),
            ("of the user whose process it is", NOBODY, NOBODY, (0o644, 0o755), (NOBODY, NOBODY, NOBODY), True),
            ("in a folder that all share", NOBODY, 0, (0o644, 0o1777), (NOBODY, NOBODY, NOBODY), True),
            ("root's in a folder that all share", 0, 0, (0o644, 0o1777), (NOBODY, NOBODY, NOBODY), True),
            ("of a user, and root's process", NOBODY, 0, (0o644, 0o755), (0, 0, 0), False),
            ("of a user, and another's process", NOBODY, NOBODY, (0o644, 0o755), (SOMEBODY, SOMEBODY, SOMEBODY), False),
            ("of a user who ran su", NOBODY, NOBODY, (0o644, 0o755), (NOBODY, 0, 0), False),
            ("of a user whose process can become root", NOBODY, NOBODY, (0o644, 0o755), (NOBODY, NOBODY, 0), False),
            ("root's, and a server of root's, in a user's folder", 0, NOBODY, (0o644, 0o755), (0, 0, 0), True),
            ("root's, and the user's server, in that user's folder", 0, NOBODY, (0o644, 0o755), (NOBODY,) * 3, True),
            ("root's, and another's process, in a user's folder", 0, NOBODY, (0o644, 0o755), (SOMEBODY,) * 3, False),
            ("that all may write", 0, 0, (0o666, 0o755), (NOBODY, NOBODY, NOBODY), False),
            ("that all may replace", 0, 0, (0o644, 0o777), (NOBODY, NOBODY, NOBODY), False),
            ("that all may write, and root's process", 0, 0, (0o666, 0o755), (0, 0, 0), True),
        ],
    )
    def test_by_owner(
        self, what: str, file: int, folder: int, modes: Any, process: Any, may: bool, tmp_path: pathlib.Path, start: Any
    ) -> None:
        ids = ", ".join(str(uid) for uid in process)
        child = start(f"import os; os.setresuid({ids}); " + READY)
        path = tmp_path / "run" / "shop.pid"
        path.parent.mkdir()
        path.write_text(str(child.pid))
        for place, owner, mode in ((path, file, modes[0]), (path.parent, folder, modes[1])):
            os.chown(place, owner, 0)
            os.chmod(place, mode)
        if may:
            assert [one.pid for one in pid_files.read(processes.table(), str(path)).processes] == [child.pid]
        else:
            with pytest.raises(Unusable, match=f"names pid {child.pid}, which runs as uid"):
                pid_files.read(processes.table(), str(path))

    def test_the_rest_of_a_family_may_be_anybodys(self, tmp_path: pathlib.Path, start: Any) -> None:
        code = f"import os; os.fork() or os.setuid({NOBODY}); os.write(1, b'ready\\n'); import time; time.sleep(60)"
        child = start(code)
        path = tmp_path / "shop.pid"
        path.write_text(str(child.pid))
        path.chmod(0o666)
        assert len(pid_files.read(processes.table(), str(path)).processes) == 2
