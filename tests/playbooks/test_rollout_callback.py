# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads with the callback phased.keys.rollout: in a log, at a terminal, at -v, and of what is not ours."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time
from typing import Any, Callable, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _progress as shown
from light_fleet import ANSIBLE_PLAYBOOK, RUN_LIMIT, Fleet
from playbook_run import Run

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
CALLBACK = {"ANSIBLE_STDOUT_CALLBACK": "phased.keys.rollout"}
TIME = r"\d\d:\d\d:\d\d "


def lines(run: Run) -> List[str]:
    """The lines of a run, with a word in place of what differs from run to run."""
    text = re.sub(rf"^{TIME}", "TIME ", run.text, flags=re.MULTILINE)
    text = re.sub(r"[0-9a-f]{16}", "KEY", re.sub(r"\d+(\.\d+)? ?s\b", "N s", text))
    return re.sub(r"20\d\d-\S+Z", "WHEN", text).replace("in 1h 1m", "in 1h").splitlines()


VISITED = "TIME {}: wrote 1 file, restarted the application with app_keys_restart_command, 3 workers proven in N s"


def test_a_log_of_a_rollout_is_a_line_for_each_thing_that_happened_and_a_summary(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    run = fleet.run("rollout", **CALLBACK).ended(0)
    assert lines(run) == [
        "TIME prepare is open: 2 of 2 hosts have their record and hold the keys of the keyring; key KEY",
        VISITED.format("web1"),
        VISITED.format("web2"),
        "TIME prepare: 2 of 2 hosts accept KEY in every worker; promote is next",
        "TIME promote is open: 2 of 2 hosts accept KEY in every worker; key KEY; the soak will be 1h (app_keys_soak)",
        VISITED.format("web1"),
        VISITED.format("web2"),
        "TIME promote: 2 of 2 hosts sign with KEY in every worker; retire is due in 1h, at WHEN",
        "TIME retire: waiting for the soak of KEY: retire is due in 1h, at WHEN: run phased.keys.rollout again then",
        "",
        "shop: rollout ended well after N s",
        "  step         prepare is closed: 2 of 2 hosts proven",
        "  step         promote is closed: 2 of 2 hosts proven",
        "  changed      2 hosts: web1, web2",
        "  next         retire is due in 1h, at WHEN: run",
        "               phased.keys.rollout again then",
    ]


def test_adopt_says_that_nothing_was_to_be_changed(new_fleet: Callable[..., Fleet]) -> None:
    fleet = new_fleet()
    fleet.restart()
    said = lines(fleet.run("adopt", **CALLBACK).ended(0))
    assert said[3:5] == [f"TIME {host}: proven, nothing to change" for host in ("web1", "web2")]
    assert said[-4:] == [
        "shop: adopt ended well after N s",
        "  step         adopt is closed: 2 of 2 hosts proven",
        "  changed      no host",
        "  next         no rollout is in progress",
    ]


def test_a_refusal_is_shown_once_and_the_summary_says_how_to_go_on(after: After) -> None:
    fleet = after("prepare")
    fleet[1].stop()
    said = lines(fleet.run("promote", **CALLBACK).ended(2))
    assert said[0] == "TIME promote is not safe yet: 1 of 2 hosts accept KEY in every worker"
    assert said[1].startswith("  web2  no worker runs, and at the last visit there were 3")
    end = said.index("")
    assert said[end - 1].startswith("Nothing was changed: no step was opened")
    assert said[end + 1 :] == [
        "shop: promote was refused after N s; why is said above",
        "  step         prepare is closed: 1 of 2 hosts proven",
        "  changed      no host",
        "  next         do what is said above, then run phased.keys.promote again",
    ]


def test_a_refusal_of_one_line_is_shown_too(after: After) -> None:
    said = lines(after("adopt", ("web1",)).run("promote", **CALLBACK).ended(2))
    assert said[0].startswith("TIME promote is not possible: no key is staged: run phased.keys.prepare first")


def test_a_visit_that_failed_says_what_was_seen_and_what_it_has_done(after: After) -> None:
    fleet = after("adopt", ("web1", "web2"))
    fleet.vars.update(app_keys_serial=[1])
    fleet[1].tell("broken")
    run = fleet.run("prepare", **CALLBACK).ended(2)
    (failed,) = [line for line in run.text.splitlines() if "web2: FAILED: " in line]
    assert "the restart command: exit code 1" in failed
    run.says("(wrote ", "/web2/env, restarted, put the settings of before back")
    assert "TASK [" not in run.text and "=> {" not in run.text
    assert lines(run)[-5:] == [
        "shop: prepare stopped after N s; why is said above",
        "  step         prepare is open: 1 of 2 hosts proven",
        "  changed      2 hosts: web1, web2",
        "  failed       1 host: web2",
        "  next         do what is said above, then run phased.keys.prepare again",
    ]


def test_a_host_that_cannot_be_reached_is_named_in_the_words_of_ssh(after: After) -> None:
    fleet = after("prepare")
    fleet.over_ssh()
    fleet[1].tell("down")
    run = fleet.run("promote", **CALLBACK).ended(-1)
    run.says("web2: UNREACHABLE: ", "Connection refused").says("  unreachable  1 host: web2")


def test_at_v_nothing_is_left_out_that_the_default_callback_shows(after: After) -> None:
    for callback in ({}, CALLBACK):
        fleet = after("promote")
        fleet[1].stop()
        run = fleet.run("rollout", "-v", "-e", "app_keys_wait=0s", **callback).ended(2)
        said = {re.sub(rf"^{TIME}", "", line) for line in run.text.splitlines()}
        said = {re.sub(r"[0-9a-f]{16}|\d+s|\d\d:\d\d:\d\d|fleet\d+", "N", line) for line in said}
        if not callback:
            default = said
    assert default <= said, default - said
    assert "shop: rollout stopped after N; why is said above" in said or any("was refused" in line for line in said)


OTHERS = [
    {
        "name": "Somebody else's",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"name": "Say", "ansible.builtin.debug": {"msg": "hello"}},
            {"name": "Items", "ansible.builtin.command": "echo {{ item }}", "loop": [1, 2]},
            {"name": "Skip", "ansible.builtin.command": "false", "when": False},
            {"name": "Go wrong", "ansible.builtin.command": "false", "ignore_errors": True},
            {"name": "Warn", "ansible.builtin.fail": {"msg": "so it is"}, "when": "inventory_hostname == 'web2'"},
        ],
    }
]


def test_what_is_not_ours_is_shown_as_the_default_callback_shows_it(after: After) -> None:
    fleet = after("adopt")
    playbook = fleet.folder / "others.yml"
    playbook.write_text(json.dumps(OTHERS))

    def told(**more: str) -> str:
        text = fleet.run(str(playbook), "--forks=1", "--diff", **more).ended(2).text
        return re.sub(r"\d+:\d\d:\d\d\.\d+|\d\d:\d\d:\d\d\.\d+|20\d\d-\S+ ", "", text)

    assert told(**CALLBACK) == told()


def test_the_tasks_of_a_drain_are_shown_as_ever_in_the_middle_of_a_rollout(after: After) -> None:
    fleet = after("adopt", ("web1",))
    tasks = fleet.folder / "drain.yml"
    tasks.write_text(json.dumps([{"name": "Take it out", "ansible.builtin.command": "echo {{ inventory_hostname }}"}]))
    fleet.vars.update(app_keys_before_tasks=str(tasks))
    run = fleet.run("prepare", **CALLBACK).ended(0)
    run.says("TASK [phased.keys.app_keys : Take it out] **").says("changed: [web1]").says("PLAY RECAP **")
    assert "TASK [Ask the gate" not in run.text and "before.yml" not in run.text
    assert run.text.rstrip().splitlines()[-1].startswith("  next         promote is next")
    assert run.text.index("changed: [web1]") < run.text.index("web1: wrote 1 file")


def test_what_a_visit_would_do_after_its_drain_is_not_told_as_done(after: After) -> None:
    fleet = after("adopt", ("web1",))
    (fleet.folder / "drain.yml").write_text(json.dumps([{"name": "Drain", "ansible.builtin.fail": {"msg": "no door"}}]))
    fleet.vars.update(app_keys_before_tasks="drain.yml")
    for more in ({}, CALLBACK):
        run = fleet.run("prepare", **more).ended(2).says("no door")
        assert "wrote" not in run.text and "restarted" not in run.text
    run.says("  changed      no host")


def at_terminal(fleet: Fleet, playbook: str, *arguments: str, columns: int = 80, **more: str) -> str:
    """Run a playbook at a terminal that is so wide, and return all that was written to it."""
    fleet.write_inventory()
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given = ["-i", str(fleet.inventory), "--vault-password-file", str(fleet.password)]
    run = subprocess.Popen(
        [str(ANSIBLE_PLAYBOOK), *given, f"phased.keys.{playbook}", *arguments],
        env=fleet.environment(TERM="xterm", COLUMNS="", **CALLBACK, **more),
        cwd=fleet.folder / "elsewhere",
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    read, end = b"", time.monotonic() + RUN_LIMIT
    while time.monotonic() < end:
        try:
            more_read = os.read(ours, 65536)
        except OSError:  # the terminal has no writer any more
            break
        if not more_read:
            break
        read += more_read
    os.close(ours)
    assert run.wait(RUN_LIMIT) == 0, read.decode()
    return read.decode().replace("\r\n", "\n")


def left_on_screen(written: str) -> Dict[str, Any]:
    """Return the living lines that were drawn, and the lines that stay when all has ended."""
    drawn: List[str] = []
    stays: List[str] = [""]
    for part in re.split(r"(\r\x1b\[2K|\n)", written):
        if part == "\n":
            stays.append("")
        elif part.startswith("\r"):
            drawn.append(stays[-1])
            stays[-1] = ""
        else:
            stays[-1] += part
    return {"drawn": [line for line in drawn if line], "stays": stays}


@pytest.mark.parametrize("columns", [80, 40])
def test_at_a_terminal_a_living_line_counts_down_and_leaves_nothing_behind(after: After, columns: int) -> None:
    fleet = after("prepare")
    fleet.vars.update(app_keys_soak="3s", app_keys_wait="20s", app_keys_serial=[1], app_keys_bake="2s")
    seen = left_on_screen(at_terminal(fleet, "rollout", columns=columns))
    drawn, stays = seen["drawn"], seen["stays"]
    assert max(shown.cells(line) for line in drawn) < columns
    assert max(map(shown.cells, stays)) <= columns
    everything = "\n".join(drawn)
    assert re.search(r"^promote  batch 1 of 2  \[-+\] 0/2", everything, re.MULTILINE)
    assert re.search(r"^retire  .*2/2", everything, re.MULTILINE)
    if columns == 80:
        assert re.search(r"has to run steadily: 1s to go$", everything, re.MULTILINE)
        for left in (2, 1):
            assert re.search(rf"^promote  .* 2/2  soak: {left}s to go$", everything, re.MULTILINE), everything
    # What is counted down there is not said line by line besides, and no line is left standing.
    assert not [
        line for line in stays if "waiting for the soak, " in line or line.startswith(("promote  ", "retire  "))
    ]
    assert any(line.startswith("shop: rollout ended well") for line in stays)


def test_colours_are_ansible_s_own_and_end_with_them(after: After) -> None:
    fleet = after("adopt", ("web1",))
    coloured = at_terminal(fleet, "status", ANSIBLE_NOCOLOR="0", ANSIBLE_FORCE_COLOR="0")
    assert re.search(r"\x1b\[0;32mshop: status ended well after \d+s\x1b\[0m", coloured)
    assert not re.search(r"\x1b\[[\d;]+m", at_terminal(fleet, "status"))
