# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the options of this ansible-playbook step over the play that finds the fleet, so that nothing would be done and the end be 0.

A play without a task left to run is no error to Ansible. In a playbook of somebody's own that does other things too tags may well
leave ours out; where all that was asked for is ours, it is a mistake.
"""

from __future__ import annotations

import os
import re
from typing import Any, Mapping, Optional

import yaml

NAMED = re.compile(r"phased\.keys\.\w+")
PLAYBOOKS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "playbooks")
IMPORT = ("import_playbook", "ansible.builtin.import_playbook", "ansible.legacy.import_playbook")
# These say what there is, and run nothing.
LISTING = ("listhosts", "listtasks", "listtags", "syntax")
TAGS = (
    "{options} makes this playbook do nothing: the tasks of phased.keys are no parts to choose from. Nothing was done; run it again without that, and "
    "with the playbook of one step (phased.keys.prepare and so on) if it is one step that is meant"
)
LATER = (
    "the first play, which finds the fleet, was stepped over (--start-at-task). Nothing was done; run the whole playbook: it goes on where the last "
    "run has ended"
)


def why(options: Mapping[str, Any]) -> Optional[str]:
    """Say what is wrong with the options (`context.CLIARGS`) of a run that has not found its fleet; None where they are not to blame."""
    if any(options.get(listing) for listing in LISTING) or not all(map(_ours, options.get("args") or ())):
        return None
    if options.get("start_at_task"):
        return LATER
    tags = [tag for tag in options.get("tags") or () if tag != "all"]
    chosen = {"--tags": sorted(tags), "--skip-tags": sorted(options.get("skip_tags") or ())}
    said = " ".join(f"{option} {','.join(names)}" for option, names in chosen.items() if names)
    return TAGS.format(options=said) if said else None


def _ours(playbook: str, depth: int = 5) -> bool:
    """Whether a playbook is one of ours, or imports those and does nothing else."""
    if NAMED.fullmatch(playbook):
        return True
    path = os.path.realpath(playbook)
    if os.path.dirname(path) == os.path.realpath(PLAYBOOKS):
        return True
    try:
        with open(path, encoding="utf-8") as file:
            plays = yaml.safe_load(file)
    except (OSError, ValueError, yaml.YAMLError):
        return False
    if not isinstance(plays, list) or not plays or not depth:
        return False
    return all(_imports_ours(play, os.path.dirname(path), depth) for play in plays)


def _imports_ours(play: object, folder: str, depth: int) -> bool:
    names = [play[name] for name in IMPORT if name in play] if isinstance(play, dict) else []
    return bool(names) and all(
        _ours(name if NAMED.fullmatch(name) else os.path.join(folder, name), depth - 1) for name in map(str, names)
    )
