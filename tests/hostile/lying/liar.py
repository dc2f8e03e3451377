# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that lies: does what it is asked, and answers something else. `liar.py FOLDER COMMAND`, in place of the host's shell.

FOLDER/lie is a JSON document: `put` has values by their place in the answer ("evidence.files.0.problem"), `raw` is printed in place of
the whole answer. What is sent to the host is kept in FOLDER/heard, one file a call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer one call."""
    folder, command = Path(sys.argv[1]), sys.argv[2]
    heard = b"" if os.isatty(0) else sys.stdin.buffer.read()
    (folder / "heard").mkdir(exist_ok=True)
    (folder / "heard" / f"{os.getpid()}-{len(list((folder / 'heard').iterdir()))}").write_bytes(heard)
    done = subprocess.run(["/bin/sh", "-c", command], input=heard, capture_output=True, check=False)
    sys.stderr.buffer.write(done.stderr)
    sys.stdout.buffer.write(b"".join(lied(folder, line) for line in done.stdout.splitlines(keepends=True)))
    sys.stdout.flush()
    sys.exit(done.returncode)


def lied(folder: Path, line: bytes) -> bytes:
    """Return one line of what the true host printed, changed if it is an answer of our modules."""
    lie = json.loads((folder / "lie").read_text()) if (folder / "lie").exists() else {}
    if not line.startswith(b"{") or b'"changed"' not in line or not lie:
        return line
    if "raw" in lie:
        return str(lie["raw"]).encode("utf-8", "surrogatepass") + b"\n"
    answer = json.loads(line)
    for path, value in lie["put"].items():
        holder: Any = answer
        *steps, last = path.split(".")
        for step in steps:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        holder[int(last) if isinstance(holder, list) else last] = value
    return json.dumps(answer).encode() + b"\n"


if __name__ == "__main__":
    main()
