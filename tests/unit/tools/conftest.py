# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools are modules beside each other, and are imported as such; so are the faults, and what they need."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]
for folder in ("tools", "faults", "hosts", "fleet", "fleet/app", "demo"):
    if str(TESTS / folder) not in sys.path:
        sys.path.append(str(TESTS / folder))
