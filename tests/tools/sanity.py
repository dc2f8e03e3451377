# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ``ansible-test sanity`` on a throw-away copy of the files that git knows.

ansible-test wants the collection under ``ansible_collections/phased/keys``,
keeps its environments under ``~/.ansible/test`` and downloads a pip of its own
from a place that is not the package index. So it gets a copy, a home inside
the checkout, and that pip from the package index. Nothing is skipped and there
are no ignore files: both are checked here.

Run it through ``make lint``; arguments go to ``ansible-test sanity``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import tracked

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "sanity"
COPY = BUILD / "ansible_collections" / "phased" / "keys"
# Kept between runs, since building the environments takes longer than the tests.
HOME = ROOT / ".cache" / "ansible-test"
PIP_PIN = ROOT / "requirements" / "ansible-test.txt"

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

# How ansible-test says, with exit code 0, that it did not run something.
LEFT_OUT = re.compile(r"Skipping|Required program .* not found")
OTHER_PYTHON = re.compile(r"Skipping sanity test .* on Python \S+ because it could not be found")


def copy_tracked_files() -> None:
    """Lay the files that git tracks, or would track, out as ansible-test wants them."""
    shutil.rmtree(BUILD, ignore_errors=True)
    tracked.copy(ROOT, COPY)
    # A repository of its own, so that ansible-test does not take the checkout's.
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    subprocess.run(["git", "add", "--all"], cwd=COPY, check=True)


def refuse_ignores() -> None:
    """Fail if somebody brought a list of ignored findings along."""
    ignores = sorted((COPY / "tests" / "sanity").glob("ignore*.txt"))
    if ignores:
        sys.exit(f"sanity: no findings are ignored here, so remove {', '.join(path.name for path in ignores)}")


def provide_pip() -> None:
    """Put the pip that ansible-test wants where it looks for it."""
    version = re.search(r"^pip==(\S+)$", PIP_PIN.read_text(), re.MULTILINE)
    assert version, f"no pip in {PIP_PIN}"
    wheels = HOME / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels, "-r", PIP_PIN], check=True
    )
    wheel = next(wheels.glob(f"pip-{version[1]}-*.whl"))
    script = HOME / ".ansible" / "test" / "cache" / f"get_pip_{version[1].replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP.format(wheel=str(wheel)))


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


def main() -> int:
    """Run the sanity tests."""
    copy_tracked_files()
    refuse_ignores()
    provide_pip()
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env.update(HOME=str(HOME), PATH=os.pathsep.join(real_interpreters()))
    command = [str(Path(sys.executable).with_name("ansible-test")), "sanity", "--local", "--color", "no", *sys.argv[1:]]
    run = subprocess.Popen(command, cwd=COPY, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.stdout
    left_out: dict[str, None] = {}  # in order, and once: ansible-test repeats its warnings at the end
    for line in run.stdout:
        print(line, end="", flush=True)
        if LEFT_OUT.search(line):
            left_out[line.strip()] = None
    failed = run.wait() != 0
    for line in left_out:
        # A machine need not have every Python; anything else that is missing is a failure.
        needed = not OTHER_PYTHON.search(line)
        failed = failed or needed
        print(f"sanity: {'MISSING' if needed else 'not on this machine'}: {line}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
