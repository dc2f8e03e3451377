# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make release-rehearsal`: everything that a release does, in a clone: nothing of this checkout is changed.

The version is set, the fragments become the changelog, both are committed, the tarball is built, and then the quick gates have to pass again:
what a release makes is held to what everything else is held to.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLONE = ROOT / "build" / "rehearsal"
# Whoever releases commits with a name of their own; this commit is thrown away.
NOBODY = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.org"]
VERSION = re.compile(r"^version: (\S+)$", re.MULTILINE)
# Where the version stands beside galaxy.yml: the guide that names the tarball.
NAMED = Path("docs", "docsite", "rst", "controller.rst")


def version_of(root: Path) -> str:
    """Return the version that galaxy.yml names."""
    found = VERSION.search((root / "galaxy.yml").read_text())
    assert found, "galaxy.yml names no version"
    return found[1]


def set_version(root: Path, version: str) -> None:
    """Write a version wherever it stands."""
    old = version_of(root)
    galaxy = root / "galaxy.yml"
    galaxy.write_text(VERSION.sub(f"version: {version}", galaxy.read_text()))
    guide = root / NAMED
    guide.write_text(guide.read_text().replace(f"phased-keys-{old}.tar.gz", f"phased-keys-{version}.tar.gz"))


def release(root: Path, version: str) -> None:
    """Make the commit of a release in a checkout: the version, and the changelog out of the fragments."""
    set_version(root, version)
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([tools / "antsibull-changelog", "release"], cwd=root, env=environment, check=True)
    subprocess.run(["git", "add", "--all"], cwd=root, check=True)
    subprocess.run(["git", *NOBODY, "commit", "--quiet", "-m", f"Release {version}"], cwd=root, check=True)


def main(arguments: list[str]) -> None:
    """Rehearse the release of the version that is given (else that of galaxy.yml), with the gates that are."""
    version = next((one for one in arguments if one[0].isdigit()), version_of(ROOT))
    gates = [one for one in arguments if not one[0].isdigit()] or ["lint", "unit", "docs"]
    shutil.rmtree(CLONE, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, CLONE], check=True)
    release(CLONE, version)
    subprocess.run(["make", "build", *gates], cwd=CLONE, check=True)
    left = subprocess.run(["git", "status", "--porcelain"], cwd=CLONE, check=True, capture_output=True, text=True)
    if left.stdout:
        sys.exit(f"the gates left files behind that nobody ignores:\n{left.stdout}")
    (tarball,) = (CLONE / "build").glob("phased-keys-*.tar.gz")
    if tarball.name != f"phased-keys-{version}.tar.gz":
        sys.exit(f"{tarball.name} is not version {version}")
    print(f"The release of {version} would pass: {', '.join(gates)}. Its tarball is {tarball.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
