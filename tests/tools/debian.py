# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Debian's that some tests use, got where that can be done.

python tests/tools/debian.py promtool    see that it is there, getting it if need be; ends with 3, and says why, where there is none
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "debian"
CANNOT = 3


class Program(NamedTuple):
    """What a program may be called, and which packages bring it."""

    names: tuple[str, ...]
    packages: tuple[str, ...]
    # Installed as root, with all that it needs; or its files unpacked into the checkout's cache.
    installed: bool


PROGRAMS = {
    "chromium": Program(
        ("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-dejavu-core"), installed=True
    ),
    # Installed, its package would start a server that everybody can reach. The tool needs the C library alone.
    "promtool": Program(("promtool",), ("prometheus",), installed=False),
    # Readers of env files, with their libraries, and Rails.
    "ruby": Program(("ruby",), ("ruby-dotenv", "ruby-railties"), installed=True),
    "php": Program(("php",), ("php-cli", "php-mbstring", "php-vlucas-phpdotenv"), installed=True),
    "busybox": Program(("busybox",), ("busybox",), installed=True),
    "npm": Program(("npm",), ("npm",), installed=True),
}


def found(name: str) -> str | None:
    """Return a program's path; None where there is none."""
    places = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{CACHE / 'usr' / 'bin'}"
    return next((path for each in PROGRAMS[name].names if (path := shutil.which(each, path=places))), None)


def get(name: str) -> str:
    """Get a program if need be; return why there is none, and "" where there is."""
    if found(name):
        return ""
    program = PROGRAMS[name]
    if not shutil.which("apt-get"):
        return f"there is no {name} here, and no apt-get to get it with"
    if program.installed and os.geteuid() != 0:
        return f"there is no {name} here, and to install it takes root"
    failed = _install(program.packages) if program.installed else _unpack(program.packages)
    return "" if found(name) else f"there is no {name} here, and apt-get does not bring it: {failed}"


def _install(packages: tuple[str, ...]) -> str:
    return _run(Path.cwd(), "apt-get", "install", "--yes", "--no-install-recommends", *packages)


def _unpack(packages: tuple[str, ...]) -> str:
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    failed = _run(CACHE, "apt-get", "download", *packages)
    for package in CACHE.glob("*.deb"):
        failed = failed or _run(CACHE, "dpkg-deb", "--extract", str(package), str(CACHE))
        package.unlink()
    return failed


def _run(folder: Path, *command: str) -> str:
    """Run a command of Debian's; return what it said last where it failed, and "" where it did not."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.strip()]
    return (said or [f"{command[0]} ended with {done.returncode}"])[-1] if done.returncode else ""


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PROGRAMS:
        sys.exit(f"usage: debian.py {'|'.join(PROGRAMS)}")
    if missing := get(sys.argv[1]):
        print(missing)
        sys.exit(CANNOT)
