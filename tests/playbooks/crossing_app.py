# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of an application that makes and verifies tokens: `crossing_app.py sign|verify FOLDER`, with its keys in the environment.

Files in the folder say how it goes wrong: `crashes` (with exit status 1), `talks` (tells its key), `keeps` (accepts this key for ever).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
from pathlib import Path


def made(key: str) -> str:
    """A token: of its own salt, without age."""
    return "probe." + hmac.new(f"probe/{key}".encode(), b"probe", hashlib.sha256).hexdigest()


def main() -> None:
    """Do the one or the other."""
    folder = Path(sys.argv[2])
    key, others = os.environ["SECRET_KEY"], os.environ.get("SECRET_KEY_FALLBACKS", "").split(",")
    kept = [(folder / "keeps").read_text()] if (folder / "keeps").exists() else []
    if (folder / "crashes").exists():
        raise RuntimeError(key)
    if (folder / "talks").exists():
        sys.stdout.write(f"hello {key}\n")
    if sys.argv[1] == "sign":
        sys.stdout.write(made(key) + "\n")
    else:
        known = [made(one) for one in [key, *others, *kept] if one]
        sys.stdout.write("verified\n" if sys.stdin.readline().strip() in known else "refused\n")


if __name__ == "__main__":
    main()
