# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that are broken and packages that use the key too are refused or warned of by name; what is not known is said."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.shipped import PROFILES
from ansible_collections.phased.keys.plugins.module_utils._rules import packages

CLEAN = {
    "django": "Django 5.2",
    "flask": "Flask 3.1.1",
    "laravel": "laravel/framework v12.40.0",
    "rails": "railties 8.0",
    "authjs": "@auth/core 0.41.0",
}


def seen(*found: str, unknown: Optional[str] = None) -> Dict[str, Any]:
    listed = [{"name": name, "version": version, "path": "/x"} for name, version in (one.split(" ") for one in found)]
    return {"found": listed, "unknown": unknown}


def judged(framework: str, *found: str, allow: Sequence[str] = (), **more: Any) -> packages.Judgement:
    return packages.judge(PROFILES[framework], ["web-1"], {"web-1": seen(*found, **more)}, allow)  # type: ignore[arg-type,dict-item]


@pytest.mark.parametrize(
    ("framework", "found", "said"),
    [
        ("django", "Django 4.1.0", "has Django 4.1.0: it refuses sessions across promote in both directions"),
        ("django", "Django 4.1.7", "it refuses sessions"),
        ("django", "Django 4.1rc1", "it knows no SECRET_KEY_FALLBACKS"),
        ("django", "Django 3.2.25", "it knows no SECRET_KEY_FALLBACKS"),
        ("flask", "Flask 3.1.0", "it signs with the last fallback"),
        ("flask", "Flask 3.1", "it signs with the last fallback"),
        ("flask", "Flask 3.0.3", "it ignores SECRET_KEY_FALLBACKS"),
        ("flask", "Flask 3.1.0rc1", "it ignores SECRET_KEY_FALLBACKS"),
        ("laravel", "laravel/framework v10.48.29", "it knows no APP_PREVIOUS_KEYS"),
        ("authjs", "next-auth 4.24.7", "it takes one secret alone"),
        ("authjs", "@auth/core 0.23.0", "it takes one secret alone"),
    ],
)  # fmt: skip
def test_a_broken_version_is_refused_by_name(framework: str, found: str, said: str) -> None:
    ((finding,),) = judged(framework, found).findings.values()
    assert said in finding.seen and f"app_keys_allow_packages={found.split()[0]}" in finding.advice


@pytest.mark.parametrize(
    ("framework", "found"),
    [
        *CLEAN.items(),
        ("django", "Django 4.1.8"),
        ("django", "Django 4.2rc1"),
        ("django", "Django 6.0.dev20250101"),
        ("flask", "Flask 3.1.1"),
        ("laravel", "laravel/framework v11.0.0"),
        ("authjs", "next-auth 5.0.0-beta.25"),
    ],
)
def test_one_that_is_not_is_let_in_without_a_word(framework: str, found: str) -> None:
    assert judged(framework, found) == ({}, [], [])


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("django-fernet-encrypted-fields", "save every row with such a column"),
        ("djangorestframework-simplejwt", "SIGNING_KEY"),
        ("django-cryptography", "CRYPTOGRAPHY_KEY"),
    ],
)
def test_a_package_that_uses_the_key_too_is_refused_with_its_cure_until_the_operator_answers_for_it(
    name: str, cure: str
) -> None:
    found = [CLEAN["django"], f"{name} 1.0"]
    ((finding,),) = judged("django", *found).findings.values()
    assert finding.seen.startswith(f"has {name} 1.0: ") and cure in finding.advice
    assert f"app_keys_allow_packages={name}" in finding.advice
    assert judged("django", *found, allow=[name]) == ({}, [], [f"{name} 1.0"])
    assert judged("django", *found, allow=["another"]).findings


@pytest.mark.parametrize(
    ("framework", "found", "said"),
    [
        ("django", "wagtail 6.0", "web-1 has wagtail 6.0: the URLs of its view for images are signed with SECRET_KEY alone (those URLs"),
        ("laravel", "laravel/framework v12.45.0", "web-1 has laravel/framework v12.45.0: AuthenticateSession and signed closures are keyed"),
        ("rails", "railties 7.0.8", "web-1 has railties 7.0.8: "),
    ],
)  # fmt: skip
def test_what_phases_cannot_cure_is_warned_of(framework: str, found: str, said: str) -> None:
    judgement = judged(framework, CLEAN[framework], found)
    assert not judgement.findings and len(judgement.warnings) == 1 and judgement.warnings[0].startswith(said)


@pytest.mark.parametrize("found", [[], ["Django dev-main"], ["wagtail 6.0"]])
@pytest.mark.parametrize("unknown", [None, "it runs in a container"])
def test_what_is_not_known_is_said(found: List[str], unknown: Optional[str]) -> None:
    judgement = judged("django", *found, unknown=unknown)
    why = unknown or "its metadata is not where the workers' programs and folders point"
    assert not judgement.findings
    assert f"web-1 shows no version of Django ({why}): hold yours against docs/frameworks.md" in judgement.warnings


@pytest.mark.parametrize("framework", ["ory", "airflow", "itsdangerous", "tornado"])
def test_of_a_profile_that_asks_for_no_package_nothing_is_unknown(framework: str) -> None:
    assert judged(framework) == ({}, [], [])


def test_hosts_that_say_the_same_are_told_of_together_and_one_that_was_not_looked_at_is_unknown() -> None:
    fleet = {"web-1": seen(CLEAN["django"], "wagtail 6"), "web-2": seen(CLEAN["django"], "wagtail 6"), "web-3": None}
    judgement = packages.judge(PROFILES["django"], ["web-1", "web-2", "web-3"], fleet, [])  # type: ignore[arg-type]
    assert [warning.partition(" have ")[0] for warning in judgement.warnings][0] == "web-1, web-2"
    assert judgement.warnings[1].startswith("web-3 shows no version of Django (it was not looked for)")


def test_what_phases_do_not_cure_is_told_of_a_framework() -> None:
    assert packages.told("django", PROFILES["django"]) == []
    assert [line.partition(":")[0] for line in packages.told("authjs", PROFILES["authjs"])] == [
        "authjs can be rolled in phases in part",
        "authjs",
    ]
    assert all(
        line.startswith("laravel: not cured by phases: ") for line in packages.told("laravel", PROFILES["laravel"])
    )


@pytest.mark.parametrize("version", ["", "x", "dev-main", "." * 50, "v", "9" * 5000, "1." * 5000, "\ufffd1"])
def test_hostile_versions_are_none(version: str) -> None:
    assert not packages.within(version, "<4")


def test_every_range_that_is_shipped_can_be_held_against() -> None:
    ranges = [entry["range"] for name in PROFILES for entry in PROFILES[name]["versions"]]
    assert ranges and all(
        packages.within("0", one) or packages.within("999", one) or "==" in one or "," in one for one in ranges
    )
