# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every package that a virtual environment is made of is pinned, and by its hashes: pip installs nothing else, whatever mirror it asks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LISTS = sorted((Path(__file__).resolve().parents[3] / "requirements").glob("*.txt"))
PIN = re.compile(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==[\w.!+]+( ;.*?)?( \\\n    --hash=sha256:[0-9a-f]{64})+")


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_line_is_a_pin_with_its_hashes(path: Path) -> None:
    text = "".join(line for line in path.read_text().splitlines(True) if not line.startswith("#"))
    assert re.fullmatch(rf"({PIN.pattern}\n)+", text), "run make hashes"


@pytest.mark.parametrize(
    "line", ["ansible-core==2.19.14", "ansible-core>=2.16 \\\n    --hash=sha256:" + "0" * 64, "ansible-core"]
)
def test_what_is_none(line: str) -> None:
    assert not PIN.fullmatch(line)
