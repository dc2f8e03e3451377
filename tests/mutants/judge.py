# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mutants are tested, what counts as caught, and whether that is enough. No mutmut, no files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

# Least per cent caught, of those that are not equivalent.
BOUNDS = {
    "plugins/module_utils/_rules": 95.0,
    "plugins/module_utils/_host/rules": 95.0,
    "plugins/module_utils/_host": 90.0,
}
# Most per cent of all mutants that may be called equivalent.
MOST_EQUIVALENT = 3.0

# Exit codes of a mutant's tests, as mutmut keeps them. What is in neither ended the tests in another way, and that is seen too.
SURVIVED = {0}
NO_TESTS = {5, 33}
FAILED = {1, 2, 3}
TOO_LONG = {-24, -9, 24, 36, 152, 255}


class Mutant(NamedTuple):
    """One mutant. All but `name`, which is mutmut's and counts, say what it is: they are the same wherever it stands."""

    name: str
    file: str
    function: str
    was: str
    becomes: str
    nth: int

    @property
    def content(self) -> tuple[str, str, str, str, int]:
        return self[1:]


class Equivalent(NamedTuple):
    """A mutant that no test can catch, since it does the same, and why that is so."""

    content: tuple[str, str, str, str, int]
    why: str


def equivalents(listed: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Equivalent]:
    """Return the list as it stands in equivalent.yml; KeyError where an entry lacks something."""
    return [
        Equivalent((file, one["function"], one["was"], one["becomes"], one.get("nth", 1)), one["why"])
        for file, ones in (listed or {}).items()
        for one in ones
    ]


def sample(mutants: Iterable[Mutant], share: float, seed: str) -> list[Mutant]:
    """Return a share of each file's mutants (0 to 1), at least one; the same for the same seed, wherever they stand.

    In an order that the seed chooses too: who gets only through a part of it has a sample of all files.
    """

    def draw(mutant: Mutant) -> bytes:
        return hashlib.sha256(repr((seed, mutant.content)).encode()).digest()

    by_file: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_file.setdefault(mutant.file, []).append(mutant)
    chosen = []
    for ones in by_file.values():
        chosen += sorted(ones, key=draw)[: math.ceil(share * len(ones))]
    return sorted(chosen, key=draw)


class Row(NamedTuple):
    """What became of the mutants of a file or folder."""

    where: str
    mutants: int
    tested: int
    failed: int
    ended: int
    survived: int
    no_tests: int
    equivalent: int

    @property
    def score(self) -> float:
        """Per cent caught of those that were tested and are not equivalent; 100 where there are none."""
        of = self.tested - self.equivalent
        return 100.0 * (self.failed + self.ended) / of if of else 100.0


def row(where: str, mutants: Sequence[Mutant], codes: Mapping[str, int], same: Collection[tuple]) -> Row:
    """Count. `codes` are exit codes by name, of those that were tested; `same` the contents of the equivalent ones."""
    tested = [(mutant, codes[mutant.name]) for mutant in mutants if mutant.name in codes]
    caught = [code for _mutant, code in tested if code not in SURVIVED | NO_TESTS]
    missed = [code for mutant, code in tested if code in SURVIVED | NO_TESTS and mutant.content not in same]
    failed = sum(code in FAILED for code in caught)
    return Row(
        where, len(mutants), len(tested), failed, len(caught) - failed,
        sum(code in SURVIVED for code in missed), sum(code in NO_TESTS for code in missed),
        len(tested) - len(caught) - len(missed),
    )  # fmt: skip


def rows(mutants: Sequence[Mutant], codes: Mapping[str, int], same: Sequence[Equivalent]) -> list[Row]:
    """Return the rows: each folder, and after it its files."""
    contents = {one.content for one in same}
    folders = list(dict.fromkeys(mutant.file.rpartition("/")[0] for mutant in mutants))
    found = []
    for folder in folders:
        inside = [mutant for mutant in mutants if mutant.file.rpartition("/")[0] == folder]
        found.append(row(folder, inside, codes, contents))
        for file in dict.fromkeys(mutant.file for mutant in inside):
            found.append(row(file, [mutant for mutant in inside if mutant.file == file], codes, contents))
    return found


def survivors(mutants: Sequence[Mutant], codes: Mapping[str, int], same: Sequence[Equivalent]) -> list[Mutant]:
    """Return the mutants that were tested, not caught, and are not listed as equivalent."""
    contents = {one.content for one in same}
    return [
        mutant
        for mutant in mutants
        if codes.get(mutant.name, 1) in SURVIVED | NO_TESTS and mutant.content not in contents
    ]


def complaints(mutants: Sequence[Mutant], codes: Mapping[str, int], same: Sequence[Equivalent]) -> list[str]:
    """Return what is not as it has to be, a sentence each."""
    by_content = {mutant.content: mutant for mutant in mutants}
    said = []
    if len(same) > len(mutants) * MOST_EQUIVALENT / 100:
        said.append(
            f"{len(same)} of {len(mutants)} mutants are called equivalent, and at most {MOST_EQUIVALENT:g} % may be"
        )
    if len({one.content for one in same}) < len(same):
        said.append("equivalent.yml lists a mutant twice")
    for content, why in same:
        mutant = by_content.get(content)
        what = f"equivalent.yml, {content[0]}, {content[1]}: {content[2]!r} -> {content[3]!r}"
        if not why.strip():
            said.append(f"{what} has no reason")
        if mutant is None:
            said.append(f"{what} is no mutant any more: take it out")
        elif codes.get(mutant.name, 0) not in SURVIVED | NO_TESTS:
            said.append(f"{what} was caught by a test, so it is not equivalent: take it out")
    for one in rows(mutants, codes, same):
        if one.score < BOUNDS.get(one.where, 0.0):
            said.append(f"{one.where}: {one.score:.1f} % were caught, and {BOUNDS[one.where]:g} % have to be")
    return said
