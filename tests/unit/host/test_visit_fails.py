# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole visits that go wrong, in this process and with a real application: rule 8, and what is said."""

from __future__ import annotations

import errno
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import files, record, visit
from ansible_collections.phased.keys.plugins.module_utils._host.rules.visit import MAY_BE_DOWN
from visited import ALIEN, NEW, NEXT, OLD, PREPARE, SECRET, Host, holds, order

BACK = "the previous settings were restored, and the application runs with them"
# From promote on nobody may sign with OLD alone, and a host that still did is not taken back to it.
FORWARD = order(NEW, OLD)


def test_8_a_restart_that_fails_brings_the_settings_of_before_back(host: Host) -> None:
    host.proven(OLD)
    before, pids = host.record(), host.pids()
    host.then("rm then; echo no such module >&2; exit 3")
    answer = host.visit(PREPARE)
    assert answer["failed"] and not answer["proven"] and answer["changed"]
    assert answer["did"] == {
        "written": [str(host.env)],
        "restarted": True,
        "restored": True,
        "down": False,
        "took": 0.0,
    }
    assert answer["msg"] == f"the restart command: exit code 3\nno such module. {BACK}. {visit.AGAIN}"
    assert holds(answer) == [[OLD]] * 4 and host.restarts() == 2
    assert "SECRET_KEY_FALLBACKS=\n" in host.env.read_text() and "Z='2 3'\n" in host.env.read_text()
    assert not set(pids) & set(host.pids())
    after = host.record()
    assert (after["state"], after["counter"], after["nonce"]) == ("unproven", 3, "n3")
    # What it remembers of the last proof stays.
    for field in ("signs", "workers", "pools", "stopped", "files"):
        assert after[field] == before[field]
    assert answer["evidence"]["record"] == after and answer["evidence"]["settled"]


def test_8_one_that_fails_with_the_old_settings_too_is_down(host: Host) -> None:
    host.proven(OLD)
    host.then("stop; exit 3")
    answer = host.visit(PREPARE)
    assert answer["did"]["down"] and answer["did"]["restored"]
    assert answer["msg"] == (
        "the restart command: exit code 3. the previous settings could not be restored either (the restart command: exit code 3). "
        f"no worker lasts: {MAY_BE_DOWN}. {visit.AGAIN}"
    )
    assert SECRET[NEW] not in host.env.read_text() and answer["evidence"]["workers"] == []


def test_17_a_restart_command_that_is_missing_leaves_the_old_workers_and_says_so(host: Host) -> None:
    host.proven(OLD)
    pids = host.pids()
    host.variables["restart_command"] = ["/nowhere/restart"]
    answer = host.visit(PREPARE)
    assert answer["did"]["down"] is False and MAY_BE_DOWN not in answer["msg"]
    assert answer["msg"].endswith(f". the old workers run on with {OLD}, accepting {OLD}. {visit.AGAIN}")
    assert answer["msg"].startswith("the restart command cannot be run: ")
    assert host.pids() == pids and SECRET[NEW] not in host.env.read_text()


def test_17_a_restart_that_replaces_nothing_is_named_as_that(host: Host) -> None:
    host.proven(OLD)
    host.variables["timeout"] = "0.5s"
    pids = host.pids()
    host.then("exit 0")
    answer = host.visit(PREPARE)
    told = f"the restart replaced no process: pids {', '.join(map(str, pids))}, started "
    assert answer["msg"].startswith(told) and f"does not accept {NEW}" in answer["msg"]
    assert (
        "What to do: the restart of the application with app_keys_restart_command has to end these processes"
        in answer["msg"]
    )
    assert BACK in answer["msg"] and holds(answer) == [[OLD]] * 4 and host.pids() == pids


def test_16_workers_that_have_their_keys_from_elsewhere_are_named_as_that(host: Host) -> None:
    host.proven(OLD)
    host.variables["timeout"] = "0.5s"
    (host.folder / "other").write_text(host.env.read_text())
    host.then("FROM=./other")
    answer = host.visit(PREPARE)
    assert "though the env file that it started on says otherwise" in answer["msg"]
    assert "What to do: something else gives it its keys" in answer["msg"] and BACK in answer["msg"]


def test_9_what_was_seen_and_what_to_do_are_in_the_message(host: Host) -> None:
    host.proven(OLD)
    host.variables["timeout"] = "0.5s"
    host.then("APP='exec sleep 300'")
    answer = host.visit(PREPARE)
    assert (
        answer["msg"].startswith("no worker runs below pid ") and " (sleep) in two looks, and at the" in answer["msg"]
    )
    assert "What to do: see in its log why it starts none; if it may run without any, say so" in answer["msg"]
    assert f"workers run with {OLD}, accepting {OLD}" in answer["msg"], "the same happens with the previous settings"
    assert answer["did"]["down"] is False


def test_9_a_pool_may_shrink(host: Host) -> None:
    host.proven(OLD)
    host.then("APP='sleep 300 & wait'")
    assert host.visit(PREPARE)["proven"] and len(host.pids()) == 2
    assert (host.record()["workers"], host.record()["pools"]) == (2, [1])


def test_9_a_pool_that_may_idle_may_be_empty(host: Host) -> None:
    host.proven(OLD)
    host.variables["processes"][0]["idle"] = True
    host.then("APP='exec sleep 300'")
    assert host.visit(PREPARE)["proven"] and host.record()["pools"] == [0]


def test_9_workers_that_do_not_last_are_not_proven(host: Host) -> None:
    host.proven(OLD)
    host.variables.update(timeout="1s", settle="0.3s")
    # The third process of a row of short-lived ones stays.
    host.then("APP='sleep 0.2; exit 1'")
    answer = host.visit(PREPARE)
    assert answer["did"]["down"] and f"no worker lasts: {MAY_BE_DOWN}" in answer["msg"]


def test_8_settings_that_are_not_safe_any_more_stay_away(host: Host) -> None:
    host.proven(OLD)
    host.then("stop; exit 3")
    answer = host.visit(FORWARD)
    assert "the new env file stays: at this step the previous settings are no longer safe" in answer["msg"]
    assert f"no worker lasts: {MAY_BE_DOWN}" in answer["msg"] and answer["did"]["down"]
    assert answer["did"]["restored"] is False and SECRET[NEW] in host.env.read_text() and host.restarts() == 1


def test_14_a_leaked_key_is_never_brought_back(host: Host) -> None:
    host.proven(NEXT, NEW, OLD)
    host.then("rm then; exit 3")
    leaked = order(NEW, OLD, admits=[(NEXT, NEW, OLD)], leaked=[NEXT])
    assert leaked.admits(NEXT, [NEXT, NEW, OLD]), "but for that"
    answer = host.visit(leaked)
    assert "the previous settings are no longer safe" in answer["msg"]
    assert SECRET[NEXT] not in host.env.read_text() and host.record()["leaked"] == [NEXT]


def test_6_a_key_that_comes_between_the_look_and_the_write_is_left_alone(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    real = record.save

    def save(*arguments: Any) -> Any:
        host.write(ALIEN)
        return real(*arguments)

    monkeypatch.setattr(record, "save", save)
    answer = host.visit(PREPARE)
    assert f"{host.env} was written by somebody else during the visit: it was left as it is" in answer["msg"]
    is_left_alone(host, answer)
    monkeypatch.undo()
    answer = host.visit(PREPARE)
    assert f"{host.env} holds the key {ALIEN}, which is not in the keyring. Nothing was changed" in answer["msg"]
    assert SECRET[ALIEN] in host.env.read_text() and host.restarts() == 0


def test_6_a_key_that_comes_at_the_very_last_is_named_and_left_alone(host: Host, monkeypatch: Any) -> None:
    """In place, and after it was seen that nobody else has written the file: what is read then is what counts."""
    host.proven(OLD)
    real, texts = files.Place.text, []

    def text(place: files.Place, *arguments: Any) -> Any:
        texts.extend([place.path] * (place.path == str(host.env)))
        # The visit reads it to look, to keep the previous settings, and then to rewrite it.
        if place.path == str(host.env) and len(texts) == 3:
            host.write(ALIEN)
        return real(place, *arguments)

    monkeypatch.setattr(files.Place, "text", text)
    answer = host.visit(PREPARE)
    assert f"{host.env} holds {ALIEN} now, which is not in the keyring: it was left as it is" in answer["msg"]
    is_left_alone(host, answer)


def is_left_alone(host: Host, answer: Dict[str, Any]) -> None:
    """Whether the unknown key is still there, and all that came of the visit is said."""
    assert "the env file was not changed" in answer["msg"] and f"the old workers run on with {OLD}" in answer["msg"]
    assert answer["msg"].endswith(visit.AGAIN) and answer["failed"] and answer["did"]["written"] == []
    assert SECRET[ALIEN] in host.env.read_text() and answer["changed"] is False and host.restarts() == 0
    assert host.record()["state"] == "unproven"


def test_6_a_key_that_comes_during_the_restart_is_not_overwritten_by_the_way_back(host: Host) -> None:
    host.proven(OLD)
    host.then(f"rm then; sed -i 's/^SECRET_KEY=.*/SECRET_KEY={SECRET[ALIEN]}/' env; exit 3")
    answer = host.visit(PREPARE)
    assert f"could not be restored either ({host.env} holds {ALIEN} now" in answer["msg"]
    assert SECRET[ALIEN] in host.env.read_text() and answer["did"]["restored"] is False


def test_8_only_our_settings_come_back_on_the_file_as_it_is_now(host: Host) -> None:
    host.proven(OLD)
    host.then("rm then; echo B=from-another-tool >> env; exit 3")
    assert BACK in host.visit(PREPARE)["msg"]
    assert host.env.read_text().endswith("Z='2 3'\nB=from-another-tool\n")


def test_8_a_setting_that_was_absent_before_is_taken_out_again(host: Host) -> None:
    host.write(OLD)
    host.env.write_text(f"SECRET_KEY={SECRET[OLD]}\n")
    host.start()
    assert host.visit(order(OLD), counter=2)["proven"]
    text = f"SECRET_KEY={SECRET[OLD]}\n"
    assert host.env.read_text() == text
    host.then("rm then; exit 3")
    assert BACK in host.visit(PREPARE)["msg"] and host.env.read_text() == text


def test_8_a_new_file_that_has_to_stay_says_what_runs(host: Host) -> None:
    host.proven(OLD)
    host.then("exit 3")
    answer = host.visit(FORWARD)
    assert f"no longer safe. the old workers run on with {OLD}, accepting {OLD}. " in answer["msg"]
    assert answer["did"]["down"] is False


def test_8_one_of_several_files_alone_was_changed_and_comes_back(host: Host) -> None:
    second = host.folder / "queue.env"
    host.variables["env_file"] = [str(host.env), str(second)]
    host.write(OLD, path=second)
    host.proven(OLD)
    host.write(OLD, NEW, path=second)
    text = second.read_text(), second.stat().st_ino
    host.then("rm then; exit 3")
    answer = host.visit(PREPARE)
    assert answer["did"]["written"] == [str(host.env)] and BACK in answer["msg"]
    assert (second.read_text(), second.stat().st_ino) == text and SECRET[NEW] not in host.env.read_text()


# --- order: the record, the file, the lock --------------------------------------


# --- what cannot be written or restarted ------------------------------------------


def failing(monkeypatch: Any, module: Any, name: str, when: Callable[..., bool], error: BaseException) -> None:
    real = getattr(module, name)

    def failed(*arguments: Any, **options: Any) -> Any:
        if when(*arguments, **options):
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, failed)


FULL = OSError(errno.ENOSPC, "No space left on device (free some space there, and run again)")


def test_7_a_file_that_cannot_be_written_is_left_as_it_is(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    text = host.env.read_text()
    failing(monkeypatch, files.Place, "replace", lambda place, *_more, **_options: place.path == str(host.env), FULL)
    answer = host.visit(PREPARE)
    assert "No space left on device" in answer["msg"] and "the env file was not changed" in answer["msg"]
    assert f"the old workers run on with {OLD}" in answer["msg"]
    assert (answer["did"]["written"], answer["changed"]) == ([], False)
    assert host.env.read_text() == text and host.restarts() == 0 and host.record()["state"] == "unproven"


def test_7_a_file_that_is_in_place_though_an_error_came_counts_as_written(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    real, calls = files.Place.replace, []

    def replaced(place: files.Place, *arguments: Any, **options: Any) -> None:
        real(place, *arguments, **options)
        calls.append(place.path)
        if calls.count(str(host.env)) == 1 and place.path == str(host.env):
            raise OSError(errno.EIO, "the folder cannot be synced", place.path)

    monkeypatch.setattr(files.Place, "replace", replaced)
    answer = host.visit(PREPARE)
    assert "the folder cannot be synced" in answer["msg"] and BACK in answer["msg"]
    assert answer["did"]["written"] == [str(host.env)] and SECRET[NEW] not in host.env.read_text()
    assert host.restarts() == 0, "nothing had read it"


def test_7_a_record_that_cannot_be_written_stops_the_visit_before_the_file(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    before = host.record()
    failing(monkeypatch, record, "save", lambda *_all: True, FULL)
    answer = host.visit(PREPARE)
    assert answer["failed"] and answer["msg"].count("No space left") == 1
    assert "the env file was not changed" in answer["msg"] and answer["did"]["restarted"] is False
    assert host.record() == before and SECRET[NEW] not in host.env.read_text()
    assert holds(answer) == [[OLD]] * 4


def test_7_a_record_that_cannot_be_written_after_all_is_said(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    failing(monkeypatch, record, "save", lambda *told: told[4] == "unproven", FULL)
    host.then("rm then; exit 3")
    answer = host.visit(PREPARE)
    assert BACK in answer["msg"] and "the host's record cannot be written: " in answer["msg"]
    assert host.record()["state"] == "visiting" and holds(answer) == [[OLD]] * 4


def test_7_a_record_of_a_proof_that_cannot_be_written_is_an_error(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    failing(monkeypatch, record, "save", lambda *told: told[4] == "proven", FULL)
    with pytest.raises(OSError, match="No space left"):
        host.visit(PREPARE)
    assert host.record()["state"] == "visiting"


def test_8_a_host_that_cannot_be_looked_at_at_the_end_is_not_called_well(host: Host, monkeypatch: Any) -> None:
    host.proven(OLD)
    host.then("exit 3")
    looks: List[Any] = []
    failing(
        monkeypatch,
        visit,
        "look_once",
        lambda *_all: looks.append(1) is None,
        PermissionError(errno.EPERM, "hidepid"),
    )
    answer = host.visit(FORWARD)
    assert (
        "the host cannot be looked at: " in answer["msg"] and f"what runs is not known: {MAY_BE_DOWN}" in answer["msg"]
    )
    assert answer["did"]["down"] and answer["evidence"]["settled"] is False and looks


# --- services ----------------------------------------------------------------------


# --- a limit on everything ------------------------------------------------------------
