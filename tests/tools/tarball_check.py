# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the collection's tarball holds what belongs in it, and nothing else.

``ansible-galaxy collection build`` packs whatever lies in the checkout, files
that git does not know included, except for ``build_ignore`` in galaxy.yml.
"""

from __future__ import annotations

import re
import sys
import tarfile
from pathlib import Path

import tracked

ROOT = Path(__file__).resolve().parents[2]

# The top of the tarball: files and folders by name, nothing else.
FILES = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "COPYING",
    "FILES.json",
    "MANIFEST.json",
    "README.md",
}
FOLDERS = {"changelogs", "docs", "meta", "playbooks", "plugins", "roles"}
# Without these it is not the collection.
REQUIRED = {"COPYING", "MANIFEST.json", "README.md", "meta/runtime.yml"}
# What may lie in the folders.
SUFFIXES = {".json", ".md", ".py", ".rst", ".svg", ".yaml", ".yml"}
HIDDEN = re.compile(r"(^|/)[.]|__pycache__|~$")


def problems(names: list[str], known: set[str]) -> list[str]:
    """Say what is wrong with a tarball that holds the named files."""
    found = [f"{name}: missing" for name in sorted(REQUIRED - set(names))]
    for name in names:
        top, slash, _rest = name.partition("/")
        if not slash and name not in FILES:
            found.append(f"{name}: does not belong at the top")
        elif slash and top not in FOLDERS:
            found.append(f"{name}: {top}/ does not belong in the tarball")
        elif slash and Path(name).suffix not in SUFFIXES and name != "meta/ee-requirements.txt":
            found.append(f"{name}: a kind of file that does not belong in the tarball")
        elif HIDDEN.search(name):
            found.append(f"{name}: hidden or left over")
        elif name not in known and name not in {"FILES.json", "MANIFEST.json"}:
            found.append(f"{name}: git ignores it")
    return found


def main() -> int:
    """Check the one tarball in build/."""
    (tarball,) = (ROOT / "build").glob("phased-keys-*.tar.gz")
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    names = [member.name for member in members if not member.isdir()]
    found = problems(names, set(tracked.names(ROOT)))
    found += [
        f"{member.name}: neither a file nor a folder" for member in members if not (member.isfile() or member.isdir())
    ]
    for problem in found:
        print(f"{tarball.name}: {problem}")
    print(f"{tarball.name}: {len(names)} files, {len(found)} problems")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
