# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two rollouts were taken back, each with a host down at first, and the fleet is as it was before them."""

from __future__ import annotations

from typing import Any

import checks


def test_every_host_has_the_key_of_before_alone(host: Any) -> None:
    keyring = checks.keyring()
    assert checks.states() == [("k1", "primary"), ("k2", "withdrawn"), ("k3", "withdrawn")]
    assert [key["secret"] for key in keyring["keys"][1:]] == [None, None]
    assert keyring["step"]["name"] == "withdraw" and keyring["step"]["closed"]
    assert checks.signs_with(host) == {keyring["keys"][0]["fingerprint"]}
    assert checks.fallbacks(host) == {""}


def test_nobody_was_restarted_more_often_than_there_were_steps(host: Any) -> None:
    # Boot, prepare, withdraw, prepare, promote, rollback, withdraw; web3 has lost its journal with the second crash.
    assert checks.starts(host) == (3 if host.backend.get_hostname() == "web3" else 7)
