# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make build`: builds the collection's tarball into build/, of what is committed and nothing else.

``ansible-galaxy collection build`` packs whatever lies in the folder that it is given, so it is given none that people work in.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def git(root: Path, *arguments: str) -> bytes:
    """Return what git says of the checkout `root`."""
    return subprocess.run(["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE).stdout


def build(root: Path) -> None:
    """Build the tarball of the commit that is checked out in `root` into its folder `build`."""
    (root / "build").mkdir(exist_ok=True)
    for old in (root / "build").glob("phased-keys-*.tar.gz"):
        old.unlink()
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(git(root, "archive", "HEAD"))) as archive:
            archive.extractall(folder, filter="data")
        subprocess.run([galaxy, "collection", "build", "--output-path", root / "build", folder], check=True)
    if git(root, "status", "--porcelain"):
        print("build: the tarball holds what is committed; some changes in this checkout are not")


if __name__ == "__main__":
    build(ROOT)
