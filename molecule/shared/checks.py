# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of all scenarios on real hosts look at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

HOSTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "hosts"
PASSWORD = Path(__file__).with_name("vault-password.txt")
PROCESSES = 4  # gunicorn's master and three workers


def keyring() -> dict[str, Any]:
    """The keyring, as its owner sees it."""
    vault = Path(sys.executable).with_name("ansible-vault")
    command = [vault, "view", "--vault-password-file", PASSWORD, HOSTS / "shop.yml"]
    document: dict[str, Any] = yaml.safe_load(subprocess.run(command, check=True, capture_output=True).stdout)
    return document


def states() -> list[tuple[str, str]]:
    """Each key of the keyring with its state."""
    return [(key["id"], key["state"]) for key in keyring()["keys"]]


def environments(host: Any) -> list[dict[str, str]]:
    """What each process of the unit was given, from /proc of the host."""
    group = host.check_output("systemctl show --property ControlGroup --value shop.service")
    found = []
    for pid in host.check_output("cat /sys/fs/cgroup%s/cgroup.procs", group).split():
        # Values of the shop hold no line break.
        lines = host.check_output("tr '\\0' '\\n' < /proc/%s/environ", pid).splitlines()
        found.append(dict(line.split("=", 1) for line in lines))
    return found


def signs_with(host: Any) -> set[str]:
    """The keys that the processes of the unit sign with, of which there have to be as many as ever."""
    given = environments(host)
    assert len(given) == PROCESSES
    return {fingerprint(values["SECRET_KEY"]) for values in given}


def fallbacks(host: Any) -> set[str]:
    """What else the processes of the unit accept."""
    return {values.get("SECRET_KEY_FALLBACKS", "") for values in environments(host)}


def starts(host: Any) -> int:
    """How often the unit was started since the host was booted."""
    found = host.check_output("journalctl --boot --quiet --output cat --unit shop.service --grep '^Started ' | wc -l")
    return int(found)


def assert_one_rollout_was_done(host: Any) -> None:
    """The key of before is gone for good, and every process of the host has the new one alone."""
    book = keyring()
    assert states() == [("k1", "retired"), ("k2", "primary")]
    assert book["keys"][0]["secret"] is None
    assert book["step"]["name"] == "retire" and book["step"]["closed"]
    assert signs_with(host) == {book["keys"][1]["fingerprint"]}
    assert fallbacks(host) == {""}
