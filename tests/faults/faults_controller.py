# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller is killed, and ssh is cut: what runs on the hosts runs on, and the next run finds it."""

from __future__ import annotations

import subprocess

from faults import ALL, FINISHED, GOES_ON, REFUSED, STEPS, fault
from field import BATCH, CLOSE, GATE, LOOK, VISIT, Field

KILLED = "ansible-playbook was ended by signal 9"


@fault("controller killed with -9 while a host is visited", FINISHED, ALL, ALL)
def killed_during_a_visit(field: Field) -> str:
    run = field.start()
    field.visiting(field.web2, run, written=True)
    run.kill()
    assert field.web2.record()["state"] == "visiting"
    field.struck(f"{KILLED}, and the record of web2 says `visiting`")
    return "the visit ended by itself"


@fault("controller killed with -9 before a host is visited", FINISHED, ALL, ["promote"])
def killed_before_a_visit(field: Field) -> str:
    run = field.start(stops=[f"{VISIT}#2"])
    run.reached()
    run.kill()
    step = field.keyring()["step"]
    seen = [host.record()["counter"] == step["counter"] for host in field.members]
    assert seen == [True, False, False], seen
    field.struck(f"{KILLED} with one host visited and two not")
    return "one host was a step ahead"


@fault("controller killed with -9 after a host was visited", FINISHED, ALL, ["retire"])
def killed_after_a_visit(field: Field) -> str:
    run = field.start(stops=[f"{BATCH}#3"])
    run.reached()
    run.kill()
    step = field.keyring()["step"]
    seen = [host.record()["counter"] == step["counter"] for host in field.members]
    assert seen == [True, True, False], seen
    field.struck(f"{KILLED} with two hosts visited and one not")
    return "two hosts were a step ahead"


# In the order in which runs come to them that are cut off one after the other.
BOUNDARIES = (
    f"{LOOK}#1",
    f"{GATE}#1",
    f"{BATCH}#1",
    f"{VISIT}#1",
    f"{CLOSE}#1",
)


@fault("controller killed with -9 at a task boundary", FINISHED, STEPS, ["prepare"])
def killed_at_a_task_boundary(field: Field) -> str:
    for boundary in BOUNDARIES:
        run = field.start(stops=[boundary])
        run.reached()
        run.kill()
        field.struck(f"{KILLED} just before the task `{boundary.partition('#')[0]}`")
    return f"{len(BOUNDARIES)} runs in a row, each cut off a little later"


@fault("controller killed with -9 at random moments", FINISHED, ALL, ["prepare", "promote"])
def killed_at_a_random_moment(field: Field) -> str:
    moments = sorted(field.chance.uniform(0.5, 7) for _number in range(2))
    for moment in moments:
        run = field.start()
        try:
            run.process.wait(moment)
        except subprocess.TimeoutExpired:
            run.kill()
            field.struck(KILLED)
    assert field.note["tries"], "every run was over before its moment"
    return "nothing was between two states"


@fault("ssh cut in the middle of a visit", REFUSED, ALL, ["promote"])
def ssh_cut_in_a_visit(field: Field) -> str:
    run = field.start()
    field.visiting(field.web2, run, written=True)
    number = field.web2.cut()
    assert number and field.web2.record()["state"] == "visiting"
    field.struck("sshd's processes for the connection were killed while the record of web2 said `visiting`")
    run.wait().refuses("web2", "UNREACHABLE", "see that Ansible reaches web2, and run phased.keys.rollout again")
    return "the visit ended by itself, and the run stopped there"


@fault("host unreachable in the survey", REFUSED, ALL, ["retire"])
def unreachable_in_the_survey(field: Field) -> str:
    before = field.keyring()["step"]["counter"]
    field.web3.lock_out()
    run = field.run().refuses("web3", "unreachable", "see that Ansible reaches it", "Nothing was changed")
    assert "Connection refused" in run.text and field.keyring()["step"]["counter"] == before
    field.struck("ssh said `Connection refused`")
    field.web3.let_in()
    return "no step was opened"


@fault("host unreachable in batch 1", REFUSED, STEPS, ["prepare"])
def unreachable_in_batch_1(field: Field) -> str:
    return _unreachable_at_its_visit(field, 1)


@fault("host unreachable in the last batch", REFUSED, STEPS, ["promote"])
def unreachable_in_the_last_batch(field: Field) -> str:
    return _unreachable_at_its_visit(field, 3)


def _unreachable_at_its_visit(field: Field, batch: int) -> str:
    host = field.members[batch - 1]
    run = field.start(stops=[f"{VISIT}#{batch}"])
    run.reached()
    host.lock_out()
    run.go()
    run.wait().refuses(host.name, "UNREACHABLE", f"see that Ansible reaches {host}", "run phased.keys.rollout again")
    assert host.record()["counter"] < field.keyring()["step"]["counter"]
    field.struck(f"the run says that {host} is unreachable, and its record is of the step before")
    host.let_in()
    return "the run stopped there"


@fault("host unreachable only between survey and batch", GOES_ON, STEPS, ["retire"])
def unreachable_between(field: Field) -> str:
    run = field.start(stops=[f"{GATE}#1", f"{BATCH}#2"])
    run.reached(0)
    field.web2.lock_out()
    assert not field.web2.sessions()
    field.struck("sshd of web2 was stopped with no session left")
    run.go(0)
    run.reached(1)
    field.web2.let_in()
    run.go(1)
    run.wait().ended(0)
    return "one run did it"
