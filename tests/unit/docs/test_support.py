# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of supported versions says what the collection itself says."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ansible_collections.phased.keys.plugins.module_utils._host import answers

CHECKOUT = Path(__file__).resolve().parents[3]
ROWS = dict(re.findall(r"^\| (.+?) \| (.+? \| .+?) \|$", (CHECKOUT / "docs" / "support.md").read_text(), re.MULTILINE))


def pinned(name: str) -> str:
    """Return the major and minor version of ansible-core that a list pins."""
    found = re.search(r"^ansible-core==(\d+\.\d+)", (CHECKOUT / "requirements" / name).read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_ansible_core() -> None:
    oldest = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())["requires_ansible"]
    assert oldest == f">={pinned('core-2.16.txt')}.0"
    assert ROWS["ansible-core"].startswith(f"{pinned('core-2.16.txt')} and later")
    assert f"run with {pinned('runtime.txt')};" in ROWS["ansible-core"]


def test_python_on_hosts() -> None:
    assert ROWS["Python on hosts"].startswith("{}.{} and later".format(*answers.OLDEST))


def test_cryptography() -> None:
    bounds = re.search(
        r"^cryptography>=([\d.]+),<(\d+)$", (CHECKOUT / "meta" / "ee-requirements.txt").read_text(), re.MULTILINE
    )
    assert bounds and ROWS["`cryptography` on the controller"].startswith(f"{bounds[1]} to {int(bounds[2]) - 1} ")


def test_what_is_promised_to_whom_reports_a_weakness_is_there() -> None:
    security = (CHECKOUT / "SECURITY.md").read_text()
    for title in ("How to report a weakness", "What is a weakness", "What is none"):
        assert f"\n## {title}\n" in security
    assert {int(number) for number in re.findall(r"\| \[(\d+)\]\(docs/rules\.md#", security)} == {4, 13, 15, 17, 18}
