# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that say what an application on a host is, as both modules take them."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..rules import env_text, variables

# Documented in the fragment `application`.
APPLICATION: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "framework": {"type": "str"},
    "settings": {"type": "dict"},
    "env_file": {"type": "list", "elements": "path"},
    "env_format": {"type": "str", "choices": list(env_text.FORMATS)},
    "service": {"type": "list", "elements": "str"},
    "service_scope": {"type": "str", "choices": ["system", "user"]},
    "restart_command": {"type": "raw"},
    "processes": {"type": "raw"},
    "proof": {"type": "str", "choices": ["environ", "process_age"]},
    "timeout": {"type": "str"},
    "settle": {"type": "str"},
    "state_dir": {"type": "path"},
    "nonce": {"type": "str", "default": ""},
}


def application(params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the application's variables from a module's parameters; VariableError where they cannot be used."""
    raw = {variables.PREFIX + name: value for name, value in params.items() if name in variables.VARIABLES}
    values = variables.application(variables.read(raw))
    if not values["name"]:
        raise variables.VariableError("app_keys_name is not set")
    return {**values, "restart_words": variables.restart_words(values)}
