# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An env file in a folder of a user's, who leads root elsewhere: nothing of root's is read, written or given away."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import visit as visits
from ansible_collections.phased.keys.plugins.module_utils._host.rules.errors import PhasedKeysError
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile
from attacker import NEW, OLD, OTHER, SECRET, USER, link, look, put, told, visit

LINES = f"A=1\nSECRET_KEY={OLD}\n"
# Swaps two names for as long as it lives (renameat2 with RENAME_EXCHANGE).
SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chdir({home!r})
print("begun", flush=True)
while os.getppid() != 1:
    if not os.path.islink("aside") and not os.path.islink(".env"):  # one was replaced by what was written
        os.symlink("../root/secret", "new")
        os.rename("new", "aside")
    libc.renameat2(-100, b".env", -100, b"aside", 2)
"""


def state(path: Path) -> Tuple[str, int, int, int]:
    """What must not change of a file."""
    found = path.stat()
    return path.read_text(), found.st_uid, found.st_gid, found.st_mode


def trap(kind: str, place: Path) -> Path:
    """Lead an env file of the user's to root's secret in one of many ways; return its path."""
    home, secret = place / "home", place / "root/secret"
    env = home / ".env"
    if kind == "absolute":
        link(env, secret)
    elif kind == "relative":
        link(env, "../root/secret")
    elif kind == "by another link":
        link(env, "second")
        link(home / "second", "../root/secret")
    elif kind == "by a folder":
        link(home / "conf", "../root")
        env = home / "conf/secret"
    elif kind == "by a way up":
        (home / "deep").mkdir()
        os.chown(home / "deep", USER, USER)
        link(env, "deep/../../root/secret")
    elif kind == "a second name":
        os.link(secret, env)
    elif kind == "moved there":
        os.rename(secret, env)
    elif kind == "by a link of his in a folder of root's":
        env = link(place / "root/.env", "secret")
    elif kind == "by a folder of another user's":
        link(env, "../other/.env")
        put(place / "other/.env", LINES, OTHER)
        os.chown(place / "other", OTHER, OTHER)
    elif kind == "in a folder for all":
        (place / "all").mkdir()
        (place / "all").chmod(0o777)
        env = place / "all/.env"
        os.link(secret, env)
    elif kind == "a second name in a folder like /tmp":
        (place / "all").mkdir()
        (place / "all").chmod(0o1777)
        env = place / "all/.env"
        os.link(secret, env)
    elif kind == "the user's own file in a folder like /tmp":
        (place / "all").mkdir()
        (place / "all").chmod(0o1777)
        env = put(place / "all/.env", LINES, USER)
    return env


TRAPS = [
    "absolute", "relative", "by another link", "by a folder", "by a way up", "a second name", "moved there",
    "by a link of his in a folder of root's", "by a folder of another user's", "in a folder for all",
    "a second name in a folder like /tmp", "the user's own file in a folder like /tmp",
]  # fmt: skip


@pytest.mark.parametrize("owner", [None, str(USER)])
@pytest.mark.parametrize("kind", TRAPS)
def test_what_a_user_leads_to_what_is_not_the_users_is_left_alone_and_said(kind: str, owner: str, place: Path) -> None:
    env = trap(kind, place)
    files = [path for path in place.rglob("*") if path.is_file()]
    before = {path: state(path) for path in files}
    answer = visit(place, env, env_owner=owner)
    assert answer["failed"], answer
    assert {path: state(path) for path in files if path.exists()} == before
    assert sorted(path for path in place.rglob("*") if path.is_file() and "state" not in str(path)) == sorted(
        path for path in files if "state" not in str(path)
    )
    assert str(USER) in told(answer) or "everybody may write" in told(answer)
    assert SECRET not in str(answer)
    problem = look(place, env)["evidence"]["files"][0]["problem"]
    assert problem["kind"] == "unsafe", problem


def write(env: Path, key: str, fallback: str) -> None:
    """Write as a visit does that has looked before."""
    app: Dict[str, Any] = {
        "profile": profile("django"), "env_format": "systemd", "env_mode": None, "env_owner": None, "env_group": None,
        "env_file": [str(env)],
    }  # fmt: skip
    under = object.__new__(visits._Visit)
    under.app, under.known, under.did = app, [fingerprint(OLD), fingerprint(NEW)], {"written": []}
    with contextlib.suppress(OSError, PhasedKeysError):
        under.write({str(env): {"SECRET_KEY": key, "SECRET_KEY_FALLBACKS": fallback}})


def unfollowed(path: Path) -> str:
    """Return what is in a file that is no link."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def test_nothing_of_roots_comes_out_in_a_file_that_is_swapped_all_the_time(place: Path, user: Any) -> None:
    home = place / "home"
    env = put(home / ".env", LINES, USER)
    link(home / "aside", "../root/secret")
    user(SWAP.format(home=str(home)))
    before = state(place / "root/secret")
    end, keys = time.monotonic() + 3, (OLD, NEW)
    while time.monotonic() < end:
        write(env, *keys)
        keys = (keys[1], keys[0])
        for name in (".env", "aside"):
            assert SECRET not in unfollowed(home / name)
    assert state(place / "root/secret") == before


@pytest.mark.parametrize("what", ["comm", "environ", "cmdline"])
def test_a_link_into_proc_is_no_env_file(what: str, place: Path, user: Any) -> None:
    child = user(
        "import time; print('x', flush=True); time.sleep(60)", env={"PATH": "/usr/bin:/bin", "SECRET_KEY": OLD}
    )
    for number, target in enumerate((f"/proc/{child.pid}/{what}", f"/proc/{os.getpid()}/{what}")):
        env = link(place / f"home/env{number}", target)
        answer = visit(place, env)
        assert answer["failed"] and not answer["changed"], answer


# --- and what is in order stays possible ----------------------------------------


@pytest.mark.parametrize(
    "kind", ["plain", "relative", "absolute", "up and down", "root's link", "a folder in one like /tmp"]
)
def test_what_is_the_users_own_all_along_is_written_and_stays_the_users(kind: str, place: Path) -> None:
    home = place / "home"
    env = put(home / "shared.env", LINES, USER)
    if kind == "relative":
        env = link(home / ".env", "shared.env")
    elif kind == "absolute":
        env = link(home / ".env", home / "shared.env")
    elif kind == "up and down":
        (home / "releases").mkdir()
        os.chown(home / "releases", USER, USER)
        env = link(home / "releases/.env", "../shared.env")
    elif kind == "root's link":
        env = link(place / "root/.env", "../home/shared.env", 0)
    elif kind == "a folder in one like /tmp":
        (place / "all").mkdir()
        (place / "all").chmod(0o1777)
        os.rename(home, place / "all/home")
        home = place / "all/home"
        env = home / "shared.env"
    answer = visit(place, env, env_owner=str(USER))
    assert answer["proven"], answer
    assert NEW in (home / "shared.env").read_text()
    assert (home / "shared.env").stat().st_uid == USER


def test_a_new_file_is_its_folders_owners(place: Path) -> None:
    assert visit(place, place / "home/.env")["proven"]
    found = (place / "home/.env").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (USER, USER, 0o600)
    answer = visit(place, place / "home/second.env", env_owner=str(OTHER))
    assert answer["failed"] and not (place / "home/second.env").exists()
    assert str(OTHER) in told(answer)


@pytest.mark.parametrize("folder", ["home", "root"])
def test_a_file_that_exists_is_given_to_nobody_and_the_command_is_said(folder: str, place: Path) -> None:
    env = put(place / folder / ".env", LINES, USER if folder == "home" else 0)
    before = state(env)
    answer = visit(place, env, env_owner=str(OTHER))
    assert answer["failed"] and state(env) == before
    assert f"chown uid {OTHER}" not in told(answer) and f"chown {OTHER} {env}" in told(answer)
