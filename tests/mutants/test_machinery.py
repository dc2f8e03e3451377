# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machinery itself, on a tiny package; `make mutants` runs this first."""

from __future__ import annotations

import time
from pathlib import Path

import libcst as cst
import operators
import pytest
import run
from judge import NO_TESTS, TOO_LONG, Mutant
from mutmut.mutation import mutators

CODE = """\
import subprocess
import sys


def larger(a, b):
    return a if a > b else b


def unseen(a):
    return a + 1


def counted(least):
    n = 0
    while n < least:
        n += 1
    return n


def started_and_ended(code):
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    child.kill()
    child.wait()
    return True


def weak(a):
    return a + 1


def remove(path):
    try:
        path.write_text("gone")
    except OSError:
        return False
    return True
"""

CHECKS = """\
import time
from pathlib import Path

from tiny.code import sums


def test_larger():
    assert (sums.larger(1, 2), sums.larger(2, 1)) == (2, 2)


def test_weak():
    assert sums.weak(1)


def test_counted():
    assert sums.counted(2) == 2


def test_started_and_ended():
    assert sums.started_and_ended("import time; time.sleep(600)")


def test_nothing_of_the_mutant_before_runs():
    assert sums.weak(1)
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        assert b"time.sleep(600" not in cmdline.read_bytes(), cmdline


def test_remove():
    assert sums.remove(Path(OUTSIDE)) is False
"""


@pytest.fixture
def plan(tmp_path: Path) -> run.Plan:
    """The tiny package and its tests, laid out as the collection is; one of them writes to a file outside of the run's folder."""
    outside = tmp_path / "outside"
    outside.write_text("here")
    for name, text in {
        "code/sums.py": CODE,
        "checks/test_sums.py": CHECKS.replace("OUTSIDE", repr(str(outside))),
    }.items():
        path = tmp_path / "build" / "0" / "tiny" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return run.Plan(tmp_path / "build", Path("tiny"), ("code",), ("checks",), patience=0.5)


def all_tested(plan: run.Plan) -> tuple[list[Mutant], dict[str, int]]:
    mutants = run.generate(plan)
    return mutants, run.tested(plan, mutants)


def test_a_tiny_package(plan: run.Plan) -> None:
    mutants, codes = all_tested(plan)
    assert {mutant.file for mutant in mutants} == {"code/sums.py"}
    code = {mutant.content[1:]: codes[mutant.name] for mutant in mutants}

    # A test that looks closely catches all, but for what is the same.
    larger = {content: code for content, code in code.items() if content[0] == "larger"}
    assert larger.pop(("larger", "return a if a > b else b", "return a if a >= b else b", 1)) == 0
    assert set(larger.values()) == {1} and len(larger) == 2, larger
    # One that does not misses what it does not look at ...
    assert code["weak", "return a + 1", "return a + 2", 1] == 0
    assert code["weak", "return a + 1", "return a - 1", 1] == 1
    # ... and what no test reaches is not caught.
    assert {number for content, number in code.items() if content[0] == "unseen"} <= NO_TESTS
    # A mutant that would run for ever is ended.
    assert code["counted", "n += 1", "n = 1", 1] in TOO_LONG
    # Nor does the next one meet what it has started: `weak` comes later, and looks for it.
    assert code["started_and_ended", "child.kill()", "pass", 1] in TOO_LONG
    # Nothing is written outside of the run's folder, and no process outlives the run.
    assert (plan.build.parent / "outside").read_text() == "here"
    assert not running("time.sleep(600")
    # What ran is a copy: the files are as they were.
    assert (plan.build / "0" / "tiny" / "code" / "sums.py").read_text() == CODE


def running(what: str) -> list[str]:
    """The processes of this machine with this in their command; those that are ending have a few seconds for it."""
    end = time.monotonic() + 5
    while True:
        found = [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if what.encode() in read(path)]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.05)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_tests_that_fail_without_a_mutant_say_nothing_of_any(plan: run.Plan) -> None:
    checks = plan.build / "0" / "tiny" / "checks" / "test_sums.py"
    checks.write_text(checks.read_text().replace("(2, 2)", "(2, 1)"))
    with pytest.raises(run.Broken, match="test_larger"):
        all_tested(plan)


def test_tests_that_fail_after_the_mutants_say_nothing_of_any(plan: run.Plan) -> None:
    """A disk that is full from the third run on kills every mutant after it."""
    checks = plan.build / "0" / "tiny" / "checks" / "test_sums.py"
    runs = "RUNS = Path(__file__).with_name('runs')\n"
    full = "def test_full():\n    with RUNS.open('a') as file:\n        file.write('x')\n    assert len(RUNS.read_text()) < 3 and sums.weak(1)\n"
    checks.write_text(f"{checks.read_text()}\n\n{runs}\n\n{full}")
    with pytest.raises(run.Broken, match="test_full"):
        all_tested(plan)


def test_only_what_was_chosen_is_tested(plan: run.Plan) -> None:
    mutants = run.generate(plan)
    chosen = [mutant for mutant in mutants if mutant.function == "larger"]
    assert set(run.tested(plan, chosen)) == {mutant.name for mutant in chosen}


def test_a_run_that_has_no_time_left_tests_no_more_and_says_so_by_what_it_returns(plan: run.Plan) -> None:
    mutants = run.generate(plan)
    assert run.tested(plan, mutants, 0.0) == {}


def test_a_run_that_is_killed_leaves_nothing(plan: run.Plan) -> None:
    (plan.build / "0" / "tiny" / "checks" / "test_slow.py").write_text(
        "import time\n\n\ndef test_slow():\n    time.sleep(600)\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(run.HERE)!r}); import run; from pathlib import Path\n"
        f"plan = run.Plan(Path({str(plan.build)!r}), Path('tiny'), ('code',), ('checks',))\n"
        "mutants = run.generate(plan); run.tested(plan, mutants)\n"
    )
    with run.subprocess.Popen([run.sys.executable, "-c", code]) as child:
        log, end = plan.build / "1.log", time.monotonic() + 60
        while not (log.exists() and log.stat().st_size) and time.monotonic() < end:
            time.sleep(0.1)
        child.kill()
    assert log.stat().st_size, "the workers never began"
    assert not running(str(plan.build))


def test_a_mutant_is_the_same_wherever_its_function_stands(plan: run.Plan) -> None:
    before = {mutant.content for mutant in run.generate(plan)}
    code = plan.build / "0" / "tiny" / "code" / "sums.py"
    code.write_text(code.read_text().replace("def larger", "def first(a):\n    return a * 2\n\n\ndef larger"))
    run.shutil.rmtree(plan.build / "0" / "mutants")
    after = {mutant.content for mutant in run.generate(plan)}
    assert before < after
    assert {content[1] for content in after - before} == {"first"}


def test_a_worker_runs_in_a_namespace_or_not_at_all(tmp_path: Path) -> None:
    """Mutants send signals to processes that they take for their own."""
    (tmp_path / "pyproject.toml").write_text(run.settings(run.PLAN, tmp_path))
    done = run.subprocess.run(
        [run.sys.executable, run.HERE / "tool.py", "run", "chosen", "results", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode and "only as process 1 of a namespace" in done.stderr


def of(code: str) -> set[str]:
    """What our own operators make of a function's body."""
    tree = cst.parse_module(code)
    ours = [(kind, operator) for kind, operator in operators.OPERATORS if operator.__module__ == "operators"]
    made = set()

    class Visitor(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            for kind, operator in ours:
                if isinstance(node, kind):
                    made.update(tree.deep_replace(node, new).code for new in operator(node))
            return True

    tree.visit(Visitor())
    return made


@pytest.mark.parametrize(
    ("code", "made"),
    [
        ("x = a and b\n", {"x = (a)\n", "x = (b)\n"}),
        ("if a:\n    b = c\n", {"if not a:\n    b = c\n"}),
        ("if isinstance(a, b):\n    b = c\n", {"if not isinstance(a, b):\n    b = c\n"}),
        ("if a == b:\n    b = c\n", set()),
        ("x = [a for a in b if c if d]\n", {"x = [a for a in b if d]\n", "x = [a for a in b if c]\n"}),
        ("a(b)\n", {"pass\n"}),
        ("raise a\n", {"pass\n"}),
        ("with lock:\n    b = c\n", {"if True:\n    b = c\n"}),
        ("with lock as a:\n    b = c\n", set()),
        ("x = min(a, b)\n", {"x = max(a, b)\n"}),
        ("x = any(a)\n", {"x = all(a)\n"}),
        ("x = [*a, b, *c]\n", {"x = [b, *c]\n", "x = [*a, b, ]\n"}),
        ("x = {**a, b: c}\n", {"x = {b: c}\n"}),
        ("x = 'word'\n", {"x = 'XXwordXX'\n"}),
        ("x = 'a sentence'\n", set()),
    ],
)  # fmt: skip
def test_our_own_operators(code: str, made: set[str]) -> None:
    assert of(code) == made


def test_mutmuts_own_operators_are_all_there_but_for_its_strings() -> None:
    names = {operator.__name__ for _kind, operator in operators.OPERATORS}
    assert {operator.__name__ for _kind, operator in mutators.mutation_operators} - names <= {"operator_string"}
