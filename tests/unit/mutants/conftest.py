# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What judges mutants is modules beside each other, and is imported as such."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parents[2] / "mutants")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
