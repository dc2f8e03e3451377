# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that knows mutmut: run in a folder of its own that has the collection and mutmut's settings.

`tool.py generate OUT` makes every mutant, and writes what each is. `tool.py run SKIP RESULTS` tests those that are not in SKIP, one after
the other, as process 1 of its own process namespace: mutants are started as root and send signals to processes that they
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
from pathlib import Path
from typing import Any

import mutmut.__main__ as mutmut
import operators
from mutmut.mutation.data import MutantLineSpans, SourceFileMutationData
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.workers import isolation

# mutmut's own exit codes: of a mutant that it passes over, and of one that no test reaches, for which it starts nothing.
LEFT_OUT, NO_TESTS = 34, 33


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


def leave_out(names: set[str]) -> None:
    """Mark mutants as passed over."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        data.exit_code_by_key = {name: LEFT_OUT if name in names else None for name in data.exit_code_by_key}
        data.save()


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


def write(results: Path, name: str, code: int | None, seconds: float) -> None:
    """Write one result down, at once: the run tells how far it is from this file."""
    with results.open("a") as file:
        file.write(json.dumps([name, code, round(seconds, 3)]) + "\n")


class Runner(isolation.ForkRunner):
    """mutmut's runner, with each result written down at once, and nothing left behind by the mutant before."""

    results: Path

    def wait_for_result(self, timeout: float | None = None) -> isolation.MutantResult:
        result = super().wait_for_result(timeout)
        sweep()
        write(self.results, result.mutant_name, result.exit_code, result.duration)
        return result

    def clean(self) -> int:
        return int(self.test_runner.run_tests(mutant_name=None, tests=[]))


def run(skip: Path, results: Path) -> int:
    """Test what is not in `skip`; return 0 when all of it was tested, and the tests still pass without a mutant."""
    leave_out(set(json.loads(skip.read_text())))
    Runner.results = results
    runners = []

    def runner(max_workers: int = 1) -> Runner:
        runners.append(Runner(max_workers, isolation.PytestRunner(), debug=False))
        return runners[-1]

    mutmut.get_mutant_runner = runner
    mutmut._run((), 1)
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if code == NO_TESTS:
                write(results, name, code, 0.0)
    # A full disk kills every mutant. So the tests have to pass after them as before.
    mutmut.set_mutant_under_test("")
    return runners[-1].clean()


def as_process_1(skip: Path, results: Path) -> int:
    """Run, and reap what loses its parent meanwhile."""
    if os.getpid() != 1:
        sys.exit("tool.py run: only as process 1 of a namespace, since mutants end processes that are not theirs")
    child = os.fork()
    if not child:
        code = 1
        try:
            code = run(skip, results)
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
        sys.exit(as_process_1(Path(sys.argv[2]), Path(sys.argv[3])))
