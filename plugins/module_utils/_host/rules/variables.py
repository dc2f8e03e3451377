# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the collection: their defaults, and what a usable value is.

They stand here and not in the role's defaults, since a playbook without the role would not see those.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Collection, Dict, List, Mapping, NamedTuple, Optional

from . import process_sources, proofs
from .durations import DurationError, seconds
from .env_formats import FORMATS
from .errors import PhasedKeysError
from .fingerprint import PATTERN
from .frameworks import DEFAULT_FRAMEWORK, Profile, SettingsError, profile

PREFIX = "app_keys_"
NAME = re.compile(r"\A[a-z0-9_-]+\Z")  # of an application: it is part of file names
OBJECT = re.compile(r"\A[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")  # of an object in a cluster
WORKLOAD = ("kind", "name", "namespace", "context", "kubeconfig", "containers")
WORKLOAD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob")
REENCRYPT = ("host", "run", "proof", "within")
NEEDED = {
    "run": "give the command that encrypts anew all that is at rest; it may be run twice",
    "proof": "give a command that reads all that is at rest, and fails where it cannot: it is run with the new key alone",
}
EMPTY = (
    "{name} is empty, and hides what the inventory says elsewhere: give it a value, or take it away (the line in the inventory, the -e, or the "
    "question of the survey)"
)


class VariableError(PhasedKeysError):
    """A variable that is missing, unknown, or has a value that cannot be used; the text names it."""


class Variable(NamedTuple):
    """A variable.

    default  its value where it is not given
    read     how a raw value becomes a usable one
    fleet    whether all members must have the same
    run      whether it is for one run alone, on the command line or in a survey: its default asks for nothing, so an empty one is not given
    """

    default: Any
    read: Callable[[Any, str], Any]
    fleet: bool = False
    run: bool = False


def read(raw: Mapping[str, Any]) -> Dict[str, Any]:
    """Return every variable, without its prefix, from the `app_keys_*` variables of one host.

    An unknown one is an error, since a misspelt guard would silently not guard.
    """
    for name in raw:
        if name.startswith(PREFIX) and name[len(PREFIX) :] not in VARIABLES:
            import difflib

            near = difflib.get_close_matches(name, [PREFIX + known for known in VARIABLES], 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise VariableError(f"{name} is not a variable of phased.keys{hint}")
    return {
        name: one(name, raw[PREFIX + name]) if PREFIX + name in raw else variable.default
        for name, variable in VARIABLES.items()
    }


def one(name: str, value: Any) -> Any:
    """Return what is read from the raw value of the variable `name` (without its prefix).

    An empty one is an error but for those of one run: it would put the default in the place of what a group says, and a soak
    that was longer there would end early. Whoever means the default can say it.
    """
    variable = VARIABLES[name]
    if not empty(value):
        return variable.read(value, PREFIX + name)
    if variable.run:
        return variable.default
    raise VariableError(EMPTY.format(name=PREFIX + name))


def empty(value: Any) -> bool:
    """Whether nothing is said: null, or a text of blanks, as a survey sends for a question that nobody answered."""
    return value is None or (isinstance(value, str) and not value.strip())


def application(values: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the values with what follows from them, for a host whose application is to be looked at or visited."""
    if proofs.named(values["proof"]).reads != proofs.PROCESSES:
        raise VariableError(
            f"app_keys_proof is {values['proof']}, which is for a member that is a workload of a cluster (app_keys_workload)"
        )
    if not values["env_file"]:
        raise VariableError("app_keys_env_file is not set: it names the file that the application reads its keys from")
    processes = values["processes"] or [{"unit": unit} for unit in values["service"]]
    if not processes:
        raise VariableError(
            "neither app_keys_service nor app_keys_processes is set, so nobody knows which processes are the workers: set app_keys_service to the "
            f"application's unit, or app_keys_processes to {process_sources.one_of(process_sources.forms(but='unit'))}"
        )
    return {**values, "processes": processes, "profile": profile_of(values)}


def profile_of(values: Mapping[str, Any]) -> Profile:
    """Return the framework's profile with what the application does differently."""
    try:
        return profile(values["framework"], values["settings"])
    except SettingsError as error:
        raise VariableError(str(error)) from None


def agree(by_host: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """Return the fleet-wide variables; VariableError where members disagree about one."""
    agreed = {}
    for name, variable in VARIABLES.items():
        if not variable.fleet:
            continue
        said: Dict[str, List[str]] = {}
        for host, values in by_host.items():
            said.setdefault(json.dumps(values[name], sort_keys=True), []).append(host)
            agreed[name] = values[name]
        if len(said) > 1:
            parts = "; ".join(
                f"{value} on {', '.join(hosts[:3])}{' and others' * (len(hosts) > 3)}" for value, hosts in said.items()
            )
            raise VariableError(
                f"the members disagree about {PREFIX}{name}: {parts}. Give it to the whole fleet, as a group variable"
            )
    return agreed


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise VariableError(f"{name} must be a text that is not empty, not {value!r}")
    if "\0" in value:
        raise VariableError(
            f"{name} is {value!r}, with a NUL in it: no path, name or argument of a program can hold one"
        )
    return str(value)


def _application(value: Any, name: str) -> str:
    if not isinstance(value, str) or not NAME.match(value):
        raise VariableError(f"{name} is {value!r}; it is made of a-z, 0-9, _ and -")
    return str(value)


def _texts(value: Any, name: str) -> List[str]:
    return [_text(item, name) for item in (value if isinstance(value, list) else [value])]


def _names(value: Any, name: str) -> List[str]:
    """Hosts by name: a list, or one text with commas, as on a command line."""
    texts = [text.strip() for text in value.split(",")] if isinstance(value, str) else value
    return _texts(texts, name)


def _fingerprint(value: Any, name: str) -> str:
    # A fingerprint of digits alone comes from YAML as a number.
    if not PATTERN.match(str(value)):
        raise VariableError(
            f"{name} is {value!r}; a fingerprint has 16 hexadecimal digits, as phased.keys.status shows it"
        )
    return str(value)


def _mapping(value: Any, name: str) -> Dict[str, Any]:
    if not isinstance(value, Mapping):
        raise VariableError(f"{name} must be a mapping, not {value!r}")
    return dict(value)


def _duration(value: Any, name: str) -> float:
    try:
        return seconds(value, name)
    except DurationError as error:
        raise VariableError(str(error)) from None


def _truth(value: Any, name: str) -> bool:
    # An extra variable given as name=value is a text.
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if str(value).lower() not in known:
        raise VariableError(f"{name} is {value!r}; it is true or false")
    return known[str(value).lower()]


def _number(value: Any, name: str) -> int:
    # An extra variable given as name=value is a text.
    if not re.fullmatch(r"[1-9][0-9]{0,8}", str(value)):
        raise VariableError(f"{name} is {value!r}; it is a whole number, 1 or more")
    return int(value)


def _one_of(allowed: Collection[str]) -> Callable[[Any, str], str]:
    def read_one(value: Any, name: str) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise VariableError(f"{name} is {value!r}; it is one of {', '.join(allowed)}")
        return str(value)

    return read_one


def _mode(value: Any, name: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value):
        raise VariableError(f'{name} is {value!r}; it is an octal mode in quotes, like "0640"')
    return str(value)


def _command(value: Any, name: str) -> Any:
    return _texts(value, name) if isinstance(value, list) else _text(value, name)


def _processes(value: Any, name: str) -> List[Dict[str, Any]]:
    places = []
    for place in value if isinstance(value, list) else [value]:
        try:
            usable = process_sources.read(place)
        except process_sources.PlaceError as error:
            raise VariableError(f"{name} {error}") from None
        idle = _truth(place.get(process_sources.IDLE, False), f"{name}.{process_sources.IDLE}")
        places.append({**usable, **({process_sources.IDLE: True} if idle else {})})
    return places


def _workload(value: Any, name: str) -> Dict[str, Any]:
    fields = _mapping(value, name)
    for field in fields:
        if field not in WORKLOAD:
            raise VariableError(f"{name} has no field {field!r}; it has {', '.join(WORKLOAD)}")
    for field in ("kind", "name", "namespace"):
        if field not in fields:
            raise VariableError(f"{name} has no {field}: it needs kind, name and namespace")
    _one_of(WORKLOAD_KINDS)(fields["kind"], f"{name}.kind")
    read = {field: _text(said, f"{name}.{field}") for field, said in fields.items() if field != "containers"}
    for field in ("name", "namespace"):
        if not OBJECT.match(read[field]):
            raise VariableError(f"{name}.{field} is {read[field]!r}; no object of a cluster can be called that")
    return {**read, "containers": _names(fields.get("containers") or [], f"{name}.containers")}


def _serial(value: Any, name: str) -> List[Any]:
    sizes = value if isinstance(value, list) else [value]
    if not sizes:
        raise VariableError(f"{name} is an empty list, with which Ansible would visit all hosts at once")
    for size in sizes:
        if not re.fullmatch(r"[1-9]\d*%?", str(size)):
            raise VariableError(f"{name} holds {size!r}; a batch is a number of hosts or a percentage, like [1, '25%']")
    return list(sizes)


def _reencrypt(value: Any, name: str) -> Dict[str, Any]:
    """Return where and how what is at rest is encrypted anew; what the profile says of that may be left out."""
    fields = _mapping(value, name)
    for field in fields:
        if field not in REENCRYPT:
            raise VariableError(f"{name} has no field {field!r}; it has {', '.join(REENCRYPT)}")
    if "host" not in fields:
        raise VariableError(f"{name} has no host: it is run once, on one member of the fleet")
    _duration(fields.get("within", 0), f"{name}.within")
    for field in ("run", "proof"):
        if field in fields:
            fields[field] = _command(fields[field], f"{name}.{field}")
    return {"within": "1h", **fields, "host": _text(fields["host"], f"{name}.host")}


def reencryption(values: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """Return `app_keys_reencrypt` with what the profile says of it; None where it is not set, VariableError where it says too little."""
    given = values["reencrypt"]
    if given is None:
        return None
    rest = profile_of(values).at_rest
    if not rest:
        raise VariableError(
            f"app_keys_reencrypt is set, and by its profile {values['framework']} stores nothing that its keys encrypt: take it away, or say what is "
            "stored with app_keys_settings.at_rest"
        )
    # Of several things that are stored nobody can tell which command is for all of them.
    shipped = {"run": rest[0].get("command"), "proof": rest[0].get("proof")} if len(rest) == 1 else {}
    found: Dict[str, Any] = {field: command for field, command in shipped.items() if command}
    found.update(given)
    for field in ("run", "proof"):
        if field not in found:
            raise VariableError(
                f"app_keys_reencrypt has no {field}, and {values['framework']} has none of its own: {NEEDED[field]}"
            )
    return found


def _app_check(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        if set(value) != {"python", "manage"}:
            raise VariableError(f"{name} is {value!r}; for Django it is {{python: PATH, manage: PATH of manage.py}}")
        return {field: _text(path, name) for field, path in value.items()}
    return _command(value, name)


VARIABLES: Dict[str, Variable] = {
    "name": Variable(None, _application, fleet=True),
    "hosts": Variable(None, lambda value, name: value, fleet=True),
    "framework": Variable(DEFAULT_FRAMEWORK, _text, fleet=True),
    "settings": Variable({}, _mapping, fleet=True),
    "env_file": Variable([], _texts),
    "env_format": Variable("systemd", _one_of(FORMATS)),
    "env_owner": Variable(None, lambda value, name: _text(str(value), name)),
    "env_group": Variable(None, lambda value, name: _text(str(value), name)),
    "env_mode": Variable(None, _mode),
    "service": Variable([], _texts),
    "service_scope": Variable("system", _one_of(("system", "user"))),
    "restart_command": Variable(None, _command),
    "processes": Variable([], _processes),
    "workload": Variable(None, _workload),
    "proof": Variable(proofs.ENVIRONMENT, _one_of(proofs.PROOFS)),
    "app_check": Variable(None, _app_check),
    "timeout": Variable(60.0, _duration),
    "settle": Variable(2.0, _duration),
    "state_dir": Variable("/var/lib/phased.keys", _text),
    "soak": Variable(None, _duration, fleet=True),
    "spread": Variable(None, _duration, fleet=True),
    "external": Variable([], _names, fleet=True),
    "reencrypt": Variable(None, _reencrypt, fleet=True),
    "keep_sealed": Variable(None, _duration, fleet=True),
    "wait": Variable(0.0, _duration, fleet=True),
    "max_age": Variable(86400.0, _duration, fleet=True),
    "evidence_max_age": Variable(None, _duration, fleet=True),
    "bake": Variable(10.0, _duration, fleet=True),
    "serial": Variable([1, "25%"], _serial, fleet=True),
    "keyring": Variable(None, _text, fleet=True),
    "keyring_kept": Variable(False, _truth, fleet=True),
    "min_members": Variable(None, _number, fleet=True),
    "strict": Variable(False, _truth, fleet=True),
    "status_json": Variable(None, _text, fleet=True),
    "status_prometheus": Variable(None, _text, fleet=True),
    "report": Variable(None, _text, fleet=True),
    "before_tasks": Variable(None, _text),
    "after_tasks": Variable(None, _text),
    "allow_key_in_file": Variable(False, _truth),
    # For one run, on the command line:
    "new": Variable(False, _truth, fleet=True, run=True),
    "replace": Variable([], _texts, fleet=True, run=True),
    "take_over": Variable([], _names, fleet=True, run=True),
    "allow_weak": Variable(False, _truth, fleet=True, run=True),
    "allow_packages": Variable([], _names, fleet=True, run=True),
    "recover": Variable(False, _truth, fleet=True, run=True),
    "release": Variable([], _names, fleet=True, run=True),
    "waive": Variable([], _names, fleet=True, run=True),
    "waive_reason": Variable(None, _text, fleet=True, run=True),
    "waive_for": Variable(None, _duration, fleet=True, run=True),
    "compromised": Variable(None, _fingerprint, fleet=True, run=True),
    "confirm": Variable(None, _fingerprint, fleet=True, run=True),
    "reencrypted": Variable(None, _fingerprint, fleet=True, run=True),
    "bring_back": Variable(None, _fingerprint, fleet=True, run=True),
    "confirmed": Variable([], _names, fleet=True, run=True),
    "copy_to": Variable(None, _text, fleet=True, run=True),
    "rekey_to": Variable(None, _text, fleet=True, run=True),
}


def restart_words(values: Mapping[str, Any]) -> Optional[str]:
    """Return how the application is restarted, in words; None where nothing restarts it."""
    if values["service"]:
        return ", ".join(values["service"])
    return "the application with app_keys_restart_command" if values["restart_command"] else None
