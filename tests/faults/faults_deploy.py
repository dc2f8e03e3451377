# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deploy, and whoever else writes to a host, beside a rollout: with old keys, from elsewhere, or with what a host has lost."""

from __future__ import annotations

import shutil

import envfile
from faults import GOES_ON, REFUSED, STEPS, fault
from faults_damage import RECORD
from field import Field
from host_seen import DROP_IN, ENV, fingerprint


@fault("record of a host is lost", REFUSED, STEPS, ["promote"])
def lost_record(field: Field) -> str:
    host, before = field.web2, field.keyring()["step"]["counter"]
    pids = host.pids()
    host.sh(f"rm {RECORD}")
    run = field.run().refuses("web2", "has no record of a visit", "run phased.keys.rollout, or the role in a deploy")
    run.says("Nothing was changed")
    assert not host.record() and field.keyring()["step"]["counter"] == before
    field.struck("web2 had no record, before and after the run")
    # As the message says.
    field.deploy().ended(0)
    assert host.record()["state"] == "proven" and host.pids() == pids
    return "no step was opened; a deploy left a record, and restarted nothing"


@fault("another task writes a key that is retired", GOES_ON, ["retire"])
def retired_key(field: Field) -> str:
    host = field.web2
    old = envfile.parse(host.sh(f"cat {ENV}"))["SECRET_KEY_FALLBACKS"]
    field.run().ended(0)
    others = host.sh(f"sed /^SECRET_KEY_FALLBACKS=/d {ENV}")
    host.path(ENV).write_text(f"{others}\nSECRET_KEY_FALLBACKS={envfile.quote(old)}\n")
    assert fingerprint(old) in host.keys()[1]
    field.struck("the env file of web2 held the retired key again")
    run = field.deploy().ended(0)
    run.says(f"web2: {ENV} held {fingerprint(old)}, which has ended", "out of the template or task that writes")
    assert fingerprint(old) not in host.keys()[1] and old not in run.text
    return "the next deploy said so, and put the keys of the open step back"


@fault("drop-in of the unit with a later EnvironmentFile= that has our setting", REFUSED, STEPS, ["prepare"])
def overridden(field: Field) -> str:
    host, other, before = field.web2, "/etc/shop/other", field.keyring()["step"]["counter"]
    host.sh(f"grep ^SECRET_KEY= {ENV} > {other}")
    host.drop_in(f"EnvironmentFile={other}")
    host.sh("systemctl restart shop.service")
    try:
        files = host.sh("systemctl show --property=EnvironmentFiles --value shop.service")
        assert files.index(ENV) < files.index(other)
        field.struck("systemd said that it reads the other file behind ours")
        run = field.run().refuses("web2", f"shop.service takes SECRET_KEY from {other}", f"{DROP_IN}/fault.conf")
        run.says(f"which wins over {ENV}", "take the setting out there", "Nothing was changed")
        assert field.keyring()["step"]["counter"] == before
    finally:
        host.drop_in()
        host.sh(f"rm {other}; systemctl restart shop.service")
    return "no step was opened"


@fault("first host set up anew, and deployed with a keyring from the moment of adopt", REFUSED, ["retire"])
def keyring_of_adopt(field: Field) -> str:
    host, old = field.web1, field.folder / "old" / "shop.yml"
    # After this the key of that moment has ended, be it in the first rollout.
    field.run().ended(0)
    old.parent.mkdir(exist_ok=True)
    shutil.copy(field.begun, old)
    (begun,) = [key["fingerprint"] for key in field.keyring(old)["keys"]]
    host.sh(f"systemctl stop shop.service; rm {RECORD}; sed -i /^SECRET_KEY/d {ENV}")
    before = host.sh(f"cat {ENV}")
    run = field.deploy("--limit", "web1", "-e", f"app_keys_keyring={old}")
    run.refuses("web1", "has no record, and web", "has seen step", "Nothing was changed")
    assert host.sh(f"cat {ENV}") == before and not host.record()
    field.struck(f"the keyring was at step {field.keyring(old)['step']['counter']}, and would have had {begun} written")
    field.deploy("--limit", "web1").ended(0)
    host.sh("systemctl start shop.service")
    assert host.keys() == field.web2.keys() and begun not in host.keys()[1]
    return "another host was asked, and the key was not written; with the fleet's keyring it joined anew"
