# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real readers of env files agree with the tables, and read back what is written."""

from __future__ import annotations

import ctypes
import glob
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text
from env_text_cases import EVERY_FORMAT, READ, REWRITE, common, other_line, soup, value_of_any_framework
from hypothesis import given, settings
from hypothesis import strategies as st

# Real readers, and thousands of them: `make slow`.
pytestmark = pytest.mark.slow


def systemd_reads(folder: Path, text: str) -> Optional[Dict[str, str]]:
    """systemd's own load_env_file, out of its private library; None where it fails."""
    library = ctypes.CDLL(sorted(glob.glob(SYSTEMD))[-1])
    path = folder / "env"
    path.write_bytes(text.encode())
    found = ctypes.POINTER(ctypes.c_char_p)()
    if library.load_env_file(None, str(path).encode(), ctypes.byref(found)) < 0:
        return None
    values, index = {}, 0
    while found and found[index] is not None:
        name, _equals, value = (found[index] or b"").decode().partition("=")
        values[name], index = value, index + 1
    return values


def shell_reads(folder: Path, text: str, shell: Sequence[str]) -> Optional[Dict[str, str]]:
    (folder / "env").write_bytes(text.encode())
    done = subprocess.run(
        [shutil.which(shell[0]) or "", *shell[1:], "-c", "set -a; . ./env >&2; exec env -0"],
        cwd=folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, capture_output=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode or b"yntax error" in done.stderr or b"unexpected" in done.stderr:
        return None
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if "=" in line)


def dotenv_reads(_folder: Path, text: str) -> Optional[Dict[str, str]]:
    dotenv = pytest.importorskip("dotenv")
    values = dotenv.dotenv_values(stream=io.StringIO(text, newline=""))
    return {name: value for name, value in values.items() if value is not None}


SYSTEMD = "/usr/lib/*/systemd/libsystemd-shared-2*.so"
SHELLS = [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]]
READERS = [
    pytest.param(
        "systemd", systemd_reads, id="systemd",
        marks=pytest.mark.skipif(not glob.glob(SYSTEMD), reason="no libsystemd-shared here"),
    ),
    pytest.param("dotenv", dotenv_reads, id="python-dotenv"),
    *[
        pytest.param(
            "shell", lambda folder, text, shell=shell: shell_reads(folder, text, shell), id=shell[0],
            marks=pytest.mark.skipif(not shutil.which(shell[0]), reason=f"no {shell[0]} here"),
        )
        for shell in SHELLS
    ],
]  # fmt: skip


@pytest.mark.parametrize(("form", "reader"), READERS)
def test_the_real_reader_agrees_with_the_tables(form: str, reader: Any, tmp_path: Path) -> None:
    for text, value in EVERY_FORMAT + READ[form]:
        if form != "dotenv" or "\ufeff" not in text:
            real = reader(tmp_path, text)
            assert real is None or real.get("A") == value, text
    for case_form, text, values, expected in REWRITE:
        if case_form == form:
            real = reader(tmp_path, env_text.rewrite(text, form, values))
            assert real is not None
            assert {name: real.get(name) for name in values} == values, expected


@pytest.mark.parametrize(("form", "reader"), READERS)
@settings(common, max_examples=60)
@given(key=value_of_any_framework, text=st.lists(other_line, max_size=3).map("\n".join))
def test_the_real_reader_reads_back_what_is_written(
    form: str, reader: Any, tmp_path: Path, key: str, text: str
) -> None:
    before = reader(tmp_path, text)
    after = reader(tmp_path, env_text.rewrite(text, form, {"SECRET_KEY": key}))
    if before is not None:
        assert after == {**before, "SECRET_KEY": key}


@pytest.mark.parametrize(("form", "reader"), READERS)
@settings(common, max_examples=150)
@given(text=soup)
def test_the_real_reader_agrees_on_any_text(form: str, reader: Any, tmp_path: Path, text: str) -> None:
    try:
        ours = env_text.read(text, form, ["A", "B"])
    except env_text.EnvTextError:
        return
    real = reader(tmp_path, text)
    if real is not None and (ours or form != "dotenv"):
        assert {name: real[name] for name in ("A", "B") if name in real} == ours
