# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else sets the application's keys, by what systemd does (systemd.exec(5)): only what wins over our files counts."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any, List, Tuple

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import sources
from ansible_collections.phased.keys.plugins.module_utils._host.units import Unit
from visited import OLD, PREPARE, SECRET, Host

NAMES = ["SECRET_KEY", "SECRET_KEY_FALLBACKS"]
VALUE = "a-value-that-is-shown-nowhere"


class Place:
    """A unit's files, and environment files."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.lines: List[Tuple[str, str]] = []
        self.unset: List[str] = []
        self.ours = [self.env("shop.env", f"SECRET_KEY={VALUE}")]

    def env(self, name: str, *lines: str) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def has(self, file: str, *lines: str) -> None:
        """Let a file of the unit have these lines."""
        self.lines += [(file, line) for line in lines]

    def found(self) -> List[Tuple[str, str, bool]]:
        """What is found, with the folder as a dot."""
        paths, files = [], []
        for file, line in self.lines:
            path = str(self.folder / file)
            if path not in files:
                files.append(path)
                pathlib.Path(path).write_text("[Service]\n")
            with open(path, "a", encoding="utf-8") as text:
                text.write(f"{line}\n")
            if line.startswith("EnvironmentFile="):
                paths.append(line.partition("=")[2].lstrip("-"))
        unit = Unit(
            "shop.service", "loaded", "active", "", "", 0, (), None, tuple(paths), tuple(self.unset), tuple(files)
        )
        said = sources.of(unit, self.ours, NAMES)
        assert VALUE not in json.dumps(said)
        text = json.loads(json.dumps(said).replace(str(self.folder), "."))
        return [(one["setting"], one["source"], one["wins"]) for one in text]


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_nothing_but_our_file(place: Place) -> None:
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}")
    assert place.found() == []


def test_a_later_file_wins(place: Place) -> None:
    other = place.env("local.env", "B=1", f"SECRET_KEY={VALUE}")
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", f"EnvironmentFile={other}")
    assert place.found() == [("SECRET_KEY", "./local.env (EnvironmentFile= in ./shop.service)", True)]


def test_an_earlier_one_loses(place: Place) -> None:
    other = place.env("local.env", f"SECRET_KEY={VALUE}")
    place.has("shop.service", f"EnvironmentFile={other}", f"EnvironmentFile={place.ours[0]}")
    assert place.found() == [("SECRET_KEY", "./local.env (EnvironmentFile= in ./shop.service)", False)]


def test_a_drop_in_that_has_it_read_is_named(place: Place) -> None:
    other = place.env("local.env", f"SECRET_KEY_FALLBACKS={VALUE}", "SECRET_KEY=")
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}")
    place.has("x.conf", f"EnvironmentFile=-{other}")
    said = "./local.env (EnvironmentFile= in ./x.conf)"
    assert sorted(place.found()) == [("SECRET_KEY", said, True), ("SECRET_KEY_FALLBACKS", said, True)]


def test_a_later_file_that_sets_none_of_our_settings_is_none_of_our_business(place: Place) -> None:
    other = place.env("local.env", "MY_SECRET_KEY=1", "SECRET_KEY_2=1", "# SECRET_KEY=1", "A=SECRET_KEY=1")
    place.has(
        "shop.service",
        f"EnvironmentFile={place.ours[0]}",
        f"EnvironmentFile={other}",
        "EnvironmentFile=-/nowhere/at/all",
    )
    assert place.found() == []


def test_of_several_files_of_ours_the_last_counts(place: Place) -> None:
    place.ours.append(place.env("queue.env", "SECRET_KEY=x"))
    other = place.env("local.env", f"SECRET_KEY={VALUE}")
    place.has("shop.service", *(f"EnvironmentFile={path}" for path in (place.ours[0], other, place.ours[1])))
    assert place.found() == [("SECRET_KEY", "./local.env (EnvironmentFile= in ./shop.service)", False)]


def test_our_file_by_another_name_is_ours(place: Place) -> None:
    link = place.folder / "link.env"
    link.symlink_to(place.ours[0])
    other = place.env("local.env", f"SECRET_KEY={VALUE}")
    place.has("shop.service", f"EnvironmentFile={link}", f"EnvironmentFile={other}")
    assert [(path, wins) for _name, path, wins in place.found()] == [
        ("./local.env (EnvironmentFile= in ./shop.service)", True)
    ]
    place.lines, place.ours = [], [str(link)]
    place.has("shop.service", f"EnvironmentFile={other}", f"EnvironmentFile={place.folder / 'shop.env'}")
    assert [wins for _name, _path, wins in place.found()] == [False]


def test_a_pattern_is_read_in_the_order_of_its_files(place: Place) -> None:
    place.ours = [place.env("d/20-shop.env", "SECRET_KEY=x")]
    for name in ("10-a.env", "30-b.env", ".40-hidden.env", "50-c.txt"):
        place.env(f"d/{name}", f"SECRET_KEY={VALUE}")
    place.has("shop.service", f"EnvironmentFile={place.folder}/d/*.env")
    said = "(EnvironmentFile= in ./shop.service)"
    assert place.found() == [
        ("SECRET_KEY", f"./d/10-a.env {said}", False), ("SECRET_KEY", f"./d/30-b.env {said}", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", [f"SECRET_KEY={VALUE}\nSECRET_KEY=2", f"SECRET_KEY='{VALUE}", f"  SECRET_KEY={VALUE}\\\n#"]
)
def test_a_file_that_is_badly_written_is_found_all_the_same(place: Place, bad: str) -> None:
    other = place.env("local.env", bad)
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", f"EnvironmentFile={other}")
    assert [(name, wins) for name, _path, wins in place.found()] == [("SECRET_KEY", True)]


@pytest.mark.parametrize("what", ["folder", "pipe", "large", "gone"])
def test_what_cannot_be_read_says_nothing(place: Place, what: str) -> None:
    other = place.folder / "other.env"
    if what == "folder":
        other.mkdir()
    elif what == "pipe":
        os.mkfifo(other)
    elif what == "large":
        other.write_text(f"SECRET_KEY={VALUE}\n" + "#" * 2_000_000)
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", f"EnvironmentFile=-{other}")
    assert place.found() == []


@pytest.mark.parametrize(
    "line",
    [
        f"Environment=SECRET_KEY={VALUE}", f'Environment="A=b c" "SECRET_KEY={VALUE}"', f"Environment='SECRET_KEY={VALUE}' B=1",
        f"  Environment = A=1 SECRET_KEY={VALUE}", f"Environment=A=1 \\\n   SECRET_KEY={VALUE}",
    ],
)  # fmt: skip
def test_a_line_of_the_unit_loses_against_any_file_and_may_be_where_to_look(place: Place, line: str) -> None:
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}")
    place.has("x.conf", line)
    assert place.found() == [("SECRET_KEY", "Environment= in ./x.conf", False)]


@pytest.mark.parametrize(
    "line",
    [
        "Environment=A=SECRET_KEY", "Environment=MY_SECRET_KEY=1", "PassEnvironment=SECRET_KEY", "#Environment=SECRET_KEY=1",
        "Environment=SECRET_KEY_FILE=/x", "ExecStart=/usr/bin/env SECRET_KEY=1 true",
    ],
)  # fmt: skip
def test_lines_that_set_none_of_our_settings(place: Place, line: str) -> None:
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", line)
    assert place.found() == []


def test_what_a_unit_takes_away_wins_over_everything(place: Place) -> None:
    place.unset = ["LANG", "SECRET_KEY_FALLBACKS", f"SECRET_KEY={VALUE}"]
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}")
    place.has("x.conf", "UnsetEnvironment=LANG SECRET_KEY_FALLBACKS")
    assert place.found() == [("SECRET_KEY_FALLBACKS", "UnsetEnvironment= in ./x.conf", True)]


def test_a_line_that_is_not_to_be_found_is_of_the_unit(place: Place) -> None:
    place.unset = ["SECRET_KEY"]
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", "UnsetEnvironment=SECRET_KEY_FALLBACKS LANG")
    assert place.found() == [("SECRET_KEY", "UnsetEnvironment= of shop.service", True)]


def test_of_several_lines_that_name_it_the_last_is_told(place: Place) -> None:
    other = place.env("local.env", f"SECRET_KEY={VALUE}")
    place.has("shop.service", f"EnvironmentFile={place.ours[0]}", f"EnvironmentFile={other}")
    place.has("x.conf", "EnvironmentFile=")
    place.has("y.conf", f"EnvironmentFile={place.ours[0]}", f"EnvironmentFile={other}")
    place.has("z.conf", f"EnvironmentFile=-{other}.bak")
    assert ("SECRET_KEY", "./local.env (EnvironmentFile= in ./y.conf)", True) in place.found()


def test_of_a_unit_that_reads_none_of_our_files_nobody_knows_who_wins(place: Place) -> None:
    """A script may read ours, after or before: what the processes were given tells."""
    other = place.env("local.env", f"SECRET_KEY={VALUE}")
    place.unset = ["SECRET_KEY"]
    place.has("shop.service", f"EnvironmentFile={other}", f"Environment=SECRET_KEY={VALUE}")
    assert {wins for _name, _source, wins in place.found()} == {False} and len(place.found()) == 3


def test_a_unit_without_files_is_not_asked(place: Place) -> None:
    assert sources.of(Unit("app.slice", "loaded", "active", "", "", 0), place.ours, NAMES) == []


# --- in a look and a visit --------------------------------------------------------


def test_16_a_visit_refuses_before_it_writes_and_the_look_says_who_wins(host: Host, monkeypatch: Any) -> None:
    """Prepare would pass: the setting that wins has the same key still."""
    host.proven(OLD)
    other = host.folder / "local.env"
    other.write_text(f"SECRET_KEY={SECRET[OLD]}\n")
    conf = host.folder / "x.conf"
    conf.write_text(f"[Service]\nEnvironmentFile={other}\n")
    said = [
        *("LoadState=loaded", "ActiveState=active", "SubState=running", "Restart=no", f"FragmentPath={conf}"),
        *(f"EnvironmentFiles={host.env} (ignore_errors=no)", f"EnvironmentFiles={other} (ignore_errors=no)"),
    ]
    (host.folder / "text").write_text("\n".join(said) + "\n")
    systemctl = host.folder / "systemctl"
    systemctl.write_text(f"#!/bin/sh\ncat {host.folder}/text\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{host.folder}:{os.environ['PATH']}")
    host.variables.update(service=["shop"], restart_command=None)
    before = host.file()
    answer = host.visit(PREPARE)
    (unit,) = answer["evidence"]["units"]
    source = f"{other} (EnvironmentFile= in {conf})"
    assert unit["sources"] == [{"setting": "SECRET_KEY", "source": source, "wins": True}]
    assert unit["restart_delay"] is None
    assert answer["msg"].startswith(
        f"shop.service takes SECRET_KEY from {source}, which wins over {host.env}. What to do: "
    )
    assert answer["msg"].endswith(". Nothing was changed") and host.file() == before and host.restarts() == 0
    # Only what wins.
    (host.folder / "text").write_text("\n".join([*said[:5], said[6], said[5]]) + "\n")
    answer = host.visit(PREPARE, check=True)
    assert "msg" not in answer and answer["evidence"]["units"][0]["sources"][0]["wins"] is False
