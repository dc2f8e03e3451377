# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""End hosts when the process that brought them up has ended, even by kill -9: `hosts_keeper.py FOLDER PID START`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hosts import Hosts, procs


def main() -> None:
    folder, pid, start = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if os.fork():
        os._exit(0)
    os.setsid()
    while not procs.wait_for_exit(procs.Proc(pid, start, 0), seconds=2):
        if not folder.exists():
            return
    if folder.exists():
        Hosts(folder).down()


if __name__ == "__main__":
    main()
