# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the collection: section 5's table, and that no misspelt or odd one is taken silently."""

from __future__ import annotations

import re

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import variables
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile
from ansible_collections.phased.keys.plugins.module_utils._host.rules.variables import VariableError

UNIT = {"name": "shop", "env_file": "/etc/shop.env", "service": "shop.service"}


def read(**raw):
    return variables.read({variables.PREFIX + name: value for name, value in raw.items()})


@pytest.mark.parametrize(
    "name, default",
    [
        ("framework", "django"), ("settings", {}), ("env_format", "systemd"), ("env_owner", None), ("env_mode", None), ("service", []),
        ("restart_command", None), ("processes", []), ("proof", "environ"), ("app_check", None), ("timeout", 60), ("settle", 2),
        ("state_dir", "/var/lib/phased.keys"), ("soak", None), ("wait", 0), ("max_age", 86400), ("evidence_max_age", None),
        ("serial", [1, "25%"]), ("keyring", None), ("before_tasks", None), ("after_tasks", None), ("new", False), ("replace", []),
        ("take_over", []), ("workload", None),
        ("allow_weak", False), ("allow_packages", []), ("allow_key_in_file", False),
    ],
)  # fmt: skip
def test_the_defaults_are_those_of_the_design(name, default):
    assert read()[name] == default


@pytest.mark.parametrize(
    "name, raw, value",
    [
        ("name", "shop_2-eu", "shop_2-eu"),
        ("env_file", "/etc/shop.env", ["/etc/shop.env"]),
        ("env_file", ["/etc/a", "/etc/b"], ["/etc/a", "/etc/b"]),
        ("env_format", "shell", "shell"),
        ("env_owner", 1000, "1000"),
        ("env_group", "shop", "shop"),
        ("env_mode", "0640", "0640"),
        ("env_mode", "600", "600"),
        ("service", "shop.service", ["shop.service"]),
        ("service", ["a.service", "b.service"], ["a.service", "b.service"]),
        ("restart_command", "svc -t /service/shop", "svc -t /service/shop"),
        ("restart_command", ["svc", "-t"], ["svc", "-t"]),
        ("processes", {"unit": "shop.service"}, [{"unit": "shop.service"}]),
        ("processes", {"unit": "a", "idle": True}, [{"unit": "a", "idle": True}]),
        ("processes", [{"pattern": "a", "idle": "yes"}, {"pid_file": "/b", "idle": False}], [{"pattern": "a", "idle": True}, {"pid_file": "/b"}]),
        ("processes", [{"pid_file": "/run/shop.pid"}, {"pattern": "gunicorn.*shop"}], [{"pid_file": "/run/shop.pid"}, {"pattern": "gunicorn.*shop"}]),
        ("proof", "process_age", "process_age"),
        ("app_check", "trust", "trust"),
        ("app_check", ["/srv/check", "x"], ["/srv/check", "x"]),
        ("app_check", {"python": "/srv/bin/python", "manage": "/srv/manage.py"}, {"python": "/srv/bin/python", "manage": "/srv/manage.py"}),
        ("timeout", "2m", 120),
        ("soak", "30d", 30 * 86400),
        ("soak", 60, 60),
        ("serial", 2, [2]),
        ("serial", "10%", ["10%"]),
        ("serial", [1, 5, "50%"], [1, 5, "50%"]),
        ("min_members", 1, 1),
        ("min_members", "120", 120),
        ("new", True, True),
        ("new", "true", True),
        *[("new", raw, True) for raw in ("YES", "yes", "True", 1, "1")],
        *[("new", raw, False) for raw in ("no", "No", "false", False, 0, "0")],
        ("replace", "0123456789abcdef", ["0123456789abcdef"]),
        *[(name, raw, "1234567890123456") for name in ("compromised", "confirm") for raw in ("1234567890123456", 1234567890123456)],
        ("settings", {"primary": "KEY"}, {"primary": "KEY"}),
    ],
)  # fmt: skip
def test_a_value_is_read(name, raw, value):
    assert read(**{name: raw})[name] == value


@pytest.mark.parametrize(
    "name, raw",
    [
        *[("name", raw) for raw in ("", "Shop", "shop 2", "shop/2", "../shop", "shop\n", 5, ["shop"])],
        *[("env_file", raw) for raw in ("", 5, ["/etc/a", ""], [None], {"path": "/etc/a"})],
        *[("env_format", raw) for raw in ("ini", "", "SYSTEMD", 5, ["systemd"])],
        *[("env_mode", raw) for raw in ("rw-------", 384, 640, "0o600", "0888", "06400", "")],
        *[("service", raw) for raw in ("", [""], {"unit": "x"}, 5)],
        *[("restart_command", raw) for raw in ("", [""], 5, {"cmd": "x"})],
        *[("processes", raw) for raw in ("shop.service", {}, [{}], {"unit": ""}, {"unit": "a", "pattern": "b"}, {"pid": 5}, {"pattern": "("}, {"pid_file": 5})],
        *[("processes", raw) for raw in ({"idle": True}, {"unit": "a", "idle": "perhaps"}, {"unit": "a", "lazy": True}, {"pid": "5"}, [["unit"]])],
        *[("proof", raw) for raw in ("http", "", True)],
        *[("app_check", raw) for raw in ("", True, {"python": "x"}, {"python": "x", "manage": "y", "more": "z"}, {"python": "x", "manage": ""})],
        *[(name, raw) for name in ("timeout", "settle", "soak", "wait", "max_age", "evidence_max_age", "bake") for raw in ("soon", "", -1, True, [], "5 min")],
        *[("serial", raw) for raw in (0, -1, "0%", "half", "25 %", [1, 0], True, None, 1.5, [1, None]) if raw is not None],
        *[(name, raw) for name in ("new", "recover", "allow_weak", "allow_key_in_file") for raw in ("maybe", 2, [], "tru")],
        *[("replace", raw) for raw in ([""], 5)],
        *[(name, raw) for name in ("release", "waive") for raw in ("web1,", ",", "web1, ,web2", ["web1", ""], [None], 5, {"web1": 1})],
        *[(name, raw) for name in ("compromised", "confirm") for raw in ("0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "all", [], True)],
        *[("settings", raw) for raw in ("json", [], 5)],
        *[("min_members", raw) for raw in (0, -1, "0", "012", "four", 1.5, "1e3", True, [4], 10**12)],
        *[("state_dir", raw) for raw in ("", 5)],
        *[("keyring", raw) for raw in ("", 5)],
        *[("framework", raw) for raw in ("", 5)],
        *[("before_tasks", raw) for raw in ("", 5, ["a"])],
        # What the system could not be given, and would be a traceback later.
        *[(name, "a\0b") for name in ("env_file", "env_owner", "env_group", "service", "restart_command", "app_check", "state_dir", "keyring")],
        *[(name, ["a", "b\0c"]) for name in ("env_file", "service", "restart_command", "app_check")],
        *[("processes", {kind: "a\0b"}) for kind in ("unit", "pid_file", "pattern")], ("app_check", {"python": "a", "manage": "b\0"}),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_an_error_that_names_the_variable(name, raw):
    with pytest.raises(VariableError, match=re.escape(variables.PREFIX + name)):
        read(**{name: raw})


def test_one_of_several_words_is_taken_and_any_other_is_an_error_that_lists_them():
    """Called here, for the variables' own are made when the module is read, before any mutant of it runs."""
    one = variables._one_of(("a", "b"))
    assert (one("a", "x"), one("b", "x")) == ("a", "b")
    with pytest.raises(VariableError) as error:
        one("c", "app_keys_x")
    assert str(error.value) == "app_keys_x is 'c'; it is one of a, b"


def test_batches_without_any_size_are_an_error_since_ansible_would_visit_all_hosts_at_once():
    with pytest.raises(VariableError, match="app_keys_serial"):
        read(serial=[])


@pytest.mark.parametrize(
    "name, hint",
    [
        ("app_keys_soaks", "; did you mean app_keys_soak?"),
        ("app_keys_evidence_maxage", "; did you mean app_keys_evidence_max_age?"),
        ("app_keys_" + "z" * 40, ""),
    ],
)
def test_a_misspelt_variable_is_an_error_since_a_misspelt_guard_would_not_guard(name, hint):
    with pytest.raises(VariableError) as error:
        variables.read({name: "x"})
    assert str(error.value) == f"{name} is not a variable of phased.keys{hint}"


@pytest.mark.parametrize("name", ["ansible_host", "app_key", "my_app_keys_name", "__app_keys_run", "APP_KEYS_NAME"])
def test_other_peoples_variables_are_left_alone(name):
    assert variables.read({name: object()}) == variables.read({})


# --- what is left empty --------------------------------------------------------

OF_ONE_RUN = {
    "new",
    "replace",
    "take_over",
    "allow_weak",
    "allow_packages",
    "recover",
    "release",
    "waive",
    "waive_reason",
    "waive_for",
    "compromised",
    "reencrypted",
    "bring_back",
    "confirmed",
    "confirm",
    "copy_to",
    "rekey_to",
}
EMPTY = (None, "", " ", "\t\n")


def test_these_are_for_one_run_alone():
    assert {name for name, variable in variables.VARIABLES.items() if variable.run} == OF_ONE_RUN
    assert all(variables.VARIABLES[name].fleet for name in OF_ONE_RUN)


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("name", sorted(OF_ONE_RUN))
def test_a_survey_that_sends_an_empty_text_for_a_variable_of_one_run_gives_nothing(name, empty):
    assert read(**{name: empty}) == read()


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("name", sorted(set(variables.VARIABLES) - OF_ONE_RUN))
def test_10_any_other_empty_variable_would_hide_what_the_inventory_says_and_is_refused(name, empty):
    with pytest.raises(VariableError) as error:
        read(**{name: empty})
    assert str(error.value).startswith(f"app_keys_{name} is empty, and hides what the inventory says elsewhere")
    assert "give it a value, or take it away" in str(error.value)


def test_a_list_or_mapping_of_nothing_is_a_value():
    assert read(service=[], settings={}, env_file=[])["service"] == []


# --- what follows from them --------------------------------------------------


@pytest.mark.parametrize(
    "raw, processes",
    [
        (UNIT, [{"unit": "shop.service"}]),
        ({**UNIT, "service": ["a", "b"]}, [{"unit": "a"}, {"unit": "b"}]),
        ({**UNIT, "processes": {"pattern": "gunicorn"}}, [{"pattern": "gunicorn"}]),
        ({"env_file": "/etc/a", "processes": {"pid_file": "/run/a.pid"}}, [{"pid_file": "/run/a.pid"}]),
    ],
)
def test_the_workers_are_in_the_unit_of_the_service_unless_said_otherwise(raw, processes):
    assert variables.application(read(**raw))["processes"] == processes


@pytest.mark.parametrize(
    "raw, said",
    [
        ({"service": "shop"}, "app_keys_env_file is not set"),
        (
            {"env_file": "/etc/a"},
            "neither app_keys_service nor app_keys_processes is set, so nobody knows which processes are the workers: set app_keys_service",
        ),
        ({"env_file": "/etc/a", "restart_command": "svc -t"}, "neither app_keys_service nor app_keys_processes is set"),
        ({**UNIT, "framework": "jango"}, "app_keys_framework is 'jango'"),
        ({**UNIT, "settings": {"primry": "X"}}, "app_keys_settings has no field 'primry'"),
    ],
)
def test_an_application_that_cannot_be_looked_at_is_an_error(raw, said):
    with pytest.raises(VariableError, match=re.escape(said)):
        variables.application(read(**raw))


def test_the_profile_is_the_frameworks_with_what_differs():
    values = variables.application(read(**UNIT, framework="flask", settings={"primary": "KEY"}))
    assert values["profile"] == profile("flask", {"primary": "KEY"})


@pytest.mark.parametrize(
    "raw, said",
    [
        ({}, None),
        ({"service": ["a.service", "b.service"]}, "a.service, b.service"),
        ({"restart_command": "svc -t"}, "the application with app_keys_restart_command"),
        ({"service": "a.service", "restart_command": "svc -t"}, "a.service"),
    ],
)
def test_how_the_application_is_restarted_is_said(raw, said):
    assert variables.restart_words(read(**raw)) == said


# --- the fleet ---------------------------------------------------------------

FLEET_WIDE = [
    "name", "hosts", "framework", "settings", "soak", "spread", "external", "reencrypt", "keep_sealed", "wait", "max_age", "evidence_max_age",
    "bake", "serial", "keyring", "keyring_kept", "min_members", "strict", "status_json", "status_prometheus", "report", "new", "replace",
    "take_over", "allow_weak", "allow_packages", "recover", "release", "waive", "waive_reason", "waive_for", "compromised", "confirm",
    "reencrypted", "bring_back", "confirmed", "copy_to", "rekey_to",
]  # fmt: skip
ODD = {
    "keyring_kept": True,
    "min_members": 4,
    "settings": {"primary": "X"},
    "strict": True,
    "new": True,
    "allow_weak": True,
    "recover": True,
    "waive_for": "3d",
    "compromised": "0123456789abcdef",
    "confirm": "0123456789abcdef",
    "serial": 5,
    "soak": "1d",
    "wait": "1d",
    "max_age": "2d",
    "evidence_max_age": "1m",
    "bake": "1m",
    "spread": "1m",
    "keep_sealed": "1m",
    "reencrypted": "0123456789abcdef",
    "bring_back": "0123456789abcdef",
    "reencrypt": {"host": "web-1", "run": "again", "proof": "read"},
}


def test_the_fleet_wide_variables_are_these():
    assert [name for name, variable in variables.VARIABLES.items() if variable.fleet] == FLEET_WIDE


@pytest.mark.parametrize("name", FLEET_WIDE)
def test_1_members_that_disagree_are_an_error(name):
    other = read(**{name: ODD.get(name, "odd")})
    with pytest.raises(VariableError, match=f"the members disagree about app_keys_{name}: .* on web-1; .* on web-2"):
        variables.agree({"web-1": read(), "web-2": other})


def test_a_member_may_differ_in_what_is_its_own():
    one, other = read(env_file="/etc/a", service="a"), read(env_file="/etc/b", timeout="5m")
    assert variables.agree({"web-1": one, "web-2": other})["framework"] == "django"


def test_the_members_that_disagree_are_named_and_not_all_of_many():
    by_host = {f"web-{number}": read(soak="1d") for number in range(9)}
    with pytest.raises(VariableError) as error:
        variables.agree({**by_host, "web-9": read(soak="2d")})
    assert "86400.0 on web-0, web-1, web-2 and others; 172800.0 on web-9" in str(error.value)
    three = {f"web-{number}": read(soak="1d") for number in range(3)}
    with pytest.raises(VariableError, match="86400.0 on web-0, web-1, web-2; 172800.0 on web-9"):
        variables.agree({**three, "web-9": read(soak="2d")})


def test_the_same_said_in_another_way_is_agreement():
    assert (
        variables.agree({"web-1": read(soak="14d", serial=2), "web-2": read(soak="2w", serial=[2])})["soak"]
        == 14 * 86400
    )


def test_the_same_mapping_in_another_order_is_agreement():
    one, other = {"primary": "A", "fallbacks": "B"}, {"fallbacks": "B", "primary": "A"}
    assert variables.agree({"web-1": read(settings=one), "web-2": read(settings=other)})["settings"] == one
