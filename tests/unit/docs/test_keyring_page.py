# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/keyring.md explains every field of a keyring and of a record, and the functions that it names are there.

That the kept files have the fields that are written today is held by tests/unit/rules/test_released.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest
from kept import KEYRINGS, RECORDS, fields, load

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs" / "keyring.md").read_text()
ROW = re.compile(r"^\| (`.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
FUNCTION = re.compile(r"`(\w+)\.(\w+)`")


def explained(part: str) -> List[str]:
    """The fields in the first column of the tables of one part of the page, in their order."""
    return [name for row in ROW.findall(part) for name in re.findall(r"`([^`]+)`", row[0])]


KEYRING, RECORD = (PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in ("The keyring", "The record"))


@pytest.mark.parametrize(("part", "path"), [(KEYRING, KEYRINGS[-1]), (RECORD, RECORDS[-1])], ids=["keyring", "record"])
def test_every_field_has_one_line_and_no_line_is_of_no_field(part: str, path: Path) -> None:
    assert sorted(explained(part)) == sorted(set(fields(load(path))))


def test_every_line_says_what_it_is_who_writes_it_and_what_reads_it() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROW.findall(PAGE)) > 50
    assert all(text.strip() for row in ROW.findall(PAGE) for text in row)


def test_the_functions_that_it_names_are_there() -> None:
    named = set(FUNCTION.findall("\n".join(" ".join(row[2:]) for row in ROW.findall(PAGE))))
    assert len(named) > 40
    sources = {path: path.read_text() for path in (CHECKOUT / "plugins").rglob("*.py")}
    for module, function in sorted(named):
        found = [text for path, text in sources.items() if path.stem.lstrip("_") == module]
        assert any(re.search(rf"^ *def {function}\(", text, re.MULTILINE) for text in found), f"{module}.{function}"


def test_the_files_that_it_links_to_are_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGE)
    assert links and all((CHECKOUT / "docs" / link).exists() for link in links)
