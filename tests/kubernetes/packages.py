# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of Debian bookworm, whose checksums apt checks: fetched into the cache, unpacked there, and never installed.

The lists are our own, so that the machine's release and its lists do not matter, and nothing of the machine's apt changes.
"""

from __future__ import annotations

import re
from pathlib import Path

from places import CACHE, ClusterError, MissingError, run

RELEASE = "bookworm"
APT = CACHE / "apt"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*")))


def mirror(texts: list[str]) -> str:
    """Return the Debian mirror that the machine's own apt uses; `texts` are its lists of sources."""
    for text in texts:
        for line in text.splitlines():
            found = re.match(r"URIs:\s+(http\S+)|deb\s(?:\[[^\]]*\]\s*)?(http\S+)", line)
            if found:
                return str(found[1] or found[2])
    raise MissingError("apt knows no mirror here: name one of Debian's in /etc/apt")


def update() -> None:
    """Get the lists of packages; MissingError where no mirror is reached."""
    for name in ("lists/partial", "cache/archives/partial"):
        (APT / name).mkdir(parents=True, exist_ok=True)
    where = mirror([path.read_text() for path in SOURCES if path.is_file()])
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
    lines = [f"{kind} {signed}{where} {RELEASE} main\n" for kind in ("deb", "deb-src")]
    (APT / "sources.list").write_text("".join(lines))
    try:
        _apt("update", cwd=APT)
    except ClusterError as error:
        raise MissingError(f"Debian's packages cannot be had: {error}") from None


def unpack(names: tuple[str, ...], target: Path) -> None:
    """Unpack these packages below a folder, keeping links of it such as that of /bin."""
    files = APT / "debs" / "-".join(names)[:60]
    files.mkdir(parents=True, exist_ok=True)
    _apt("download", *names, cwd=files)
    target.mkdir(parents=True, exist_ok=True)
    for path in files.glob("*.deb"):
        run("sh", "-euc", 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"', "sh", path, target)
        path.unlink()


def source(name: str, target: Path) -> None:
    """Unpack a source package into a folder, with Debian's patches."""
    files = APT / "source"
    files.mkdir(parents=True, exist_ok=True)
    _apt("--download-only", "source", name, cwd=files)
    target.mkdir(parents=True, exist_ok=True)
    for ending, strip in ((".orig.tar.*", "1"), (".debian.tar.*", "0")):
        run("tar", "-xf", next(files.glob(f"{name}_*{ending}")), "-C", target, f"--strip-components={strip}")
    for line in (target / "debian" / "patches" / "series").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            run("patch", "-s", "-p1", "-i", f"debian/patches/{line.strip()}", cwd=target)


def _apt(*command: str, cwd: Path) -> None:
    options = {
        "Dir::Etc::sourcelist": APT / "sources.list", "Dir::Etc::sourceparts": "-", "Dir::State::lists": APT / "lists",
        "Dir::Cache": APT / "cache", "APT::Sandbox::User": "root", "APT::Get::List-Cleanup": "0",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    run("apt-get", "-q", *words, *command, cwd=cwd)
