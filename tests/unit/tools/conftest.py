# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools are modules beside each other, and are imported as such."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).resolve().parents[2] / "tools")
if FOLDER not in sys.path:
    sys.path.append(FOLDER)
