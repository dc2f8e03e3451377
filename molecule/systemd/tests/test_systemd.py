# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""After adopt and rollout every process of every unit has the one new key, and nothing else on the hosts has changed."""

from __future__ import annotations

import json
from typing import Any

import checks
import pytest
import yaml

RECORD = "/var/lib/phased.keys/shop.json"


# Prints the files that hold the key of which the argument is the hexadecimal form.
SEARCH = """
import os, sys
for top in ("/etc", "/home", "/root", "/tmp", "/var", "/run", "/srv"):
    for folder, _folders, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and bytes.fromhex(sys.argv[1]) in open(path, "rb").read():
                print(path)
"""


@pytest.fixture(scope="module")
def keyring() -> dict[str, Any]:
    return checks.keyring()


def test_one_rollout_was_done_and_every_process_has_the_new_key_alone(host: Any, keyring: dict[str, Any]) -> None:
    checks.assert_one_rollout_was_done(host)
    assert sorted(keyring["members"]) == ["web1", "web2", "web3"]


def test_the_application_says_that_it_signs_with_the_new_key(host: Any, keyring: dict[str, Any]) -> None:
    inventory = yaml.safe_load((checks.HOSTS / "inventory" / "hosts.yml").read_text())
    url = inventory["shop"]["hosts"][host.backend.get_hostname()]["shop_url"]
    command = "/usr/bin/python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())' %s/healthz"
    assert json.loads(host.check_output(command, url))["key"] == keyring["keys"][1]["fingerprint"]


def test_the_unit_runs_as_the_applications_user_and_was_restarted_three_times(host: Any) -> None:
    assert host.service("shop.service").is_running
    assert host.check_output("systemctl is-system-running") == "running"
    users = host.check_output("ps -o user= -C python")
    assert set(users.split()) == {"shop"}
    # The first start, then once each for prepare, promote and retire: a visit that has nothing to do restarts nothing.
    assert checks.starts(host) == 4


def test_the_env_file_keeps_its_other_lines_its_owner_and_its_mode(host: Any, keyring: dict[str, Any]) -> None:
    file = host.file("/etc/shop.env")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o600)
    text = file.content_string
    assert text.startswith("# The shop's settings, read by the service manager.\n")
    assert "; a session without requests" in text
    assert keyring["keys"][1]["secret"] in text
    assert host.check_output("find /etc -newer /etc/shop.env -name '*shop*'") == ""


def test_the_record_holds_no_secret_and_is_roots_own(host: Any, keyring: dict[str, Any]) -> None:
    record = host.file(RECORD)
    assert (record.user, record.group, record.mode) == ("root", "root", 0o600)
    assert keyring["keys"][1]["secret"] not in record.content_string
    assert keyring["keys"][1]["fingerprint"] in record.content_string


def test_no_other_file_holds_a_key_nor_does_the_journal(host: Any, keyring: dict[str, Any]) -> None:
    secret = keyring["keys"][1]["secret"]
    # sudo writes every command line into the journal: the key goes there in other digits.
    found = host.check_output("/usr/bin/python3 -c %s %s", SEARCH, secret.encode().hex())
    assert found.split() == ["/etc/shop.env"]
    # A long entry is compressed in the file.
    assert secret not in host.check_output("journalctl --boot --output cat --all")
