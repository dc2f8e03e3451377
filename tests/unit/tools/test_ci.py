# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`.ci/run` with a `make` that only says what it was asked for: what runs, what is left out, and that no failure passes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
LINT = "-j2 --output-sync=target lint"
MATRIX = ["matrix CORES=2.16", "matrix CORES=2.22"]
SHARED = ["bench-scale SMALL=1", "cores", "workloads", "browser", "bench-small", "containers"]
REAL = ["hosts", "faults SHARE={}", "molecule-hosts SHARE={}"]


def always(slow: str) -> list[str]:
    """What every run has, of the slow tests this share."""
    return ["test", "model", f"slow SHARE={slow}", LINT, "docs", "demo", "hostile"]


FIRST = [*always("1/2"), MATRIX[0], SHARED[0]]  # what share 1/8 has but for real hosts


class Ran(NamedTuple):
    code: int
    made: list[str]
    said: str

    @property
    def left_out(self) -> list[str]:
        return re.findall(r"^######## LEFT OUT: (.*)$", self.said, re.MULTILINE)


class Place:
    """A checkout with .ci/run alone, and commands that do nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (".ci/run", "tests/tools/share.py", "tests/tools/pythons.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        self.command("bin/make", f'echo "$@" >>"{folder}/made"; [[ "$*" != "${{FAILS:-}}" ]]')
        self.command("bin/unshare", "exit ${NO_NAMESPACES:-0}")
        self.command(".venv/bin/python", "[[ $1 != *with_cluster* ]] || exit ${CLUSTER:-0}; exit ${READY:-0}")
        (folder / "tests/tools/debian.py").write_text("import os, sys\nsys.exit(int(os.environ.get(sys.argv[1], 0)))\n")
        for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "x"]):
            subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *arguments], cwd=folder, check=True)

    def command(self, name: str, code: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{code}\n")
        path.chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> Ran:
        """As it is run before anything lands: hardly any environment, and no standard input."""
        made = self.folder / "made"
        made.write_text("")
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", ".ci/run", *arguments], cwd=self.folder, env={"PATH": path, "CI": "true", "PYTHON": sys.executable, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return Ran(done.returncode, made.read_text().splitlines(), done.stdout)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def real(share: str) -> list[str]:
    return [stage.format(share) for stage in REAL]


@pytest.mark.parametrize("which", range(8))
def test_a_share_of_what_takes_longest_and_all_of_the_rest(place: Place, which: int) -> None:
    share, matrix, bench = f"{which + 1}/8", MATRIX[which % 2], SHARED[which % 6]
    ran = place.run(SHARE=share)
    assert ran.code == 0
    slow = f"{which % 2 + 1}/2"
    assert ran.made == [*always(slow), matrix, bench, *real(share)]
    assert ran.left_out == [
        *[f"make {stage}: in another share" for stage in MATRIX if stage != matrix],
        "make sanity-newest: sanity with the newest ansible-core",
        *[f"make {stage}: in another share" for stage in SHARED if stage != bench],
        f"make slow: all but share {slow}",
        "make mutants: takes 20 minutes",
        "make stores: keyrings on real servers",
        "make readers: env files in every language, and Rails",
        "make kubernetes: a real cluster",
        f"make faults, make molecule-hosts: all but share {share}",
    ]


def test_the_commit_chooses_the_share_and_it_is_said(place: Place) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=place.folder, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    share = f"{int(head[:12], 16) % 8 + 1}/8"
    ran = place.run()
    assert ran.made[-3:] == real(share)
    assert f"######## share {share} of what takes longest: all of it is `make everything`" in ran.said


def test_everything_leaves_nothing_out(place: Place) -> None:
    ran = place.run("everything", SHARE="2/8")
    assert (ran.code, ran.left_out) == (0, [])
    assert ran.made == [
        *always("1/1"),
        "matrix",
        "sanity-newest",
        "mutants",
        *SHARED,
        "stores",
        "readers",
        "kubernetes",
        "molecule-kubernetes",
        *real("1/1"),
    ]


@pytest.mark.parametrize("failing", [*FIRST, *real("1/8")])
def test_a_stage_that_fails_is_the_last(place: Place, failing: str) -> None:
    ran = place.run(SHARE="1/8", FAILS=failing)
    assert ran.code != 0
    assert ran.made[-1] == failing
    assert "all stages" not in ran.said


def test_mutants_that_fail_fail_everything(place: Place) -> None:
    assert place.run("everything", FAILS="mutants").code != 0


def test_a_machine_that_cannot_have_real_hosts_is_told_and_is_not_everything(place: Place) -> None:
    ran = place.run(SHARE="1/8", READY="3")
    assert ran.code == 0
    assert ran.made == FIRST
    assert "make test-hosts, make containers, make molecule-hosts: this machine cannot have real hosts" in ran.left_out
    assert place.run("everything", READY="3").code != 0
    # Anything else is a fault, and none of the machine's.
    assert place.run(SHARE="1/8", READY="1").code == 1


def test_a_machine_that_cannot_have_a_cluster_is_not_everything(place: Place) -> None:
    ran = place.run("everything", CLUSTER="3")
    assert ran.code != 0 and "kubernetes" not in ran.made
    assert "CANNOT RUN HERE: make kubernetes: this machine cannot have a cluster" in ran.said


def test_a_machine_without_the_newest_python_is_told_and_is_not_everything(place: Place) -> None:
    (place.folder / "tests/tools/pythons.py").write_text("raise SystemExit(3)")
    ran = place.run(SHARE="1/8")
    assert ran.code == 0 and not any(made.startswith("matrix") for made in ran.made)
    assert "make matrix: no Python for the newest ansible-core is here" in ran.left_out
    assert place.run("everything").code != 0


def test_a_machine_without_a_browser_is_told_and_is_not_everything(place: Place) -> None:
    ran = place.run(SHARE="1/8", chromium="3")
    assert ran.code == 0
    assert ran.made == [*FIRST, *real("1/8")]
    assert "make browser: there is no chromium, and it cannot be installed here" in ran.left_out
    assert place.run("everything", chromium="3").code != 0
    assert place.run(SHARE="1/8", chromium="1").code == 1


def test_a_machine_without_promtool_is_told_and_is_not_everything(place: Place) -> None:
    ran = place.run(SHARE="1/8", promtool="3")
    assert ran.code == 0 and ran.made == [*FIRST, *real("1/8")]
    assert "what promtool says of the alerts: there is none, and it cannot be got here" in ran.left_out
    assert place.run("everything", promtool="3").code != 0
    assert place.run(SHARE="1/8", promtool="1").code == 1


def test_a_machine_without_namespaces_is_told_and_is_not_everything(place: Place) -> None:
    ran = place.run(SHARE="4/8", NO_NAMESPACES="1")
    assert ran.code == 0
    assert ran.made == [*always("2/2"), MATRIX[1], "browser", *real("4/8")]
    assert "make bench-small, make mutants: no namespaces can be made here" in ran.left_out
    assert place.run("everything", NO_NAMESPACES="1").code != 0


@pytest.mark.parametrize("share", ["9/8", "0/8", "x"])
def test_a_wrong_share_is_no_run_that_passes(place: Place, share: str) -> None:
    assert place.run(SHARE=share).code != 0


def test_an_argument_that_it_does_not_know(place: Place) -> None:
    assert place.run("all").code == 2
