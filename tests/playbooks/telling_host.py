# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart an application that tells its keys itself, and shows no environment: `telling_host.py FOLDER PORT SERVER`.

It has two workers, given what the env file says. The file `second` in the folder says what the second one answers in place of the truth: a
word that SERVER (`word_server.py`) knows, or JSON. The pool ends by itself after five minutes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1] / "fleet"), str(HERE.parents[2] / "plugins" / "module_utils" / "_host" / "rules")]

import envfile  # noqa: E402
import procs  # noqa: E402
from fingerprint import fingerprint  # noqa: E402


def main() -> None:
    """End the pool and start another."""
    folder, port, server = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    pid_file = folder / "pid"
    if pid_file.exists() and procs.look(int(pid_file.read_text())):
        os.killpg(int(pid_file.read_text()), signal.SIGKILL)
    values = envfile.read(folder / "env")
    keys = [
        fingerprint(key) for key in [values["SECRET_KEY"], *values.get("SECRET_KEY_FALLBACKS", "").split(",")] if key
    ]
    truth = json.dumps({"signs": keys[0], "accepts": keys})
    second = (folder / "second").read_text() if (folder / "second").exists() else truth
    for _try in range(100):
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", server, port, truth, second],
            env={**values, "PATH": "/usr/bin:/bin"}, cwd=folder, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert child.stdout
        if child.stdout.readline():
            pid_file.write_text(f"{child.pid}\n")
            return
        time.sleep(0.05)  # those of before are on their way out, and still have the port
    sys.exit("it does not start")


if __name__ == "__main__":
    main()
