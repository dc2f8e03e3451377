# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ``ansible-test sanity`` on a throw-away copy of the files that git knows.

ansible-test wants the collection under ``ansible_collections/phased/keys``,
keeps its environments under ``~/.ansible/test`` and downloads a pip of its own,
and newer ones a package of pylint's, from places that are not the package index.
So it gets a copy, a home inside the checkout, and these from the package index.
Nothing is skipped and there are no ignore files: both are checked here.

Run it through ``make lint``; arguments go to ``ansible-test sanity``. With the Python
of ``.venv-2.22`` it is that of ansible-core 2.22: ``make sanity-2.22``.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Callable

import tracked

ROOT = Path(__file__).resolve().parents[2]
# "-2.22" in the environment of that ansible-core; nothing in the checkout's own.
WHICH = Path(sys.prefix).name.removeprefix(".venv")
BUILD = ROOT / "build" / f"sanity{WHICH}"
COLLECTION = Path("ansible_collections/phased/keys")
# Side by side, for each keeps hardly more than one core busy: these two take about as long as all others, and each is whole.
HALVES = (("--test", "import", "--test", "compile"), ("--skip-test", "import", "--skip-test", "compile"))
Lines = Callable[[str], object]  # what takes the lines that are printed
# Kept between runs, since building the environments takes longer than the tests.
HOME = ROOT / ".cache" / f"ansible-test{WHICH}"
PIP_PIN = ROOT / "requirements" / f"ansible-test{WHICH}.txt"

# What ansible-test runs in place of get-pip.py: the wheel knows how to install itself.
GET_PIP = """\
import runpy
import sys

wheel = {wheel!r}
sys.path.insert(0, wheel)
packages = [wheel if argument.startswith("pip==") else argument
            for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--no-index", *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""

# A package in a list of ansible-test's that comes from a URL.
FROM_ELSEWHERE = re.compile(r"^(\w+) @ (?:https|file)://\S+$", re.MULTILINE)

# How ansible-test says, with exit code 0, that it did not run something.
LEFT_OUT = re.compile(r"Skipping|Required program .* not found")
OTHER_PYTHON = re.compile(r"Skipping sanity test .* on Python \S+ because it could not be found")


def copy_tracked_files(copy: Path) -> None:
    """Lay the files that git tracks, or would track, out as ansible-test wants them."""
    tracked.copy(ROOT, copy)
    # A repository of its own, so that ansible-test does not take the checkout's.
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)


def refuse_ignores() -> None:
    """Fail if somebody brought a list of ignored findings along."""
    ignores = sorted((ROOT / "tests" / "sanity").glob("ignore*.txt"))
    if ignores:
        sys.exit(f"sanity: no findings are ignored here, so remove {', '.join(path.name for path in ignores)}")


def provide_packages() -> None:
    """Put the pip that ansible-test wants where it looks for it, and the packages that it takes from elsewhere into its lists."""
    version = re.search(r"^pip==(\S+)", PIP_PIN.read_text(), re.MULTILINE)
    assert version, f"no pip in {PIP_PIN}"
    wheels = HOME / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels, "-r", PIP_PIN], check=True
    )
    wheel = next(wheels.glob(f"pip-{version[1]}-*.whl"))
    script = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP.format(wheel=str(wheel)))
    own = importlib.util.find_spec("ansible_test")
    assert own and own.submodule_search_locations, "no ansible-test beside this Python"
    for place in own.submodule_search_locations:
        for path in Path(place, "_data", "requirements").glob("*.txt"):
            path.write_text(
                FROM_ELSEWHERE.sub(lambda found: f"{found[1]} @ {from_index(wheels, found[1])}", path.read_text())
            )


def from_index(wheels: Path, name: str) -> str:
    """Return the URL of the package of this name that was downloaded."""
    found = next(wheels.glob(f"{name}-*.whl"), None)
    assert found, f"ansible-test takes {name} from elsewhere: pin a release of it in {PIP_PIN.relative_to(ROOT)}"
    return found.as_uri()


def real_interpreters() -> list[str]:
    """Return PATH with real interpreters only.

    pyenv's shims look like every Python version and then refuse to run. Where
    they are found, the versions behind them take their place.
    """
    path: list[str] = [str(Path(sys.executable).parent), str(Path(sys.base_prefix) / "bin")]
    for folder in os.environ["PATH"].split(os.pathsep):
        if Path(folder).name == "shims":
            path += sorted(str(bin_) for bin_ in Path(folder).parent.glob("versions/3.*/bin"))
        else:
            path.append(folder)
    return list(dict.fromkeys(path))


def run(copy: Path, arguments: Sequence[str], lines: Lines) -> bool:
    """Run sanity tests; return whether they passed, with nothing left out that need not be."""
    copy_tracked_files(copy)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env.update(HOME=str(HOME), PATH=os.pathsep.join(real_interpreters()))
    command = [str(Path(sys.executable).with_name("ansible-test")), "sanity", "--local", "--color", "no", *arguments]
    process = subprocess.Popen(command, cwd=copy, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    left_out: dict[str, None] = {}  # in order, and once: ansible-test repeats its warnings at the end
    for line in process.stdout:
        lines(line.rstrip("\n"))
        if LEFT_OUT.search(line):
            left_out[line.strip()] = None
    passed = process.wait() == 0
    for line in left_out:
        # A machine need not have every Python; anything else that is missing is a failure.
        needed = not OTHER_PYTHON.search(line)
        passed = passed and not needed
        lines(f"sanity: {'MISSING' if needed else 'not on this machine'}: {line}")
    return passed


def main() -> int:
    """Run the sanity tests: those that are named, or all of them in two halves."""
    refuse_ignores()
    provide_packages()
    shutil.rmtree(BUILD, ignore_errors=True)
    if sys.argv[1:]:
        return int(not run(BUILD / COLLECTION, sys.argv[1:], partial(print, flush=True)))
    said: list[list[str]] = [[], []]
    with ThreadPoolExecutor(len(HALVES)) as pool:
        halves = [
            pool.submit(run, BUILD / str(number) / COLLECTION, half, said[number].append)
            for number, half in enumerate(HALVES)
        ]
        passed = []
        for half, lines in zip(halves, said):
            passed.append(half.result())
            print(*lines, sep="\n", flush=True)
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
