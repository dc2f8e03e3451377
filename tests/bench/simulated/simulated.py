# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a simulated host: it answers what the modules would print there, and starts no process.

All before it is real: the playbooks, the action plugins, and the module's payload, whose arguments are taken out of it. What a host
remembers is a file of its own in `PHASED_SIMULATED`, named like the host: the keys that it holds, and its record.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from ansible.errors import AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible_collections.phased.keys.plugins.module_utils._host.start import unpack

DOCUMENTATION = """
name: simulated
short_description: Answers like the modules of phased.keys
description: For benchmarks alone.
author: The phased.keys contributors
options:
  pipelining:
    description: Whether modules come on the standard input; nothing else is answered.
    type: boolean
    default: true
    env: [{name: ANSIBLE_PIPELINING}]
    vars: [{name: ansible_pipelining}]
"""
WORKERS = 3
UID = 33
NO_FILES = "a simulated host has no files: modules are piped to it"
DAY = 86400.0


class Connection(ConnectionBase):  # type: ignore[misc]
    """Answers what is asked of one host."""

    transport = "simulated"
    has_pipelining = True

    def _connect(self) -> Connection:
        """There is nothing to connect to."""
        self._connected = True
        return self

    def exec_command(
        self, cmd: str, in_data: Optional[bytes] = None, sudoable: bool = True
    ) -> Tuple[int, bytes, bytes]:
        """Answer a module, or say yes to whatever else Ansible runs."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        if not in_data:
            return 0, b"/nowhere\n", b""
        module, arguments = asked(in_data)
        host = Path(os.environ["PHASED_SIMULATED"]) / str(self._play_context.remote_addr)
        return 0, json.dumps(ANSWERS[module](host, arguments)).encode() + b"\n", b""

    def put_file(self, in_path: str, out_path: str) -> None:
        """Nothing is copied: modules are piped."""
        raise AnsibleError(NO_FILES)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Nothing is copied: modules are piped."""
        raise AnsibleError(NO_FILES)

    def close(self) -> None:
        """There is nothing to close."""
        self._connected = False


def asked(payload: bytes) -> Tuple[str, Dict[str, Any]]:
    """Return the module's name and its arguments, which stand in the last line behind its code (plugin_utils/_program.py).

    Any other payload is the module that does nothing.
    """
    call = re.search(rb",\n([^,()]*)\n\)\n\Z", payload)
    if not call:
        return "ping", {}
    told = unpack(call[1].decode().replace('"', "").replace("\n", ""))
    return told["module"], told["arguments"]


def look(host: Path, arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Answer like `active_fingerprint`."""
    seen = evidence(host.name, json.loads(host.read_text()), arguments)
    signs, *_others = seen["workers"][0]["accepts"]
    accepts = sorted(seen["workers"][0]["accepts"])
    answer = {"changed": False, "evidence": seen, "signs": signs, "accepts": accepts, "idle": False}
    return {**answer, "invocation": {"module_args": arguments}}


def visit(host: Path, arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Answer like `env_keys`, on a host that takes every step as it should."""
    was = json.loads(host.read_text())
    order, now = arguments["order"], time.time()
    changed = was["holds"] != order["accepts"]
    past = {**was["record"]["stopped"], **({was["holds"][0]: now} if was["holds"][0] != order["signs"] else {})}
    record = {
        **was["record"], **arguments["token"], "step": arguments["step"], "at": now, "signs": order["signs"],
        "stopped": {key: at for key, at in past.items() if key != order["signs"]},
    }  # fmt: skip
    state = {"holds": order["accepts"], "record": record, "changed": now if changed else was["changed"]}
    record.update(noted(host.name, arguments["env_file"][0], state["changed"]), member=arguments.get("host"))
    if not arguments.get("_ansible_check_mode"):
        host.write_text(json.dumps(state))
    files = arguments["env_file"] if changed else []
    return {
        "changed": changed, "needed": changed, "proven": True,
        "did": did(files),
        "evidence": evidence(host.name, state, arguments),
        "diff": {"before": f"signs {was['holds'][0]}\n", "after": f"signs {order['signs']}\n"},
        "invocation": {"module_args": arguments},
    }  # fmt: skip


def did(written: List[str]) -> Dict[str, Any]:
    """What a visit did that wrote these files."""
    restarted = bool(written)
    return {"written": written, "restarted": restarted, "restored": False, "down": False, "took": 2.5 * restarted}


def evidence(name: str, state: Dict[str, Any], arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Return what a look at a host shows, with fields and lengths like those of a real one."""
    number = sum(name.encode()) * 7
    first = number + 1
    started = state["changed"] + 1.0
    holds = {"signs": state["holds"][0], "accepts": state["holds"], "problem": None}
    units = [
        {
            "name": unit,
            "load": "loaded",
            "active": "active",
            "sub": "running",
            "restarts": 0,
            "on_demand": False,
            "restart_delay": 0.1,
            "sources": [],
        }
        for unit in texts(arguments.get("service"))
    ]
    return {
        "nonce": arguments["nonce"], "now": time.time(), "ticks": number * 1000, "proof": "environ", "others": [], "units": units,
        "machine": f"{boot(name)}/{name}", "settled": True, "unsettled": [], "lasting": WORKERS,
        "workers": [
            {"pid": pid, "parent": 1 if pid == first else first, "ticks": pid * 101, "started": started, "command": "gunicorn:", "uids": [UID],
             "by": "environ", "idle": False, **holds}
            for pid in range(first, first + WORKERS)
        ],
        "pools": [{"main": first, "ticks": first * 101, "called": "gunicorn:", "depth": 1, "lasting": 1, "idle": False}],
        "files": [
            {"path": path, "identity": identity(state["changed"]), "links": 1, "unusable": {}, **holds}
            for path in texts(arguments["env_file"])
        ],
        "record": state["record"], "record_of": None, "visit": None, "restart": "shop.service", "state": f"{boot(name)}/65024:{number}",
    }  # fmt: skip


def boot(name: str) -> str:
    """The boot of a host: of each its own."""
    return f"6f9c3c1e-0d0b-4f0e-9c55-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def noted(name: str, path: str, changed: float) -> Dict[str, Any]:
    """What a record notes of the env file and of the workers at a proof."""
    is_now = identity(changed)
    return {
        "files": {path: is_now}, "linked": {}, "stamps": {path: {"identity": is_now, "boot": boot(name), "ticks": int(changed) % 1000003}},
        "workers": WORKERS, "pools": [1], "uids": [UID],
    }  # fmt: skip


def identity(changed: float) -> Dict[str, Any]:
    """What tells one writing of a file from another."""
    return {"inode": int(changed) % 1000003, "changed": changed, "modified": changed, "size": 211}


def texts(value: Any) -> List[str]:
    """A text, or a list of them, as a list."""
    return value if isinstance(value, list) else [value] if value else []


def ping(host: Path, arguments: Dict[str, Any]) -> Dict[str, Any]:
    """Answer like `ping`, which does nothing."""
    return {"ping": "pong", "invocation": {"module_args": {"data": "pong"}}}


ANSWERS = {"active_fingerprint": look, "env_keys": visit, "ping": ping}
