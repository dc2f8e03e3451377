# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two killed controllers and a killed host have cost nothing."""

from __future__ import annotations

from typing import Any

import checks


def test_the_last_run_has_finished_one_rollout(host: Any) -> None:
    checks.assert_one_rollout_was_done(host)


def test_nothing_is_left_of_a_cut_write(host: Any) -> None:
    assert host.check_output("ls /etc/*shop.env* /etc/.*shop.env* 2>/dev/null || true").split() == ["/etc/shop.env"]
    assert host.check_output("ls -A /var/lib/phased.keys").split() == ["shop.json", "shop.lock"]
