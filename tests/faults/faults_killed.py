# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller is killed in what is done once in a while: adopt, a recovery, an emergency."""

from __future__ import annotations

import json
import shutil
import time

from faults import FINISHED, fault
from faults_controller import KILLED
from faults_fleet import another
from field import LIFE, VISIT, Field
from host_seen import STATE


@fault("controller killed with -9 in adopt, and in a recovery", FINISHED, ["prepare"])
def killed_in_adopt(field: Field) -> str:
    path = field.folder / "another" / "another.yml"
    before = [(host.keys(), host.pids()) for host in field.members]
    keyrings = []
    try:
        for arguments in (another(field), another(field, "-e", "app_keys_recover=true")):
            run = field.start(*arguments, playbook="adopt", stops=[f"{VISIT}#2"])
            run.reached()
            run.kill()
            assert field.keyring(path)["step"]["closed"] is None
            field.struck(f"{KILLED} with one host visited and two not")
            field.run(*arguments, playbook="adopt").ended(0)
            keyring = field.keyring(path)
            assert keyring["step"]["closed"] and len(keyring["members"]) == len(field.members)
            keyrings.append(keyring["id"])
            # Lost, for the recovery.
            path.unlink()
        assert keyrings[0] == keyrings[1] and [(host.keys(), host.pids()) for host in field.members] == before
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)
        for host in field.members:
            host.sh(f"rm -f {STATE}/another.*")
    return "the same command finished each"


@fault("controller killed with -9 in an emergency, while a host is visited", FINISHED, ["promote"])
def killed_in_an_emergency(field: Field) -> str:
    # A soak that is over long after this, and that only the emergency waives.
    field.run("-e", "app_keys_soak=1h").ended(0)
    (leaked,) = [key["fingerprint"] for key in field.keyring()["keys"] if key["state"] == "retiring"]
    # So that nobody is logged out by it: all that was signed with this key has ended.
    time.sleep(LIFE + 1)
    given = ("-e", f"app_keys_compromised={leaked}", "-e", f"app_keys_confirm={leaked}")
    run = field.start(*given, playbook="rollout")
    field.visiting(field.web2, run, written=True)
    run.kill()
    assert field.web2.record()["state"] == "visiting" and field.keyring()["step"]["name"] == "retire"
    field.struck(f"{KILLED}, and the record of web2 says `visiting`")
    # The leaked key is what the message and the journal name, and no other.
    field.run(*given, playbook="rollout").ended(0).says(f"have let go of {leaked}")
    assert leaked in json.dumps(field.keyring()["journal"][-1]), field.keyring()["journal"][-1]
    field.phase = "retire"
    return "the same command finished it, without a soak"
