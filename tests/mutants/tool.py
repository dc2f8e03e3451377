# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that knows mutmut: run in a folder of its own that has the collection and mutmut's settings.

`tool.py generate OUT` makes every mutant, and writes what each is. `tool.py run CHOSEN RESULTS SECONDS` tests those that are in CHOSEN, one after
the other and as far as the time goes, as process 1 of its own process namespace: mutants are started as root and send signals to processes that they
have mistaken for their own.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mutmut.__main__ as mutmut
import operators
import pytest
from mutmut.configuration import config
from mutmut.mutation import trampoline
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.utils.file_utils import walk_mutatable_files

# mutmut's own exit codes: of a mutant that no test reaches, for which nothing is started, and of one whose tests ran too long.
NO_TESTS, TIMEOUT = 33, 36
GET = trampoline.get_mutant_under_test


def changed(original: str, mutated: str) -> tuple[str, str]:
    """Return the lines that a mutant changes, before and after, each stripped and joined by newlines."""
    old, new = ([line.strip() for line in text.splitlines()] for text in (original, mutated))
    was, becomes = [], []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            was += old[i1:i2]
            becomes += new[j1:j2]
    return "\n".join(was), "\n".join(becomes)


def mutants_of(path: Path) -> list[dict[str, Any]]:
    """Return the mutants of a file: mutmut's name, and what it is: file, function, the lines before and after."""
    data, spans = SourceFileMutationData(path=path), MutantLineSpans.load(path)
    data.load()
    assert spans is not None, f"mutmut wrote no index of {path}"
    found, seen = [], {}
    for name in data.exit_code_by_key:
        generated = name.rpartition(".")[2]
        mangled = generated.partition("__mutmut_")[0]
        function = mangled[2:] if mangled.startswith("x_") else mangled[2:].replace("ǁ", ".")
        original = f"{mangled}__mutmut_orig"
        texts = spans.read_function_sources([original, generated])
        was, becomes = changed(*(text.replace(of, "") for text, of in zip(texts, (original, generated))))
        # The same change to the same line twice in one function: told apart by which of them it is.
        nth = seen[function, was, becomes] = seen.get((function, was, becomes), 0) + 1
        found.append(
            {"name": name, "file": str(path), "function": function, "was": was, "becomes": becomes, "nth": nth}
        )
    return found


def generate(out: Path) -> None:
    """Make all mutants: a copy of everything in `mutants`, with every function in all its forms."""
    for folder in Path().iterdir():
        if folder.is_dir():
            shutil.copytree(folder, Path("mutants") / folder, symlinks=True)
    mutmut.create_mutants(os.cpu_count() or 2)
    out.write_text(json.dumps([mutant for path in walk_mutatable_files() for mutant in mutants_of(path)]))


def sweep() -> None:
    """End what a mutant's tests have left: processes that lost their parent, and are now process 1's own."""
    assert os.getppid() == 1, "this is not run in a process namespace of its own"
    left = True
    while left:
        left = False
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                pid, (state, parent) = int(stat.parent.name), stat.read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if parent == "1" and pid != os.getpid() and state not in "ZX":
                os.kill(pid, signal.SIGKILL)
                left = True
        time.sleep(0.01 if left else 0)


def in_turn(tests: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Run tests one after the other, and return each when it has run."""
    for test, after in zip(tests, [*tests[1:], None]):
        test.ihook.pytest_runtest_protocol(item=test, nextitem=after)
        yield test


class Tests:
    """A plugin of pytest: all tests are collected once, and each mutant is tested in a fork, by the tests that reach its function."""

    def __init__(self, names: Sequence[str], results: Path, seconds: float) -> None:
        self.names, self.results = names, results
        self.end = time.monotonic() + seconds
        self.seconds: dict[pytest.Item, float] = {}
        self.reached: dict[str, set[pytest.Item]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.measure(session.items)
        if not session.testsfailed:
            whole = sum(self.seconds.values())
            self.results.with_name("seconds").write_text(f"{whole}")
            for name in self.names:
                if time.monotonic() > self.end - whole:
                    break
                self.write(name, self.tested(session, name) if self.tests_of(name) else NO_TESTS)
            # A full disk kills every mutant. So the tests have to pass after them as before.
            list(in_turn(session.items))
        return True

    def measure(self, tests: Sequence[pytest.Item]) -> None:
        """Run all tests without a mutant, and note of each how long it takes, and which functions it reaches."""
        reached: set[str] = set()
        # In this process alone: what the tests start runs the code as it is.
        trampoline.get_mutant_under_test = lambda: "stats"
        trampoline.record_trampoline_hit = lambda function, caller=None: reached.add(function)
        began = time.monotonic()
        for test in in_turn(tests):
            self.seconds[test] = time.monotonic() - began
            for function in reached:
                self.reached.setdefault(function, set()).add(test)
            reached.clear()
            began = time.monotonic()
        trampoline.get_mutant_under_test = GET

    def tests_of(self, name: str) -> list[pytest.Item]:
        """Return the tests that reach a mutant's function, the fast ones first."""
        return sorted(self.reached.get(name.partition("__mutmut_")[0], ()), key=lambda test: self.seconds[test])

    def estimate(self, name: str) -> float:
        """Return how many seconds all tests of a mutant take."""
        return sum(self.seconds[test] for test in self.tests_of(name))

    def tested(self, session: pytest.Session, name: str) -> int:
        """Test one mutant, and return the exit code of its tests."""
        child = os.fork()
        if not child:
            code = 3
            try:
                os.setpgid(0, 0)
                trampoline.set_mutant_under_test(name)
                code = int(any(session.testsfailed for _test in in_turn(self.tests_of(name))))
            finally:
                os._exit(code)
        end = time.monotonic() + config().timeout_multiplier * (self.estimate(name) + config().timeout_constant)
        ended, status = 0, 0
        while not ended and time.monotonic() < end:
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        sweep()
        return os.waitstatus_to_exitcode(status) if ended else TIMEOUT

    def write(self, name: str, code: int) -> None:
        """Write one result down, at once: the run tells how far it is from this file."""
        with self.results.open("a") as file:
            file.write(json.dumps([name, code]) + "\n")


def run(chosen: Path, results: Path, seconds: float) -> int:
    """Test these mutants in their order, for so many seconds; return 0 when the tests pass without a mutant, before and after."""
    names, settings, results = json.loads(chosen.read_text()), config(), results.resolve()
    print(f"{len(names)} mutants", flush=True)
    os.chdir("mutants")
    arguments = [
        *settings.pytest_add_cli_args_test_selection,
        *settings.pytest_add_cli_args,
        "--rootdir=.",
        "-q",
        "--tb=native",
    ]
    return int(pytest.main(arguments, plugins=[Tests(names, results, seconds)]))


def as_process_1(chosen: Path, results: Path, seconds: float) -> int:
    """Run, and reap what loses its parent meanwhile."""
    if os.getpid() != 1:
        sys.exit("tool.py run: only as process 1 of a namespace, since mutants end processes that are not theirs")
    child = os.fork()
    if not child:
        code = 1
        try:
            code = run(chosen, results, seconds)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        finally:
            sys.stdout.flush()
            os._exit(code)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    operators.register()
    if sys.argv[1] == "generate":
        generate(Path(sys.argv[2]))
    else:
        sys.exit(as_process_1(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])))
