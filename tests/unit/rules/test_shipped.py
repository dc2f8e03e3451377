# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipped profiles are data, and what is wrong with one is said when it is loaded."""

from __future__ import annotations

import ast
import copy
from pathlib import Path
from typing import Any, Dict

import frameworks_page
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.new_keys import new_key
from ansible_collections.phased.keys.plugins.module_utils._host.rules import frameworks, profiles, shipped

FOLDER = Path(str(profiles.__file__)).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if not path.name.startswith("_"))
LIST = {
    "title": "A list",
    "outputs": [{"env": "KEYS", "holds": "all", "as": "join:,"}],
    "signs": {"at": 0},
    "key": "text",
    "ends": "everything",
    "tested": "not",
}
TWO = {
    **LIST,
    "outputs": [
        {"env": "KEY", "holds": "signer", "as": "raw"},
        {"env": "OLD", "holds": "others", "as": "json"},
    ],
}
SLOTS = {
    **LIST,
    "outputs": [{"env": ["A", "B", "C"], "holds": "all", "as": "slots"}],
    "signs": {"highest_id": True},
    "count": {"min": 1, "max": 3},
}
MAP = {
    **LIST,
    "outputs": [{"env": "KEYS", "holds": "all", "as": "json-map"}, {"env": "ID", "holds": "signer_id", "as": "raw"}],
    "signs": {"pointer": True},
    "ids": "int",
    "lookup": "id",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_profile_is_one_literal_and_nothing_else(path: Path) -> None:
    doc, future, data = ast.parse(path.read_text()).body
    assert isinstance(doc, ast.Expr) and isinstance(future, ast.ImportFrom) and future.module == "__future__"
    assert isinstance(data, ast.Assign) and isinstance(ast.literal_eval(data.value), dict)


def test_every_file_is_a_profile_by_its_name() -> None:
    assert list(shipped.PROFILES) == sorted(path.stem.replace("_", "-") for path in FILES)
    assert all(shipped.PROFILES[name]["ends"] for name in [*shipped.PROFILES, *shipped.ALIASES])


def test_the_page_is_what_the_profiles_say() -> None:
    page = frameworks_page.PAGE.read_text()
    assert frameworks_page.page(page) == page, "run python tests/tools/frameworks_page.py"


@pytest.mark.parametrize("data", [LIST, TWO, SLOTS, MAP], ids=["list", "two", "slots", "map"])
def test_the_profiles_that_are_broken_below_are_whole(data: Dict[str, Any]) -> None:
    assert shipped.checked("mine", data)["status"] == "phased"


OUTPUT = {"env": "KEYS", "holds": "all", "as": "join:,"}


@pytest.mark.parametrize(
    ("data", "change", "said"),
    [
        (LIST, {"tile": "x"}, "it has no field 'tile'"),
        *[(LIST, {field: None}, f"it has no {field}") for field in shipped.NEEDED],
        (LIST, {"status": "refused"}, "status is 'refused', and one of phased, partly"),
        (LIST, {"status": "partly"}, "no reason says what is left"),
        (LIST, {"key": "rsa"}, "key is 'rsa'"),
        (LIST, {"applies": "soon"}, "applies is 'soon'"),
        (LIST, {"packages": "cargo"}, "packages is 'cargo'"),
        (LIST, {"signs": {"at": 1}}, "signs is {'at': 1}"),
        (SLOTS, {"lookup": "id"}, "the highest id signs and readers look keys up by id, so that a key signs as soon as it is there"),
        (MAP, {"signs": {"highest_id": True}}, "that cannot be phased"),
        (MAP, {"signs": {"at": 0}}, "readers look keys up by id, and no pointer says which one signs"),
        (MAP, {"ids": "none"}, "KEYS holds keys under ids, and ids is none"),
        (LIST, {"signs": {"pointer": True}}, "a pointer needs an output with all keys by id, and one with signer_id"),
        (LIST, {"outputs": [{**OUTPUT, "holds": "others"}]}, "its outputs hold others: all, or signer and others"),
        (TWO, {"signs": {"at": -1}}, "an output of its own holds the signer"),
        *[
            (LIST, {"outputs": [{**OUTPUT, "as": f"join:{between}"}]}, f"keys may hold {between!r}, which stands between two")
            for between in ("-", "_", ",_", "a")
        ],
        (LIST, {"outputs": [{**OUTPUT, "as": "join"}]}, "join needs separator"),
        (LIST, {"outputs": [{**OUTPUT, "as": "json:,"}]}, "json has no separator"),
        (LIST, {"outputs": [{**OUTPUT, "as": "csv"}]}, "as is 'csv', and one of raw, join"),
        (LIST, {"outputs": [{**OUTPUT, "env": "1KEY"}]}, "'1KEY' is no name of a variable"),
        (LIST, {"outputs": [{**OUTPUT, "as": "lines"}]}, "lines cannot stand in env"),
        (LIST, {"outputs": [{**OUTPUT, "holds": "signer"}]}, "join cannot hold signer, but others, all"),
        (LIST, {"outputs": [{**OUTPUT, "decode": "base64"}]}, "decode cannot be 'base64' there"),
        (LIST, {"outputs": [{**OUTPUT, "env": ["A", "B"]}]}, "join has one name"),
        (LIST, {"outputs": [{**OUTPUT, "file": "/keys"}]}, "an output has the fields as, env, file, holds"),
        (LIST, {"outputs": [{**OUTPUT, "owner": "root"}]}, "an output has the fields as, env, holds, owner"),
        (LIST, {"outputs": [{"env": "KEYS"}]}, "an output has the fields env: one of env, file, dir, with holds, as and decode"),
        (TWO, {"outputs": [{**TWO["outputs"][0], "env": "OLD"}, TWO["outputs"][1]]}, "two outputs have one name"),
        (LIST, {"count": {"min": 1, "max": 1}}, "it takes one key alone, and a phased rollout needs place for two"),
        (LIST, {"count": {"min": 0, "max": 3}}, "count is"),
        (LIST, {"count": {"min": 4, "max": 3}}, "count is"),
        (LIST, {"count": {"max": 3}}, "count is"),
        (LIST, {"count": {"min": 1, "max": 9999}}, "count is"),
        (LIST, {"signs": {"at": -2}}, "the last but one signs, so that fewer than three keys have to be padded: count.min"),
        (SLOTS, {"count": {"min": 1, "max": 4}}, "count.max is 4, and there are 3 slots"),
        (LIST, {"life": [{"what": "sessions", "for": "for ever", "source": "x"}]}, "life of sessions is 'for ever'; a duration is written like"),
        (LIST, {"spread": "soon"}, "spread is 'soon'; a duration is written like"),
        (LIST, {"life": [{"what": "sessions"}]}, "an entry of life has the fields what, and not what, for, source"),
        (LIST, {"at_rest": [{"what": "columns", "command": "x"}]}, "an entry of at_rest has the fields command, what"),
        (LIST, {"packages": "pypi", "versions": [{"package": "A", "range": "<2", "verdict": "bad", "why": "x"}]}, "the verdict on A is 'bad'"),
        (LIST, {"packages": "pypi", "versions": [{"package": "A", "range": "2.x", "verdict": "refused", "why": "x"}]}, "'2.x' is no range"),
        (LIST, {"versions": [{"package": "A", "range": "<2", "verdict": "refused", "why": "x"}]}, "packages does not say where packages come from"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_profile_is_said_by_name(data: Dict[str, Any], change: Dict[str, Any], said: str) -> None:
    with pytest.raises(frameworks.SettingsError) as error:
        shipped.checked("mine", {**copy.deepcopy(data), **change})
    assert str(error.value).startswith("the profile mine cannot be used: ") and said in str(error.value)
    assert error.value.kind == "profile"


@pytest.mark.parametrize("name", ["Django", "../django", "activerecord_encryption", "__init__", "", "nobody", "a.b"])
def test_what_is_no_name_of_a_profile_loads_nothing(name: str) -> None:
    with pytest.raises(KeyError):
        shipped.PROFILES[name]


@pytest.mark.parametrize("form", shipped.KEY_FORMS)
def test_new_keys_hold_letters_digits_and_what_their_form_says(form: str) -> None:
    keys = [new_key(form) for _each in range(50)]
    assert len(set(keys)) == 50
    assert {letter for key in keys for letter in key if not letter.isalnum()} <= shipped.KEY_FORMS[form]


@pytest.mark.parametrize(
    ("lives", "soak"), [([], None), (["3d", "2w", "14d"], "2w"), (["3d", None], None), (["90m", "1h"], "90m")]
)
def test_the_soak_is_the_longest_life(lives: Any, soak: Any) -> None:
    assert shipped.soak_of({"life": [{"what": "x", "for": life, "source": "y"} for life in lives]}) == soak


@pytest.mark.parametrize("field", frameworks.FIXED)
def test_what_a_profile_writes_in_its_own_way_no_setting_changes(field: str) -> None:
    with pytest.raises(frameworks.SettingsError, match=f"app_keys_settings cannot say {field}: authjs writes its keys"):
        frameworks.profile("authjs", {field: "first"})
    assert frameworks.profile("authjs", {"soak": "7d", "key": "hex32"}).soak == "7d"


@pytest.mark.parametrize(
    ("framework", "at_rest"), [("django", False), ("laravel", True), ("airflow", True), ("jupyterhub", True)]
)
def test_what_is_at_rest_is_said_by_the_profile(framework: str, at_rest: bool) -> None:
    assert bool(frameworks.profile(framework).at_rest) == at_rest
    assert frameworks.profile(framework).spread is None


REFUSED = [
    "better-auth",
    "iron-session",
    "netbox",
    "netbox-peppers",
    "superset",
    "airflow-jwt",
    "simplejwt",
    "flask-jwt-extended",
    "fastapi-users",
    "next-auth",
    "h3",
    "nuxt",
    "hono",
    "nestjs",
    "starlette",
    "phoenix",
    "symfony",
    "cakephp",
    "yii2",
    "drupal",
    "craft",
    "wordpress",
    "oauth2-proxy",
    "kong",
    "apisix",
    "actix-session",
    "tower-sessions",
    "axum",
    "mastodon",
    "discourse",
    "authentik",
    "sentry",
    "nextcloud",
    "spring-remember-me",
    "aspnet",
    "consul",
    "nomad",
    "vault-transit",
    "dex",
    "caddy",
    "grafana",
    "n8n",
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_phased_is_refused_by_name_with_its_reason_and_a_way(name: str) -> None:
    for written in (name, name.title(), name.replace("-", "_").upper(), name.replace("-", " ")):
        with pytest.raises(frameworks.SettingsError) as error:
            frameworks.profile(written)
        text = str(error.value)
        assert "cannot be rolled by phased.keys, since " in text and ". Instead: " in text and "known are" not in text


def test_no_refused_name_stands_there_twice_or_is_a_profile() -> None:
    names = [shipped._letters(name) for entry in shipped._refused() for name in entry[0]]
    assert len(names) == len(set(names)) and not set(names) & {shipped._letters(name) for name in shipped.PROFILES}
    assert all(all(entry) for entry in shipped._refused())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Django", "django"),
        ("dajngo", "django"),
        ("auth.js", "authjs"),
        ("starlete", "starlette"),
        ("key_grip", "keygrip"),
        ("activerecord", "activerecord-encryption"),
    ],
)
def test_a_name_that_is_nearly_one_is_told_which(written: str, meant: str) -> None:
    with pytest.raises(frameworks.SettingsError, match=f"did you mean {meant}\\?$"):
        frameworks.profile(written)


def test_a_name_that_is_like_none_is_told_those_that_there_are() -> None:
    with pytest.raises(frameworks.SettingsError, match="known are activerecord-encryption, .*, tornado$"):
        frameworks.profile("zzzzzz")
