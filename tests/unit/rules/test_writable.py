# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a rollout could not write: they are refused at adopt, and not at the first prepare."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text, frameworks, writable
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Looks
from builders import FLEET, OLD, SOAK, T0, at, env_file, fleet_of, seen, survey, texts

DJANGO, FLASK = frameworks.profile("django"), frameworks.profile("flask")
GOOD = [
    "a-plain-key-0123456789",
    "with spaces and 'one kind' of #quotes",
    'or "the other" kind',
    "ümläuts-€-and-🔑",
    "a=b+c/d==",
    "dollar$sign",
]
ODD = [
    "nul\0inside", "nul-behind\0", "line\nbreak", "carriage\rreturn", "tab\there", "escape\x1b[2J", "half\ud800", "bytes\udcff",
    "zero\u200bwidth", "turn\u202eround", "\x7f",
]  # fmt: skip


@pytest.mark.parametrize("form", env_text.FORMATS)
@pytest.mark.parametrize("profile", [DJANGO, FLASK])
@pytest.mark.parametrize("key", ODD)
def test_what_cannot_be_printed_cannot_be_rolled(key: str, profile: frameworks.Profile, form: str) -> None:
    said = writable.why_not(profile, form, f"{key}-and-more-of-it")
    assert said and "cannot be printed" in said and "more-of-it" not in said


@pytest.mark.parametrize("form", ["systemd", "shell", "docker"])
@pytest.mark.parametrize("key", GOOD)
def test_what_can_be_written_is_no_problem(key: str, form: str) -> None:
    assert writable.why_not(DJANGO, form, key) is None


@pytest.mark.parametrize(
    ("profile", "form", "key", "said"),
    [
        (DJANGO, "systemd", "one,two,three", "which stands between two keys"),
        (FLASK, "systemd", "one,two,three", None),
        (DJANGO, "dotenv", "both ' and \" and \\ of them", "every reader of dotenv files"),
        (DJANGO, "compose", "${expanded}-by-some", "every reader of compose files"),
        (DJANGO, "docker", "any $thing 'goes' \"here\" #", None),
        (frameworks.profile("jupyterhub"), "systemd", "one;two", "which stands between two keys"),
        (DJANGO, "systemd", "another-key", None),
    ],
)
def test_it_depends_on_the_form_of_the_list_and_of_the_file(
    profile: frameworks.Profile, form: str, key: str, said: str
) -> None:
    why = writable.why_not(profile, form, key)
    assert why is None if said is None else (why and said in why)


def test_what_looks_plain_is_what_every_format_takes_as_it_is() -> None:
    """The short way round is taken for those that the long way lets through."""
    plain = "AZaz09_=+/-"
    assert writable._PLAIN.fullmatch(plain)
    for form in env_text.FORMATS:
        for value in (plain, plain + ",x"):
            assert env_text.read(env_text.rewrite("", form, {"KEY": value}), form, ["KEY"]) == {"KEY": value}


def test_a_host_that_holds_such_a_key_is_named_and_nothing_is_adopted() -> None:
    keyring = at("adopted")
    entry = {**env_file(OLD), "unusable": {OLD: "holds something"}}
    fresh = fleet_of(
        keyring,
        web_1=seen(keyring, record=None),
        web_2=seen(keyring, record=None, files=[entry]),
        web_3=seen(keyring, record=None),
    )
    plan = adoption.judge(Looks(FLEET, fresh, survey()))
    assert texts(plan.findings) == [f"/etc/shop.env: the key {OLD} holds something"]
    assert plan.findings["web-2"][0].advice == adoption.UNWRITABLE and plan.accepts == ()


@pytest.mark.parametrize("key", ODD)
def test_no_keyring_begins_with_one_whatever_a_host_said(key: str) -> None:
    odd = f"{key}-and-more-of-it"
    form = {"framework": "flask", "settings": {}}
    with pytest.raises(keyrings.KeyringError) as caught:
        steps.adopt("shop", "ring-1", "n1", steps.Start([odd], "adopted"), FLEET, form, SOAK, {"how": "trust"}, T0)
    assert str(caught.value).startswith(f"the key {fingerprint(odd)} holds a character that cannot be printed")
