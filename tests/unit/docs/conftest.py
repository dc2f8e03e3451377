# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of the pages share `kept`, the files that stay, with those of the rules."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parents[1] / "rules")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
