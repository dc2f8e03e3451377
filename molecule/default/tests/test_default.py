# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After adopt and rollout every worker of every host signs with the one new key, and nothing holds the old one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
FLEET = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "fleet"
HOST_MARK = "PHASED_FLEET_HOST"  # the fleet script marks each host's processes with its folder
WORKERS = 4  # gunicorn's master and three workers


@pytest.fixture(scope="module")
def keyring() -> dict[str, Any]:
    """The keyring, as its owner sees it."""
    vault = Path(sys.executable).with_name("ansible-vault")
    command = [vault, "view", "--vault-password-file", SCENARIO / "vault-password.txt", FLEET / "shop.yml"]
    document: dict[str, Any] = yaml.safe_load(subprocess.run(command, check=True, capture_output=True).stdout)
    return document


def environments(host: Any) -> list[dict[str, str]]:
    """What each process of the host's application was given."""
    folder = str(FLEET / "hosts" / host.backend.get_hostname())
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if f"{HOST_MARK}={folder}" in entries:
            found.append(dict(entry.split("=", 1) for entry in entries if "=" in entry))
    return found


def test_one_rollout_was_done_and_no_more(keyring: dict[str, Any]) -> None:
    assert [(key["id"], key["state"]) for key in keyring["keys"]] == [("k1", "retired"), ("k2", "primary")]
    assert keyring["keys"][0]["secret"] is None
    assert keyring["step"]["name"] == "retire"
    assert keyring["step"]["closed"]


def test_every_worker_signs_with_the_new_key_and_accepts_no_other(host: Any, keyring: dict[str, Any]) -> None:
    given = environments(host)
    assert len(given) == WORKERS
    assert {fingerprint(values["SECRET_KEY"]) for values in given} == {keyring["keys"][1]["fingerprint"]}
    assert {values.get("SECRET_KEY_FALLBACKS", "") for values in given} == {""}


def test_the_env_file_keeps_its_other_lines(host: Any, keyring: dict[str, Any]) -> None:
    text = host.file(str(FLEET / "hosts" / host.backend.get_hostname() / "env")).content_string
    assert text.startswith("# The shop's settings, read by the service manager.\n")
    assert "; a session without requests" in text
    assert keyring["keys"][1]["secret"] in text


def test_the_record_holds_no_secret(host: Any, keyring: dict[str, Any]) -> None:
    record = host.file(str(FLEET / "hosts" / host.backend.get_hostname() / "state" / "shop.json"))
    assert record.mode == 0o600
    assert keyring["keys"][1]["secret"] not in record.content_string
    assert keyring["keys"][1]["fingerprint"] in record.content_string
