# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of Debian's, with commands that do what Debian's do: what is there is used, what is not is got, and why not is said."""

from __future__ import annotations

from pathlib import Path

import debian
import pytest

DOWNLOADS = 'echo >"$2_1_all.deb"'
EXTRACTS = 'mkdir -p "$3/usr/bin"; cp "$0" "$3/usr/bin/promtool"'


@pytest.fixture
def bin_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, beside what a shell script needs."""
    for name in ("bin", "base"):
        (tmp_path / name).mkdir()
    for name in ("sh", "mkdir", "cp"):
        (tmp_path / "base" / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{tmp_path / 'base'}")
    monkeypatch.setattr(debian, "CACHE", tmp_path / "cache" / "debian")
    return tmp_path / "bin"


def command(bin_: Path, name: str, code: str) -> None:
    (bin_ / name).write_text(f"#!/bin/sh\n{code}\n")
    (bin_ / name).chmod(0o755)


def test_what_is_there_is_used(bin_: Path) -> None:
    command(bin_, "google-chrome", "exit 1")
    assert debian.get("chromium") == ""
    assert debian.found("chromium") == str(bin_ / "google-chrome")


def test_a_tool_is_unpacked_and_nothing_is_installed(bin_: Path) -> None:
    command(bin_, "apt-get", f'[ "$1" = download ] || exit 1; {DOWNLOADS}')
    command(bin_, "dpkg-deb", EXTRACTS)
    assert debian.get("promtool") == ""
    assert debian.found("promtool") == str(debian.CACHE / "usr" / "bin" / "promtool")
    assert [path.name for path in debian.CACHE.iterdir()] == ["usr"]


@pytest.mark.parametrize(
    ("apt_get", "dpkg_deb", "why"),
    [
        (None, EXTRACTS, "no apt-get to get it with"),
        ("echo 'E: Unable to locate package'; exit 100", EXTRACTS, "does not bring it: E: Unable to locate package"),
        ("exit 100", EXTRACTS, "does not bring it: apt-get ended with 100"),
        (DOWNLOADS, "echo 'no such archive' >&2; exit 2", "does not bring it: no such archive"),
        (DOWNLOADS, "exit 0", "apt-get does not bring it"),
    ],
)
def test_why_there_is_none_is_said(bin_: Path, apt_get: str | None, dpkg_deb: str, why: str) -> None:
    if apt_get:
        command(bin_, "apt-get", apt_get)
    command(bin_, "dpkg-deb", dpkg_deb)
    assert why in debian.get("promtool")
    assert debian.found("promtool") is None


@pytest.mark.parametrize(("user", "why"), [(1000, "to install it takes root"), (0, "E: no mirror")])
def test_a_browser_is_installed_by_root_alone(bin_: Path, monkeypatch: pytest.MonkeyPatch, user: int, why: str) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    command(bin_, "apt-get", '[ "$1" = install ] || exit 1; echo "E: no mirror"; exit 100')
    assert why in debian.get("chromium")
