# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that joined in the middle of a rollout are members, and have what every other has."""

from __future__ import annotations

from typing import Any

import checks

# web4 at boot, when it was deployed to and at retire; web5 has no key at boot, and its first start is the deploy's.
STARTS = {"web1": 4, "web2": 4, "web3": 4, "web4": 3, "web5": 3}


def test_every_host_has_the_new_key_alone(host: Any) -> None:
    checks.assert_one_rollout_was_done(host)
    assert sorted(checks.keyring()["members"]) == sorted(STARTS)
    assert checks.starts(host) == STARTS[host.backend.get_hostname()]


def test_a_host_that_joined_has_a_record(host: Any) -> None:
    assert '"state": "proven"' in host.file("/var/lib/phased.keys/shop.json").content_string
