# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the fleet: its members and their variables.

`groups` and `hostvars` know every host of the inventory, whatever `--limit` leaves out. But in Ansible a host's own facts
outrank its inventory variables, and a fact cache brings them back in later runs: a host would say of itself which application
it belongs to. So our variables are read as if no host had facts. An operator's template may use facts of the host whose
variable it is, but not for what holds for the whole fleet.
"""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set

from ansible.errors import AnsibleError
from ansible.plugins.loader import lookup_loader
from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources

from ..module_utils._host.rules import variables
from ..module_utils._host.rules.errors import PhasedKeysError
from ..module_utils._host.rules.proof import listed
from ..module_utils._host.rules.variables import PREFIX, VARIABLES, VariableError
from . import _stores as stores

OWN = (PREFIX, f"__{PREFIX}")
FACTS = (
    "its facts hold {names}, and variables of phased.keys never come from a host -> find out who put them there, and trust nothing that "
    "it says until you know; a fact cache brings them back: --flush-cache empties it"
)

TWO_APPLICATIONS = (
    "{host} gets app_keys_name from {groups}: Ansible takes {name}, by the order of the groups, and would bring that application's keys into the "
    "other's files. A host of the inventory is a member of one application: give it a name for each, {host}-{name} say, with ansible_host "
    "{host}, or keep the applications in inventories of their own. Nothing was changed"
)


class FleetError(PhasedKeysError):
    """The inventory does not say which hosts are the fleet, or what it says cannot be used."""


class Fleet(NamedTuple):
    """The application's name, its members by the inventory, and the variables that all of them share.

    refused  members that nothing is believed of, and why
    """

    name: str
    members: List[str]
    values: Dict[str, Any]
    refused: Dict[str, str]


class _NoFacts(Dict[str, Any]):
    """A fact cache in which every host has no facts, whichever way ansible-core asks it (2.16 to 2.22 differ)."""

    def get(self, _host: str, _default: Any = None) -> Dict[str, Any]:
        return {}

    def __getitem__(self, _host: str) -> Dict[str, Any]:
        return {}


class Inventory:
    """The `app_keys_*` variables of any host, read as if no host had facts."""

    def __init__(self, task_vars: Mapping[str, Any], templar: Any) -> None:
        self._hostvars = task_vars["hostvars"]
        self._templar = templar
        own = self._hostvars._variable_manager
        # A twin that shares all but the facts. (copy.copy would go through __getstate__, which leaves out the loader.)
        self._manager = object.__new__(type(own))
        self._manager.__dict__.update(own.__dict__)
        self._manager._fact_cache = _NoFacts()

    def raw(self, host: str) -> Dict[str, Any]:
        """Return a host's variables as they stand in the inventory, untemplated and without facts."""
        found = self._hostvars._inventory.get_host(host)
        if found is None:
            raise FleetError(f"{host} is not in the inventory")
        return dict(self._manager.get_vars(host=found, include_hostvars=False))

    def of(self, host: str, raw: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
        """Return a host's `app_keys_*` variables, templated; FleetError for one that cannot be."""
        raw = self.raw(host) if raw is None else raw
        return {name: self.value(raw, name, host) for name in raw if name.startswith(PREFIX)}

    def value(self, raw: Mapping[str, Any], name: str, host: str) -> Any:
        """Return one of a host's `raw` variables, templated: with facts of its own, unless it is one for the whole fleet."""
        if _untemplated(raw[name]):
            return plain(raw[name])
        facts = {} if _of_the_fleet(name) else self._hostvars.raw_get(host)
        return self._templated(raw[name], name, host, {**facts, **raw, **_namespace(facts)})

    def seen(self, task_vars: Mapping[str, Any], name: str, host: str) -> Any:
        """Return a variable as a task on this host sees it (it may be the play's), templated likewise."""
        if _untemplated(task_vars[name]):
            return plain(task_vars[name])
        if not _of_the_fleet(name):
            return self._templated(task_vars[name], name, host, task_vars)
        facts = set(task_vars.get("ansible_facts") or {})
        kept = {
            other: value
            for other, value in task_vars.items()
            if other not in facts and other != "ansible_facts" and other.partition("ansible_")[2] not in facts
        }
        return self._templated(task_vars[name], name, host, {**kept, **self.raw(host)})

    def _templated(self, value: Any, name: str, host: str, available: Mapping[str, Any]) -> Any:
        before = self._templar.available_variables
        # Ansible's own way to change them for a moment, set_temporary_context, goes with 2.23; a templar of one's own costs too much.
        self._templar.available_variables = {**available, "hostvars": self._hostvars}
        try:
            return plain(self._templar.template(value))
        except AnsibleError as error:
            why = " (it holds for the whole fleet, and no host's facts may be in it)" if _of_the_fleet(name) else ""
            raise FleetError(f"{host}: {name} cannot be templated{why}: {error}") from None
        except TypeError:
            raise FleetError(f"{host}: {name} is undefined, or is not plain data") from None
        finally:
            self._templar.available_variables = before

    def names_by_group(self, host: str, known: Dict[str, Any]) -> Dict[str, str]:
        """Return which groups give this host its `app_keys_name`, and which; nothing where the host's own variables do.

        A group below another speaks in its place. Where two are left Ansible takes the one whose name comes last, and all its
        other variables with it. `known` keeps what a group says, as it stands in the inventory, from one host to the next.
        """
        name, found = f"{PREFIX}name", {}
        entry = self._hostvars._inventory.get_host(host)
        # Of `all` and one more there is no other to speak.
        groups = entry.get_groups() if len(entry.get_groups()) > 2 else []
        for group in groups:
            if group.name not in known:
                known[group.name] = {**group.get_vars(), **self._from_files(group)}.get(name)
            if known[group.name] is not None:
                found[group] = str(known[group.name])
        below = {above for group in found for above in group.get_ancestors()}
        said = {group.name: value for group, value in found.items() if group not in below}
        own = len(set(said.values())) > 1 and name in {**entry.vars, **self._from_files(entry)}
        return {} if own else said

    def _from_files(self, entity: Any) -> Dict[str, Any]:
        """Return what group_vars and host_vars beside the inventory (and other vars plugins) say of a group or a host."""
        sources = self._hostvars._inventory._sources
        return dict(get_vars_from_inventory_sources(self._manager._loader, sources, [entity], "task"))

    def foreign(self, host: str) -> Optional[str]:
        """Say why nothing is believed of a host that speaks for the inventory in its facts; None for one that does not."""
        try:
            facts = self._hostvars._variable_manager._fact_cache.get(host)
        except KeyError:
            facts = None
        return foreign_facts(facts)


def foreign_facts(facts: Any) -> Optional[str]:
    """Say why a host with these facts is refused: they hold variables of ours; None where they do not."""
    names = sorted(str(name) for name in facts if str(name).startswith(OWN)) if isinstance(facts, Mapping) else []
    return FACTS.format(names=", ".join(names[:5])) if names else None


def fleet(task_vars: Mapping[str, Any], templar: Any, loader: Any) -> Fleet:
    """Return the fleet; FleetError where it cannot be told."""
    inventory = Inventory(task_vars, templar)
    named: Dict[str, Dict[str, Any]] = {}
    patterns = set()
    for host in task_vars["groups"]["all"]:
        # Not once more for each name: Ansible puts a host's variables together anew whenever they are asked for.
        raw = inventory.raw(host)
        if f"{PREFIX}name" not in raw:
            continue
        named[host] = {name: raw[name] for name in raw if name.startswith(PREFIX)} if not _templates(raw) else raw
        if f"{PREFIX}hosts" in raw:
            patterns.add(_said(inventory.value(raw, f"{PREFIX}hosts", host), f"{host}: "))
    by_inventory = set(patterns)
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
    by_host = {host: read(inventory.of(host, named[host]), host) for host in members}
    if pattern in by_inventory and f"{PREFIX}hosts" not in load_extra_vars(loader):
        others = {
            host: inventory.value(raw, f"{PREFIX}name", host) for host, raw in named.items() if host not in by_host
        }
        _see_chosen(pattern, others, by_host)
    names = sorted({str(values["name"]) for values in by_host.values()})
    by_group: Dict[str, Any] = {}
    for host in members:
        said = inventory.names_by_group(host, by_group)
        if len(set(said.values())) > 1:
            raise FleetError(TWO_APPLICATIONS.format(host=host, groups=_and(said), name=by_host[host]["name"]))
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
        anew = variables.reencryption(values)
    except VariableError as error:
        raise FleetError(str(error)) from None
    if anew:
        _see_where(anew["host"], by_host)
    refused = {host: inventory.foreign(host) for host in members}
    return Fleet(names[0], members, values, {host: why for host, why in refused.items() if why})


def _see_chosen(pattern: str, others: Mapping[str, Any], by_host: Mapping[str, Mapping[str, Any]]) -> None:
    """See that nobody who meant another application is given the one whose group alone has a pattern."""
    own = {values["name"] for values in by_host.values()}
    left_out = {host: name for host, name in others.items() if name not in own}
    if left_out:
        name = next(iter(left_out.values()))
        raise FleetError(
            f"the inventory has another application than that of app_keys_hosts ({pattern}): {name} ({listed(list(left_out))}). Choose one with "
            f"-e app_keys_hosts=PATTERN, and give app_keys_hosts to the group of {name} too. Nothing was changed"
        )


def _see_where(host: str, by_host: Mapping[str, Mapping[str, Any]]) -> None:
    """See that app_keys_reencrypt names a member on which something can be run."""
    if host not in by_host:
        known = ", ".join(list(by_host)[:5])
        raise FleetError(f"app_keys_reencrypt.host is {host}, which is no member of the fleet; members are {known}")
    inside = "a workload of a cluster" if by_host[host]["workload"] else None
    if any({"container", "compose"} & set(place) for place in by_host[host]["processes"]):
        inside = "where the application runs in a container"
    if inside:
        raise FleetError(
            f"app_keys_reencrypt.host is {host}, {inside}, and the commands are not on a host then: take it away, run them by hand inside when promote "
            "has closed, and say so with app_keys_reencrypted"
        )


def read(raw: Mapping[str, Any], host: str) -> Dict[str, Any]:
    """Return a host's variables as the rules read them."""
    try:
        return variables.read(raw)
    except VariableError as error:
        raise FleetError(f"{host}: {error}") from None


def keyring_path(values: Mapping[str, Any], name: str, task_vars: Mapping[str, Any]) -> str:
    """Return where the keyring is (see `stores.place`): where `app_keys_keyring` says, or beside the one inventory source."""
    folder = _inventory_folder(task_vars)
    given: Optional[str] = values["keyring"]
    if given is not None:
        return stores.place(given, folder or os.getcwd())
    if folder is None:
        raise FleetError(
            "there is not just one inventory file or folder that the keyring could stand beside: set app_keys_keyring to its path"
        )
    return os.path.join(folder, ".keyrings", f"{name}.yml")


def plain(value: Any) -> Any:
    """Return a value without the marks that ansible-core puts on its own, so that it can be written as YAML."""
    return json.loads(json.dumps(value))


def _of_the_fleet(name: str) -> bool:
    """Whether a variable holds for the whole fleet; one that nobody knows might."""
    known = VARIABLES.get(name[len(PREFIX) :])
    return known is None or known.fleet


def _namespace(facts: Mapping[str, Any]) -> Dict[str, Any]:
    return {"ansible_facts": facts["ansible_facts"]} if "ansible_facts" in facts else {}


def _and(said: Mapping[str, str]) -> str:
    return " and ".join(f"the group {group} ({name})" for group, name in sorted(said.items()))


def _untemplated(value: Any) -> bool:
    """Whether a value is plain data with no template in it: with thousands of hosts the templar takes most of the time."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and _untemplated(one) for name, one in value.items())
    if isinstance(value, list):
        return all(map(_untemplated, value))
    return value is None or (isinstance(value, str) and "{" not in value) or isinstance(value, (bool, int, float))


def _templates(raw: Mapping[str, Any]) -> bool:
    """Whether any of our variables has a template, for which the host's other variables are needed."""
    return not all(_untemplated(value) for name, value in raw.items() if name.startswith(PREFIX))


def _inventory_folder(task_vars: Mapping[str, Any]) -> Optional[str]:
    sources = [str(source) for source in task_vars.get("ansible_inventory_sources") or []]
    if len(sources) != 1 or not os.path.exists(sources[0]):
        return None
    source = os.path.abspath(sources[0])
    return source if os.path.isdir(source) else os.path.dirname(source)


def _pattern(task_vars: Mapping[str, Any], templar: Any, found: Set[str]) -> Optional[str]:
    """Return app_keys_hosts, which a play sees only as an extra variable, and `found` in the inventory."""
    name = f"{PREFIX}hosts"
    # This task runs on one of the hosts, whose facts are among its variables.
    if name in task_vars and not foreign_facts(task_vars.get("ansible_facts")):
        found.add(_said(templar.template(task_vars[name])))
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
