# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and Ansible do otherwise: options that leave tasks or hosts out, two operators, old keyrings, old caches."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from faults import ALL, GOES_ON, REFUSED, STEPS, fault
from field import GATE, VISIT, Field

NOTHING = "changes nothing"


def untouched(field: Field, *arguments: str) -> str:
    """Run with these arguments; see that neither the keyring nor any host was changed, and return what was said."""
    keyring = field.keyring_path.read_bytes()
    before = [(host.keys(), host.pids(), host.record()) for host in field.members]
    run = field.run(*arguments)
    assert field.keyring_path.read_bytes() == keyring, "the keyring was written"
    assert [(host.keys(), host.pids(), host.record()) for host in field.members] == before
    field.struck(f"the command had {arguments[0]}")
    return run.said


@fault("--limit leaves hosts out", REFUSED, ALL, ["prepare"])
def limit(field: Field) -> str:
    text = untouched(field, "--limit", "web1")
    assert (
        "is outside --limit" in text and "web2" in text and "web3" in text and "run it again without --limit" in text
    ), text
    return "no step was opened"


@fault("--tags steps over tasks", NOTHING, ALL, ["promote"])
def tags(field: Field) -> str:
    untouched(field, "--tags", "deploy")
    return "nothing was changed"


@fault("--start-at-task steps over the first play", NOTHING, ALL, ["retire"])
def start_at_task(field: Field) -> str:
    text = untouched(field, "--start-at-task", GATE)
    assert "was stepped over" in text, text
    untouched(field, "--start-at-task", VISIT)
    return "the gate said that the first play was stepped over"


@fault("--check", NOTHING, ALL, ["prepare", "rollback"])
def check(field: Field) -> str:
    text = untouched(field, "--check")
    assert "would" in text, text
    return "said what would be done"


@fault("forks 1, and forks 50", GOES_ON, STEPS, ["promote"])
def forks(field: Field) -> str:
    run = field.start("--forks", "1", stops=[f"{GATE}#1"])
    run.reached()
    run.kill()
    field.struck("the first run had --forks 1, the second --forks 50")
    field.run("--forks", "50", "-e", "app_keys_serial=3").ended(0)
    return "goes on"


@fault("strategy free (ANSIBLE_STRATEGY)", GOES_ON, STEPS, ["retire"])
def free(field: Field) -> str:
    run = field.start(env={"ANSIBLE_STRATEGY": "free"})
    assert b"ANSIBLE_STRATEGY=free" in Path(f"/proc/{run.process.pid}/environ").read_bytes()
    field.struck("it was in the environment of ansible-playbook")
    run.wait().ended(0)
    return "the playbooks set their own"


@fault("fact cache of yesterday with good evidence of a host that is gone", REFUSED, STEPS, ["prepare"])
def warm_cache(field: Field) -> str:
    cache = field.folder / "facts"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    env = {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache),
        "ANSIBLE_CACHE_PLUGIN_TIMEOUT": "0",
    }
    field.run(playbook="status", env=env).ended(0)
    evidence = {
        "nonce": "0",
        "asked": time.clock_gettime(time.CLOCK_BOOTTIME),
        "workers": [],
        "files": [],
        "record": field.web3.record(),
    }
    facts = {"__app_keys_look": {"evidence": evidence}, "__app_keys_visit": {"evidence": evidence}}
    for host in field.members:
        # As it was written before ansible-core 2.19, and since.
        for name, body in ((host.name, facts), (f"s1_{host.name}", {"__payload__": json.dumps(facts)})):
            (cache / name).write_text(json.dumps(body))
            os.utime(cache / name, (time.time() - 86400,) * 2)
    field.web3.lock_out()
    before = field.keyring()["step"]["counter"]
    field.run(env=env).refuses("web3", "its facts hold __app_keys_look", "--flush-cache", "Nothing was changed")
    assert field.keyring()["step"]["counter"] == before
    field.struck("the cache had evidence of all hosts, and ssh to web3 was refused")
    field.web3.let_in()
    shutil.rmtree(cache)
    field.run(env=env).ended(0)
    return "the cache was not believed"


@fault("two operators at once with one keyring", GOES_ON, ALL, ["promote", "rollback"])
def two_operators(field: Field) -> str:
    runs = [field.start(stops=[f"{GATE}#1"]) for _number in range(2)]
    for run in runs:
        run.reached()
    field.struck("both runs stood before the gate at the same time")
    for run in runs:
        run.go()
    for run in runs:
        run.wait()
    assert any(run.code == 0 for run in runs) or all("web" in run.text for run in runs)
    opened = [entry for entry in field.keyring()["journal"] if entry["event"] == f"{field.phase} opened"]
    assert len({entry["at"] for entry in opened}) == len(opened)
    return (
        f"{sum(run.code == 0 for run in runs)} of 2 finished it"
        if any(run.code == 0 for run in runs)
        else "each waited for the other"
    )


@fault("two operators at once with two copies of the keyring", REFUSED, ALL, ["prepare", "retire"])
def two_copies(field: Field) -> str:
    copy = field.folder / "copy" / "shop.yml"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(field.keyring_path, copy)
    runs = [
        field.start(stops=[f"{GATE}#1"]),
        field.start("-e", f"app_keys_keyring={copy}", stops=[f"{GATE}#1"]),
    ]
    for run in runs:
        run.reached()
    for run in runs:
        run.go()
    for run in runs:
        run.wait()
    steps = [field.keyring()["step"], field.keyring(copy)["step"]]
    assert steps[0]["counter"] == steps[1]["counter"] and steps[0]["nonce"] != steps[1]["nonce"]
    field.struck("both copies had opened the same step, with two nonces")
    (winner,) = {host.record()["nonce"] for host in field.members if host.record()["counter"] == steps[0]["counter"]}
    number = [step["nonce"] for step in steps].index(winner)
    runs[1 - number].refuses(
        "web1", "from two copies of the keyring", "Use the copy that the fleet was last rolled with"
    )
    runs[number].ended(0)
    if number == 1:
        shutil.copy(copy, field.keyring_path)
    return "the first host took one of the two, the other was told so"


@fault("keyring from an old backup", REFUSED, ALL, ["promote", "retire"])
def old_backup(field: Field) -> str:
    backup = field.keyring_path.read_bytes()
    field.run().ended(0)
    now = field.keyring_path.read_bytes()
    field.keyring_path.write_bytes(backup)
    try:
        run = field.run()
        run.refuses(
            "web1",
            "has seen step",
            "this keyring is a copy or a backup: use the one",
            "the fleet was last rolled with",
        )
        assert field.keyring_path.read_bytes() == backup
        field.struck("its step was one below the records of all hosts")
    finally:
        field.keyring_path.write_bytes(now)
    return "every host refused it"


@fault("host taken out of the inventory and brought back", REFUSED, ALL, ["promote"])
def out_of_the_inventory(field: Field) -> str:
    before = field.keyring()["step"]["counter"]
    field.write_inventory(["web1", "web2"])
    run = field.run()
    field.write_inventory([host.name for host in field.members])
    run.refuses("web3", "put it back into the inventory", "app_keys_release=web3", "Nothing was changed")
    assert field.keyring()["step"]["counter"] == before
    field.struck("the inventory had two hosts, the keyring three members")
    return "no step was opened"


@fault("a host that joins from an image with the keys of before", GOES_ON, STEPS, ["promote", "retire"])
def joins(field: Field) -> str:
    spare, image = field.spare, field.web1.sh("cat /etc/shop/env")
    field.run().ended(0)
    spare.boot()
    spare.path("/etc/shop/env").write_text(image + "\n")
    spare.sh("rm -rf /var/lib/phased.keys; systemctl restart shop.service")
    assert spare.keys() != field.web1.keys()
    field.struck("its env file and its workers had the keys of the step before, and it had no record")
    try:
        field.write_inventory([*(host.name for host in field.members), spare.name])
        field.run(playbook="rollout").ended(0)
        assert spare.keys() == field.web1.keys() and spare.record()["state"] == "proven"
    finally:
        spare.crash()
        field.write_inventory([host.name for host in field.members])
    field.run("-e", f"app_keys_release={spare.name}", playbook="rollout").ended(0)
    field.phase = "retire"
    return "it got the keys of the open step before anything else"
