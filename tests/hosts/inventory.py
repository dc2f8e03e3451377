# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory of real hosts, the same for every backend: what a user of the collection would write."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a host is found."""

    name: str
    address: str
    ssh_port: int
    app_port: int


def known_hosts(places: Sequence[Place], keys: Mapping[str, str]) -> str:
    """Return what ssh has to know so that it asks nobody: each host by address and port, with its own key."""
    return "".join(f"[{place.address}]:{place.ssh_port} {keys[place.name]}\n" for place in places)


def ssh_arguments(known: Path) -> list[str]:
    """Return ssh's options: neither the user's own settings nor an agent's keys decide how a test ends."""
    return [
        "-F", "/dev/null",
        "-o", f"UserKnownHostsFile={_ssh_quoted(known)}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no",
        "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
    ]  # fmt: skip


def text(places: Sequence[Place], key: Path, known: Path, login: str, variables: Mapping[str, Any]) -> str:
    """Return the inventory: group `shop` in group `fleet`. JSON is YAML, so this needs no library."""
    group: dict[str, Any] = {
        "ansible_user": login,
        # A plain user becomes root through sudo, as most people have it.
        "ansible_become": login != "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": shlex.join(ssh_arguments(known)),
        # Whatever ansible.cfg says: the keys are known, and Molecule turns the check off.
        "ansible_host_key_checking": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        # The Makefile points this into the checkout, for hosts that are on this machine.
        "ansible_remote_tmp": "~/.ansible/tmp",
        "app_keys_name": "shop",
        "app_keys_env_file": "/etc/shop.env",
        "app_keys_service": "shop.service",
        "app_keys_app_check": {"python": "/srv/shop/venv/bin/python", "manage": "/srv/shop/manage.py"},
        **variables,
    }
    lines = ["---", "fleet:", "  children:", "    shop:", "shop:", "  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in group.items()]
    lines.append("  hosts:")
    for place in places:
        lines.append(f"    {place.name}:")
        own = {
            "ansible_host": place.address,
            "ansible_port": place.ssh_port,
            "shop_url": f"http://{place.address}:{place.app_port}",
        }
        lines += [f"      {name}: {json.dumps(value)}" for name, value in own.items()]
    return "\n".join(lines) + "\n"


def _ssh_quoted(path: Path) -> str:
    """Return the path as a value of an option of ssh, which splits at blanks and knows double quotes."""
    return f'"{path}"' if " " in str(path) else str(path)
