# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timers of the documentation, started by a real systemd: their services run, and write what they should.

As they stand there, but for LoadCredential=: systemd mounts credentials, and in a host of namespaces alone it leaves their folder empty
without a word. The same file lies in a folder of the test's in its place.
"""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import doc_blocks
import hosts as real
import pytest
import tracked
from played import Played

pytestmark = pytest.mark.hosts

CHECKOUT = real.HERE.parents[1]
PAGES = CHECKOUT / "docs"
CREDENTIAL = "LoadCredential=vault-pass:/etc/phased-keys/shop.vault-pass"
NEEDED = (
    *("ansible", "jinja2", "markupsafe", "yaml", "_yaml", "packaging", "resolvelib", "*.dist-info"),
    *("cryptography", "cffi", "_cffi_backend*", "pycparser"),
)
COMMAND = """#!/bin/sh
export PYTHONPATH=/srv/deploy/packages ANSIBLE_COLLECTIONS_PATH=/srv/deploy/collections LC_ALL=C.UTF-8
exec /usr/bin/python3 -m ansible playbook "$@"
"""
INVENTORY = """
shop:
  hosts: {web1: {}}
  vars:
    app_keys_name: shop
    app_keys_env_file: /etc/shop.env
    app_keys_service: shop.service
    app_keys_app_check: trust
    app_keys_settle: 0.5s
    app_keys_bake: 0s
    app_keys_strict: true
    app_keys_status_json: /srv/deploy/shop.json
    app_keys_status_prometheus: /srv/deploy/shop.prom
    ansible_connection: local
    ansible_python_interpreter: /usr/bin/python3
"""


def units() -> dict[str, str]:
    """Return the units of both pages by their names."""
    guide = PAGES / "docsite" / "rst" / "unattended.rst"
    found = {name: doc_blocks.block(guide, name) for name in ("phased-keys-shop.service", "phased-keys-shop.timer")}
    (text,) = [one.text for one in doc_blocks.blocks(PAGES / "monitoring.md") if one.language == "ini"]
    for part in text.split("# /etc/systemd/system/")[1:]:
        name, _line, unit = part.partition("\n")
        found[name] = unit
    return found


@pytest.fixture(scope="module")
def controller(bring_up: Callable[..., Played], tmp_path_factory: pytest.TempPathFactory) -> Played:
    """One host that is its own controller: `deploy` may become root, and has what the pages name."""
    fleet = bring_up(1)
    version = fleet.sh("web1", "python3 -c 'import sys; print(*sys.version_info[:2])'")
    if version != "{} {}".format(*sys.version_info[:2]):
        pytest.skip(f"the host's Python is {version}, and would have to use this one's packages")
    files = tmp_path_factory.mktemp("controller")
    place, units_folder = files / "srv" / "deploy", files / "etc" / "systemd" / "system"
    units_folder.mkdir(parents=True)
    packages = Path(sysconfig.get_path("purelib"))
    for pattern in NEEDED:
        for path in packages.glob(pattern):
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            (place / "packages").mkdir(parents=True, exist_ok=True)
            copy(path, place / "packages" / path.name)
    tracked.copy(CHECKOUT, place / "collections" / "ansible_collections" / "phased" / "keys")
    (place / "venv" / "bin").mkdir(parents=True)
    (place / "venv" / "bin" / "ansible-playbook").write_text(COMMAND)
    (place / "venv" / "bin" / "ansible-playbook").chmod(0o755)
    (place / "inventory.yml").write_text(INVENTORY)
    for name, text in units().items():
        if name.endswith(".service"):
            assert text.count(CREDENTIAL) == 1
            text = text.replace(CREDENTIAL, "Environment=CREDENTIALS_DIRECTORY=/srv/deploy/credentials")
        (units_folder / name).write_text(text)
    fleet.put("web1", files)
    fleet.sh(
        "web1",
        """
        useradd --create-home deploy
        echo 'deploy ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/deploy
        chown -R deploy: /srv/deploy
        mkdir -m 700 /srv/deploy/credentials
        (umask 077; echo 'a vault secret of the test' >/srv/deploy/credentials/vault-pass)
        chown -R deploy: /srv/deploy/credentials
        systemctl daemon-reload
        cd /srv/deploy && runuser -u deploy -- venv/bin/ansible-playbook -i inventory.yml -b \
          --vault-password-file credentials/vault-pass phased.keys.adopt
        """,
    )
    return fleet


def started(fleet: Played, unit: str) -> dict[str, str]:
    """Start a timer's service, and return how it ended with what it wrote."""
    fleet.sh("web1", f"systemctl start {unit}.service || true")
    shown = fleet.sh("web1", f"systemctl show {unit}.service -p Result -p ExecMainStatus")
    journal = fleet.sh("web1", f"journalctl -u {unit}.service --no-pager -o cat 2>&1 || true")
    return {**dict(line.split("=", 1) for line in shown.splitlines()), "said": journal}


def test_the_timer_of_the_status_writes_what_a_monitoring_reads(controller: Played) -> None:
    ran = started(controller, "phased-keys-status")
    assert (ran["Result"], ran["ExecMainStatus"]) == ("success", "0"), ran["said"]
    status = json.loads(controller.sh("web1", "cat /srv/deploy/shop.json"))
    assert status["ok"] is True and status["members_proven"] == 1
    assert 'phased_keys_ok{name="shop"} 1' in controller.sh("web1", "cat /srv/deploy/shop.prom")


def test_the_timer_of_the_rollout_rolls_and_its_service_fails_when_something_is_not_well(controller: Played) -> None:
    before = controller.sh("web1", "cat /etc/shop.env")
    ran = started(controller, "phased-keys-shop")
    assert (ran["Result"], ran["ExecMainStatus"]) == ("success", "0"), ran["said"]
    assert controller.sh("web1", "cat /etc/shop.env") != before
    controller.sh("web1", "systemctl stop shop.service")
    ran = started(controller, "phased-keys-status")
    assert ran["Result"] == "exit-code" and ran["ExecMainStatus"] == "2"
    assert json.loads(controller.sh("web1", "cat /srv/deploy/shop.json"))["ok"] is False


@pytest.mark.parametrize("timer", [name for name in units() if name.endswith(".timer")])
def test_systemd_waits_for_the_hour_of_each_timer(controller: Played, timer: str) -> None:
    controller.sh("web1", f"systemctl enable --now {timer}")
    assert controller.sh("web1", f"systemctl is-active {timer}") == "active"
    assert controller.sh("web1", f"systemctl show {timer} -p NextElapseUSecRealtime --value")
    controller.sh("web1", f"systemctl disable --now {timer}")
