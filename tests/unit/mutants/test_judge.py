# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make mutants` makes of its results: nothing that survives may pass as caught."""

from __future__ import annotations

import pytest
from judge import BOUNDS, Equivalent, Mutant, complaints, equivalents, row, rows, sample, survivors
from mutants_page import page, told

RULES, _RULES_OF_A_HOST, HOST = BOUNDS


def mutants(count: int, folder: str = RULES) -> list[Mutant]:
    return [
        Mutant(f"{folder}.{i}", f"{folder}/soak.py", "due", f"return {i}", f"return {i + 1}", 1) for i in range(count)
    ]


def codes(some: list[Mutant], **exit_codes: int) -> dict[str, int]:
    """All failed a test but those that are named by their place: `_3=0`."""
    return {mutant.name: exit_codes.get(f"_{place}", 1) for place, mutant in enumerate(some)}


@pytest.mark.parametrize(
    ("code", "caught", "column"),
    [
        (1, True, "failed"), (2, True, "failed"), (3, True, "failed"), (0, False, "survived"), (5, False, "no_tests"),
        (33, False, "no_tests"), (-24, True, "ended"), (-9, True, "ended"), (-11, True, "ended"), (36, True, "ended"),
    ],
)  # fmt: skip
def test_what_an_exit_code_says(code: int, caught: bool, column: str) -> None:
    one = mutants(1)
    counted = row("here", one, codes(one, _0=code), ())
    assert counted.score == (100.0 if caught else 0.0)
    assert getattr(counted, column) == 1
    assert counted.failed + counted.ended + counted.survived + counted.no_tests == 1
    assert survivors(one, codes(one, _0=code), ()) == ([] if caught else one)


def test_what_was_not_tested_is_neither_caught_nor_missed() -> None:
    some = mutants(4)
    counted = row("here", some, {some[0].name: 1, some[1].name: 0}, ())
    assert (counted.mutants, counted.tested, counted.score) == (4, 2, 50.0)
    assert row("here", some, {}, ()).score == 100.0


def test_an_equivalent_mutant_is_left_out_of_the_score() -> None:
    some = mutants(4)
    counted = row("here", some, codes(some, _2=0), {some[2].content})
    assert (counted.equivalent, counted.survived, counted.score) == (1, 0, 100.0)
    assert survivors(some, codes(some, _2=0), [Equivalent(some[2].content, "same")]) == []


def test_folders_before_their_files() -> None:
    some = mutants(2) + mutants(1, HOST)
    assert [one.where for one in rows(some, codes(some), ())] == [RULES, f"{RULES}/soak.py", HOST, f"{HOST}/soak.py"]


@pytest.mark.parametrize(("folder", "bound"), BOUNDS.items())
def test_a_folder_below_its_bound_fails_the_run(folder: str, bound: float) -> None:
    some = mutants(1000, folder)
    most = round(1000 - bound * 10)
    enough = codes(some, **{f"_{place}": 0 for place in range(most)})
    assert complaints(some, enough, ()) == []
    (said,) = complaints(some, {**enough, some[-1].name: 33}, ())
    assert said == f"{folder}: {bound - 0.1:.1f} % were caught, and {bound:g} % have to be"


def test_too_many_equivalent_mutants_fail_the_run() -> None:
    some = mutants(100)
    alive = codes(some, _0=0, _1=0, _2=0, _3=0)
    same = [Equivalent(mutant.content, "the order does not matter") for mutant in some[:4]]
    assert complaints(some, alive, same[:3]) == []
    assert complaints(some, alive, same) == ["4 of 100 mutants are called equivalent, and at most 3 % may be"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (("due", "return 7", "return 9", 1), "is no mutant any more"),
        (("due", "return 7", "return 8", 2), "is no mutant any more"),
        (("past", "return 7", "return 8", 1), "is no mutant any more"),
        (("due", "return 7", "return 8", 1), "was caught by a test"),
    ],
)
def test_a_wrong_entry_of_the_list_fails_the_run(entry: tuple, said: str) -> None:
    some = mutants(100)
    (sentence,) = complaints(some, codes(some), [Equivalent((f"{RULES}/soak.py", *entry), "same")])
    assert said in sentence
    assert "return 7" in sentence


def test_an_entry_needs_a_reason_and_stands_once() -> None:
    some = mutants(100)
    alive = codes(some, _7=0)
    same = Equivalent(some[7].content, "same")
    assert "has no reason" in complaints(some, alive, [same._replace(why=" ")])[0]
    assert complaints(some, alive, [same, same]) == ["equivalent.yml lists a mutant twice"]


def test_an_equivalent_mutant_that_was_not_in_the_sample_is_no_complaint() -> None:
    some = mutants(100)
    tested = codes(some[:50])
    assert complaints(some, tested, [Equivalent(some[99].content, "same")]) == []


def test_the_list_as_it_is_written() -> None:
    entry = {"function": "due", "was": "return 7", "becomes": "return 8", "why": "same"}
    assert equivalents({"a.py": [entry, {**entry, "nth": 2}]}) == [
        Equivalent(("a.py", "due", "return 7", "return 8", 1), "same"),
        Equivalent(("a.py", "due", "return 7", "return 8", 2), "same"),
    ]
    assert equivalents({}) == []
    with pytest.raises(KeyError, match="why"):
        equivalents({"a.py": [{key: value for key, value in entry.items() if key != "why"}]})


def test_a_sample_takes_its_share_of_every_file_and_is_the_same_for_the_same_seed() -> None:
    some = mutants(100) + mutants(10, HOST) + mutants(1, "plugins/action")
    chosen = sample(some, 0.25, "a")
    assert [sum(mutant.file.startswith(folder) for mutant in chosen) for folder in (RULES, HOST, "plugins/action")] == [
        25,
        3,
        1,
    ]
    assert sample(reversed(some), 0.25, "a") != sample(some, 0.25, "b")
    assert set(sample(reversed(some), 0.25, "a")) == set(chosen)
    assert set(sample(some, 1.0, "a")) == set(some)
    # The first ones of it are of all files, for a run may get no further.
    assert {mutant.file for mutant in sample(mutants(40) + mutants(40, HOST), 1.0, "a")[:20]} == {
        f"{RULES}/soak.py",
        f"{HOST}/soak.py",
    }
    # mutmut's numbers move with every change of the function: they choose nothing.
    renamed = [mutant._replace(name=f"{mutant.name}0") for mutant in some]
    assert {mutant.content for mutant in sample(renamed, 0.25, "a")} == {mutant.content for mutant in chosen}


def test_over_many_seeds_every_mutant_has_its_turn() -> None:
    some = mutants(40)
    assert {mutant for seed in range(60) for mutant in sample(some, 0.25, str(seed))} == set(some)


def test_the_page_tells_a_sample_from_the_whole() -> None:
    some = mutants(8)
    counted = rows(some, codes(some[:4], _1=0), ())
    about = {"commit": "abc", "how": "SEED=x", "equivalent": 0, "tests": 2, "seconds": 30.0, "minutes": 20.0}
    sampled = page(counted, seed="x", **about)
    assert (
        "Tested were 4 of 8 mutants: a sample of each file, by the seed `x`, as far as it came in 20 minutes."
        in sampled
    )
    assert f"| **{RULES}** | 8 | 4 | 3 | 0 | 1 | 0 | 0 | 75.0 % |" in sampled
    assert "a sample" not in page(counted, seed=None, **about)


def test_survivors_are_told_by_what_they_are() -> None:
    some = [Mutant("m", "a.py", "due", "if a:\nb", "if not a:\nb", 2), Mutant("n", "a.py", "due", "c", "", 1)]
    assert told(some, {"m": 0, "n": 33}) == (
        "######## a.py: 2\n"
        "due: survived, number 2\n  - if a:\n  - b\n  + if not a:\n  + b\n"
        "due: no fast test reaches it\n  - c\n"
    )
