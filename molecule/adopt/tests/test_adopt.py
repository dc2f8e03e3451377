# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring holds the key that the fleet had, each host has its record, and none was restarted for it."""

from __future__ import annotations

from typing import Any

import checks


def test_the_keyring_begins_with_the_key_of_the_fleet(host: Any) -> None:
    assert checks.states() == [("k1", "primary")]
    assert checks.signs_with(host) == {checks.keyring()["keys"][0]["fingerprint"]}


def test_every_host_has_its_record_and_was_not_restarted(host: Any) -> None:
    record = host.file("/var/lib/phased.keys/shop.json")
    assert record.mode == 0o600
    assert checks.keyring()["id"] in record.content_string
    # web2 was restarted twice by the scenario itself.
    assert checks.starts(host) == (3 if host.backend.get_hostname() == "web2" else 1)
