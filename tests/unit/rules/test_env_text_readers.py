# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real readers of env files agree with the tables, and read back what is written."""

from __future__ import annotations

import atexit
import ctypes
import glob
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

import dotenv
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text
from env_text_cases import READ, REWRITE, STRICT, common, every, expands, other_line, soup, value_of_any_framework
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
    values = dotenv.dotenv_values(stream=io.StringIO(text, newline=""))
    return {name: value for name, value in values.items() if value is not None}


# Each reads a JSON text a line, and answers with what its reader makes of it, or null where that fails.
SCRIPTS = {
    "node-dotenv": ("node", "require('dotenv')", """
        require('readline').createInterface({input: process.stdin}).on('line', line =>
            console.log(JSON.stringify(require('dotenv').parse(Buffer.from(JSON.parse(line))))))"""),
    "node-env-file": ("node", "require('util').parseEnv('')", """
        require('readline').createInterface({input: process.stdin}).on('line', line =>
            console.log(JSON.stringify(require('util').parseEnv(JSON.parse(line)))))"""),
    "ruby-dotenv": ("ruby", "require 'json'; require 'dotenv'", """
        require 'json'; require 'dotenv'; $stdout.sync = true
        STDIN.each_line do |line|
          begin
            text = JSON.parse(line, quirks_mode: true)
            puts JSON.generate(Dotenv::Parser.call(text.delete_prefix("\uFEFF")))
          rescue Exception
            puts "null"
          end
        end"""),
    "phpdotenv": ("php", "require 'Dotenv/autoload.php';", """
        require 'Dotenv/autoload.php';
        while (($line = fgets(STDIN)) !== false) {
            try { echo json_encode((object) Dotenv\\Dotenv::parse(json_decode($line))), "\\n"; }
            catch (Throwable $error) { echo "null\\n"; }
        }"""),
}  # fmt: skip
FLAGS = {"node": "-e", "ruby": "-e", "php": "-r"}


class Script:
    """A reader of another language, as one process for all texts."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.process: Optional[subprocess.Popen[str]] = None

    def there(self) -> bool:
        program, needed, _script = SCRIPTS[self.form]
        if not shutil.which(program):
            return False
        return subprocess.run([program, FLAGS[program], needed], capture_output=True, check=False).returncode == 0

    def __call__(self, _folder: Path, text: str) -> Optional[Dict[str, str]]:
        if self.process is None:
            assert self.there(), f"there is no {self.form} here"
            program, _needed, script = SCRIPTS[self.form]
            self.process = subprocess.Popen(
                [program, FLAGS[program], script],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            )  # fmt: skip
            atexit.register(self.process.kill)
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        values = json.loads(self.process.stdout.readline())
        return values and {name: value for name, value in values.items() if value is not None}


# `make readers` has them all; elsewhere those are left out that are not there.
ALL = os.environ.get("PHASED_READERS") == "all"
SYSTEMD = "/usr/lib/*/systemd/libsystemd-shared-2*.so"
SHELLS = [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]]
READERS = [
    pytest.param(
        "systemd", systemd_reads, id="systemd",
        marks=pytest.mark.skipif(not ALL and not glob.glob(SYSTEMD), reason="no libsystemd-shared here"),
    ),
    pytest.param("dotenv", dotenv_reads, id="python-dotenv"),
    pytest.param("python-dotenv", dotenv_reads, id="python-dotenv-named"),
    *[
        pytest.param(
            form, Script(name), id=f"{form}-{name}",
            marks=pytest.mark.skipif(not ALL and not Script(name).there(), reason=f"no {name} here"),
        )
        for name in SCRIPTS for form in (["dotenv", name] if name != "node-env-file" else [name])
    ],
    *[
        pytest.param(
            "shell", lambda folder, text, shell=shell: shell_reads(folder, text, shell), id=shell[0],
            marks=pytest.mark.skipif(not ALL and not shutil.which(shell[0]), reason=f"no {shell[0]} here"),
        )
        for shell in SHELLS
    ],
]  # fmt: skip


@pytest.mark.parametrize(("form", "reader"), READERS)
def test_the_real_reader_agrees_with_the_tables(form: str, reader: Any, tmp_path: Path) -> None:
    for text, value in every(form) + READ[form]:
        real = reader(tmp_path, text)
        assert real is None or real.get("A") == value, text
    for case_form, text, values, expected in REWRITE:
        if case_form == form:
            real = reader(tmp_path, env_text.rewrite(text, form, values))
            if real is None and form == "dotenv":
                continue  # phpdotenv reads no line that it does not know, and no `export` of a name of one letter
            assert real is not None
            assert {name: real.get(name) for name in values} == values, expected


@pytest.mark.parametrize(("form", "reader"), READERS)
@settings(common, max_examples=60)
@given(key=value_of_any_framework, text=st.lists(other_line, max_size=3).map("\n".join))
def test_the_real_reader_reads_back_what_is_written(
    form: str, reader: Any, tmp_path: Path, key: str, text: str
) -> None:
    before = reader(tmp_path, text)
    try:
        after = reader(tmp_path, env_text.rewrite(text, form, {"SECRET_KEY": key}))
    except env_text.EnvTextError:
        assert expands(form, key) or form in STRICT
        return
    if before is not None:
        # node takes a comment that ends the file without a newline for a setting.
        before = {name: value for name, value in before.items() if not name.startswith("#")}
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
    if real is not None:
        assert {name: real[name] for name in ("A", "B") if name in real} == ours
