# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole rollout one step at a time, and what is refused because it is not its turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import envfile
import pytest
from conftest import Walk
from light_fleet import KEY, OTHER_LINES, Fleet
