# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of an application are found by their metadata, with the rights of its user, whatever lies there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import packages, processes

SLEEP = "import time; time.sleep(60)"
DAEMON = 1


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that everybody may enter."""
    folder = Path("/tmp") / f"phased-keys-packages-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def venv(folder: Path, *, shared: bool = False) -> Path:
    """A virtual environment as a program sees it: a folder with pyvenv.cfg and the interpreter."""
    (folder / "bin").mkdir(parents=True)
    # A program that anybody may run, unlike the interpreter of the tests.
    shutil.copy("/bin/sleep", folder / "bin" / "python3")
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ninclude-system-site-packages = {str(shared).lower()}\n")
    site = folder / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    return site


def install(site: Path, name: str, version: str, folder: Optional[str] = None) -> Path:
    """A package's metadata."""
    info = site / (folder or f"{name.replace('-', '_')}-{version}.dist-info")
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9\n")
    return info


def look(framework: str, command: List[str], folder: Path, uid: int = 0, **more: Any) -> Dict[str, Any]:
    """What is found of a worker that runs this."""
    user = {"user": uid, "group": uid, "extra_groups": []} if uid and os.geteuid() == 0 else {}
    child = subprocess.Popen(command, cwd=folder, env={"PATH": os.environ["PATH"], **more}, **user)  # type: ignore[call-overload]
    try:
        time.sleep(0.2)
        table = processes.table()
        workers = [{"pid": child.pid, "ticks": table[child.pid].ticks}]
        return dict(packages.look({"framework": framework, "timeout": 10.0}, workers))
    finally:
        child.kill()
        child.wait()


def versions(answer: Dict[str, Any]) -> Dict[str, str]:
    return {one["name"]: one["version"] for one in answer["found"]}


@pytest.mark.parametrize("uid", [0, DAEMON])
def test_packages_of_a_virtual_environment_are_found_by_the_interpreter_that_was_called(place: Path, uid: int) -> None:
    site = venv(place / "venv")
    install(site, "Django", "4.1.7")
    install(site, "djangorestframework-simplejwt", "5.5.1")
    install(site, "requests", "2.0")
    answer = look("django", [str(place / "venv/bin/python3"), "60"], place, uid)
    assert versions(answer) == {"Django": "4.1.7", "djangorestframework-simplejwt": "5.5.1"}
    assert answer["unknown"] is None and answer["found"][0]["path"].startswith(str(site))


def test_and_by_the_script_the_environment_or_the_way_relative_to_its_folder(place: Path) -> None:
    site = venv(place / "venv")
    install(site, "flask", "3.1.0")
    (place / "venv/bin/app").write_text(SLEEP)
    python = os.path.realpath(sys.executable)
    for command, more in (
        ([python, str(place / "venv/bin/app")], {}),
        ([python, "-c", SLEEP], {"VIRTUAL_ENV": str(place / "venv")}),
        ([python, "-c", SLEEP], {"PYTHONPATH": str(site)}),
        (["venv/bin/python3", "60"], {}),
    ):
        assert versions(look("flask", command, place, **more)) == {"Flask": "3.1.0"}, command


@pytest.mark.parametrize("folder", ["Django-3.2.egg-info", "Django-3.2-py3.11.egg-info", "django-3.2.dist-info"])
def test_the_names_that_metadata_has_had(place: Path, folder: str) -> None:
    info = install(venv(place / "venv"), "Django", "3.2", folder)
    (info / "METADATA").rename(info / "PKG-INFO") if folder.endswith("egg-info") else None
    assert versions(look("django", [str(place / "venv/bin/python3"), "60"], place)) == {"Django": "3.2"}


def test_node_php_and_ruby_are_found_from_the_folder(place: Path) -> None:
    inside = place / "a" / "b"
    inside.mkdir(parents=True)
    for name, version in (("@auth/core", "0.34.2"), ("next-auth", "5.0.0-beta.25")):
        folder = place / "node_modules" / name
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))
    (place / "vendor/composer").mkdir(parents=True)
    listed = {"packages": [{"name": "laravel/framework", "version": "v12.45.1"}, {"name": "x"}, 5]}
    (place / "vendor/composer/installed.json").write_text(json.dumps(listed))
    (place / "a/Gemfile.lock").write_text("GEM\n  specs:\n    railties (7.0.8)\n      rack (>= 2)\n    rack (3.0)\n")
    sleep = ["/bin/sleep", "60"]
    assert versions(look("authjs", sleep, inside)) == {"@auth/core": "0.34.2", "next-auth": "5.0.0-beta.25"}
    assert versions(look("laravel", sleep, inside)) == {"laravel/framework": "v12.45.1"}
    assert versions(look("rails", sleep, inside)) == {"railties": "7.0.8"}


def test_what_is_not_there_is_not_found_and_what_does_not_run_is_unknown(place: Path) -> None:
    venv(place / "venv")
    assert look("django", [str(place / "venv/bin/python3"), "60"], place)["found"] == []
    nothing = packages.look({"framework": "django", "timeout": 1.0}, [{"pid": 2**22 - 1, "ticks": 1}])
    assert nothing == {"found": [], "unknown": "nothing runs"}
    assert packages.look({"framework": "ory", "timeout": 1.0}, []) == {"found": [], "unknown": None}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("uid", [0, DAEMON])
def test_17_nothing_is_read_that_the_workers_user_may_not_read(place: Path, uid: int) -> None:
    """A user who points at root's files learns nothing of them, and root's own worker is read as nobody."""
    site = venv(place / "venv")
    secret = place / "secret"
    secret.write_text("Version: hidden-from-all\n")
    secret.chmod(0o600)
    info = site / "Django-1.dist-info"
    info.mkdir()
    (info / "METADATA").symlink_to(secret)
    answer = look("django", [str(place / "venv/bin/python3"), "60"], place, uid)
    assert versions(answer) == {"Django": "1"}, "by the name of the folder, which is no secret"


def test_17_nothing_that_lies_there_holds_a_look_up(place: Path) -> None:
    site = venv(place / "venv")
    info = site / "Django-1.dist-info"
    info.mkdir()
    os.mkfifo(info / "METADATA")
    (place / "node_modules/next-auth").mkdir(parents=True)
    (place / "node_modules/next-auth/package.json").symlink_to("/dev/zero")
    (place / "node_modules/@auth").symlink_to(place / "node_modules/@auth")
    (place / "Gemfile.lock").write_bytes(b"    railties (" * 100_000 + b"\xff")
    (place / "vendor/composer").mkdir(parents=True)
    (place / "vendor/composer/installed.json").write_text("[" * 100_000)
    begun = time.monotonic()
    assert versions(look("django", [str(place / "venv/bin/python3"), "60"], place)) == {"Django": "1"}
    for framework in ("authjs", "rails", "laravel"):
        assert look(framework, ["/bin/sleep", "60"], place) == {"found": [], "unknown": None}
    assert time.monotonic() - begun < 20


def test_17_the_answer_is_bounded(place: Path) -> None:
    site = venv(place / "venv")
    for number in range(200):
        install(site, "Django", f"4.{number}." + "9" * 200, f"Django-4.{number}.dist-info")
    answer = look("django", [str(place / "venv/bin/python3"), "60"], place)
    assert len(answer["found"]) == packages.MOST_FOUND and len(json.dumps(answer)) < packages.LARGEST_ANSWER
    assert all(len(one["version"]) <= packages.TEXT for one in answer["found"])


def test_17_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = packages._asked(os.geteuid(), os.getegid(), lambda: time.sleep(60), time.monotonic() + 0.3)  # type: ignore[arg-type,return-value]
    assert answer == {"found": [], "unknown": "its packages could not be read in time"}
