# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the collection's tarball holds what git tracks and galaxy.yml does not leave out, and nothing else."""

from __future__ import annotations

import fnmatch
import re
import sys
import tarfile
from pathlib import Path

import tracked
import yaml

ROOT = Path(__file__).resolve().parents[2]

# The top of the tarball: files and folders by name, nothing else.
FILES = {
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "COPYING",
    "FILES.json",
    "MANIFEST.json",
    "README.md",
    "SECURITY.md",
}
FOLDERS = {"changelogs", "docs", "meta", "playbooks", "plugins", "roles"}
# Without these it is not the collection.
REQUIRED = {"COPYING", "MANIFEST.json", "README.md", "meta/runtime.yml"}
# What may lie in the folders.
SUFFIXES = {".cfg", ".j2", ".json", ".md", ".png", ".py", ".rst", ".svg", ".yaml", ".yml"}
HIDDEN = re.compile(r"(^|/)[.]|__pycache__|~$")


# Of another kind, each by its name: what builders of execution environments read, and examples in the language of the application.
OTHERS = {
    "meta/ee-requirements.txt",
    "docs/examples/proof/express_proof.js",
    "docs/examples/proof/rails_proof.rb",
    "docs/examples/rails/phased_keys.rb",
}
# What Ansible puts into the tarball in place of galaxy.yml.
MADE = {"FILES.json", "MANIFEST.json"}


def belonging(known: list[str], ignored: list[str]) -> set[str]:
    """Return what of the files that git tracks belongs in the tarball: neither it nor its folder is in `build_ignore`."""
    found = set(MADE)
    for name in known:
        places = [name, *(str(place) for place in Path(name).parents if place.name)]
        if name != "galaxy.yml" and not any(fnmatch.fnmatch(place, one) for place in places for one in ignored):
            found.add(name)
    return found


def problems(names: list[str], belong: set[str]) -> list[str]:
    """Say what is wrong with a tarball that holds the named files."""
    found = [f"{name}: missing" for name in sorted((REQUIRED | belong) - set(names))]
    for name in names:
        top, slash, _rest = name.partition("/")
        if not slash and name not in FILES:
            found.append(f"{name}: does not belong at the top")
        elif slash and top not in FOLDERS:
            found.append(f"{name}: {top}/ does not belong in the tarball")
        elif slash and Path(name).suffix not in SUFFIXES and name not in OTHERS:
            found.append(f"{name}: a kind of file that does not belong in the tarball")
        elif HIDDEN.search(name):
            found.append(f"{name}: hidden or left over")
        elif name not in belong:
            found.append(f"{name}: git does not track it")
    return found


def check(root: Path) -> int:
    """Check the one tarball in build/ of a checkout; 0 when it is as it has to be."""
    (tarball,) = (root / "build").glob("phased-keys-*.tar.gz")
    ignored = yaml.safe_load((root / "galaxy.yml").read_text())["build_ignore"]
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    names = [member.name for member in members if not member.isdir()]
    found = problems(names, belonging(tracked.committed(root), ignored))
    found += [
        f"{member.name}: neither a file nor a folder" for member in members if not (member.isfile() or member.isdir())
    ]
    for problem in found:
        print(f"{tarball.name}: {problem}")
    print(f"{tarball.name}: {len(names)} files, {len(found)} problems")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(check(ROOT))
