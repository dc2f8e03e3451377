# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench is modules beside each other, and is imported as such."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
for folder in ("bench", "hosts", "fleet"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))
