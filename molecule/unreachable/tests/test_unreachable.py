# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that was down has cost a refusal, and nothing else."""

from __future__ import annotations

from typing import Any

import checks


def test_the_next_run_has_finished(host: Any) -> None:
    checks.assert_one_rollout_was_done(host)
    # One start at boot and one for each step: nobody was restarted by the run that refused.
    assert checks.starts(host) == 4
