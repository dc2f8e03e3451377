# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules' documentation says: the options that a person may set, examples that are true, what is needed, and where else to look."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple, Union, get_args, get_origin, get_type_hints

import pytest
import yaml
from ansible_collections.phased.keys.plugins.module_utils._host import arguments
from ansible_collections.phased.keys.plugins.module_utils._rules import standing

CHECKOUT = Path(__file__).resolve().parents[3]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
ON_HOSTS = {
    "env_keys": arguments.ENV_KEYS,
    "active_fingerprint": arguments.ACTIVE_FINGERPRINT,
    "reencrypt": arguments.REENCRYPT,
}
# What our own actions tell each other and the program on the host, and no person sets.
INTERNAL = {
    "env_keys": {"host", "order", "token", "step", "secrets", "vouched"},
    "active_fingerprint": {"host", "known", "reveal", "reveal_pad", "crossing"},
    "reencrypt": {"host", "key", "command", "shows", "within"},
}


def text(path: Path, name: str) -> Any:
    """Return one of the YAML texts of a documented file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [name]:
            return yaml.safe_load(ast.literal_eval(node.value))
    return None


def documented(module: str) -> Dict[str, Any]:
    """Return a module's documentation with the options of the fragments that it extends."""
    doc = text(CHECKOUT / "plugins" / "modules" / f"{module}.py", "DOCUMENTATION")
    options = dict(doc["options"])
    for fragment in doc.get("extends_documentation_fragment", []):
        path = CHECKOUT / "plugins" / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
        options.update(text(path, "DOCUMENTATION")["options"])
    return {**doc, "options": options}


def examples() -> Iterator[Tuple[str, str, Dict[str, Any]]]:
    """Yield every call of one of our modules in an example: whose example it is, the module, and its options."""
    for module in MODULES:
        tasks: List[Dict[str, Any]] = text(CHECKOUT / "plugins" / "modules" / f"{module}.py", "EXAMPLES") or []
        for task in [one for play in tasks for one in play.get("tasks", [play])]:
            for name, options in task.items():
                if name.startswith("phased.keys."):
                    yield module, name.rpartition(".")[2], options or {}


def test_there_is_an_action_for_every_module_and_both_are_in_the_action_group():
    actions = sorted(path.stem for path in (CHECKOUT / "plugins" / "action").glob("*.py"))
    group = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())["action_groups"]["all"]
    assert MODULES == actions == sorted(group)


def test_a_module_file_is_documentation_alone_for_no_module_of_ansible_runs_on_a_host():
    for module in MODULES:
        tree = ast.parse((CHECKOUT / "plugins" / "modules" / f"{module}.py").read_text())
        assert {type(node) for node in tree.body} <= {ast.Expr, ast.ImportFrom, ast.Assign}, module


@pytest.mark.parametrize("module", sorted(ON_HOSTS))
def test_every_option_that_a_person_may_set_is_documented_and_no_other(module):
    spec = ON_HOSTS[module]
    options = documented(module)["options"]
    assert set(options) == set(spec) - INTERNAL[module]
    for name, option in options.items():
        for field in ("type", "elements", "choices", "default"):
            assert option.get(field) == spec[name].get(field), f"{module}: {field} of {name}"


def test_every_module_has_an_example_of_itself():
    assert {module for module, called, _options in examples() if module == called} == set(MODULES)


@pytest.mark.parametrize("module, called, options", list(examples()))
def test_an_example_gives_options_that_there_are_with_values_that_they_may_have(module, called, options):
    known = documented(called)["options"]
    assert set(options) <= set(known)
    assert {name for name, option in known.items() if option.get("required")} <= set(options)
    for name, value in options.items():
        choices = known[name].get("choices")
        assert choices is None or value in choices, f"{called}: {name} is {value!r}"
        assert known[name]["type"] != "bool" or isinstance(value, bool), f"{called}: {name} is {value!r}"


def test_what_a_module_needs_and_where_is_said():
    for module in MODULES:
        needs = " ".join(documented(module).get("requirements", []))
        assert ("Python 3.8" in needs) == (module in (*ON_HOSTS, "keyring")), module
        # What only asks a host reads no keyring.
        assert ("cryptography on the controller" in needs) == (module not in ("active_fingerprint", "reencrypt")), (
            module
        )


def test_modules_send_to_each_other_and_to_nobody_who_is_not_there():
    for module in MODULES:
        linked = {entry["module"].rpartition(".")[2] for entry in documented(module)["seealso"]}
        assert linked and linked <= set(MODULES) - {module}, module


def test_all_that_status_says_for_machines_is_documented_with_its_fields_and_type():
    told = text(CHECKOUT / "plugins" / "modules" / "gate.py", "RETURN")
    shape = get_type_hints(standing.Standing)
    assert set(shape) <= set(told)
    kinds = {bool: "bool", int: "int", str: "str", list: "list"}
    for name, hint in shape.items():
        (kind,) = [kind for kind in kinds if kind in plain(hint)]
        assert told[name]["type"] == kinds[kind], name
    for name, inner in (
        ("unproven", standing.HostFinding),
        ("noted", standing.HostFinding),
        ("waived", standing.Aside),
    ):
        assert list(told[name]["contains"]) == list(get_type_hints(inner))


def plain(hint: Any) -> List[Any]:
    """The kinds of value that a hint allows."""
    origin = get_origin(hint)
    return [kind for one in get_args(hint) for kind in plain(one)] if origin is Union else [origin or hint]
