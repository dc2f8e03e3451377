# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of the guides are units that systemd takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import doc_blocks
import pytest

GUIDES = Path(__file__).resolve().parents[3] / "docs" / "docsite" / "rst"
ANALYZE = shutil.which("systemd-analyze")


def verify(folder: Path, *names: str) -> str:
    """Return what systemd says against units; nothing where it takes them."""
    assert ANALYZE
    command = [ANALYZE, "verify", "--man=no", *(str(folder / name) for name in names)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    # What this machine has for units of its own is not ours.
    return "".join(line for line in done.stdout.splitlines(True) if "phased-keys" in line)


def write(folder: Path, name: str, old: str = "", new: str = "") -> None:
    """Write a unit of the guide, with a program that is there in the place of the reader's own."""
    text = doc_blocks.block(GUIDES / "unattended.rst", name).replace(
        "/srv/deploy/venv/bin/ansible-playbook", "/bin/true"
    )
    assert old in text
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.skipif(not ANALYZE, reason="there is no systemd-analyze on this machine")
def test_systemd_takes_the_service_and_the_timer(tmp_path: Path) -> None:
    write(tmp_path, "phased-keys-shop.service")
    write(tmp_path, "phased-keys-shop.timer")
    assert verify(tmp_path, "phased-keys-shop.service", "phased-keys-shop.timer") == ""


@pytest.mark.skipif(not ANALYZE, reason="there is no systemd-analyze on this machine")
@pytest.mark.parametrize(
    "name, old, new",
    [
        ("phased-keys-shop.service", "Type=oneshot", "Typ=oneshot"),
        ("phased-keys-shop.timer", "OnCalendar=hourly", "OnCalendar=now and then"),
        ("phased-keys-shop.service", "/bin/true", "/bin/nowhere"),
    ],
)
def test_and_says_so_of_those_that_it_does_not(tmp_path: Path, name: str, old: str, new: str) -> None:
    write(tmp_path, "phased-keys-shop.service")
    write(tmp_path, name, old, new)
    assert verify(tmp_path, name)


def test_the_timer_starts_the_service_of_its_name() -> None:
    timer = doc_blocks.block(GUIDES / "unattended.rst", "phased-keys-shop.timer")
    assert "Unit=" not in timer and "WantedBy=timers.target" in timer
    service = doc_blocks.block(GUIDES / "unattended.rst", "phased-keys-shop.service")
    assert "LoadCredential=vault-pass:" in service and "${CREDENTIALS_DIRECTORY}/vault-pass" in service
