# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host remembers of its visits: as written, as read, and whose it is."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from pathlib import Path
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files, paths, processes, record
from ansible_collections.phased.keys.plugins.module_utils._host.rules.order import Token

TOKEN = Token("ring-1", 7, "nonce-7")
STAMP = {"identity": {"inode": 4}, "boot": "boot-1", "ticks": 70}
KEPT = {
    "signs": "aa", "workers": 3, "stopped": {"bb": 12.5}, "files": {"/etc/env": {"inode": 4}, "/etc/none": None},
    "linked": {"/etc/env": 77}, "pools": [2, 0], "uids": [33],
    "stamps": {"/etc/env": STAMP},
}  # fmt: skip


def saved(folder: Path, **more: Any) -> Dict[str, Any]:
    return record.save(str(folder), "shop", TOKEN, "promote", "proven", KEPT, ["cc"], "web1", **more)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    before = time.time()
    written = saved(tmp_path)
    assert before <= written["at"] <= time.time()
    assert written == {
        "schema": 1, "name": "shop", "keyring": "ring-1", "counter": 7, "nonce": "nonce-7", "step": "promote", "state": "proven",
        "at": written["at"], "member": "web1", "leaked": ["cc"], **KEPT,
    }  # fmt: skip
    assert record.load(str(tmp_path), "shop") == written
    path = tmp_path / "shop.json"
    assert record.path(str(tmp_path), "shop") == str(path)
    assert json.loads(path.read_text()) == written
    assert path.read_text() == json.dumps(written, indent=1, sort_keys=True) + "\n", "a person can read and compare it"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["shop.json"]


def test_of_the_last_proof_nothing_need_be_known(tmp_path: Path) -> None:
    written = record.save(str(tmp_path), "shop", TOKEN, "adopt", "visiting", {})
    assert {name: written[name] for name in (*KEPT, "member", "leaked", "state", "step")} == {
        "signs": None, "workers": 0, "stopped": {}, "files": {}, "linked": {}, "member": None, "leaked": [], "state": "visiting",
        "step": "adopt", "pools": None, "uids": [], "stamps": {},
    }  # fmt: skip
    assert record.load(str(tmp_path), "shop") == written


def test_each_application_has_its_own(tmp_path: Path) -> None:
    saved(tmp_path)
    assert record.load(str(tmp_path), "other") is None
    assert record.lock_path("/state", "shop") == "/state/shop.lock"
    assert record.path("/state", "shop") == "/state/shop.json"
    assert record.load(str(tmp_path / "none"), "shop") is None


def test_what_a_later_release_adds_to_this_schema_is_kept(tmp_path: Path) -> None:
    change(tmp_path, more={"a": 1})
    found = record.load(str(tmp_path), "shop")
    assert found is not None and found["more"] == {"a": 1}


def test_a_number_is_one_that_fits_into_64_bits(tmp_path: Path) -> None:
    change(tmp_path, counter=2**63 - 1)
    found = record.load(str(tmp_path), "shop")
    assert found is not None and found["counter"] == 2**63 - 1


def change(folder: Path, **fields: Any) -> None:
    """Write a record with these fields changed; None takes one away."""
    found = {**saved(folder), **fields}
    kept = {name: value for name, value in found.items() if value is not ...}
    (folder / "shop.json").write_text(json.dumps(kept))


DAMAGED: Dict[str, Any] = {
    "keyring": (..., None, 1, ["x"]), "nonce": (..., None, 1), "state": (..., None, 2), "step": (..., None, {}),
    "counter": (..., None, "7", 7.5, True, 2**63, -(2**63), 10**400), "at": (..., None, "x", True, float("nan"), float("inf")),
    "schema": (..., "1", None, 0, -1, True, 1.0, []),
    "member": (1, ["web1"]), "signs": (1, []), "workers": ("3", 2.5, True), "stopped": ([], {"bb": "x"}, {"bb": None}, 1),
    "files": ([], {"x": 1}, "x"), "linked": ([], {"x": "y"}), "leaked": ("cc", [1], {"a": "b"}),
    "pools": ("2", 2, {"a": 1}, [None], ["2"], [1.5], [True]), "uids": ("33", 33, {"a": 1}, [None], ["x"], [1.5], [True]),
    "stamps": (
        [], "x", {"/e": None}, {"/e": []}, {"/e": {}}, *({"/e": {**STAMP, **one}} for one in (
            {"identity": None}, {"identity": []}, {"boot": None}, {"boot": 1}, {"ticks": None}, {"ticks": "7"}, {"ticks": 7.5},
        )),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in DAMAGED.items() for value in values])
def test_a_field_that_is_not_what_it_should_be_is_damage(field: str, value: Any, tmp_path: Path) -> None:
    change(tmp_path, **{field: value})
    damaged(tmp_path, field)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "7", '"x"', "[" * 100_000, '{"schema": 1}', "\x00", "\udcff{}"]
)
def test_a_file_that_is_no_record_is_damage(text: str, tmp_path: Path) -> None:
    (tmp_path / "shop.json").write_text(text, errors="surrogateescape")
    damaged(tmp_path, "")


def damaged(folder: Path, what: str) -> None:
    path = folder / "shop.json"
    with pytest.raises(record.RecordError) as caught:
        record.load(str(folder), "shop")
    assert str(caught.value).startswith(f"{path}, the record of its visits, is damaged (")
    assert what in str(caught.value).partition(")")[0]
    assert f"remove it (rm {path}) and run again" in str(caught.value)


@pytest.mark.parametrize(
    "field", ["member", "signs", "workers", "stopped", "files", "linked", "leaked", "pools", "uids", "stamps"]
)
def test_one_of_an_earlier_release_lacks_some_fields(field: str, tmp_path: Path) -> None:
    change(tmp_path, **{field: ...})
    found = record.load(str(tmp_path), "shop")
    assert found is not None and field not in found


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    change(tmp_path, schema=record.SCHEMA + 1, counter="of another kind")
    with pytest.raises(
        record.RecordError, match="shop.json was written by a newer release of phased.keys: use that one"
    ):
        record.load(str(tmp_path), "shop")


@pytest.mark.parametrize(
    ("written", "asked", "mine", "whose"),
    [("web1", "web1", True, None), ("web1", "web2", False, "web1"), (None, "web2", True, None), ("web1", "", True, None), (None, "", True, None)],
)  # fmt: skip
def test_whose_it_is(written: Any, asked: str, mine: bool, whose: Any, tmp_path: Path) -> None:
    change(tmp_path, member=written)
    found, of = record.own(str(tmp_path), "shop", asked)
    assert (found is not None, of) == (mine, whose)
    assert found is None or found["counter"] == 7


def test_no_record_is_nobodys(tmp_path: Path) -> None:
    assert record.own(str(tmp_path), "shop", "web1") == (None, None)


def test_a_disk_that_is_full_is_said_with_the_record_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)

    def full(*_given: Any, **_more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(OSError) as caught:
        saved(tmp_path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "shop.json"))
    assert str(caught.value.strerror) == (
        "this host's record cannot be written: No space left on device (free some space there, and run again)"
    )


def test_the_mark_of_the_folder_is_the_same_by_every_name_and_before_it_is_made(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    mark = record.folder_mark(str(tmp_path / "a"))
    found = (tmp_path / "a").stat()
    assert mark == f"{processes.boot_id()}/{found.st_dev}:{found.st_ino}"
    assert record.folder_mark(str(tmp_path / "link")) == mark
    assert record.folder_mark(str(tmp_path / "a/later/deep")) == f"{mark}/later/deep"
    assert record.folder_mark(str(tmp_path / "link/later")) == f"{mark}/later"
    assert record.folder_mark(str(tmp_path)) != mark
    (tmp_path / "file").write_text("")
    assert record.folder_mark(str(tmp_path / "file/x")).endswith(f":{(tmp_path / 'file').stat().st_ino}/x")


def test_a_record_that_somebody_else_may_write_is_none(tmp_path: Path) -> None:
    saved(tmp_path)
    tmp_path.chmod(0o777)
    try:
        with pytest.raises(paths.Unsafe, match="everybody may write the folder"):
            record.load(str(tmp_path), "shop")
        with pytest.raises(paths.Unsafe, match="everybody may write the folder"):
            saved(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert files.read_text(str(tmp_path / "shop.json"))


def test_a_check_of_many_takes_what_is_missing_and_each_one_that_is_right() -> None:
    """Called here, for the records' own are made when the module is read, before any mutant of it runs."""
    numbers, names = record._every(list, record._whole), record._every(dict, record._text)
    assert all(numbers(value) is True for value in (None, [], [1], [1, 2]))
    assert not any(numbers(value) for value in ([1, "x"], ["x", 1], {}, {"a": 1}, "12", 7))
    assert all(names(value) is True for value in (None, {}, {"a": "b"}))
    assert not any(names(value) for value in ({"a": "b", "c": 1}, ["a"], "a"))
