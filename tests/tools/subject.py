# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hook for a commit's message: its subject has at most 72 characters, and an empty line parts it from the why."""

from __future__ import annotations

import sys
from pathlib import Path

LONGEST = 72


def problem(message: str) -> str:
    """Say what is wrong with a commit's message; empty if nothing is. Lines that begin with # are git's own."""
    lines = [line for line in message.splitlines() if not line.startswith("#")]
    subject = lines[0] if lines else ""
    if len(subject) > LONGEST:
        return f"the subject has {len(subject)} characters: at most {LONGEST}, and the why in the body"
    if len(lines) > 1 and lines[1].strip():
        return "the second line is not empty: it parts the subject from the body"
    return ""


if __name__ == "__main__":
    said = problem(Path(sys.argv[1]).read_text())
    if said:
        sys.exit(said)
