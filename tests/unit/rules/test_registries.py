# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every place that lists env formats, proofs, process sources, frameworks or stores is held against the registry, and nothing else knows them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest
import yaml
from ansible_collections.phased.keys.plugins.doc_fragments.application import ModuleDocFragment
from ansible_collections.phased.keys.plugins.module_utils._host import arguments
from ansible_collections.phased.keys.plugins.module_utils._host.rules import (
    env_text,
    process_sources,
    proofs,
    remedies,
    variables,
)
from ansible_collections.phased.keys.plugins.module_utils._host.rules.env_formats import FORMATS
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import FIELDS, KEY_FORMS, PROFILES
from ansible_collections.phased.keys.plugins.module_utils._host.rules.process_sources import SOURCES
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proofs import PROOFS
from ansible_collections.phased.keys.plugins.plugin_utils import _keyring_store as keyring_store
from ansible_collections.phased.keys.plugins.plugin_utils import _new_key as new_key
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores

CHECKOUT = Path(__file__).resolve().parents[3]
README = (CHECKOUT / "README.md").read_text()
FRAMEWORKS_PAGE = (CHECKOUT / "docs" / "frameworks.md").read_text()
HOW_IT_WORKS = (CHECKOUT / "docs" / "how-it-works.md").read_text()
ROLE = yaml.safe_load((CHECKOUT / "roles" / "app_keys" / "meta" / "argument_specs.yml").read_text())
ROLE_OPTIONS = ROLE["argument_specs"]["main"]["options"]
MODULE_OPTIONS = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
CHOICES = {"env_format": FORMATS}
# Those of one name alone, and those that are a mapping: {http: URL}.
PLAIN_PROOFS = {name for name, kind in PROOFS.items() if not kind.argument}
PROOF_FORMS = {form for form in proofs.forms() if form.startswith("{")}
URLS = {name for name in stores.STORES if name != stores.PATH}


def row(variable: str) -> str:
    """The README's row of a variable, without its name and its default."""
    found = re.search(rf"^\| `app_keys_{variable}` \| (.*) \| [^|]* \|$", README, re.MULTILINE)
    assert found, variable
    return found[1]


def said(options: Dict[str, Any], name: str) -> str:
    return " ".join(options[name]["description"])


# --- options and docs -------------------------------------------------------------


@pytest.mark.parametrize("name", CHOICES)
def test_the_choices_of_the_role_are_the_registrys(name: str) -> None:
    assert sorted(ROLE_OPTIONS[f"app_keys_{name}"]["choices"]) == sorted(CHOICES[name])


@pytest.mark.parametrize("name", ["env_format"])
def test_the_choices_of_the_modules_are_the_registrys(name: str) -> None:
    assert (
        sorted(MODULE_OPTIONS[name]["choices"])
        == sorted(arguments.APPLICATION[name]["choices"])
        == sorted(CHOICES[name])
    )


@pytest.mark.parametrize("name", CHOICES)
def test_the_readmes_row_names_what_the_registry_has(name: str) -> None:
    assert sorted(re.findall(r"`([^`]+)`", row(name))) == sorted(CHOICES[name])


def test_the_docs_show_every_process_source_and_no_other() -> None:
    shown = set(re.findall(r"`\{(\w+): ", row("processes")))
    assert shown == set(re.findall(r"C\(\{(\w+) [A-Z ]+\}\)", said(ROLE_OPTIONS, "app_keys_processes"))) == set(SOURCES)
    assert set(re.findall(r"C\((\w+)\) \(", said(MODULE_OPTIONS, "processes"))) == set(SOURCES)
    trusted = HOW_IT_WORKS.split("Who names the workers?")[1].split("\n- ")[0].lower()
    assert [name for name in SOURCES if name.replace("_", " ") not in trusted] == []


def test_the_docs_explain_every_proof_and_no_other() -> None:
    proven = HOW_IT_WORKS.split("\n## What is proven, and how\n")[1].split("\n## ")[0]
    assert re.findall(r"\*\*`(\w+)`\*\*", proven) == list(PROOFS)
    for text in (said(ROLE_OPTIONS, "app_keys_proof"), said(MODULE_OPTIONS, "proof")):
        assert set(re.findall(r"V\((\w+)\)", text)) == PLAIN_PROOFS
        assert {f"{{{name}: {what}}}" for name, what in re.findall(r"C\(\{(\w+) ([A-Z]+)\}\)", text)} == PROOF_FORMS
    assert set(re.findall(r"`(\w+)`", row("proof"))) == PLAIN_PROOFS
    assert set(re.findall(r"`(\{\w+: [A-Z]+\})", row("proof"))) == PROOF_FORMS


def test_the_page_of_the_frameworks_has_a_row_for_each_and_names_every_form_of_a_key() -> None:
    table = FRAMEWORKS_PAGE.split("| profile |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == sorted(PROFILES)
    (forms,) = re.findall(r"^\| `key` \| (.*) \|$", FRAMEWORKS_PAGE, re.MULTILINE)
    assert set(re.findall(r"`([^`]+)`", forms)) == set(KEY_FORMS) == set(new_key.MAKERS)


def test_every_field_of_a_profile_that_may_differ_is_named_where_that_is_said() -> None:
    table = FRAMEWORKS_PAGE.split("| field |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(FIELDS)
    assert set(re.findall(r"`(\w+)`", row("settings"))) == set(FIELDS)
    for text in (said(ROLE_OPTIONS, "app_keys_settings"), said(MODULE_OPTIONS, "settings")):
        assert {name for name in re.findall(r"C\((\w+)\)", text) if not name.startswith("app_keys_")} == set(FIELDS)


def test_every_framework_says_all_that_the_rules_ask_of_it() -> None:
    assert {name for name, form in PROFILES.items() if set(form) != set(PROFILES["django"])} == set()


def test_the_docs_name_the_schemes_of_every_store_and_no_other() -> None:
    for text in (row("keyring"), said(ROLE_OPTIONS, "app_keys_keyring")):
        assert set(re.findall(r"([a-z0-9+.-]+)://", text)) == URLS


def test_what_a_file_does_not_say_a_person_finds_in_contributing() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text()
    for path in (
        "_host/rules/shipped.py",
        "_host/rules/env_formats.py",
        "_host/rules/process_sources.py",
        "_host/rules/proofs.py",
        "stores.py",
    ):
        assert path in text, path


# --- nothing falls through to a default --------------------------------------------


@pytest.mark.parametrize("name", ["nobody-writes-so", "", "Systemd", "dotenv "])
def test_an_env_format_that_is_not_known_is_read_and_written_as_no_other(name: str) -> None:
    for use in (
        lambda: env_text.read("A=1\n", name, ["A"]),
        lambda: env_text.read_all("A=1\n", name),
        lambda: env_text.rewrite("A=1\n", name, {"A": "2"}),
    ):
        with pytest.raises(env_text.EnvTextError) as error:
            use()
        assert error.value.kind == "format"
        assert str(error.value) == f"app_keys_env_format is {name!r}; it is one of {', '.join(FORMATS)}"


@pytest.mark.parametrize("value", ["hope", "", ["environ"], {"hope": "http://localhost"}, None, 5])
def test_a_proof_that_is_not_known_is_refused_with_those_that_are(value: Any) -> None:
    with pytest.raises(variables.VariableError) as error:
        variables.read({"app_keys_proof": value})
    assert "app_keys_proof is" in str(error.value) and (
        value in ("", None) or str(error.value).endswith(", ".join(proofs.forms()))
    )


def test_a_visit_judges_by_no_proof_that_is_not_known() -> None:
    with pytest.raises(proofs.ProofError, match=f"app_keys_proof is 'hope'; it is one of {', '.join(PROOFS)}"):
        proofs.named("hope")


@pytest.mark.parametrize(
    "place",
    [
        {"nowhere": "shop"},
        {"nowhere": "shop", "services": ["web"]},
        {"unit": "a", "services": []},
        {5: "x"},
        "shop",
        None,
    ],
)
def test_a_process_source_that_is_not_known_is_refused_with_those_that_are(place: Any) -> None:
    with pytest.raises(variables.VariableError) as error:
        variables.read({"app_keys_processes": [{"unit": "a"}, place]})
    assert str(error.value).startswith(f"app_keys_processes holds {place!r}; a place is ")
    assert [form for form in process_sources.forms() if form not in str(error.value)] == []


def test_messages_that_list_process_sources_list_those_of_the_registry() -> None:
    forms = process_sources.forms()
    assert len(forms) == len(SOURCES) and forms[0] == "{unit: NAME}"
    assert f"idle: true beside its {process_sources.one_of(list(SOURCES))}" in remedies.EMPTIED
    with pytest.raises(variables.VariableError, match=re.escape(f"to {process_sources.one_of(forms[1:])}")):
        variables.application(variables.read({"app_keys_env_file": "/etc/shop.env"}))


@pytest.mark.parametrize(
    "names, text", [([], ""), (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_names_are_listed_as_a_sentence_does(names: List[str], text: str) -> None:
    assert process_sources.one_of(names) == text


@pytest.mark.parametrize("scheme", ["nowhere", "no+where", "NoWhere", "x-1.y"])
def test_a_url_of_no_store_is_refused_by_its_scheme_and_never_shown(scheme: str) -> None:
    url = f"{scheme}://ops:hunter2@example.org/shop.yml"
    assert stores.place(url, "/inventory") == url
    with pytest.raises(keyring_store.KeyringFileError) as error:
        stores.store_for(url, None)
    assert f"begins with {scheme.lower()}://" in str(error.value) and "give it a path" in str(error.value)
    assert "hunter2" not in str(error.value) and "example" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        "keys/shop.yml",
        "./etcd://x",
        "git@example.org:shop.yml",
        "s3:/bucket",
        "é://x",
        "1st://x",
        "/a/etcd://b",
    ],
)
def test_what_has_no_scheme_is_a_path(given: str) -> None:
    assert stores.scheme(given) == stores.PATH
    found = stores.place(given, "/inventory")
    assert found.startswith("/") and "//" not in found


# --- one entry is all there is to it -----------------------------------------------


def test_one_entry_is_an_env_format(monkeypatch: pytest.MonkeyPatch) -> None:
    def readings(text: str) -> List[Iterator[env_text.Assignment]]:
        lines = re.finditer(r"^(\w+) -> (.*)$", text, re.MULTILINE)
        return [(env_text.Assignment(one[1], one[2], "", one.start(), one.start(2), one.end()) for one in lines)]

    monkeypatch.setitem(FORMATS, "arrows", FORMATS["docker"]._replace(readings=readings))
    assert variables.read({"app_keys_env_format": "arrows"})["env_format"] == "arrows"
    assert env_text.rewrite("A -> 1\nB -> 2\n", "arrows", {"A": "new", "B": None}) == "A -> new\n"
    with pytest.raises(env_text.EnvTextError, match="cannot be given its new value"):
        env_text.rewrite("", "arrows", {"A": "new"})


def test_one_entry_is_a_process_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        SOURCES, "user", process_sources.Source("UID", lambda host, place: process_sources.Found(()), fields=("group",))
    )
    place = {"user": "1001", "group": "www-data"}
    assert variables.read({"app_keys_processes": place})["processes"] == [place]
    assert variables.read({"app_keys_processes": {**place, "idle": True}})["processes"] == [{**place, "idle": True}]
    with pytest.raises(variables.VariableError, match=r"or \{user: UID\}, with idle"):
        variables.read({"app_keys_processes": {"group": "www-data"}})


def test_one_entry_is_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROOFS, "word", proofs.Proof())
    assert variables.read({"app_keys_proof": "word"})["proof"] == "word"
    monkeypatch.setitem(PROOFS, "letter", proofs.Proof(argument="ADDRESS", fields=("stamp",)))
    way = {"letter": "here", "stamp": "x"}
    assert variables.read({"app_keys_proof": way})["proof"] == way and proofs.name_of(way) == "letter"


# --- and nothing else knows a name ---------------------------------------------------

REGISTRIES = {"env_formats.py", "process_sources.py", "proofs.py", "shipped.py", "stores.py"}
# What a process is called is its command, everywhere.
NAMES = {*FORMATS, *SOURCES, *PROOFS, *PROFILES, *URLS} - {"command"}
# The name of systemd's program, and the format of a file that a unit itself names.
OTHERWISE = {("helpers.py", "systemd")}


def compared(tree: ast.AST) -> Iterator[str]:
    """The texts that something is compared with, looked for in, or looked up by."""
    for node in ast.walk(tree):
        near: List[ast.AST] = []
        if isinstance(node, ast.Compare):
            near = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            near = [node.slice]
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("get", "startswith")
        ):
            near = [*node.args]
        for one in near:
            inner = one.elts if isinstance(one, (ast.Tuple, ast.List, ast.Set)) else [one]
            yield from (leaf.value for leaf in inner if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str))


def test_no_branch_outside_of_the_registries_asks_for_a_name_of_theirs() -> None:
    found: Set[Any] = set()
    for path in sorted((CHECKOUT / "plugins").rglob("*.py")):
        if path.name.lstrip("_") not in REGISTRIES:
            names = compared(ast.parse(path.read_text()))
            found |= {(path.name, name) for name in names if name in NAMES}
    assert found == OTHERWISE


@pytest.mark.parametrize(
    "code",
    ['if form == "shell": pass', 'x in ("dotenv", "y")', 'place["unit"]', '"pattern" in place', 'place.get("unit")'],
)
def test_the_search_for_such_branches_finds_them(code: str) -> None:
    assert set(compared(ast.parse(code))) & NAMES
