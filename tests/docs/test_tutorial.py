# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial, done as it says: every file is written, every block of commands is run, and what it promises is printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import List

import doc_blocks

CHECKOUT = Path(__file__).resolve().parents[2]
TUTORIAL = CHECKOUT / "docs" / "docsite" / "rst" / "tutorial.rst"
# However slow the machine is.
LIMIT = 600
MARK = "######## block "


def script(blocks: List[doc_blocks.Block]) -> str:
    """Return one script of all blocks: a reader has one shell, too. It says before each block which it is."""
    lines = ["set -eu", "trap 'kill $(cat web?/pid ../web?/pid 2>/dev/null) 2>/dev/null || true' EXIT"]
    for number, block in enumerate(blocks):
        if block.name:
            lines.append(f"cat >{block.name} <<'END OF {block.name}'\n{block.text}END OF {block.name}")
        elif block.language == "shell":
            lines.append(f"echo '{MARK}{number}'\n{block.text}")
    return "\n".join(lines)


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    blocks = doc_blocks.blocks(TUTORIAL)
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    # As on the machine of somebody who has nothing yet.
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if ".venv" not in part)
    environment = {**keep, "CHECKOUT": str(CHECKOUT), "HOME": str(tmp_path), "PATH": path}
    text = doc_blocks.ran(["bash", "-c", script(blocks)], tmp_path, environment, LIMIT)
    said = {int(part.split("\n", 1)[0]): part.split("\n", 1)[1] for part in text.split(MARK)[1:]}
    promised = [number for number, block in enumerate(blocks) if block.language == "text"]
    assert len(promised) == 3 and len(said) > 10
    for number in promised:
        before = max(shown for shown in said if shown < number)
        assert said[before] == blocks[number].text, f"block {number} promises otherwise"
    for words in (
        "2 of 2 hosts accept",
        "2 of 2 hosts sign with",
        "waiting for the soak",
        "2 of 2 hosts have let go of",
    ):
        assert words in text, text
    assert "WARNING]" not in text, text
    assert not (tmp_path / "roll").exists()
