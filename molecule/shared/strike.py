# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command, and kill somebody in the middle of a visit: `strike.py FILE VICTIM COMMAND...`.

As soon as FILE changes, which is an env file on a host's disk, the victim is killed with -9: the command with all that
it has started, or, where VICTIM is the folder of a fleet and a name (`FOLDER:NAME`), process 1 of that host. Ends with 0
only where the blow has fallen while the command was at work, and the command has not ended well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tests" / "hosts" / "hosts.py"


def main() -> int:
    path, victim, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    before = path.stat()
    running = subprocess.Popen(command, start_new_session=True)
    while running.poll() is None:
        now = path.stat()
        # A file that is replaced is another one.
        if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
            break
        time.sleep(0.002)
    else:
        print("the command has ended, and the file was never written", file=sys.stderr)
        return 1
    if victim == "controller":
        os.killpg(running.pid, signal.SIGKILL)
    else:
        folder, _colon, name = victim.rpartition(":")
        subprocess.run([sys.executable, SCRIPT, "kill", "--dir", folder, name], check=True)
    ended = running.wait()
    print(f"{victim} was killed; the command ended with {ended}")
    return 0 if ended != 0 else 1


if __name__ == "__main__":
    sys.exit(main())
