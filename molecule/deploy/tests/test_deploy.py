# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four deploys have restarted nothing and rotated nothing."""

from __future__ import annotations

from typing import Any

import checks


def test_only_the_steps_have_restarted_the_unit(host: Any) -> None:
    checks.assert_one_rollout_was_done(host)
    # One start at boot and one for each of prepare, promote and retire.
    assert checks.starts(host) == 4


def test_the_deploys_were_done(host: Any) -> None:
    assert host.file("/srv/shop/release").content_string == "the same as yesterday"
