# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tests/versions with one ansible-core after the other, and write what passed as a table.

    python tests/tools/matrix.py [--table docs/versions.md] 2.16 2.22

Each has the environment `.venv-2.16` and so on, which make brings up. Ends with 1 where anything failed, and with 3 where a version
cannot be tried on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pythons

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 900  # seconds for the tests of one ansible-core
REFUSED = "refused"

PAGE = """<!--
SPDX-FileCopyrightText: The phased.keys contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Versions

Written by `make matrix TABLE=docs/versions.md`.
With each ansible-core a key was rolled from `adopt` to the end of `retire`, over a fleet with one
host for each of these Pythons.
A rollout was refused for a host that was down, and taken back; a deploy ran; and hosts with
{old} were told that they are too old.
Hosts need nothing but Python: the collection brings its own code and asks no module of Ansible's
there, so that it makes no difference which Pythons ansible-core itself supports on hosts.

| ansible-core | on Python | {heads} |
| --- | --- | {rules} |
{rows}

An older ansible-core says in one sentence that it is too old, and nothing is changed.
"""


class Row(NamedTuple):
    """What came of one ansible-core: its version, the controller's Python, and what passed: hosts, or that it refuses."""

    core: str
    python: str
    passed: list[str]


def tried(core: str) -> Row | None:
    """Run the tests with this ansible-core; None if any of them failed."""
    subprocess.run(["make", "--no-print-directory", f".venv-{core}/.made"], cwd=CHECKOUT, check=True)
    place = CHECKOUT / "build" / f"versions-{core}.jsonl"
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    folder = CHECKOUT / f".venv-{core}" / "bin"
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "PHASED_VERSIONS": str(place)}
    print(f"\n######## ansible-core {core}", flush=True)
    done = subprocess.run(
        [str(folder / "python"), "-m", "pytest", "-q", "tests/versions"],
        cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, timeout=LIMIT, check=False,
    )  # fmt: skip
    if done.returncode or not place.exists():
        return None
    lines = [json.loads(line) for line in place.read_text().splitlines()]
    version = subprocess.run(
        [str(folder / "python"), "-c", "import platform; print(platform.python_version())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    return Row(lines[0]["core"], version, [name for line in lines for name in line["passed"]])


def page(rows: list[Row]) -> str:
    """Return the page with a table of what passed."""
    hosts = [version for version in pythons.found() if version in pythons.HOSTS]
    shown = []
    for row in rows:
        cells = ["too old" if REFUSED in row.passed else "yes" if f"py{a}{b}" in row.passed else "" for a, b in hosts]
        shown.append(f"| {row.core} | {row.python} | {' | '.join(cells)} |")
    old = [f"{a}.{b}" for a, b in pythons.found() if (a, b) in pythons.TOO_OLD]
    return PAGE.format(
        old=f"Python {', '.join(old)}",
        heads=" | ".join(f"hosts {a}.{b}" for a, b in hosts),
        rules=" | ".join("---" for _host in hosts),
        rows="\n".join(shown),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Try every ansible-core.")
    parser.add_argument("--table", type=Path, help="write the page here")
    parser.add_argument("cores", nargs="+", choices=list(pythons.CORES))
    options = parser.parse_args()
    cannot = [core for core in options.cores if pythons.for_core(core) is None]
    if cannot:
        print(f"no Python is here for ansible-core {', '.join(cannot)}", file=sys.stderr)
        return 3
    found = {core: tried(core) for core in options.cores}
    failed = [core for core, row in found.items() if row is None]
    print(f"\n######## passed with {', '.join(row.core for row in found.values() if row) or 'none'}")
    if failed:
        print(f"######## FAILED with {', '.join(failed)}", file=sys.stderr)
        return 1
    if options.table:
        options.table.write_text(page([row for row in found.values() if row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
