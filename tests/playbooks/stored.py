# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application that stores rows, encrypted with its keys: `stored.py FOLDER store|rotate|read`.

Its keys are Fernet keys, in SECRET_KEY and SECRET_KEY_FALLBACKS. `rotate` encrypts every row anew, one by one, and waits after the second while
there is a file `hold`; `read` fails where a row cannot be read. Whoever runs it, and how often, stands in the file `runs`.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

ROWS = 5

HELD = 120.0  # seconds


def keys() -> MultiFernet:
    """The keys that the environment names, the one that signs first."""
    listed = [os.environ["SECRET_KEY"], *os.environ.get("SECRET_KEY_FALLBACKS", "").split(",")]
    return MultiFernet([Fernet(key) for key in listed if key])


def main(folder: Path, do: str) -> None:
    """Do what is said."""
    with (folder / "runs").open("a") as runs:
        runs.write(f"{do}\n")
    base = sqlite3.connect(folder / "rows.db", isolation_level=None)
    base.execute("create table if not exists rows (id integer primary key, text blob)")
    if do == "store":
        for number in range(ROWS):
            base.execute("insert into rows (text) values (?)", (keys().encrypt(f"row {number}".encode()),))
    for id_, text in base.execute("select id, text from rows").fetchall():
        try:
            if do == "read":
                keys().decrypt(text)
            if do == "rotate":
                base.execute("update rows set text = ? where id = ?", (keys().rotate(text), id_))
        except InvalidToken:
            sys.exit(f"row {id_} cannot be read with {os.environ['SECRET_KEY']}")
        end = time.monotonic() + HELD
        # Not for ever: where its test has failed nobody takes the file away.
        while do == "rotate" and id_ == 2 and (folder / "hold").exists() and time.monotonic() < end:
            (folder / "held").write_text(str(os.getpid()))
            time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
