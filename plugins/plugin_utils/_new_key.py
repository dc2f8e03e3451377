# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""New keys, in the form that a framework wants; hosts make their throw-away keys in the same way."""

from __future__ import annotations

from ..module_utils._host.new_keys import MAKERS, new_key

__all__ = ["MAKERS", "new_key"]
