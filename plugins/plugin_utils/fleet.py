# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the fleet: its members and their variables.

`groups` and `hostvars` know every host of the inventory, whatever `--limit` leaves out.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader

from ..module_utils.rules import variables
from ..module_utils.rules.variables import PREFIX, VariableError


class FleetError(Exception):
    """The inventory does not say which hosts are the fleet, or what it says cannot be used."""


class Fleet(NamedTuple):
    """The application's name, its members by the inventory, and the variables that all of them share.

    results  what hosts with an application have registered in this run, by host and name, and what else was asked for as it stands
    """

    name: str
    members: List[str]
    values: Dict[str, Any]
    results: Dict[str, Dict[str, Any]]


def fleet(task_vars: Mapping[str, Any], templar: Any, loader: Any, results: Sequence[str] = ()) -> Fleet:
    """Return the fleet, with what its hosts have registered under the names `results`; FleetError where it cannot be told."""
    hostvars = task_vars["hostvars"]
    named: Dict[str, Dict[str, Any]] = {}
    patterns = set()
    for host in task_vars["groups"]["all"]:
        # Not once more for each name: Ansible puts a host's variables together anew whenever they are asked for.
        raw = hostvars.raw_get(host)
        if f"{PREFIX}name" not in raw:
            continue
        named[host] = registered(raw, results)
        if f"{PREFIX}hosts" in raw:
            patterns.add(_said(_value(hostvars[host], f"{PREFIX}hosts", host), f"{host}: "))
    pattern = _pattern(task_vars, templar, patterns)
    members = list(named)
    if pattern is not None:
        members = lookup_loader.get("ansible.builtin.inventory_hostnames", loader=loader, templar=templar).run(
            [pattern], variables=task_vars
        )
        stray = [host for host in members if host not in named]
        if stray:
            raise FleetError(f"app_keys_hosts ({pattern}) names hosts without app_keys_name: {', '.join(stray[:5])}")
    if not members:
        where = (
            f"app_keys_hosts ({pattern}) matches no host"
            if pattern is not None
            else "no host of the inventory has app_keys_name"
        )
        raise FleetError(
            f"the fleet has no hosts: {where}. Give the inventory with -i, and app_keys_name to the application's group"
        )
    by_host = {host: read(of_host(hostvars, host), host) for host in members}
    names = sorted({str(values["name"]) for values in by_host.values()})
    if len(names) > 1:
        counts = ", ".join(
            f"{name} ({sum(values['name'] == name for values in by_host.values())} hosts)" for name in names
        )
        raise FleetError(
            f"the inventory has {len(names)} applications: {counts}. Choose one with -e app_keys_hosts=PATTERN"
        )
    try:
        values = variables.agree(by_host)
        variables.profile_of(values)
    except VariableError as error:
        raise FleetError(str(error)) from None
    return Fleet(names[0], members, values, named)


def registered(raw: Mapping[str, Any], results: Sequence[str]) -> Dict[str, Any]:
    """Return which of these results are among a host's variables."""
    return {name: raw[name] for name in results if name in raw}


def of_host(hostvars: Any, host: str) -> Dict[str, Any]:
    """Return the `app_keys_*` variables of any host of the inventory, templated."""
    found = hostvars[host]
    return {name: _value(found, name, host) for name in found if name.startswith(PREFIX)}


def read(raw: Mapping[str, Any], host: str) -> Dict[str, Any]:
    """Return a host's variables as the rules read them."""
    try:
        return variables.read(raw)
    except VariableError as error:
        raise FleetError(f"{host}: {error}") from None


def keyring_path(values: Mapping[str, Any], name: str, task_vars: Mapping[str, Any]) -> str:
    """Return the absolute path of the keyring: the one of `app_keys_keyring`, or beside the one inventory source."""
    folder = _inventory_folder(task_vars)
    given: Optional[str] = values["keyring"]
    if given is not None:
        return os.path.abspath(os.path.join(folder or os.getcwd(), os.path.expanduser(given)))
    if folder is None:
        raise FleetError(
            "there is not just one inventory file or folder that the keyring could stand beside: set app_keys_keyring to its path"
        )
    return os.path.join(folder, ".keyrings", f"{name}.yml")


def plain(value: Any) -> Any:
    """Return a value without the marks that ansible-core puts on its own, so that it can be written as YAML."""
    return json.loads(json.dumps(value))


def _inventory_folder(task_vars: Mapping[str, Any]) -> Optional[str]:
    sources = [str(source) for source in task_vars.get("ansible_inventory_sources") or []]
    if len(sources) != 1 or not os.path.exists(sources[0]):
        return None
    source = os.path.abspath(sources[0])
    return source if os.path.isdir(source) else os.path.dirname(source)


def _pattern(task_vars: Mapping[str, Any], templar: Any, found: Set[str]) -> Optional[str]:
    """Return app_keys_hosts, which a play sees only as an extra variable, and `found` in the inventory."""
    if f"{PREFIX}hosts" in task_vars:
        found.add(_said(templar.template(task_vars[f"{PREFIX}hosts"])))
    if len(found) > 1:
        raise FleetError(
            f"hosts disagree about app_keys_hosts: {', '.join(sorted(found))}. Choose one with -e app_keys_hosts=PATTERN"
        )
    return found.pop() if found else None


def _said(value: Any, where: str = "") -> str:
    """Return a pattern as it is said; FleetError for an empty one, which would hide the inventory's."""
    try:
        return str(variables.one("hosts", value))
    except VariableError as error:
        raise FleetError(f"{where}{error}") from None


def _value(found: Any, name: str, host: str) -> Any:
    try:
        return plain(found[name])
    except AnsibleError as error:
        raise FleetError(f"{host}: {name} cannot be templated: {error}") from None
    except TypeError:
        raise FleetError(f"{host}: {name} is undefined, or is not plain data") from None
