# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback itself, without a playbook: what it falls back to, what hostile results do to it, what it costs, and the living line."""

from __future__ import annotations

import io
import os
import threading
import time
from types import SimpleNamespace
from typing import Any, Dict, Iterator, List

import pytest
from ansible import constants as C
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
from ansible.utils.display import Display
from ansible_collections.phased.keys.plugins.callback import rollout
from ansible_collections.phased.keys.plugins.plugin_utils import _living_line as living
from ansible_collections.phased.keys.plugins.plugin_utils import _run_folder as run_folder

OPTIONS = {
    "display_ok_hosts": True, "display_skipped_hosts": True, "display_failed_stderr": False, "show_per_host_start": False,
    "check_mode_markers": False, "show_custom_stats": False, "show_task_path_on_failure": False, "result_format": "json", "pretty_results": None,
}  # fmt: skip
PLAYBOOKS = f"{rollout.COLLECTION}/playbooks/parts"


class Terminal(io.StringIO):
    """What is written to a terminal."""

    patch: pytest.MonkeyPatch

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Terminal]:
    """A terminal of 80 columns, and a run folder."""
    terminal = Terminal()
    terminal.patch = monkeypatch
    monkeypatch.setattr(os, "get_terminal_size", lambda fd=0: os.terminal_size((80, 24)))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("ansible.utils.color.ANSIBLE_COLOR", False)
    monkeypatch.setitem(vars(C), "DEFAULT_LOCAL_TMP", str(tmp_path))
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(forks=5, check=False))
    yield terminal
    for name in ("display", "prompt_until"):
        vars(Display()).pop(name, None)


def play(name: str, path: str = f"{PLAYBOOKS}/phase.yml") -> Any:
    return SimpleNamespace(
        get_name=lambda: name, get_path=lambda: f"{path}:1", check_mode=False, strategy="linear", vars={}
    )


def task(action: str, path: str = f"{PLAYBOOKS}/phase.yml", **arguments: Any) -> Any:
    return SimpleNamespace(
        action=action, resolved_action=action, args=arguments, get_name=lambda: action, get_path=lambda: f"{path}:1", _uuid=action,
        no_log=False, check_mode=False, loop=None, ignore_unreachable=False, delegate_to=None, implicit=False,
    )  # fmt: skip


def result(its: Any, host: str, **said: Any) -> Any:
    return SimpleNamespace(
        _task=its, task=its, _host=SimpleNamespace(get_name=lambda: host, name=host), host=SimpleNamespace(get_name=lambda: host, name=host),
        _result=said, result=said, exception=None,
    )  # fmt: skip


def begun(written: Terminal, hosts: List[str]) -> rollout.CallbackModule:
    """A callback in the middle of the visits of these hosts, in two batches."""
    written.patch.setattr("sys.stdout", written)  # here and not in the fixture: pytest takes it back before the test
    callback = rollout.CallbackModule()
    callback._plugin_options = callback._options = dict(OPTIONS)
    callback.v2_playbook_on_start(SimpleNamespace(_file_name="rollout.yml"))
    callback.v2_playbook_on_play_start(play("Find the fleet"))
    fleet = task(rollout.GATE, do="fleet", goal="rollout")
    callback.v2_playbook_on_task_start(fleet, False)
    run_folder.begin(
        {"name": "shop", "goal": "rollout", "members": hosts, "visits": hosts, "serial": [1, "100%"], "nonce": "n"}
    )
    callback.v2_runner_on_ok(result(fleet, hosts[0], changed=False, progress=progress(len(hosts))))
    for _batch in range(2):
        callback.v2_playbook_on_play_start(play("Visit the hosts: prepare"))
        for _question in range(2):  # a batch that waits for looks asks once more
            callback.v2_playbook_on_task_start(task(rollout.GATE, do="batch"), False)
    callback.v2_playbook_on_task_start(task(rollout.VISIT), False)
    callback.line.draw(at_once=True)
    return callback


def progress(total: int) -> Dict[str, Any]:
    return {
        "phase": "prepare",
        "step": "prepare",
        "open": True,
        "proven": 0,
        "total": total,
        "due_at": None,
        "next": "n",
    }


def ended(callback: rollout.CallbackModule) -> None:
    callback.v2_playbook_on_stats(SimpleNamespace(processed={}, custom={}, summarize=lambda host: {}))


def test_two_thousand_results_cost_next_to_nothing(written: Terminal):
    hosts = [f"web{number}" for number in range(2000)]
    callback, visit = begun(written, hosts), task(rollout.VISIT)
    began = time.process_time()
    for host in hosts:
        callback.v2_runner_on_start(SimpleNamespace(get_name=lambda host=host: host), visit)
    for host in hosts:
        callback.v2_runner_on_ok(result(visit, host, changed=True, proven=True, msg=f"{host}: wrote 1 file"))
    ended(callback)
    # It takes a fiftieth of that; ansible-playbook itself takes some 30 ms for each result.
    assert time.process_time() - began < 1.0
    assert "changed      2000 hosts: web0, web1" in written.getvalue()


HOSTILE = "web1\x1b[2J\x1b[1A\r\n\u202eevil\x9b2K\x00\x07"


@pytest.mark.parametrize("how", ["ok", "failed", "unreachable"])
def test_a_hostile_result_neither_breaks_the_living_line_nor_leaves_it_standing(written: Terminal, how: str):
    callback, visit = begun(written, [HOSTILE, "web2"]), task(rollout.VISIT)
    callback.v2_runner_on_start(SimpleNamespace(get_name=lambda: HOSTILE), visit)
    written.seek(0)
    written.truncate()
    callback.draw()
    callback.line.draw(at_once=True)
    drawn = written.getvalue().replace(living.ERASE, "")
    assert drawn.isprintable() and len(drawn) < 80
    said = {"msg": HOSTILE, "changed": True, "proven": how == "ok"}
    getattr(callback, f"v2_runner_on_{how}")(result(visit, HOSTILE, **said, unreachable=how == "unreachable"))
    ended(callback)
    shown = written.getvalue().replace(living.ERASE, "")
    assert all(line.isprintable() for line in shown.splitlines() if line), shown


def test_whatever_is_shown_the_line_is_taken_away_before_and_put_back_after(written: Terminal):
    callback = begun(written, ["web1", "web2"])
    display = Display()
    assert written.getvalue().endswith("0/2")
    display.display("something")
    assert written.getvalue().rpartition("something")[0][:-9].endswith(living.ERASE)  # before the time
    assert written.getvalue().rpartition("something\n")[2].startswith(living.ERASE + "prepare  batch 2 of 2  [")
    ended(callback)
    assert "display" not in vars(display)
    assert "prepare  batch" not in written.getvalue().rpartition(living.ERASE)[2]


def test_nothing_is_drawn_while_a_person_types(written: Terminal, monkeypatch: pytest.MonkeyPatch):
    callback = begun(written, ["web1", "web2"])
    typed: List[str] = []

    def prompt(text: str) -> bytes:
        Display().display(text)
        callback.line.draw(at_once=True)
        typed.append(written.getvalue())
        return b"yes"

    callback.line.prompt = prompt
    assert Display().prompt_until("Type it: ") == b"yes"
    assert typed[0].endswith("Type it: \n")
    callback.line.draw(at_once=True)
    assert written.getvalue().endswith("0/2")
    ended(callback)


def test_a_run_that_is_interrupted_leaves_no_line_behind(written: Terminal):
    callback = begun(written, ["web1", "web2"])
    Display().display("User interrupted execution", stderr=True)
    callback.line.stop()  # what atexit calls
    assert written.getvalue().endswith(living.ERASE)


def test_a_second_playbook_has_its_line_too(written: Terminal):
    ended(begun(written, ["web1", "web2"]))
    callback = begun(written, ["web1", "web2"])
    assert written.getvalue().endswith("0/2")
    callback.v2_playbook_on_handler_task_start(task("ansible.builtin.command"))
    assert written.getvalue().rstrip("*\n ").endswith("RUNNING HANDLER [ansible.builtin.command]")
    ended(callback)


def test_a_fork_draws_nothing_and_what_it_shows_goes_its_way(written: Terminal):
    callback = begun(written, ["web1", "web2"])
    shown: List[str] = []
    callback.line.original = lambda text, *args, **how: shown.append(text)
    callback.line.process = -1  # as in a fork
    before = written.getvalue()
    Display().display("web1: wrote 1 file")
    callback.line.draw(at_once=True)
    assert shown == ["web1: wrote 1 file"]
    assert written.getvalue() == before


def test_what_forks_show_while_the_callback_shows_something_waits_and_has_its_time(written: Terminal):
    callback = begun(written, ["web1", "web2"])
    with callback.own():
        other = threading.Thread(target=Display().display, args=("web2: wrote 1 file",))
        other.start()
        other.join(0.2)
        Display().display("of the callback itself")
    other.join()
    ended(callback)
    lines = written.getvalue().replace(living.ERASE, "\n").splitlines()
    assert "of the callback itself" in lines
    assert [line[8:] for line in lines if line.endswith("web2: wrote 1 file")] == [" web2: wrote 1 file"]


@pytest.mark.parametrize(
    "said",
    [
        {"msg": "x", "module_stderr": "Traceback"},
        {"msg": "Task failed: an error of ours"},
        {"msg": "x", "exception": "Traceback (most recent call last):\n  File ..."},
        {"msg": ""},
    ],
)
def test_a_failure_that_is_no_sentence_of_ours_is_shown_whole(written: Terminal, said: Dict[str, Any]):
    callback = begun(written, ["web1", "web2"])
    callback.v2_runner_on_failed(result(task(rollout.VISIT), "web1", **said))
    ended(callback)
    assert "fatal: [web1]: FAILED! => {" in written.getvalue()
    assert "1 host: web1" in written.getvalue()


def test_a_strict_status_that_is_not_well_is_told_in_a_sentence(written: Terminal):
    callback = begun(written, ["web1"])
    its = task("phased.keys.gate", do="status")
    callback.v2_runner_on_failed(result(its, "web1", failed=True, msg="shop is not well", keyring={"journal": []}))
    assert "shop is not well" in written.getvalue() and "journal" not in written.getvalue()


def test_a_keyring_that_is_refused_is_no_failure_of_the_host_that_asked(written: Terminal):
    callback = begun(written, ["web1", "web2"])
    callback.v2_runner_on_failed(result(task(rollout.KEYRING), "web1", failed=True, msg="cannot be adopted"))
    ended(callback)
    assert "was refused after" in written.getvalue() and "1 host: web1" not in written.getvalue()


def test_warnings_of_ours_are_shown(written: Terminal, monkeypatch: pytest.MonkeyPatch):
    callback, warned = begun(written, ["web1", "web2"]), []
    monkeypatch.setattr(callback, "_handle_warnings", lambda said: warned.append(said.get("warnings")))
    callback.v2_runner_on_ok(result(task(rollout.VISIT), "web1", changed=True, msg="m", warnings=["mind"]))
    callback.v2_runner_on_failed(result(task(rollout.VISIT), "web1", msg="m", warnings=["mind"]))
    ended(callback)
    assert warned == [["mind"], ["mind"]]
