# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""app_keys_reencrypt as it is said: what the profile adds, and what is refused before anything begins."""

from __future__ import annotations

from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import variables
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import VariableError
from ansible_collections.phased.keys.plugins.plugin_utils import _inventory
from ansible_collections.phased.keys.plugins.plugin_utils._inventory import FleetError


def said(reencrypt: Any, **more: Any) -> Any:
    return variables.reencryption(
        variables.read({"app_keys_reencrypt": reencrypt, **{f"app_keys_{name}": value for name, value in more.items()}})
    )


ROWS = [{"what": "rows", "command": "again", "proof": "read"}]


@pytest.mark.parametrize(
    ("given", "more", "found"),
    [
        (
            {"host": "db1", "proof": "read"}, {"framework": "airflow"},
            {"host": "db1", "run": "airflow rotate-fernet-key", "proof": "read", "within": "1h"},
        ),
        (
            {"host": "db1", "run": ["rotate", "--all"], "proof": "read", "within": "3h"}, {"framework": "laravel"},
            {"host": "db1", "run": ["rotate", "--all"], "proof": "read", "within": "3h"},
        ),
        ({"host": "db1"}, {"settings": {"at_rest": ROWS}}, {"host": "db1", "run": "again", "proof": "read", "within": "1h"}),
    ],
)  # fmt: skip
def test_what_is_not_said_the_profile_says(given, more, found):
    assert said(given, **more) == found


def test_nothing_is_run_where_nothing_is_said():
    assert variables.reencryption(variables.read({"app_keys_framework": "airflow"})) is None


@pytest.mark.parametrize(
    ("given", "more", "text"),
    [
        ({"run": "a", "proof": "b"}, {}, "app_keys_reencrypt has no host: it is run once, on one member"),
        ({"host": "db1", "prove": "b"}, {}, "app_keys_reencrypt has no field 'prove'; it has host, run, proof, within"),
        ({"host": "db1", "run": ""}, {}, "app_keys_reencrypt.run must be a text that is not empty"),
        ({"host": "db1", "run": ["a", 5]}, {}, "app_keys_reencrypt.run must be a text that is not empty, not 5"),
        ({"host": "db1", "within": "soon"}, {}, "app_keys_reencrypt.within is 'soon'; a duration is written like"),
        ("db1", {}, "app_keys_reencrypt must be a mapping"),
        ({"host": "db1", "run": "a", "proof": "b"}, {}, "by its profile django stores nothing that its keys encrypt"),
        (
            {"host": "db1"},
            {"framework": "airflow"},
            "app_keys_reencrypt has no proof, and airflow has none of its own: give a command that reads",
        ),
        ({"host": "db1"}, {"settings": {"at_rest": [*ROWS, *ROWS]}}, "app_keys_reencrypt has no run"),
    ],
)
def test_what_cannot_be_used_is_refused(given, more, text):
    with pytest.raises(VariableError) as error:
        said(given, **more)
    assert text in str(error.value)


HOST: Dict[str, Any] = {"workload": None, "processes": [{"unit": "shop.service"}]}


@pytest.mark.parametrize(
    ("host", "values", "text"),
    [
        ("web1", HOST, None),
        ("db1", HOST, "app_keys_reencrypt.host is db1, which is no member of the fleet; members are web1"),
        (
            "web1",
            {**HOST, "workload": {"kind": "Deployment"}},
            "a workload of a cluster, and the commands are not on a host then",
        ),
        (
            "web1",
            {**HOST, "processes": [{"unit": "a"}, {"compose": "shop"}]},
            "where the application runs in a container",
        ),
    ],
)
def test_it_is_run_on_a_member_that_is_a_host(host, values, text):
    if text is None:
        _inventory._see_where(host, {"web1": values})
        return
    with pytest.raises(FleetError, match=text):
        _inventory._see_where(host, {"web1": values})
