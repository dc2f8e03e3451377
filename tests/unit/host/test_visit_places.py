# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole visits of this very machine, of an application of which nothing runs: what they make of files and records."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers, arguments, settings
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

OLD, NEW, ALIEN = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop", "alien-key-abcdefghijklm"
LINES = f"A=1\nSECRET_KEY={OLD}\n"


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what a visit sets for its process."""
    kept = {one: signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    (tmp_path / "env").write_text(LINES)
    return tmp_path / "env"


def asked(spec: Dict[str, Any], env: Path, **more: Any) -> Dict[str, Any]:
    given = {name: option.get("default") for name, option in spec.items()}
    own = {
        "name": "shop", "env_file": [str(env)], "state_dir": str(env.parent / "state"), "timeout": "5s", "nonce": "survey",
        "processes": [{"pattern": "no such process anywhere"}], "host": "web1",
    }  # fmt: skip
    return {**given, **own, **more}


def looked(env: Path, **more: Any) -> Dict[str, Any]:
    answer = answers.answer("active_fingerprint", asked(arguments.ACTIVE_FINGERPRINT, env, **more), False)
    assert not answer.get("failed"), answer
    return dict(answer["evidence"])


def visited(env: Path, counter: int = 2, check: bool = False, **more: Any) -> Dict[str, Any]:
    """Visit: the host is to sign with the new key and to accept the old one; at an odd counter the other way round."""
    old, new = fingerprint(OLD), fingerprint(NEW)
    signs, accepts = (new, [new, old]) if counter % 2 == 0 else (old, [old, new])
    order = {
        "signs": signs, "accepts": accepts, "may_sign": [old, new], "must_accept": [old], "may_accept": [old, new],
        "known": [old, new], "leaked": [], "incident": False,
    }  # fmt: skip
    given = {
        "converge": True, "order": order, "token": {"keyring": "r1", "counter": counter, "nonce": f"n{counter}"}, "step": "promote",
        "secrets": {old: OLD, new: NEW}, "vouched": True,
    }  # fmt: skip
    return answers.answer("env_keys", asked(arguments.ENV_KEYS, env, **{**given, **more}), check)


def record(env: Path) -> Dict[str, Any]:
    return dict(json.loads((env.parent / "state/shop.json").read_text()))


def test_a_visit_writes_proves_and_leaves_its_record(env: Path) -> None:
    answer = visited(env)
    assert answer["proven"] and answer["did"]["written"] == [str(env)], answer
    kept = record(env)
    assert (kept["member"], kept["state"], kept["linked"], kept["signs"]) == ("web1", "proven", {}, fingerprint(NEW))
    assert kept["files"][str(env)]["inode"] == env.stat().st_ino
    seen = looked(env)
    assert (seen["record"], seen["record_of"], seen["files"][0]["links"]) == (kept, None, 1)
    assert seen["files"][0]["identity"] == kept["files"][str(env)]
    assert seen["files"][0]["unusable"] == {}


def test_a_second_name_is_in_the_record_until_the_file_is_written_again(env: Path) -> None:
    other = env.parent / "other"
    os.link(env, other)
    inode = env.stat().st_ino
    assert looked(env)["files"][0]["links"] == 2
    answer = visited(env)
    assert (
        answer["proven"]
        and "failed" not in answer
        and f"find / -xdev -inum {inode} lists it, remove it" in answer["msg"]
    )
    assert record(env)["linked"] == {str(env): inode} and other.stat().st_ino == inode
    assert OLD in other.read_text() and looked(env)["files"][0]["links"] == 1
    answer = visited(env)
    assert answer["proven"] and "msg" not in answer
    assert record(env)["linked"] == {str(env): inode}, "nothing was written since"
    assert visited(env, 3)["proven"]
    assert record(env)["linked"] == {}


# --- another host's record ---------------------------------------------------------


def test_a_record_of_another_host_is_none(env: Path) -> None:
    visited(env, host="image")
    seen = looked(env)
    assert (seen["record"], seen["record_of"]) == (None, "image")
    joining = visited(env, 3, vouched=False)
    assert joining["joining"] and not joining["changed"] and not joining["proven"]
    assert record(env)["member"] == "image"
    # A late visit of the image's own step is nobody's business here: the host is new.
    assert visited(env, 1)["proven"] and record(env)["member"] == "web1"
    assert visited(env, 2)["proven"]
    assert "is only at step 1" in visited(env, 1)["msg"]


def test_what_it_signed_with_until_now_nobody_knows_then(env: Path) -> None:
    visited(env, host="image")
    before = record(env)["at"]
    visited(env, 4)
    assert record(env)["stopped"]["any"] >= before


def test_one_that_does_not_say_whose_it_is_stays_valid(env: Path) -> None:
    visited(env, host="")
    assert record(env)["member"] is None
    assert looked(env)["record"]["counter"] == 2
    assert not visited(env, 3, vouched=False).get("joining")
    assert record(env)["member"] == "web1"


def test_hosts_of_one_machine_with_one_folder_show_one_mark(env: Path) -> None:
    first, second = looked(env), looked(env, host="web2")
    assert first["state"] == second["state"]
    assert looked(env, state_dir=str(env.parent / "state2"))["state"] != first["state"]
    visited(env)
    assert looked(env, host="web2")["state"] == looked(env)["state"] != first["state"]


# --- between the look and the rename ------------------------------------------------


@pytest.mark.parametrize("text", ["B=2\n", f"SECRET_KEY={ALIEN}\n", None])
def test_what_somebody_wrote_since_the_look_is_left_as_it_is(
    text: Any, env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = settings.values_of

    def meanwhile(*given: Any) -> Any:
        if text is None:
            env.unlink()
        else:
            env.write_text(text)
        return real(*given)

    monkeypatch.setattr(settings, "values_of", meanwhile)
    answer = visited(env)
    assert answer["failed"] and not answer["changed"]
    assert "was written by somebody else during the visit: it was left as it is" in answer["msg"]
    assert (env.read_text() if env.exists() else None) == text
    monkeypatch.undo()
    if text != f"SECRET_KEY={ALIEN}\n":
        assert visited(env)["proven"], "the next visit finishes"


def test_the_file_that_is_read_is_the_one_that_is_replaced(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite, by_hand = env_text.rewrite, env.parent / "by-hand"

    def meanwhile(*given: Any) -> str:
        by_hand.write_text("B=2\n")
        by_hand.rename(env)
        return rewrite(*given)

    monkeypatch.setattr(env_text, "rewrite", meanwhile)
    answer = visited(env)
    assert answer["failed"] and "another file was put there meanwhile" in answer["msg"], answer
    assert env.read_text() == "B=2\n"
    assert sorted(os.listdir(env.parent)) == ["env", "state"]


# --- what a look says of a file ------------------------------------------------------


def test_a_link_that_dangles_is_said_with_where_it_leads(env: Path) -> None:
    link = env.parent / "link"
    link.symlink_to("nowhere/env")
    problem = looked(link)["files"][0]["problem"]
    assert problem == {
        "kind": "absent",
        "text": f"leads to {env.parent}/nowhere/env, and nothing is there: a link that dangles",
    }
    answer = visited(link)
    assert answer["failed"] and f"Make the folder {env.parent}/nowhere, and run again" in answer["msg"]


def test_a_path_that_leads_to_anybodys_is_the_files_problem_and_not_the_looks(env: Path) -> None:
    place = env.parent / "all"
    place.mkdir()
    env.rename(place / "env")
    place.chmod(0o777)
    state = str(env.parent / "state")
    seen = looked(place / "env", state_dir=state)
    (file,) = seen["files"]
    assert file["problem"]["kind"] == "unsafe" and "everybody may write the folder" in file["problem"]["text"]
    assert (file["identity"], file["links"], file["signs"], file["accepts"]) == (None, 0, None, [])
    answer = visited(place / "env", state_dir=state)
    assert answer["failed"] and "everybody may write the folder" in answer["msg"] and not answer["changed"]
    assert not (env.parent / "state/shop.json").exists()


@pytest.mark.parametrize("key", ["nul\\u0000-and-more-of-it", "half\\ud800-and-more-of-it"])
def test_a_key_that_no_rollout_could_write_is_told_by_the_look(key: str, env: Path) -> None:
    env.write_text(f"FLASK_SECRET_KEY={OLD}\nFLASK_SECRET_KEY_FALLBACKS='[\"{key}\"]'\n")
    (file,) = looked(env, framework="flask", env_format="shell")["files"]
    if file["problem"]:
        # What is no text at all is no key either.
        assert "\\ud800" in key and "is not a JSON list of strings" in file["problem"]["text"]
        return
    ((name, why),) = file["unusable"].items()
    assert name in file["accepts"] and name != file["signs"]
    assert "cannot be printed" in why and "and-more" not in why


def test_a_full_disk_is_said_before_anything_is_changed(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def full(*names: Any, **folders: Any) -> None:
        if names[1] == "shop.json":
            raise OSError(28, "No space left on device")
        rename(*names, **folders)

    monkeypatch.setattr(os, "rename", full)
    answer = visited(env)
    assert (
        answer["failed"]
        and "this host's record cannot be written: No space left on device (free some space there" in answer["msg"]
    )
    assert env.read_text() == LINES
