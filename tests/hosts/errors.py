# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors that are meant for a person's eyes."""


class HostsError(Exception):
    """Hosts that cannot be had, and why."""


class MissingError(HostsError):
    """What this machine does not offer, and hosts need: root, packages, a mirror, namespaces."""
