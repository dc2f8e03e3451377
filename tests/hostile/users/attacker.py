# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody on a host who is not root, and what our modules do there: called in this process, as root."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from ansible_collections.phased.keys.plugins.module_utils._host import answers, arguments
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint

USER, OTHER = 61234, 61235  # nobody's on any machine
OLD, NEW, SECRET = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop", "TOP=of-root-alone"
NOTHING_RUNS = [{"pattern": "no such process anywhere"}]


def put(path: Path, text: str, owner: int, mode: int = 0o640) -> Path:
    """Write a file of somebody's; its folder is made if it is not there."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def link(path: Path, target: object, owner: int = USER) -> Path:
    """Make a symbolic link of somebody's."""
    path.symlink_to(str(target))
    os.lchown(path, owner, owner)
    return path


def asked(spec: Dict[str, Dict[str, Any]], folder: Path, env: Path, **more: Any) -> Dict[str, Any]:
    """Return the parameters of a module, as Ansible fills them in."""
    given = {name: option.get("default") for name, option in spec.items()}
    own = {
        "name": "shop",
        "env_file": [str(env)],
        "state_dir": str(folder / "root/state"),
        "processes": NOTHING_RUNS,
        "timeout": "5s",
    }
    return {**given, **own, **more}


def look(folder: Path, env: Path, **more: Any) -> Dict[str, Any]:
    """Look at the host."""
    return answers.answer("active_fingerprint", asked(arguments.ACTIVE_FINGERPRINT, folder, env, **more), False)


def visit(folder: Path, env: Path, **more: Any) -> Dict[str, Any]:
    """Visit the host: it is to sign with the new key, and to accept the old one."""
    old, new = fingerprint(OLD), fingerprint(NEW)
    order = {
        "signs": new, "accepts": [new, old], "may_sign": [old, new], "must_accept": [old], "may_accept": [old, new],
        "known": [old, new], "leaked": [], "incident": False,
    }  # fmt: skip
    given = {
        "converge": True, "order": order, "token": {"keyring": "r1", "counter": 2, "nonce": "n2"}, "step": "promote", "nonce": "survey",
        "secrets": {old: OLD, new: NEW}, "vouched": True,
    }  # fmt: skip
    return answers.answer("env_keys", asked(arguments.ENV_KEYS, folder, env, **{**given, **more}), False)


def told(answer: Dict[str, Any]) -> str:
    """Return all that an answer says of what is wrong."""
    files: List[Dict[str, Any]] = answer.get("evidence", {}).get("files", [])
    problems: List[Optional[Dict[str, str]]] = [file["problem"] for file in files]
    return " | ".join([str(answer.get("msg", "")), *(problem["text"] for problem in problems if problem)])
