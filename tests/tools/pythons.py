# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Pythons of this machine, and which of them an ansible-core runs on.

python tests/tools/pythons.py 2.16    print the path of the newest Python on which that ansible-core runs; ends with 3 for none
python tests/tools/pythons.py         print all that there are, and where
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# Those before 2.16 are here to see that they are refused.
# By "ansible-core control node Python support" in the support matrix of docs.ansible.com. The last one may not be released yet.
CORES = {
    "2.14": ((3, 9), (3, 11)),
    "2.15": ((3, 9), (3, 11)),
    "2.16": ((3, 10), (3, 12)),
    "2.17": ((3, 10), (3, 12)),
    "2.18": ((3, 11), (3, 13)),
    "2.19": ((3, 11), (3, 13)),
    "2.20": ((3, 12), (3, 14)),
    "2.21": ((3, 12), (3, 14)),
    "2.22": ((3, 13), (3, 15)),
}
# Those that hosts may have, and those that are too old, and are told so.
HOSTS = [(3, minor) for minor in range(8, 15)]
TOO_OLD = [(2, 7), (3, 6), (3, 7)]
Version = tuple[int, int]


def found() -> dict[Version, Path]:
    """Return the Pythons that there are, with their paths: those of pyenv before those on the PATH, since they have venv and pip."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [*sorted(pyenv.glob("versions/*/bin")), *map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep))]
    there: dict[Version, Path] = {}
    for version in [*TOO_OLD, *HOSTS]:
        for place in places:
            path = place / f"python{version[0]}.{version[1]}"
            if version not in there and path.exists() and _is(path, version):
                there[version] = path
    return there


def for_core(core: str) -> Path | None:
    """Return the newest Python here on which this ansible-core runs."""
    oldest, newest = CORES[core]
    return max(
        ((version, path) for version, path in found().items() if oldest <= version <= newest), default=(None, None)
    )[1]


def _is(path: Path, version: Version) -> bool:
    """Whether it runs, and is what it is called: pyenv leaves shims on the PATH for what is not chosen."""
    asked = [str(path), "-c", "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout == "{}.{}".format(*version)


def main(arguments: list[str]) -> int:
    if not arguments:
        for version, place in found().items():
            print("{}.{}".format(*version), place)
        return 0
    core = arguments[0]
    if core not in CORES:
        print(f"ansible-core {core}: it is one of {', '.join(CORES)}", file=sys.stderr)
        return 3
    path = for_core(core)
    if path is None:
        oldest, newest = ("{}.{}".format(*version) for version in CORES[core])
        print(f"ansible-core {core} needs Python {oldest} to {newest}, and none of them is here", file=sys.stderr)
        return 3
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
