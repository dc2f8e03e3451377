# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/rules.md has every rule that is cited anywhere, and what it names is there: files, tests, faults and mutations."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set, Tuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
NUMBERS = range(1, 21)
# Where rules are cited: "rule 6", "rules 4, 5 and 9", and tests by their names.
PLACES = ("plugins", "tests", "playbooks", "roles", "docs", "molecule")
CITED = re.compile(r"\b[Rr]ules? (\d+(?:(?:, | and |, and )\d+)*)")
TEST = re.compile(r"\bdef test_(\d+)_")
FILE = re.compile(r"`((?:plugins|tests|playbooks|roles|docs)/[^`]*)`")
HOLDS = re.compile(r"^- `(tests/[^`]+\.py)`:((?:(?!\n- |\n\n).)+)", re.MULTILINE | re.DOTALL)


class Rule(NamedTuple):
    """What the page says of one rule."""

    title: str
    text: str

    def tests(self) -> Iterator[Tuple[str, str]]:
        """Every test that it names, with its file; what stands in quotes is a mutation of the model."""
        for path, names in HOLDS.findall(self.text):
            found = re.findall(r'`(\w+)`|"([^"]+)"', " ".join(names.split()))
            assert found, f"{path}: {names}"
            yield from ((path, name or f'_m("{mutation}"') for name, mutation in found)


def rules(page: str) -> Dict[int, Rule]:
    parts = re.split(r"^## (?:(\d+)\. )?(.+)$", page, flags=re.MULTILINE)[1:]
    return {
        int(number): Rule(title, text) for number, title, text in zip(parts[::3], parts[1::3], parts[2::3]) if number
    }


def cited(text: str) -> Set[int]:
    numbers = [number for said in CITED.findall(text) for number in re.findall(r"\d+", said)]
    return {int(number) for number in [*numbers, *TEST.findall(text)]}


PAGE = rules((CHECKOUT / "docs" / "rules.md").read_text())


def test_every_rule_has_its_place() -> None:
    assert list(PAGE) == list(NUMBERS)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_rule_has_its_reason_where_it_is_held_and_the_tests_that_hold_it(number: int) -> None:
    rule = PAGE[number]
    assert "\n*Why:* " in rule.text
    assert (
        FILE.findall(rule.text.partition("*Held in* ")[2].partition("\n\n")[0])
        or "*Not held by code yet.*" in rule.text
    )
    assert list(rule.tests())


@pytest.mark.parametrize("number", NUMBERS)
def test_the_files_and_tests_that_it_names_are_there(number: int) -> None:
    missing: List[str] = [path for path in FILE.findall(PAGE[number].text) if not (CHECKOUT / path).is_file()]
    assert missing == []
    for path, name in PAGE[number].tests():
        text = (CHECKOUT / path).read_text()
        assert name in text if name.startswith("_m(") else re.search(rf"^ *def {name}\(", text, re.MULTILINE), (
            f"{path}: {name}"
        )


def test_whatever_is_cited_is_on_the_page() -> None:
    strangers = {}
    everything: Set[int] = set()
    for place in PLACES:
        for path in sorted((CHECKOUT / place).rglob("*")):
            if path.suffix in (".py", ".yml", ".md", ".sh") and path != Path(__file__):
                found = cited(path.read_text())
                everything |= found
                if found - set(PAGE):
                    strangers[str(path)] = sorted(found - set(PAGE))
    assert strangers == {}
    assert len(everything) > 15, "the search finds what is cited"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("(rule 18)", {18}), ("Rules 2, 6 and 9: the process", {2, 6, 9}), ("rules 3, 4, and 21", {3, 4, 21}),
        ("def test_14_a_leaked_key():", {14}), ("def test_a_key_of_21_characters():", set()), ("20 rules", set()),
    ],
)  # fmt: skip
def test_what_counts_as_cited(text: str, numbers: Set[int]) -> None:
    assert cited(text) == numbers
