# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages for newcomers point to is there: the parts of the picture, the answers in CONTRIBUTING.md, every link."""

from __future__ import annotations

import re
from pathlib import Path
from typing import List

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").glob("*.md"), *(CHECKOUT / "roles").glob("*/*.md")])
PARTS = (CHECKOUT / "docs" / "how-it-works.md").read_text().split("\n## The parts\n")[1].split("\n## ")[0]
QUESTIONS = (CHECKOUT / "CONTRIBUTING.md").read_text().split("\n## Where do I find")[1].split("\n## ")[0]
PLACE = re.compile(r"`((?:plugins|playbooks|roles|tests|docs)/[^`]+)`")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def rows(text: str) -> List[List[str]]:
    """The cells of a table, without its head."""
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("| ")
    ][2:]


def test_the_picture_and_its_table_have_the_same_parts() -> None:
    picture, table = PARTS.split("```")[1:3]
    drawn = [int(number) for number in re.findall(r"\((\d+)\)", picture)]
    assert sorted(drawn) == [int(row[0]) for row in rows(table)] == list(range(1, len(drawn) + 1))


@pytest.mark.parametrize("row", rows(PARTS), ids=lambda row: row[1])
def test_every_part_of_the_picture_is_where_it_says(row: List[str]) -> None:
    places = PLACE.findall(row[3])
    assert places and all((CHECKOUT / place).exists() for place in places)


@pytest.mark.parametrize("row", rows(QUESTIONS), ids=lambda row: row[0])
def test_every_answer_is_there(row: List[str]) -> None:
    places = PLACE.findall(row[1])
    assert places and all((CHECKOUT / place).exists() for place in places)
    for name, place in re.findall(r"`(\w+)`(?: and `\w+`)? in `([^`]+\.py)`", row[1]) + re.findall(
        r"and `(\w+)` in `([^`]+\.py)`", row[1]
    ):
        text = (CHECKOUT / place).read_text()
        assert re.search(rf"^ *(?:def|class) {name}\b|^{name}\b.* = ", text, re.MULTILINE), f"{name} in {place}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        path, _hash, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles], link
