# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release makes of a checkout, without the gates that `make release-rehearsal` runs then."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import rehearse
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(CHECKOUT), "clone")
    return tmp_path / "clone"


def test_a_version_is_written_wherever_it_stands(clone: Path) -> None:
    old = rehearse.version_of(clone)
    rehearse.set_version(clone, "7.8.9")
    assert yaml.safe_load((clone / "galaxy.yml").read_text())["version"] == "7.8.9"
    changed = git(clone, "diff", "--name-only").split()
    assert changed == [str(rehearse.NAMED), "galaxy.yml"]
    texts = [path.read_text() for path in clone.rglob("*") if path.suffix in (".rst", ".md", ".yml") and path.is_file()]
    assert not [text for text in texts if f"phased-keys-{old}.tar.gz" in text]


def test_whatever_a_release_makes_is_ignored_or_has_its_licence(clone: Path) -> None:
    annotated = (clone / "REUSE.toml").read_text()
    ignored = (clone / ".gitignore").read_text().split()
    for made in ("CHANGELOG.md", "changelogs/changelog.yaml"):
        assert f'"{made}"' in annotated
    assert "/changelogs/.plugin-cache.yaml" in ignored
