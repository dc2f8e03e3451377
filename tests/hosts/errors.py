# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is meant for a person's eyes: errors, and what takes a while."""

from __future__ import annotations

import sys
import time


class HostsError(Exception):
    """Hosts that cannot be had, and why."""


class MissingError(HostsError):
    """What this machine does not offer, and hosts need: root, packages, a mirror, namespaces."""


def say(text: str) -> None:
    """Say to a person what is being done: much of it takes minutes the first time. What is on stdout is for programs."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
