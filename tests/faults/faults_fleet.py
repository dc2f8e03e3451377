# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who belongs to the fleet: a slice of it, hosts that are two in one, records that are lost or another host's."""

from __future__ import annotations

import json
import shutil

from faults import GOES_ON, REFUSED, STEPS, fault
from faults_damage import RECORD
from field import GATE, VISIT, Field
from host_seen import ENV, STATE

NOTHING = "begins nothing"


def another(field: Field, *arguments: str) -> tuple[str, ...]:
    """Return what makes a run one of another application, on the same hosts and the same files."""
    return ("-e", "app_keys_name=another", "-e", f"app_keys_keyring={field.folder}/another/another.yml", *arguments)


@fault("adopt is given a slice of the inventory", NOTHING, STEPS, ["prepare"])
def slices(field: Field) -> str:
    for names in (["web1", "web3"], ["web2"]):
        field.write_inventory(names, app_keys_min_members=3)
        run = field.run(*another(field), playbook="adopt").ended(-1)
        run.says(
            "app_keys_min_members is 3: a part of the fleet is not the fleet", "no job slices", "Nothing was changed"
        )
        field.struck("the inventory had a part of the three hosts, and app_keys_min_members said 3")
    field.write_inventory([host.name for host in field.members])
    left = [host.sh(f"ls {STATE} | grep another || true") for host in field.members]
    assert not (field.folder / "another").exists() and not any(left), left
    return "no slice became a fleet"


@fault("two hosts keep their records in one folder", NOTHING, STEPS, ["promote"])
def one_folder(field: Field) -> str:
    shared, folder = "/srv/shop/data/state", "/var/lib/shared"
    field.web1.sh(f"mkdir -m 700 {shared}; touch {shared}/mark")
    for host in field.members:
        host.sh(f"mkdir {folder}; mount --bind {shared} {folder}")
    try:
        assert all(host.sh(f"ls {folder}") == "mark" for host in field.members)
        field.struck("a file that web1 made there was on all three hosts")
        run = field.run(*another(field, "-e", f"app_keys_state_dir={folder}"), playbook="adopt")
        run.refuses("web2", "keeps its record in the same folder, on the same machine, as web1, web3")
        run.says("give each of them an app_keys_state_dir of its own")
        assert not (field.folder / "another" / "another.yml").exists()
    finally:
        for host in field.members:
            host.sh(f"umount {folder}; rmdir {folder}")
        field.web1.sh(f"rm -r {shared}")
    return "all were named"


@fault("record of a host is lost between survey and batch", GOES_ON, STEPS, ["promote"])
def lost_between(field: Field) -> str:
    run = field.start(stops=[f"{VISIT}#2"])
    run.reached()
    field.web2.sh(f"rm {RECORD}")
    field.struck("web2 had no record when its visit began")
    run.go()
    run.wait().ended(0)
    assert field.web2.record()["counter"] == field.keyring()["step"]["counter"]
    return "other records stood in for its own, and one run did it"


@fault("a host that joins from an image of another host, record included", GOES_ON, STEPS, ["promote"])
def joins_as_another(field: Field) -> str:
    spare, image, record = field.spare, field.web1.path(ENV).read_text(), field.web1.path(RECORD).read_text()
    field.run().ended(0)
    spare.boot()
    spare.path(ENV).write_text(image)
    spare.sh(f"mkdir -p -m 700 {STATE}; systemctl restart shop.service")
    spare.path(RECORD).write_text(record)
    assert spare.record()["member"] == "web1" and spare.keys() != field.web1.keys()
    field.struck("its record said that it is web1's")
    try:
        field.write_inventory([*(host.name for host in field.members), spare.name])
        field.run(playbook="status").ended(0).says("for the one there is web1's: an image brought it")
        field.run("-e", "app_keys_wait=0s", playbook="rollout").ended(0)
        assert spare.keys() == field.web1.keys()
        assert (spare.record()["member"], spare.record()["state"]) == (spare.name, "proven")
    finally:
        spare.crash()
        field.write_inventory([host.name for host in field.members])
    field.until_soaked("retire")
    field.run("-e", f"app_keys_release={spare.name}", playbook="rollout").ended(0)
    field.phase = "retire"
    return "it joined as itself"


@fault("rollback with two copies of the keyring while the first host is down", REFUSED, ["rollback"])
def two_rollbacks(field: Field) -> str:
    copy = field.folder / "copy" / "shop.yml"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(field.keyring_path, copy)
    field.web1.lock_out()
    try:
        given = ((), ("-e", f"app_keys_keyring={copy}"))
        runs = [field.start(*arguments, stops=[f"{GATE}#1"]) for arguments in given]
        for run in runs:
            run.reached()
        for run in runs:
            run.go()
        for run in runs:
            run.wait().ended(-1).says("web1", "unreachable")
        steps = [field.keyring()["step"], field.keyring(copy)["step"]]
        assert steps[0]["counter"] == steps[1]["counter"] and steps[0]["nonce"] != steps[1]["nonce"]
        field.struck("both copies had opened the rollback, with two nonces, and ssh to web1 was refused")
        taken = {host.record()["nonce"] for host in (field.web2, field.web3)}
        (winner,) = taken & {step["nonce"] for step in steps}
        loser = runs[0] if steps[1]["nonce"] == winner else runs[1]
        loser.says("from two copies of the keyring", "Use the copy that the fleet was last rolled with")
    finally:
        field.web1.let_in()
    if loser is runs[0]:
        shutil.copy(copy, field.keyring_path)
    return "one of the two went on without web1, and the other was told so"


@fault("a key that no env file can carry is adopted", NOTHING, STEPS, ["retire"])
def unprintable_key(field: Field) -> str:
    unit, file = "odd.service", "/etc/shop/odd.env"
    given = {"app_keys_env_file": file, "app_keys_service": unit, "app_keys_app_check": "trust"}
    for host in field.members:
        host.sh(f"printf 'SECRET_KEY=odd\\001%s\\n' {'k' * 50} > {file}; "
                f"systemd-run --quiet --unit {unit} -p EnvironmentFile={file} sleep infinity")  # fmt: skip
    try:
        held = field.web1.sh(
            f"tr '\\0' '\\n' < /proc/$(systemctl show --value -p MainPID {unit})/environ | grep -a ^SECRET_KEY"
        )
        assert "odd\1k" in held, held
        run = field.run(*another(field), "-e", json.dumps(given), playbook="adopt")
        run.ended(-1).says("web1", "holds a character that cannot be printed", "no env file can carry that")
        field.struck("systemd had given the process that key")
        left = [host.sh(f"ls {STATE} | grep another || true") for host in field.members]
        assert not (field.folder / "another").exists() and not any(left), left
    finally:
        for host in field.members:
            host.sh(f"systemctl stop {unit}; rm -f {file}")
    return "it was refused before anything was written"
