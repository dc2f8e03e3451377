# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The permissions that the guide says are enough, word for word, and whether they allow a request."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Dict, List

import yaml

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "docsite" / "rst" / "workloads.rst"
VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def role(exec_too: bool = False) -> Dict[str, Any]:
    """Return the guide's Role; `exec_too`: with what `pod_exec` needs besides."""
    text = GUIDE.read_text()
    found = re.search(r"^    apiVersion: rbac.*?(?=\n\n\S)", text, re.DOTALL | re.MULTILINE)
    more = re.search(r"^    +(- \{.*pods/exec.*\})$", text, re.MULTILINE)
    assert found and more, "the guide says no Role"
    said = dict(yaml.safe_load(found[0]))
    said["rules"] += yaml.safe_load(more[1]) if exec_too else []
    return said


def allows(rules: List[Dict[str, Any]], namespace: str, verb: str, path: str) -> bool:
    """Whether a Role in a namespace allows a request, as RBAC decides it. Discovery everybody may."""
    if re.fullmatch(r"/apis/[^/]+(/[^/]+)?", path):
        return True
    named = re.fullmatch(r"/api/v1/namespaces/([^/]+)", path)
    if named:
        return named[1] == namespace and _allowed(rules, "", "namespaces", VERBS[verb])
    parts = re.fullmatch(
        r"/(?:api|apis/(?P<group>[^/]+))/[^/]+/namespaces/(?P<namespace>[^/]+)/(?P<kind>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?",
        path,
    )
    if not parts or parts["namespace"] != namespace:
        return False
    kind = f"{parts['kind']}/{parts['sub']}" if parts["sub"] else parts["kind"]
    asked = "list" if verb == "GET" and not parts["name"] else VERBS[verb]
    return _allowed(rules, parts["group"] or "", kind, asked)


def _allowed(rules: List[Dict[str, Any]], group: str, resource: str, verb: str) -> bool:
    return any(group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"] for rule in rules)
