# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for others to read: whole or not at all, for everybody to read, and never at the cost of the run."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import VARIABLES
from ansible_collections.phased.keys.plugins.module_utils._rules import standing
from ansible_collections.phased.keys.plugins.plugin_utils import _outputs as outputs

NOW = 1_700_000_000.0


def moment(why: str = "no keyring") -> outputs.Moment:
    stands = standing.without_a_keyring("shop", ["web1"], NOW, why)
    return outputs.Moment("status", "status", True, why, stands, None, 86400.0)


def values(**given: str) -> Dict[str, Any]:
    return {**{output.variable: None for output in outputs.OUTPUTS}, **given}


def test_every_output_has_its_variable_and_begins_as_it_says():
    for output in outputs.OUTPUTS:
        assert VARIABLES[output.variable].fleet and VARIABLES[output.variable].default is None
        assert output.begins and output.render(moment()).startswith(output.begins)


def test_nothing_is_wanted_where_no_path_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not outputs.wanted(values())
    assert outputs.write(values(), moment()) == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", outputs.OUTPUTS, ids=lambda output: output.variable)
def test_a_file_is_written_whole_beside_its_place_for_all_to_read_and_again(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    flushed = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (flushed.append(fd), real(fd))[1])
    given = values(**{output.variable: "status"})
    umask = os.umask(0o077)
    try:
        assert outputs.wanted(given) and outputs.write(given, moment()) == []
        first = (tmp_path / "status").stat()
        assert outputs.write(given, moment("another")) == []
    finally:
        os.umask(umask)
    found = (tmp_path / "status").stat()
    assert (tmp_path / "status").read_text() == output.render(moment("another"))
    assert stat.S_IMODE(first.st_mode) == stat.S_IMODE(found.st_mode) == 0o644
    # It was never opened for writing in its place.
    assert first.st_ino != found.st_ino and flushed
    assert [path.name for path in tmp_path.iterdir()] == ["status"]


def test_json_tells_what_it_is_and_how_it_is_read(tmp_path):
    found = json.loads(outputs.status_json(moment()))
    assert (found["kind"], found["schema"], found["name"], found["ok"]) == ("phased.keys/status", 1, "shop", False)
    assert outputs.status_json(moment("\u2028 \udcff é")).isascii()


def unwritable(tmp_path: Path) -> Dict[str, str]:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "away" / "status")
    os.mkfifo(tmp_path / "pipe")
    return {
        str(
            tmp_path / "none" / "status"
        ): "No such file or directory (make the folder that it is to be in, and run again)",
        str(tmp_path / "file" / "status"): "Not a directory",
        str(tmp_path / "folder"): "it is a folder: ",
        str(tmp_path / "link"): "No such file or directory (make the folder",
        str(tmp_path / "pipe"): "give it the path of an ordinary file",
        "/proc/version": "what is there is no such file of ours",
        "/dev/full": "give it the path of an ordinary file",
    }


@pytest.mark.parametrize("number", range(7))
def test_what_cannot_be_written_is_said_with_its_path_and_why(tmp_path, number):
    path, why = list(unwritable(tmp_path).items())[number]
    other = tmp_path / "other.prom"
    (said,) = outputs.write(values(status_json=path, status_prometheus=str(other)), moment())
    assert said.startswith(f"app_keys_status_json: {path} is not written: ") and why in said
    # The others are.
    assert other.read_text().startswith("# HELP")


@pytest.mark.parametrize("text", ["$ANSIBLE_VAULT;1.1;AES256\n3130\n", "SECRET_KEY=x\n", "{}", "\udcff"])
def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path, text):
    path = tmp_path / "shop.yml"
    content = text.encode("utf-8", "surrogateescape")
    path.write_bytes(content)
    for output in outputs.OUTPUTS:
        (said,) = outputs.write(values(**{output.variable: str(path)}), moment())
        assert "was left as it is" in said
    assert path.read_bytes() == content


def test_a_file_that_another_run_has_just_written_is_written_over(tmp_path, monkeypatch):
    path, real, calls = tmp_path / "shop.json", outputs.files.replace_text, []

    def late(*arguments: Any, **more: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError(errno.ESTALE, "another file was put there meanwhile")
        real(*arguments, **more)

    monkeypatch.setattr(outputs.files, "replace_text", late)
    assert outputs.write(values(status_json=str(path)), moment()) == []
    assert path.exists() and len(calls) == 2


def test_an_empty_file_may_have_been_put_there_for_us(tmp_path):
    path = tmp_path / "shop.json"
    path.touch()
    assert outputs.write(values(status_json=str(path)), moment()) == []
    assert path.stat().st_size


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to("real")
    assert outputs.write(values(status_json=str(tmp_path / "link")), moment()) == []
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text()


def test_a_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert outputs.write(values(status_json="~/shop.json"), moment()) == []
    assert (tmp_path / "shop.json").exists()


def test_a_mistake_of_ours_in_a_text_is_said_and_ends_nothing(tmp_path, monkeypatch):
    def broken(_moment: outputs.Moment) -> str:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(outputs, "OUTPUTS", [outputs.Output("status_json", broken, "{")])
    path = tmp_path / "shop.json"
    (said,) = outputs.write({"status_json": str(path)}, moment())
    assert "ZeroDivisionError: oh" in said and not path.exists()
