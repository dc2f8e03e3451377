# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is packed: what is committed and belongs to the collection, whatever else lies in the checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import tarball_check
import tracked
import yaml

import build

ROOT = Path(__file__).resolve().parents[3]
# What people leave in a checkout, at its top and in a folder that is packed.
LEFT = (
    ".env", ".env.secret", "prod.env", "django.secret", "secrets.yml", "server.key", "server.pem", "keystore.p12", "id_rsa",
    "vault-password", "vault_password.txt", ".vault_pass", "run.log", "db.sqlite3", "notes.txt~", ".rollout.yml.swp", "x.orig",
    ".venv3/pyvenv.cfg", ".idea/workspace.xml", ".vscode/settings.json", ".keyrings/shop.yml", "__pycache__/x.pyc",
)  # fmt: skip
AT_THE_TOP = (
    "inventory.yml",
    "inventory/hosts",
    "group_vars/all.yml",
    "host_vars/web1.yml",
    "ansible.cfg",
    "venv/pyvenv.cfg",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own, with one commit."""
    root = tmp_path / "keys"
    tracked.copy(ROOT, root)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", *arguments], cwd=root, check=True)
    return root


def packed(root: Path) -> set[str]:
    """The files in the tarball in build/."""
    (tarball,) = (root / "build").glob("*.tar.gz")
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive if member.isfile()}


def leave(root: Path, name: str) -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("# SECRET_KEY=hunter2\n")
    return name


def test_the_tarball_holds_what_is_committed_and_nothing_else(checkout: Path) -> None:
    left = [leave(checkout, name) for name in (*LEFT, "anything.at.all", "plugins/modules/mine.py", "docs/draft.md")]
    build.build(checkout)
    names = packed(checkout)
    ignored = yaml.safe_load((checkout / "galaxy.yml").read_text())["build_ignore"]
    assert names == tarball_check.belonging(tracked.committed(checkout), ignored)
    assert "plugins/modules/gate.py" in names
    assert not names.intersection(left)
    assert tarball_check.check(checkout) == 0


def test_one_file_more_or_less_is_a_problem() -> None:
    belong = {*tarball_check.REQUIRED, "FILES.json", "plugins/modules/gate.py"}
    assert tarball_check.problems(sorted(belong), belong) == []
    assert tarball_check.problems(sorted(belong - {"plugins/modules/gate.py"}), belong) == [
        "plugins/modules/gate.py: missing"
    ]
    assert tarball_check.problems(sorted(belong | {"docs/mine.md"}), belong) == ["docs/mine.md: git does not track it"]


def test_an_installation_from_a_checkout_leaves_out_what_people_leave_there(checkout: Path) -> None:
    """`ansible-galaxy collection install ./` packs as `collection build` does: all but build_ignore."""
    left = [leave(checkout, place + name) for name in LEFT for place in ("", "plugins/", "roles/app_keys/")]
    left += [leave(checkout, name) for name in AT_THE_TOP]
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([galaxy, "collection", "build", "--output-path", "build"], cwd=checkout, check=True)
    names = packed(checkout)
    assert not names.intersection(left)
    ignored = yaml.safe_load((checkout / "galaxy.yml").read_text())["build_ignore"]
    assert names == tarball_check.belonging(tracked.committed(checkout), ignored)
