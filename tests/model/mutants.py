# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs explorations, of the rules as they are and of mutated copies, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional

from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings

from .mutations import Mutation

UTILS = Path(keyrings.__file__).parents[1]
FOLDERS = ("_rules", "_host/rules")
PACKAGE = "ansible_collections.phased.keys.tests.model"


class Unmutated(Exception):
    """A mutation whose old text is not in the rules."""


def mutated(mutation: Mutation, folder: Path) -> None:
    """Write a copy of the rules with a mutation, where Python finds it before the real ones."""
    utils = folder / "ansible_collections/phased/keys/plugins/module_utils"
    shutil.copytree(UTILS, utils, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutation.edits:
        (path,) = (utils / one / name for one in FOLDERS if (utils / one / name).exists())
        text = path.read_text()
        if text.count(old) != 1:
            raise Unmutated(f"{mutation.name}: this stands in {name} {text.count(old)} times, and not once: {old}")
        path.write_text(text.replace(old, new))


def explored(
    profile: str, seconds: float, mutation: Optional[Mutation] = None, dead_ends: bool = True
) -> Dict[str, Any]:
    """Explore a profile in a process of its own, and return what it found."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if mutation:
            mutated(mutation, Path(folder))
            environment["PYTHONPATH"] = os.pathsep.join([folder, environment.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", f"{PACKAGE}.probe", profile, str(seconds), str(int(dead_ends))]
        done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"profile": profile, "states": 0, "transitions": 0, "seconds": 0.0, "complete": False,
                "wrong": "the explorer broke", "broke": True, "told": done.stderr}  # fmt: skip
    answer: Dict[str, Any] = json.loads(done.stdout)
    return {**answer, "broke": False}
