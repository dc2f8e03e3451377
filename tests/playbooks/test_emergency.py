# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A key has leaked: it is rolled without a soak, once what that costs is confirmed, and never signs again."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from typing import Callable, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import steps
from light_fleet import ANSIBLE_PLAYBOOK, RUN_LIMIT, Fleet
from playbook_run import Run, until
from walk import slow

After = Callable[..., Fleet]


def leaked(key: str, confirm: bool = True) -> List[str]:
    """The extra variables of an emergency."""
    return ["-e", f"app_keys_compromised={key}", *(["-e", f"app_keys_confirm={key}"] * confirm)]


def marks(fleet: Fleet, key: str) -> List[str]:
    """What a key is marked with."""
    return keyrings.find(fleet.keyring(), key)["marks"]


def test_without_a_terminal_an_emergency_says_what_it_costs_and_is_refused(after: After) -> None:
    fleet = after("adopt")
    before = fleet.unchanged()
    run = fleet.run("rollout", *leaked(fleet.old, confirm=False)).ended(2)
    run.says(f"{fleet.old} signs now.", f"then {fleet.old} is let go of without a soak", "every login")
    run.says(f"{fleet.old} was not confirmed: give -e app_keys_confirm={fleet.old} with the command")
    run.says("Nothing was changed")
    assert fleet.unchanged() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["app_keys_compromised=old", "app_keys_confirm=0123456789abcdef"],
            "app_keys_confirm is 0123456789abcdef, and",
        ),
        (["app_keys_compromised=0123456789abcdef"], "names 0123456789abcdef, which this keyring never held; it holds"),
        (["app_keys_compromised=everything"], "app_keys_compromised is 'everything'; a fingerprint has 16 hexadecimal"),
    ],
)
def test_an_emergency_names_a_key_of_the_keyring_and_the_same_one_twice(
    after: After, given: List[str], said: str
) -> None:
    fleet = after("adopt", ("web1",))
    before = fleet.unchanged()
    extra = [part for text in given for part in ("-e", text.replace("=old", f"={fleet.old}"))]
    fleet.run("rollout", *extra).ended(2).says(said)
    assert fleet.unchanged() == before


def test_one_run_rolls_a_key_that_signs_without_its_soak_and_a_second_run_does_not_roll_again(after: After) -> None:
    fleet = after("adopt")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    run = fleet.run("rollout", *leaked(fleet.old)).ended(0)
    run.says("promote is open: 2 of 2 hosts", f"{fleet.old} is compromised and has no soak")
    run.says("retire: 2 of 2 hosts have let go of", fleet.old)
    new = fleet.key("primary")
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert fleet.destroyed(fleet.old)
    assert marks(fleet, fleet.old) == ["compromised"]
    assert all(host.has(new, []) for host in fleet.hosts)
    before = fleet.unchanged()
    fleet.run("rollout", *leaked(fleet.old)).ended(0).says("prepare: nothing to do")
    assert fleet.unchanged() == before


def test_a_leaked_key_that_soaks_is_retired_at_once_and_another_goes_on_soaking(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s", app_keys_new=True)
    fleet.soak("retiring", 3600)
    second = fleet.key("primary")
    fleet.run("rollout").ended(0)
    third = fleet.key("primary")
    del fleet.vars["app_keys_new"]
    run = fleet.run("rollout", *leaked(second)).ended(0)
    run.says(f"{second} is accepted everywhere", "which would last until 20", "is waived", "every login")
    assert fleet.states() == {fleet.old: "retiring", second: "retired", third: "primary"}
    assert fleet[0].has(third, [fleet.old])


def test_an_emergency_names_every_key_that_it_lets_go_of_the_leaked_one_first(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet.soak("retiring", 3600)
    second = fleet.key("primary")
    fleet.run("rollout", "-e", "app_keys_new=true").ended(0)
    # The second one has soaked by now as well, and goes along with the leaked one; it is the newer of the two.
    fleet.edit(lambda keyring: keyrings.find(keyring, second)["soak"].update(seconds=0))
    run = fleet.run("rollout", *leaked(fleet.old)).ended(0)
    run.says("retire is open: 1 of 1 host", f"keys {fleet.old}, {second}")
    run.says(f"retire: 1 of 1 host have let go of {fleet.old}, {second} in every worker; no rollout is in progress")
    told = [(entry["event"], entry["key"], entry["lets_go"]) for entry in fleet.keyring()["journal"][-2:]]
    assert [event for event, _key, _gone in told] == ["retire opened", "retire closed: all 1 members are proven"]
    assert [(key, gone) for _event, key, gone in told] == [(fleet.old, [fleet.old, second])] * 2
    assert fleet.holds("retired") == {"retired": [fleet.old, second]}


@pytest.mark.parametrize("step", [slow("prepare"), "promote"])
@pytest.mark.slow
def test_an_emergency_in_the_middle_of_a_step_finishes_that_rollout_without_the_soak(after: After, step: str) -> None:
    fleet = after("adopt" if step == "prepare" else "prepare")
    fleet.vars.update(app_keys_soak="1h", app_keys_wait="0s")
    fleet.open(step)
    fleet.visit("--limit", "web1").ended(0)
    (new,) = set(fleet.states()) - {fleet.old}
    fleet.run("rollout", *leaked(fleet.old)).ended(0).says("retire: 2 of 2 hosts have let go of", fleet.old)
    assert fleet.states() == {fleet.old: "retired", new: "primary"}
    assert all(host.has(new, []) for host in fleet.hosts)


@pytest.mark.parametrize("found", ["open", slow("closed")])
def test_a_leaked_key_that_is_staged_is_withdrawn_and_never_promoted(after: After, found: str) -> None:
    fleet = after("prepare" if found == "closed" else "adopt")
    if found == "open":
        fleet.open("prepare")
        fleet.visit("--limit", "web1").ended(0)
    new = fleet.key("staged")
    run = fleet.run("rollout", *leaked(new)).ended(0).says(f"{new} has never signed. It is taken back from every host")
    run.says(f"withdraw: 2 of 2 hosts have let go of {new}")
    assert fleet.states() == {fleet.old: "primary", new: "withdrawn"}
    assert "compromised" in marks(fleet, new)
    assert fleet.destroyed(new)
    assert all(host.has(fleet.old, []) for host in fleet.hosts)


def test_promote_is_refused_for_a_staged_key_that_has_leaked(after: After) -> None:
    fleet = after("prepare", ("web1",))
    new = fleet.key("staged")
    fleet.run("promote", *leaked(new)).ended(2).says(f"{new} is marked as compromised and never signs")
    assert fleet.states() == {fleet.old: "primary", new: "staged"}
    # Marked for good: it stays so without the variables.
    fleet.run("promote").ended(2).says(f"{new} is marked as compromised and never signs: run phased.keys.rollback")


def test_there_is_no_rollback_to_a_leaked_key(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.edit(lambda keyring: steps.mark_compromised(keyring, fleet.old, time.time()))
    before = fleet.unchanged()
    run = fleet.run("rollback").ended(2)
    run.says(f"the key before, {fleet.old}, is marked as compromised and never signs again", "Nothing was changed")
    assert fleet.unchanged() == before


def test_a_check_says_what_an_emergency_would_do_and_marks_nothing(after: After) -> None:
    fleet = after("adopt", ("web1",))
    before = fleet.unchanged()
    run = fleet.run("rollout", "--check", *leaked(fleet.old, confirm=False)).ended(0)
    run.says(f"{fleet.old} signs now.", "every login").says("prepare would open: 1 of 1 host")
    assert run.text.count("signs now.") == 1
    assert fleet.unchanged() == before


def at_a_terminal(fleet: Fleet, typed: str, *arguments: str, **more: str) -> Run:
    """Run a rollout at a terminal, and type this when it asks; nothing at all if that is empty."""
    fleet.write_inventory()
    ours, its = pty.openpty()
    given = ["-i", str(fleet.inventory), "--vault-password-file", str(fleet.password), "phased.keys.rollout"]
    run = subprocess.Popen(
        [str(ANSIBLE_PLAYBOOK), *given, *arguments],
        env=fleet.environment(**more),
        cwd=fleet.folder / "elsewhere",
        stdin=its,
        stdout=its,
        stderr=its,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )
    fleet.started.append(run)
    os.close(its)
    text, end = b"", time.monotonic() + RUN_LIMIT
    while time.monotonic() < end:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            text += os.read(ours, 65536)
        except OSError:  # the last who had the terminal open has ended
            break
        if b"or anything else to leave it" in text and typed:
            # Ansible throws away what was typed before it listens.
            until(lambda: not termios.tcgetattr(ours)[3] & termios.ICANON)
            time.sleep(0.2)
            os.write(ours, typed.encode() + b"\r")
            typed = ""
    os.close(ours)
    return Run(run.wait(timeout=10), text.decode(errors="replace").replace("\r", ""))


def test_at_a_terminal_the_fingerprint_has_to_be_typed(after: After) -> None:
    fleet = after("promote", ("web1",))
    fleet.soak("retiring", 3600)
    before = fleet.unchanged()
    # What else an operator might type in a hurry.
    run = at_a_terminal(fleet, "yes", *leaked(fleet.old, confirm=False)).ended(2)
    run.says("its soak, which would last until 20", "is waived").says(f"Type {fleet.old} to roll it without a soak")
    run.says(f"{fleet.old} was not confirmed")
    assert fleet.unchanged() == before
    at_a_terminal(fleet, fleet.old, *leaked(fleet.old, confirm=False)).ended(0).says("retire: 1 of 1 host")
    assert fleet.states()[fleet.old] == "retired"
    assert marks(fleet, fleet.old) == ["compromised"]


# Ansible's own prompt, that waits for a second in place of two minutes.
IMPATIENT = """
from ansible.utils.display import Display

prompt = Display.prompt_until

def soon(self, msg, private=False, seconds=None, **more):
    return prompt(self, msg, private=private, seconds=seconds and 1, **more)

Display.prompt_until = soon
"""


def test_at_a_terminal_with_nobody_at_it_the_question_ends_by_itself_and_the_answer_is_no(after: After) -> None:
    fleet = after("promote", ("web1",))
    (fleet.folder / "sitecustomize.py").write_text(IMPATIENT)
    before = fleet.unchanged()
    run = at_a_terminal(fleet, "", *leaked(fleet.old, confirm=False), PYTHONPATH=str(fleet.folder)).ended(2)
    run.says(f"Type {fleet.old} to roll it without a soak", "(120 seconds)").says(f"{fleet.old} was not confirmed")
    assert fleet.unchanged() == before
