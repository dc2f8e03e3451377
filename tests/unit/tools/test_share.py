# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `.ci/run` leaves out of one run has its turn in another."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import faults
import pytest
import share

ROOT = Path(__file__).resolve().parents[3]
NUMBERS = range(1, 13)
KINDS = ("clock", "controller", "files", "host", "people", "units")


def shares(number: int) -> list[share.Share]:
    return [share.Share(which, number) for which in range(1, number + 1)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("length", [0, 1, 2, 5, 8, 40])
def test_everything_is_in_a_share_and_none_is_empty(length: int, number: int) -> None:
    items = list(range(length))
    parts = [share.picked(items, one) for one in shares(number)]
    assert sorted({item for part in parts for item in part}) == items
    assert all(parts) or not items
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    if length >= number:
        assert sum(sizes) == length, "something is in two shares"


@pytest.fixture(scope="module")
def cases() -> dict[str, list[tuple[str, str]]]:
    """The faults with their phases by share, as `make faults` orders them."""
    for kind in KINDS:
        importlib.import_module(f"faults_{kind}")  # each adds its own
    return {
        f"{which}/{number} {full}": [
            (fault.name, phase) for fault, phase in faults.in_order(faults.FAULTS, full, share.Share(which, number))
        ]
        for full in (False, True)
        for number in NUMBERS
        for which in range(1, number + 1)
    }


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("number", NUMBERS)
def test_every_fault_is_in_a_share(number: int, full: bool, cases: dict[str, list[tuple[str, str]]]) -> None:
    every = cases[f"1/1 {full}"]
    parts = [cases[f"{one} {full}"] for one in shares(number)]
    assert len(set(every)) == len(every) > 50
    assert {case for part in parts for case in part} == set(every)
    assert all(parts)
    assert max(map(len, parts)) <= len(every) // number + 4


def test_the_share_of_a_commit_is_drawn_by_lot() -> None:
    commits = [f"{number:040x}" for number in range(0, 1 << 162, (1 << 160) // 100 + 7919)][:100]
    drawn = [share.of_commit(commit, 4) for commit in commits]
    assert set(drawn) == set(shares(4))
    assert drawn == [share.of_commit(commit, 4) for commit in commits]


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1/0", "1", "1/4/2", "-1/4", "a/b", " 1/4"])
def test_what_is_no_share_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="such as 3/4"):
        share.parsed(text)


def ran(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    return subprocess.run(arguments, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_as_the_makefile_and_ci_call_it() -> None:
    tool = str(ROOT / "tests/tools/share.py")
    assert share.parsed(ran(sys.executable, tool, "of", "a" * 40, "4").strip()).number == 4
    assert ran(sys.executable, tool, "pick", "2/2", "a", "b", "c").split() == ["b"]


def test_the_scenarios_on_real_hosts_are_all_in_a_share() -> None:
    """As make sees them: nothing is started."""

    def scenarios(*arguments: str) -> set[str]:
        lines = ran("make", "-n", f"PYTHON={sys.executable}", *arguments, "molecule-hosts").splitlines()
        return {line.rpartition(" ")[2] for line in lines if "molecule test -s" in line}

    parts = [scenarios(f"SHARE={one}") for one in shares(4)]
    assert set.union(*parts) == scenarios() != set()
    assert all(len(part) == 2 for part in parts)


def test_a_wrong_share_of_the_scenarios_fails() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        ran("make", "-n", f"PYTHON={sys.executable}", "SHARE=9/4", "molecule-hosts")
