# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker that was left behind is gone, and the rollout is done."""

from __future__ import annotations

from typing import Any

import checks


def test_the_rollout_has_gone_on(host: Any) -> None:
    checks.assert_one_rollout_was_done(host)


def test_the_worker_was_there(host: Any) -> None:
    if host.backend.get_hostname() == "web2":
        assert "sleep" in host.check_output("journalctl --boot --unit shop.service --grep 'Killing process.*sleep'")
