# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart the application of one light host: `light_host.py FOLDER`.

The application is a shell with two children that sleep, given what the env file says. How a restart goes wrong is said by
files in the folder:

    broken    the restart fails and changes nothing; with "once" in it, only the next one
    deadly    the restart ends the old workers and fails; with "once" in it, only the next one
    keeps     the restart reports success, and the old workers run on
    stale     assignments of a shell: one worker has these settings in place of the env file's
    alone     there are no workers but the main process
    slow      seconds to wait before anything is done
    then      a command of a shell that comes before all else
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.append(str(HERE.parents[1] / "fleet"))

import envfile  # noqa: E402
import procs  # noqa: E402

# Nothing here outlives a test for long, even if nobody is left to end it.
CHILD = "sleep 300 &"
STALE = "(. ./stale; exec sleep 300) &"


def main() -> None:
    """Do as the files in the folder say."""
    folder = Path(sys.argv[1])
    slow = folder / "slow"
    if slow.exists():
        time.sleep(float(slow.read_text()))
    if (folder / "then").exists():
        subprocess.run(["/bin/sh", "./then"], cwd=folder, check=True)
    if (folder / "keeps").exists():
        return
    if told(folder / "broken"):
        sys.exit("the restart failed, as it was told")
    procs.end_marked(procs.HOST_MARK, folder, 0)
    if told(folder / "deadly"):
        sys.exit("the restart failed and left nothing, as it was told")
    start(folder)


def told(how: Path) -> bool:
    """Whether a file says so, and for once where it says that."""
    if not how.exists():
        return False
    if how.read_text() == "once":
        how.unlink()
    return True


def start(folder: Path) -> None:
    """Start the application, and return when all its workers run."""
    alone = (folder / "alone").exists()
    children = [] if alone else [STALE if (folder / "stale").exists() else CHILD, CHILD]
    main = "wait" if children else "exec sleep 300"
    environment = {**envfile.read(folder / "env"), "PATH": "/usr/bin:/bin"}
    marks = {procs.FLEET_MARK: str(folder.parents[1]), procs.HOST_MARK: str(folder)}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(
        ["/bin/sh", "-c", f"{' '.join(children)} {main}"],
        env={**environment, **marks},
        cwd=folder,
        start_new_session=True,
        **quiet,
    )
    listed = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    while len(sleeping(listed)) < len(children):
        time.sleep(0.002)
    (folder / "pid").write_text(f"{child.pid}\n")


def sleeping(listed: Path) -> list[str]:
    """The children that are past the shell's fork."""
    return [pid for pid in listed.read_text().split() if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")]


if __name__ == "__main__":
    main()
