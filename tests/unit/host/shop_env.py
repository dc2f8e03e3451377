# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An env file before and after a visit, and what lies beside it."""

from __future__ import annotations

import os
import pathlib
from typing import List

OLD, NEW = "SECRET_KEY=old\n", "SECRET_KEY=new\nOTHER=1\n"


def names(path: pathlib.Path) -> List[str]:
    """Return the names of all that lies in the folder of a file."""
    return sorted(os.listdir(path.parent))
