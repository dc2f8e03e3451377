# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of the checkout that git knows, and copies of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def names(root: Path) -> list[str]:
    """Return what git tracks, or would track, below `root`."""
    return _listed(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def committed(root: Path) -> list[str]:
    """Return what the commit holds that is checked out in `root`."""
    return _listed(root, "ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD")


def _listed(root: Path, *arguments: str) -> list[str]:
    listed = subprocess.run(["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE).stdout.decode()
    return [name for name in listed.split("\0") if name]


def copy(root: Path, target: Path) -> None:
    """Copy those files into the folder `target`."""
    for name in names(root):
        source, copied = root / name, target / name
        if not source.is_symlink() and not source.exists():
            continue  # deleted, and the deletion is not committed yet
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copied, follow_symlinks=False)
