# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the playbooks has every one of them, and says of each what its own heading says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "docsite" / "rst" / "playbooks.rst").read_text()
PLAYBOOKS = sorted(CHECKOUT.glob("playbooks/*.yml"))
SECTIONS = dict(re.findall(r"^(\w+)\n-+\n\n(.*?)\n(?=^\w+\n-+\n|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_has_every_playbook_and_no_other() -> None:
    assert sorted(SECTIONS) == [path.stem for path in PLAYBOOKS]


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_it_says_what_the_playbook_says_of_itself(path: Path) -> None:
    heading = re.search(r"GPL-3\.0-or-later\n#\n((?:# .*\n)+)", path.read_text())
    assert heading, f"{path.name} does not say what it does"
    words = " ".join(re.findall(r"^# (.*)$", heading[1], re.MULTILINE))
    assert " ".join(SECTIONS[path.stem].split("\n\n")[0].split()) == words
