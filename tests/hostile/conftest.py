# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of other suites that these tests stand on."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
for folder in (TESTS / "unit" / "plugins", TESTS / "unit" / "rules", TESTS / "fleet", TESTS / "hostile" / "lying"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
