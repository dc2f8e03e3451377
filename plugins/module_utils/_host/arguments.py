# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that run on hosts, and what the application on a host is by them."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping

from .rules import variables
from .rules.env_formats import FORMATS

# Documented in the fragment `application`.
APPLICATION: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "framework": {"type": "str"},
    "settings": {"type": "dict"},
    "env_file": {"type": "list", "elements": "path"},
    "env_format": {"type": "str", "choices": list(FORMATS)},
    "service": {"type": "list", "elements": "str"},
    "service_scope": {"type": "str", "choices": ["system", "user"]},
    "restart_command": {"type": "raw"},
    "processes": {"type": "raw"},
    "workload": {"type": "dict"},
    "proof": {"type": "raw"},
    "timeout": {"type": "str"},
    "settle": {"type": "str"},
    "state_dir": {"type": "path"},
    "nonce": {"type": "str", "default": ""},
}
ACTIVE_FINGERPRINT: Dict[str, Dict[str, Any]] = {
    **APPLICATION,
    "host": {"type": "str", "default": ""},
    "known": {"type": "list", "elements": "str", "default": []},
    "expect": {
        "type": "dict",
        "options": {"signs": {"type": "str"}, "accepts": {"type": "list", "elements": "str", "default": []}},
    },
    "member": {"type": "str"},
    "app_check": {"type": "raw"},
    "packages": {"type": "bool", "default": False},
    "cross": {"type": "str", "choices": ["sign", "verify"]},
    "crossing": {"type": "dict"},
    "reveal": {"type": "list", "elements": "str"},
    "reveal_pad": {"type": "str", "no_log": True},
}
TOGETHER = [("reveal", "reveal_pad")]
REENCRYPT: Dict[str, Dict[str, Any]] = {
    **APPLICATION,
    "host": {"type": "str", "default": ""},
    "key": {"type": "str", "required": True, "no_log": False},
    "command": {"type": "raw", "required": True},
    "shows": {"type": "raw", "required": True},
    "within": {"type": "str", "required": True},
}
ENV_KEYS: Dict[str, Dict[str, Any]] = {
    **APPLICATION,
    "host": {"type": "str", "default": ""},
    "converge": {"type": "bool", "default": False},
    "wait_for": {"type": "list", "elements": "str", "choices": ["looks", "vouchers", "drain"], "default": []},
    "keyring": {"type": "path", "no_log": False},
    "env_owner": {"type": "str"},
    "env_group": {"type": "str"},
    "env_mode": {"type": "str"},
    "replace": {"type": "list", "elements": "str"},
    "take_over": {"type": "list", "elements": "str"},
    "order": {"type": "dict"},
    "token": {"type": "dict", "no_log": False},
    "step": {"type": "str"},
    "secrets": {"type": "dict", "no_log": True},
    "vouched": {"type": "bool", "default": False},
}


def application(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the application's variables from a module's parameters; VariableError where they cannot be used."""
    given = {**params, **{name: _expanded(params[name]) for name in ("env_file", "state_dir") if params.get(name)}}
    # An option that is not given is null here, which a variable may not be.
    known = {name: value for name, value in given.items() if value is not None and name in variables.VARIABLES}
    raw = {variables.PREFIX + name: value for name, value in known.items()}
    values = variables.application(variables.read(raw))
    if not values["name"]:
        raise variables.VariableError("app_keys_name is not set")
    return {**values, "restart_words": variables.restart_words(values), "host": params.get("host") or ""}


def _expanded(path: Any) -> Any:
    """Return a path, or each of several, with this host's home and environment put in, as Ansible does it."""
    if isinstance(path, list):
        return [_expanded(one) for one in path]
    return os.path.expanduser(os.path.expandvars(str(path)))
