# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that is meant for a person's eyes."""


class HostsError(Exception):
    """Hosts that cannot be had, and why."""
