# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the packages of a fleet say against rolling its key: versions that are broken, and packages that use the key too."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._host.rules.proof import Finding, listed
from .._shapes import Packages

Version = Tuple[Tuple[int, ...], int]
ALLOW = "-e app_keys_allow_packages={name}"
GO_ON = f"if that is done, or is not so in this application, go on with {ALLOW}"
_WRITTEN = re.compile(r"v?(\d+(?:\.\d+)*)[-_.]?([a-z]*)")
_EARLY = (
    "a",
    "b",
    "c",
    "rc",
    "alpha",
    "beta",
    "dev",
    "pre",
    "preview",
    "canary",
)  # such a version comes before its own numbers
_LENGTH = 6


class Judgement(NamedTuple):
    """What is said of a fleet's packages: `findings` keep it from being adopted; `warnings` are told; `allowed` are the packages, with
    their versions, that would have kept it from that and that the operator answers for."""

    findings: Mapping[str, List[Finding]]
    warnings: Sequence[str]
    allowed: Sequence[str]


MANY = {"has": "have", "shows": "show"}


def judge(
    profile: Mapping[str, Any], members: Sequence[str], seen: Mapping[str, Optional[Packages]], allow: Sequence[str]
) -> Judgement:
    """Hold the packages of each member against its profile's data; `allow` names packages that the operator answers for."""
    findings: Dict[str, List[Finding]] = {}
    warned: Dict[str, List[str]] = {}
    allowed: Dict[str, None] = {}
    for member in members:
        packages = seen.get(member) or {"found": [], "unknown": "it was not looked for"}
        for name, version, entry in _said(profile, packages):
            what = f"{name} {version}: {entry['why']}"
            if entry["verdict"] == "refused" and name in allow:
                allowed[f"{name} {version}"] = None
            elif entry["verdict"] == "refused":
                findings.setdefault(member, []).append(Finding(f"has {what}", _advice(entry, name)))
            else:
                warned.setdefault(f"has {what}" + (f" ({entry['cure']})" if "cure" in entry else ""), []).append(member)
        unknown = _unknown(profile, packages)
        if unknown:
            warned.setdefault(unknown, []).append(member)
    return Judgement(findings, [_of(hosts, text) for text, hosts in warned.items()], list(allowed))


def _of(hosts: Sequence[str], text: str) -> str:
    """Return what is said of one host as it is said of these."""
    verb, _blank, rest = text.partition(" ")
    return f"{listed(hosts)} {verb if len(hosts) == 1 else MANY[verb]} {rest}"


def told(framework: str, profile: Mapping[str, Any]) -> List[str]:
    """Return what is to be known of a framework before its key is rolled: what phases do not cure."""
    partly = (
        [f"{framework} can be rolled in phases in part: {profile['reason']}"] if profile["status"] == "partly" else []
    )
    return [*partly, *(f"{framework}: not cured by phases: {what}" for what in profile["not_cured"])]


def _said(profile: Mapping[str, Any], packages: Packages) -> List[Tuple[str, str, Mapping[str, Any]]]:
    """Return which packages the profile has something to say of, each with its version and that."""
    found = []
    for one in packages["found"]:
        for entry in profile["versions"]:
            if entry["package"] == one["name"] and within(one["version"], entry["range"]):
                found.append((one["name"], one["version"], entry))
        for entry in profile["conflicts"]:
            if entry["package"] == one["name"]:
                found.append((one["name"], one["version"], entry))
    return list({(name, version, entry["why"]): (name, version, entry) for name, version, entry in found}.values())


def _unknown(profile: Mapping[str, Any], packages: Packages) -> Optional[str]:
    """Say that the version of what has known broken ones is unknown; None where it is known, or where none is broken."""
    asked = {entry["package"] for entry in profile["versions"]}
    names = sorted(asked) or sorted({entry["package"] for entry in profile["conflicts"]})
    known = [one for one in packages["found"] if one["name"] in asked and number(one["version"])]
    if not names or known or (not asked and not packages["unknown"]):
        return None
    why = packages["unknown"] or "its metadata is not where the workers' programs and folders point"
    return f"shows no version of {' or '.join(names)} ({why}): hold yours against docs/frameworks.md"


def _advice(entry: Mapping[str, Any], name: str) -> str:
    if "cure" in entry:
        return f"{entry['cure']}; {GO_ON.format(name=name)}"
    return f"bring another version there; if this one is mended, go on with {ALLOW.format(name=name)}"


def within(version: str, limits: str) -> bool:
    """Whether a version lies in a range such as `>=4.1,<4.1.8`; one that cannot be read lies in none."""
    found = number(version)
    return found is not None and all(_holds(found, limit) for limit in limits.split(","))


def _holds(found: Version, limit: str) -> bool:
    sign = limit.rstrip("0123456789.abcdefghijklmnopqrstuvwxyz-")
    at = number(limit[len(sign) :])
    if at is None:
        return False
    return {"<": found < at, "<=": found <= at, ">": found > at, ">=": found >= at, "==": found == at}[sign]


def number(version: str) -> Optional[Version]:
    """Return what versions are compared by; None for one without numbers, like that of a branch."""
    match = _WRITTEN.match(version.strip().lower())
    if not match or len(match[1]) > 100:
        return None
    numbers = [int(part) for part in match[1].split(".")][:_LENGTH]
    return tuple(numbers + [0] * (_LENGTH - len(numbers))), -1 if match[2] in _EARLY else 0
