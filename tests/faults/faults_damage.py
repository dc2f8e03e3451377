# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are there and cannot be used, a visit that is killed, and a controller whose disk is full."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from faults import ALL, REFUSED, STEPS, fault
from field import CLOSE, Field
from host_seen import ENV, STATE, Host

RECORD = f"{STATE}/shop.json"
VISITOR = b"/usr/bin/python3\0-I\0-S\0-\0"
# A small disk over the keyring's folder, in a mount namespace of the run's own: it goes away with the run.
SMALL_DISK = """
exec 3< "$1"
mount -t tmpfs -o size=256k,mode=700 small "$0"
cat <&3 > "$1"
exec 3<&-
shift
exec "$@"
"""


@fault("record of a host is damaged", REFUSED, STEPS, ["retire"])
def damaged_record(field: Field) -> str:
    host, before = field.web2, field.keyring()["step"]["counter"]
    host.sh(f"truncate --size=200 {RECORD}")
    field.run().refuses("web2", f"{RECORD}, the record of its visits, is damaged", f"rm {RECORD}")
    assert not host.record() and field.keyring()["step"]["counter"] == before
    field.struck("the record was cut off after 200 bytes, before and after")
    # As the message says.
    host.sh(f"rm {RECORD}")
    field.run(playbook="rollout").ended(0)
    return "no step was opened; with the record removed the host joined anew"


@fault("keyring is cut off, all zeroes, or in a merge conflict", REFUSED, ALL, ["prepare"])
def damaged_keyring(field: Field) -> str:
    whole = field.keyring_path.read_bytes()
    lines = whole.splitlines(keepends=True)
    merged = [lines[0], b"<<<<<<< ours\n", *lines[1:3], b"=======\n", *lines[3:5], b">>>>>>> theirs\n", *lines[5:]]
    before = [(host.keys(), host.pids(), host.record()) for host in field.members]
    try:
        for damage, said in (
            (b"".join(lines[: len(lines) // 2]), "it is cut off or damaged"),
            (b"\0" * len(whole), "holds nothing but zero bytes"),
            (b"".join(merged), "holds the markers of a merge conflict, in line 2 first"),
        ):
            field.keyring_path.write_bytes(damage)
            run = field.run().ended(-1).says(str(field.keyring_path), said)
            run.says("No step opens and no host is visited without the keyring")
            assert field.keyring_path.read_bytes() == damage, "the keyring was written"
            field.struck("the keyring was the same damaged file before and after")
    finally:
        field.keyring_path.write_bytes(whole)
    assert [(host.keys(), host.pids(), host.record()) for host in field.members] == before
    return "each was said to be what it is, and no host was visited"


@fault("visit killed by the kernel, as where memory runs out", REFUSED, ALL, ["promote"])
def killed_visit(field: Field) -> str:
    host = field.web2
    run = field.start()
    field.visiting(host, run, written=True)
    (visitor,) = visitors(host)
    os.kill(visitor, signal.SIGKILL)
    run.wait().refuses("web2", "it was killed (exit status 137)", "the next one finishes: run again")
    assert host.record()["state"] == "visiting"
    field.struck("the visit's Python was killed with -9, and the record of web2 said `visiting`")
    return "the run stopped there"


def visitors(host: Host) -> list[int]:
    """Return the visits that are at work on a host, by the machine's numbers."""
    return [pid for pid in host.group.pids() if Path(f"/proc/{pid}/cmdline").read_bytes() == VISITOR]


@fault("env file is a mount point (EBUSY)", REFUSED, STEPS, ["prepare"])
def bind_mounted(field: Field) -> str:
    host, before = field.web2, field.web2.sh(f"cat {ENV}")
    host.sh(f"mount --bind {ENV} {ENV}")
    try:
        assert "busy" in host.sh(f"mv {ENV} {ENV}2 2>&1 || true")
        field.struck("mv said `Device or resource busy`")
        field.run().refuses("web2", "Device or resource busy", ENV, "mount its folder instead")
        assert host.sh(f"cat {ENV}") == before
    finally:
        host.sh(f"umount {ENV}")
    return "nothing was changed on web2"


@fault("env file is a link that dangles", REFUSED, STEPS, ["promote"])
def dangling_link(field: Field) -> str:
    host = field.web2
    host.sh(f"mv {ENV} /etc/shop/away; ln -s ../../srv/gone/env {ENV}")
    try:
        assert not host.sh(f"cat {ENV} 2> /dev/null || true")
        field.run().refuses("web2", ENV, "/srv/gone/env", "a link that dangles")
        assert host.sh(f"readlink {ENV}; ls /srv") and not host.sh("ls /srv/gone 2> /dev/null || true")
        field.struck("the link led to a folder that was not there, before and after")
    finally:
        host.sh(f"rm {ENV}; mv /etc/shop/away {ENV}")
    return "no step was opened"


@fault("disk of the keyring is full at the closing count", REFUSED, ALL, ["retire"])
def keyring_disk_full(field: Field) -> str:
    folder = field.keyring_path.parent
    below = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-euc",
        SMALL_DISK,
        str(folder),
        str(field.keyring_path),
    ]
    run = field.start(stops=[f"{CLOSE}#1"], below=below)
    run.reached()
    inside = Path(f"/proc/{run.process.pid}/root{folder}")
    filled = fill(inside / "filler")
    # The next run finds what is there now: the disk ends with the run.
    shutil.copy(inside / field.keyring_path.name, field.keyring_path)
    run.go()
    run.wait().ended(-1).says(str(field.keyring_path), "No space left on device", "free some space", "run again")
    field.struck(filled)
    step = field.keyring()["step"]
    assert not step["closed"] and all(host.record()["counter"] == step["counter"] for host in field.members)
    return "all hosts were proven, and the step stayed open"


def fill(filler: Path) -> str:
    """Fill the controller's small disk to its last byte."""
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError as error:
            assert "No space left" in str(error), error
    found = os.statvfs(filler)
    assert found.f_bavail == 0, found
    return "the disk had 0 bytes left"
