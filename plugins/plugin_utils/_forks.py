# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory that the processes of one run share: what one of them has worked out the others need not work out again.

Ansible runs every task of every host in a process of its own, a fork of the main one, and what such a process has
found ends with it. This is a piece of anonymous memory that exists before the forks. It is never a file; without it
(a strategy that imports actions only in the forks) everything is worked out anew, and nothing else changes.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from typing import Optional

# Reserved, and not used before something is put there: a keyring of 10,000 members has about a megabyte.
SIZE = 64 * 1024 * 1024
HEAD = struct.Struct("!32s32sQ")


class Shared:
    """Keeps one value under one key, the last that was put."""

    def __init__(self, size: int = SIZE) -> None:
        try:
            self.memory: Optional[mmap.mmap] = mmap.mmap(-1, size)
        except OSError:
            self.memory = None  # a machine that gives no memory in advance

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value; one that is too large is not kept."""
        if self.memory is None or HEAD.size + len(value) > len(self.memory):
            return
        name = hashlib.sha256(key).digest()
        # Without a lock: what two processes have written over each other does not match its digest, and is not found.
        self.memory[: HEAD.size] = HEAD.pack(name, _digest(name, value), len(value))
        self.memory[HEAD.size : HEAD.size + len(value)] = value

    def get(self, key: bytes) -> Optional[bytes]:
        """Return the value that was put under this key, if it is still there and whole."""
        if self.memory is None:
            return None
        name, digest, length = HEAD.unpack(self.memory[: HEAD.size])
        if name != hashlib.sha256(key).digest():
            return None
        value = self.memory[HEAD.size : HEAD.size + length]
        return value if _digest(name, value) == digest else None


def _digest(name: bytes, value: bytes) -> bytes:
    return hashlib.sha256(name + value).digest()
