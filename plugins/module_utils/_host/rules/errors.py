# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every error of ours is."""

from __future__ import annotations


class PhasedKeysError(Exception):
    """Something that a person can fix: the text says what was seen and what to do, without a secret.

    It becomes a message. So does what the system says (OSError). Whatever else is raised is a bug, and stays a traceback.
    """
