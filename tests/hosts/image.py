# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all hosts share: a Debian, and above it the shop with its libraries. Both are kept, keyed by their recipes.

Each is a folder that hosts mount read-only below a disk of their own. The upper one is made inside the lower one with
an overlay, so that it holds only what differs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import machine
from cgroups import Group
from errors import HostsError, MissingError, say

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
CACHE = CHECKOUT / ".cache" / "hosts"
APP = CHECKOUT / "tests" / "fleet" / "app"

RELEASE = os.environ.get("PHASED_HOSTS_RELEASE", "bookworm")
PACKAGES = ("python3", "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2")
# Plain Python, all of it, and the application needs no more: copied from where this script runs.
LIBRARIES = ("Django", "asgiref", "sqlparse", "gunicorn", "packaging")
SHOP_UID = 990
# Container engines, for the tests of applications that run in containers. The hosts of no other test have them.
ENGINES = (
    "podman",
    "runc",
    "docker.io",
    "docker-compose",
    "iptables",
    "uidmap",
    "slirp4netns",
    "fuse-overlayfs",
    "catatonit",
)

# Every mount is made in a namespace of its own, and goes away with whoever made it, killed or not.
PRIVATE = ("unshare", "--mount", "--propagation", "private")
IN_DEBIAN = 'mount -t proc proc "$1/proc"; exec chroot "$1" /bin/sh -eu'
IN_LAYER = (
    'mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"; '
    'mount -t proc proc "$2/root/proc"; exec chroot "$2/root" /bin/sh -eu'
)


def debian_key(release: str = RELEASE) -> str:
    """Return what names a Debian of this recipe."""
    return _digest(release, *PACKAGES, (HERE / "image" / "debian.sh").read_text())


def shop_key(debian: str) -> str:
    """Return what names a shop of this recipe on that Debian."""
    parts = [debian, (HERE / "image" / "shop.sh").read_text(), str(SHOP_UID)]
    parts += [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    for path in sorted(app_files()):
        parts += [str(path.relative_to(APP)), path.read_text()]
    return _digest(*parts)


def app_files() -> Iterator[Path]:
    return (path for path in APP.rglob("*.py") if "__pycache__" not in path.parts)


def engines_key(shop: str) -> str:
    """Return what names the engines of this recipe on that shop."""
    return _digest(shop, *ENGINES, (HERE / "image" / "engines.sh").read_text())


def layers(fleet: Group, *, engines: bool = False) -> list[Path]:
    """Return the file systems that all hosts share, uppermost first; make those that are not there yet.

    With `engines` there are container engines on them.

    What makes them runs in a group of the fleet's, so that whoever ends the fleet ends that too.
    """
    group = fleet.child("image").make()
    CACHE.mkdir(parents=True, exist_ok=True)
    lower = debian_key()
    debian, shop = CACHE / f"debian-{lower}", CACHE / f"shop-{shop_key(lower)}"
    extra = [CACHE / f"engines-{engines_key(shop.name)}"] if engines else []
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever was here before was killed at it, for the lock is ours.
        for left in CACHE.glob("making-*"):
            shutil.rmtree(left)
        if not debian.exists():
            say("the image of a Debian is made, once: that takes a few minutes")
            _make_debian(debian, group)
        if not shop.exists():
            say("the shop is put on it")
            _make_shop(shop, debian, group)
        for layer in extra:
            if not layer.exists():
                say("container engines are put on it")
                _make_engines(layer, [shop, debian], group)
    group.end()
    return [*extra, shop, debian]


def mirror(targets: str) -> str:
    """Return the Debian mirror that the machine itself uses; `targets` is what apt says of its sources."""
    for line in targets.splitlines():
        origin, component, address = line.split("|")
        if (origin, component) == ("Debian", "main"):
            return address
    raise MissingError("apt knows no Debian mirror here: run `apt-get update`, or name one in PHASED_HOSTS_MIRROR")


def _ask_for_mirror() -> str:
    given = os.environ.get("PHASED_HOSTS_MIRROR")
    if given:
        return given
    # Only what apt has fetched is listed with its origin.
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"]
    try:
        return mirror(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    except OSError:
        return mirror("")


def _make_debian(target: Path, group: Group) -> None:
    with _making(target) as new:
        options = ["--variant=minbase", f"--include={','.join(PACKAGES)}"]
        _run(target, [*PRIVATE, "debootstrap", *options, RELEASE, str(new), _ask_for_mirror()], group)
        _run(target, [*PRIVATE, "sh", "-euc", IN_DEBIAN, "sh", str(new)], group, HERE / "image" / "debian.sh")


def _make_shop(target: Path, debian: Path, group: Group) -> None:
    with _layer(target) as new:
        home = new / "upper" / "srv" / "shop"
        (home / "lib").mkdir(parents=True)
        for name in LIBRARIES:
            for file in importlib.metadata.files(name) or ():
                # What is outside of site-packages are commands, for this machine's interpreter.
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    _copy(Path(str(file.locate())), home / "lib" / file)
        for path in app_files():
            _copy(path, home / path.relative_to(APP))
        (new / "upper" / "srv").chmod(0o755)
        _run_in_layer(target, new, [debian], group, "shop.sh")


def _make_engines(target: Path, below: list[Path], group: Group) -> None:
    with _layer(target) as new:
        # The mirror's name has to be found; the host's own file is empty.
        names = new / "upper" / "etc" / "resolv.conf"
        names.parent.mkdir(mode=0o755)
        names.write_text(Path("/etc/resolv.conf").read_text())
        _run_in_layer(target, new, below, group, "engines.sh")


@contextlib.contextmanager
def _layer(target: Path) -> Iterator[Path]:
    """Give a folder whose `upper` becomes the target, once something was put on what is below it."""
    with _making(target) as new:
        for path in (new / "upper", new / "work", new / "root"):
            path.mkdir()
        (new / "upper").chmod(0o755)
        yield new
        # The overlay's own folders are not part of the layer.
        beside = new.with_name(f"{new.name}-rest")
        new.rename(beside)
        (beside / "upper").rename(new)
        shutil.rmtree(beside)


def _run_in_layer(target: Path, new: Path, below: list[Path], group: Group, script: str) -> None:
    lower = ":".join(str(layer) for layer in below)
    _run(target, [*PRIVATE, "sh", "-euc", IN_LAYER, "sh", lower, str(new)], group, HERE / "image" / script)


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """Give a folder beside the target that becomes the target, as a whole or not at all."""
    new = target.with_name(f"making-{target.name}")
    new.mkdir()
    try:
        yield new
        os.rename(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _run(target: Path, command: list[str], group: Group, script: Path | None = None) -> None:
    with open(script or os.devnull, "rb") as source:
        done = subprocess.run(
            command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, preexec_fn=group.join,
            env={**_settings(), "PATH": machine.search_path(), "LANG": "C.UTF-8", "SHOP_UID": str(SHOP_UID), "ENGINES": " ".join(ENGINES)}, cwd="/",
        )  # fmt: skip
    if done.returncode:
        said = done.stdout.decode(errors="replace")[-3000:]
        failed = command[len(PRIVATE)]
        kind = MissingError if failed == "debootstrap" else HostsError
        raise kind(f"{target.name} could not be made, {failed} failed:\n{said}")


def _settings() -> dict[str, str]:
    """Return what the way to the mirror may depend on."""
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def owner_of_home(layers: list[Path]) -> tuple[int, int]:
    """Return who the plain user is, in numbers."""
    found = next(path for path in (layer / "home" / "ops" for layer in layers) if path.exists()).stat()
    return found.st_uid, found.st_gid
