# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection plugin as people write their own: over ssh, without a word about pipelining."""

from __future__ import annotations

import os
import shlex
import subprocess

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: plain_ssh
short_description: ssh by hand
description: ssh by hand, with what PLAIN_SSH says beside the host
author: The phased.keys contributors
options: {}
"""


class Connection(ConnectionBase):
    """Each command and each file is one ssh of its own."""

    transport = "plain_ssh"
    has_pipelining = False

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def _ssh(self, command: str, data: bytes | None = None) -> tuple[int, bytes, bytes]:
        context = self._play_context
        words = ["ssh", *shlex.split(os.environ["PLAIN_SSH"]), "-p", str(context.port), "-l", context.remote_user]
        given = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        done = subprocess.run([*words, context.remote_addr, command], capture_output=True, check=False, **given)
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        assert in_data is None, "nothing can be piped"
        return self._ssh(cmd)

    def put_file(self, in_path: str, out_path: str) -> None:
        with open(in_path, "rb") as file:
            code, _said, error = self._ssh(f"cat > {shlex.quote(out_path)}", file.read())
        assert code == 0, error

    def fetch_file(self, in_path: str, out_path: str) -> None:
        code, text, error = self._ssh(f"cat {shlex.quote(in_path)}")
        assert code == 0, error
        with open(out_path, "wb") as file:
            file.write(text)

    def close(self) -> None:
        self._connected = False
