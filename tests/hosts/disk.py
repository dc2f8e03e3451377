# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has of its own: the files that make it this host, on a disk that outlives its processes."""

from __future__ import annotations

import secrets
import shutil
import string
import subprocess
from pathlib import Path

from image import HERE

# Where the image says that everything is; files are (mode, text).
Files = dict[str, tuple[int, str]]
WANTED = Path("etc/systemd/system/multi-user.target.wants")


def files(name: str, address: str, ssh_port: int, app_port: int, workers: int, env: str, login_key: str) -> Files:
    """Return the files of one host. `login_key` is the public key that may log in, as root and as the plain user."""
    unit = string.Template((HERE / "image" / "shop.service").read_text())
    return {
        "etc/hostname": (0o644, f"{name}\n"),
        "etc/machine-id": (0o444, f"{secrets.token_hex(16)}\n"),
        "etc/hosts": (0o644, f"127.0.0.1 localhost\n{address} {name}\n"),
        "etc/ssh/sshd_config.d/listen.conf": (0o644, f"Port {ssh_port}\nListenAddress {address}\n"),
        "etc/systemd/system/shop.service": (0o644, unit.substitute(address=address, port=app_port, workers=workers)),
        "etc/shop.env": (0o600, env),
        "root/.ssh/authorized_keys": (0o600, login_key),
        "home/ops/.ssh/authorized_keys": (0o600, login_key),
    }


def write(disk: Path, wanted: Files, *, start_shop: bool) -> None:
    """Write the files to a new disk."""
    for path, (mode, text) in wanted.items():
        target = disk / path
        _folder(disk, target.parent)
        target.touch(mode)
        target.write_text(text)
        target.chmod(mode)
    for private in ("root", "root/.ssh", "home/ops/.ssh"):
        (disk / private).chmod(0o700)
    if start_shop:
        _folder(disk, disk / WANTED)
        (disk / WANTED / "shop.service").symlink_to("/etc/systemd/system/shop.service")


def starts_shop(disk: Path) -> bool:
    """Tell whether a host with this disk starts the shop when it boots."""
    return (disk / WANTED / "shop.service").is_symlink()


def give(folder: Path, uid: int, gid: int) -> None:
    """Make somebody the owner of a folder and of all in it."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, uid, gid)


def host_key(disk: Path, name: str) -> str:
    """Make the host's ssh key on its disk, and return the public half."""
    folder = disk / "etc/ssh"
    _folder(disk, folder)
    return new_key(folder / "ssh_host_ed25519_key", name)


def new_key(path: Path, comment: str) -> str:
    """Make an ssh key without a passphrase, and return the public half as `TYPE KEY`."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


def _folder(disk: Path, folder: Path) -> None:
    """Make a folder with the usual mode, whatever the umask is: it hides the image's own of that name."""
    for path in (*reversed(folder.relative_to(disk).parents), folder.relative_to(disk)):
        if not (disk / path).exists():
            (disk / path).mkdir()
            (disk / path).chmod(0o755)
