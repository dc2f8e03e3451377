# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make mutants`: changes the code in one place after the other, and sees whether the fast tests notice.

On a copy of the files that git knows, under build/mutants; nothing else is written but the page that TABLE or FULL=1 asks for.
"""

from __future__ import annotations

import contextlib
import fcntl
import fnmatch
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from judge import Mutant, complaints, equivalents, rows, sample, survivors
from mutants_page import page, told

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(HERE.parent / "tools"))

import tracked  # noqa: E402

COLLECTION = Path("ansible_collections/phased/keys")
BUILD = ROOT / "build" / "mutants"
# How much of each file a run without FULL=1 takes, and how long it may: where others work too, it gets less far (MINUTES=60).
SHARE = 0.25
MINUTES = 20.0
WORKERS = 2

FOLDERS = ("tests/unit/rules", "tests/unit/host")
# Tests of the plugins that start no playbook. Whoever adds a file of such tests adds it here.
MORE = ("tests/unit/plugins/test_evidence.py", "tests/unit/plugins/test_forks.py")


class Plan(NamedTuple):
    """What is mutated, and by which tests it is held.

    `inside` is the folder below a worker's that paths begin in. A mutant's tests may take three times as long as without it, and
    three times `patience` (seconds) for their start.
    """

    build: Path
    inside: Path
    sources: Sequence[str]
    tests: Sequence[str]
    pytest: Sequence[str] = ()
    patience: float = 3.0


PLAN = Plan(
    BUILD, COLLECTION, ("plugins/module_utils", "plugins/plugin_utils", "plugins/action"), (*MORE, *FOLDERS),
    # They read the source that mutmut has written instead of running it.
    ("-m", "not slow and not hosts", *(
        f"--deselect={COLLECTION}/tests/unit/rules/{name}" for name in ("test_purity.py", "test_errors.py")
    )),
)  # fmt: skip


class Broken(Exception):
    """The run itself did not work; nothing is known of the mutants."""


def settings(plan: Plan, folder: Path) -> str:
    """Return mutmut's settings for one worker. Hypothesis tries the same in every mutant."""
    pytest = [
        "--hypothesis-seed=0",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(folder / "tmp" / "pytest"),
        *plan.pytest,
    ]
    return "[tool.mutmut]\n" + "".join(
        f"{name} = {json.dumps(value)}\n"
        for name, value in {
            "source_paths": [str(plan.inside / source) for source in plan.sources],
            "pytest_add_cli_args_test_selection": [str(plan.inside / test) for test in plan.tests],
            "pytest_add_cli_args": pytest,
            "timeout_multiplier": 3.0,
            "timeout_constant": plan.patience,
            "use_setproctitle": False,
            "track_dependencies": False,
            "use_git_change_detection": False,
        }.items()
    )


def environment(plan: Plan, folder: Path) -> dict[str, str]:
    """Return the environment of a worker: everything that it writes lies in its folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    # Ours is not among them: code that was not mutated must not be found.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANSIBLE_"))}
    return {
        **kept, "HOME": str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(folder / "mutants"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "tmp" / "hypothesis"), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_HOME": str(folder / "tmp"),
    }  # fmt: skip


def generate(plan: Plan) -> list[Mutant]:
    """Make every mutant, in the folder of the first worker."""
    folder = plan.build / "0"
    (folder / "pyproject.toml").write_text(settings(plan, folder))
    log = plan.build / "generate.log"
    with log.open("w") as out:
        made = subprocess.run(
            [sys.executable, HERE / "tool.py", "generate", plan.build / "mutants.json"],
            cwd=folder, env=environment(plan, folder), stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
        )  # fmt: skip
    if made.returncode:
        raise Broken(f"mutmut could not make the mutants:\n{log.read_text()[-3000:]}")
    inside = f"{plan.inside}/"
    return [
        Mutant(**{**one, "file": one["file"].removeprefix(inside)})
        for one in json.loads((plan.build / "mutants.json").read_text())
    ]


def namespace(folder: Path) -> list[str]:
    """Return the command before a worker's: as process 1 of its own, with one folder that it can write to, and gone with this one."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    space = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *user, *space, "sh", str(HERE / "namespace.sh"), str(folder)]


@contextlib.contextmanager
def started(plan: Plan, chosen: Sequence[Mutant], seconds: float) -> Iterator[list[subprocess.Popen]]:
    """Start the workers, each with its part of what was chosen, and so many seconds; end them whatever happens."""
    workers: list[subprocess.Popen] = []
    try:
        for number in range(WORKERS):
            folder = plan.build / str(number)
            if number:
                shutil.copytree(plan.build / "0", folder, symlinks=True)
                (folder / "pyproject.toml").write_text(settings(plan, folder))
            (folder / "chosen.json").write_text(json.dumps([mutant.name for mutant in chosen[number::WORKERS]]))
        for number in range(WORKERS):
            folder = plan.build / str(number)
            tool = [sys.executable, HERE / "tool.py", "run", folder / "chosen.json", folder / "results", str(seconds)]
            with (plan.build / f"{number}.log").open("w") as log:
                workers.append(
                    subprocess.Popen(
                        [*namespace(folder), *tool], cwd=folder, env=environment(plan, folder),
                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    )
                )  # fmt: skip
        yield workers
    finally:
        for worker in workers:
            worker.kill()  # and with it its namespace
            worker.wait()


def results(plan: Plan) -> dict[str, int]:
    """Return the exit codes that are known so far, by mutmut's name of the mutant."""
    codes = {}
    for number in range(WORKERS):
        path = plan.build / str(number) / "results"
        if path.exists():
            codes.update(map(json.loads, path.read_text().splitlines()))
    return codes


def tested(plan: Plan, chosen: Sequence[Mutant], seconds: float = math.inf) -> dict[str, int]:
    """Test the chosen mutants in their order, and return the exit codes of those that were tested in so many seconds."""
    began = said = time.monotonic()
    with started(plan, chosen, seconds) as workers:
        while any(worker.poll() is None for worker in workers):
            time.sleep(0.5)
            for number, worker in enumerate(workers):
                if worker.poll():
                    log = (plan.build / f"{number}.log").read_text()[-6000:].replace("\r", "\n")
                    raise Broken(
                        f"{log}\nworker {number} ended with {worker.returncode}: see build/mutants/{number}.log"
                    )
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"mutants: {len(results(plan))} of {len(chosen)} after {said - began:.0f} s", flush=True)
    codes = results(plan)
    if seconds == math.inf and (left := [mutant.name for mutant in chosen if mutant.name not in codes]):
        raise Broken(f"{len(left)} mutants were not tested, {left[0]} among them")
    return codes


def clean_seconds(plan: Plan) -> float:
    """Return how long the tests take without a mutant."""
    return float((plan.build / "0" / "seconds").read_text())


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> int:
    """Run; 0 when all is as it has to be."""
    full = os.environ.get("FULL") == "1"
    only = os.environ.get("ONLY")
    head = commit()
    seed = os.environ.get("SEED") or head[:12]
    table = os.environ.get("TABLE") or ("docs/mutants.md" if full and not only else "build/mutants/mutants.md")
    minutes = float(os.environ.get("MINUTES") or MINUTES)
    began = time.monotonic()
    BUILD.parent.mkdir(exist_ok=True)
    lock = BUILD.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("mutants: another run is at work in build/mutants")
        return 2
    if BUILD.exists():
        shutil.rmtree(BUILD)
    tracked.copy(ROOT, BUILD / "0" / COLLECTION)
    same = equivalents(yaml.safe_load((HERE / "equivalent.yml").read_text()))
    try:
        mutants = generate(PLAN)
        asked = [mutant for mutant in mutants if fnmatch.fnmatch(mutant.file, only or "*")]
        chosen = asked if full else sample(asked, SHARE, seed)
        print(
            f"mutants: {len(chosen)} of {len(mutants)}"
            + ("" if full else f", chosen by SEED={seed}; FULL=1 tests all"),
            flush=True,
        )
        codes = tested(PLAN, chosen, math.inf if full else 60 * minutes - (time.monotonic() - began))
    except Broken as error:
        print(f"mutants: {error}")
        return 2
    counted = rows(mutants, codes, same)
    how = ("FULL=1" if full else f"SEED={seed}" + f" MINUTES={minutes:g}" * (minutes != MINUTES)) + (
        f" ONLY='{only}'" if only else ""
    )
    text = page(
        counted, commit=head[:12], how=how, seed=None if full else seed, minutes=minutes, equivalent=len(same), tests=len(MORE),
        seconds=clean_seconds(PLAN),
    )  # fmt: skip
    (ROOT / table).write_text(text)
    left = survivors(mutants, codes, same)
    (BUILD / "survivors.txt").write_text(told(left, codes))
    for one in counted:
        if not one.where.endswith(".py"):
            print(f"mutants: {one.where}: {one.score:.1f} % of {one.tested - one.equivalent} caught")
    print(
        f"mutants: {table} has the table, build/mutants/survivors.txt the {len(left)} survivors; {time.monotonic() - began:.0f} s"
    )
    wrong = complaints(mutants, codes, same)
    for sentence in wrong:
        print(f"mutants: FAILED: {sentence}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
