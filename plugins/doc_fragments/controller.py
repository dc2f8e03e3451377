# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of what runs on the controller, once for the fleet."""

from __future__ import annotations


class ModuleDocFragment:
    """The documentation of those attributes."""

    DOCUMENTATION = r"""
options: {}
attributes:
  diff_mode:
    description: There is nothing to differ.
    support: none
  platform:
    description: Runs on the controller.
    support: full
    platforms: posix
  bypass_host_loop:
    description: Runs once for all hosts of the play.
    support: full
"""
