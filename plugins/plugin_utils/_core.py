# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ansible-core this runs on. Ansible itself only warns of one that `requires_ansible` leaves out, and goes on."""

from __future__ import annotations

import re

from ansible.release import __version__

from ..module_utils._host.rules.errors import PhasedKeysError

OLDEST = (2, 16)


class CoreError(PhasedKeysError):
    """This ansible-core is too old."""


def see_that_it_is_supported(version: str = __version__) -> None:
    """CoreError for an ansible-core that was never tried with this: it might do half of what it should."""
    number = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if number < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise CoreError(
            f"phased.keys needs ansible-core {oldest} or later, and this is {version}. Nothing was changed. Install a newer one beside it: "
            f"python3 -m venv ansible && ansible/bin/pip install 'ansible-core>={oldest}' cryptography"
        )
