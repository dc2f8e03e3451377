# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The env file, the record and the disks below them are not as a visit would like to have them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import envfile
from faults import GOES_ON, REFUSED, STEPS, fault
from field import VISIT, Field
from fleet import new_key
from host_seen import ENV, STATE, Host, fingerprint

FOLDER = "/etc/shop"


@contextlib.contextmanager
def own_disk(host: Host, folder: str) -> Iterator[None]:
    """Put a folder of the host on a small disk of its own, and back."""
    host.sh(
        f"mkdir /run/small; mount -t tmpfs -o size=64k,mode=755 small /run/small; cp -a {folder}/. /run/small/; "
        f"mount --bind /run/small {folder}"
    )
    try:
        yield
    finally:
        host.sh(
            f"rm -f {folder}/filler; umount -l {folder}; rm -rf {folder}/* {folder}/.phased*; cp -a /run/small/. {folder}/; "
            "umount -l /run/small; rmdir /run/small"
        )


def fill(host: Host, folder: str) -> str:
    """Fill that disk to its last byte; return what the host says then."""
    said = host.sh(f"cat /dev/zero 2>&1 > {folder}/filler || true")
    assert "No space left" in said and host.sh(f"df --output=avail {folder} | tail -1").strip() == "0", said
    return "the disk had 0 bytes left"


@fault("disk of the env file is full", REFUSED, STEPS, ["prepare", "promote"])
def env_disk_full(field: Field) -> str:
    host, before = field.web2, field.web2.sh(f"cat {ENV}")
    with own_disk(host, FOLDER):
        field.struck(fill(host, FOLDER))
        field.run().refuses("web2", "No space left on device", FOLDER, "free some space")
        assert host.sh(f"cat {ENV}") == before
    return "the env file was as before, and nothing was restarted"


@fault("disk of the record is full", REFUSED, STEPS, ["retire"])
def state_disk_full(field: Field) -> str:
    host, before = field.web2, field.web2.sh(f"cat {ENV}")
    with own_disk(host, STATE):
        field.struck(fill(host, STATE))
        field.run().refuses("web2", "No space left on device", STATE, "free some space")
        assert host.sh(f"cat {ENV}") == before
    return "the env file was as before, and nothing was restarted"


@fault("disk of the record is full once the env file is written", REFUSED, STEPS, ["promote"])
def state_disk_full_later(field: Field) -> str:
    host = field.web2
    with own_disk(host, STATE):
        run = field.start()
        field.visiting(host, run, written=True)
        field.struck(fill(host, STATE))
        run.wait().refuses("web2", "No space left on device", STATE, "free some space")
        assert host.record()["state"] == "visiting"
    return "the workers had the new keys, the record said `visiting`"


@fault("env file on a read-only mount", REFUSED, STEPS, ["retire"])
def read_only(field: Field) -> str:
    host = field.web2
    host.sh(f"mount --bind {FOLDER} {FOLDER}; mount -o remount,bind,ro {FOLDER}")
    try:
        assert "Read-only" in host.sh(f"touch {FOLDER}/probe 2>&1 || true")
        field.struck("touch said `Read-only file system`")
        field.run().refuses("web2", "Read-only file system", FOLDER, "mount it read-write")
    finally:
        host.sh(f"umount {FOLDER}")
    return "nothing was changed on web2"


@fault("env file immutable (chattr +i)", REFUSED, STEPS, ["prepare"])
def immutable(field: Field) -> str:
    host = field.web2
    host.sh(f"chattr +i {ENV}")
    try:
        assert "not permitted" in host.sh(f"echo >> {ENV} 2>&1 || true", check=False) + host.sh(
            f"mv {ENV} {ENV}2 2>&1 || true"
        )
        field.struck("mv said `Operation not permitted`")
        field.run().refuses("web2", "Operation not permitted", ENV, "lsattr")
    finally:
        host.sh(f"chattr -i {ENV}")
    return "nothing was changed on web2"


@fault("env file replaced by a symbolic link", GOES_ON, STEPS, ["promote"])
def symbolic_link(field: Field) -> str:
    host = field.web2
    host.sh(f"mkdir -p /srv/elsewhere; mv {ENV} /srv/elsewhere/env; ln -s ../../srv/elsewhere/env {ENV}")
    try:
        field.run().ended(0)
        assert host.sh(f"readlink {ENV}") == "../../srv/elsewhere/env"
        assert host.keys() == field.web1.keys()
        field.struck("the link was there before and after, and its target was written")
    finally:
        host.sh(f"rm {ENV}; mv /srv/elsewhere/env {ENV}")
    return "the link stayed, its target was written"


@fault("env file owned by somebody else", GOES_ON, STEPS, ["retire"])
def owned_by_another(field: Field) -> str:
    host = field.web2
    host.sh(f"chown shop:ops {ENV}; chmod 0640 {ENV}")
    try:
        before = host.sh(f"stat -c '%i' {ENV}")
        field.run().ended(0)
        assert host.sh(f"stat -c '%U:%G %a' {ENV}") == "shop:ops 640"
        assert host.sh(f"stat -c '%i' {ENV}") != before
        field.struck("stat said shop:ops 640 before and after, of two different files")
    finally:
        host.sh(f"chown root:root {ENV}; chmod 0600 {ENV}")
    return "owner, group and mode stayed"


@fault("env file edited by hand meanwhile: an unknown key", REFUSED, STEPS, ["promote", "retire"])
def unknown_key(field: Field) -> str:
    host, foreign = field.web2, new_key()
    run = field.start(stops=[f"{VISIT}#2"])
    run.reached()
    before = host.path(ENV).read_text()
    lines = [line for line in before.splitlines() if not line.startswith("SECRET_KEY=")]
    edited = "\n".join([*lines, f"SECRET_KEY={envfile.quote(foreign)}", ""])
    host.path(ENV).write_text(edited)
    run.go()
    run.wait().refuses(
        "web2",
        f"{ENV} holds the key {fingerprint(foreign)}",
        "Nothing was changed",
        "put the keyring's key back there",
        "app_keys_replace=",
    )
    assert host.path(ENV).read_text() == edited and foreign not in run.text
    field.struck("the file had the unknown key before and after the visit")
    host.path(ENV).write_text(before)
    return "nothing was overwritten"


@fault("env file edited by hand meanwhile: another setting", GOES_ON, STEPS, ["prepare"])
def another_setting(field: Field) -> str:
    host = field.web2
    run = field.start(stops=[f"{VISIT}#2"])
    run.reached()
    host.sh(f"printf 'BY_HAND=yes\\n' >> {ENV}")
    run.go()
    run.wait().ended(0)
    assert envfile.parse(host.sh(f"cat {ENV}"))["BY_HAND"] == "yes"
    field.struck("the line was added between survey and visit, and was there afterwards")
    host.sh(f"sed -i /BY_HAND/d {ENV}")
    return "the line stayed"
