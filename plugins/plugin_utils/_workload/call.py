# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two modules for a member that is a workload: they run here, in the controller's process, and no key is in any module's arguments.

What a cluster says comes in by the same door as what a host says.
"""

from __future__ import annotations

import time
from typing import Any, Callable, Collection, Dict, Mapping, Optional

from ...module_utils._host import answers, reveal
from ...module_utils._host.problems import EXPECTED, REPORT, message_of, traceback_of
from ...module_utils._host.rules import frameworks, proof
from ...module_utils._host.rules.fingerprint import fingerprint
from ...module_utils._host.rules.order import Order, Token
from ...module_utils._host.visit import Request
from .. import _door as door
from .. import _program
from . import visit
from .api import Api
from .client import Cluster
from .member import Member

PAUSE = 0.5
NO_PACKAGES = "the containers of a workload are not looked into"
NO_CHECK = "the application of a workload cannot be asked from here: check it once with one of its containers, and set app_keys_app_check to trust"


def answer(
    module: str, arguments: Mapping[str, Any], check: bool, connect: Callable[..., Api] = Cluster
) -> Dict[str, Any]:
    """Return what the module with these arguments says of a workload, failures included; `connect` brings the cluster."""
    texts = [str(text) for text in (arguments.get("secrets") or {}).values()]
    try:
        said = arguments["workload"]
        member = Member(connect(context=said.get("context"), kubeconfig=said.get("kubeconfig")), arguments)
        run = _visit if module == "env_keys" else _survey
        found = run(member, arguments, check, texts)
    except EXPECTED as error:
        found = {"failed": True, "msg": message_of(error)}
    except Exception as error:
        found = {"failed": True, "msg": f"{message_of(error)}. {REPORT}", "exception": traceback_of(error)}
    try:
        return door.admit(_program.SHAPES[module], answers.hidden(found, texts))
    except door.Unreadable as error:
        return {"failed": True, "msg": f"what the cluster says cannot be read: {error}"}


def tidy(arguments: Mapping[str, Any], ended: Collection[str], connect: Callable[..., Api] = Cluster) -> Optional[str]:
    """Delete what a workload has of keys that have `ended`, where nothing needs it any more; return what went wrong, if anything did."""
    try:
        said = arguments["workload"]
        Member(connect(context=said.get("context"), kubeconfig=said.get("kubeconfig")), arguments).tidy(ended)
    except Exception as error:
        return f"{message_of(error)}: the next rollout tries again"
    return None


def _visit(member: Member, arguments: Mapping[str, Any], check: bool, texts: Any) -> Dict[str, Any]:
    del texts  # what a visit writes is among the arguments
    request = Request(
        app=member.values,
        order=Order(**arguments["order"]),
        token=Token(**arguments["token"]),
        step=arguments["step"],
        nonce=str(arguments.get("nonce") or ""),
        converge=bool(arguments.get("converge")),
        replace=arguments.get("replace") or [],
        secrets=arguments.get("secrets") or {},
        vouched=bool(arguments.get("vouched")),
    )
    return visit.visit(member, request, member.values["take_over"], check)


def _survey(member: Member, arguments: Mapping[str, Any], check: bool, texts: Any) -> Dict[str, Any]:
    del check  # a look changes nothing
    known, nonce = arguments.get("known") or [], str(arguments.get("nonce") or "")
    deadline = time.monotonic() + float(member.values["timeout"])
    while member.visitor() is not None and time.monotonic() < deadline:
        time.sleep(PAUSE)
    found = _look(member, known, nonce)
    expect = arguments.get("expect")
    while expect:
        missing = proof.expected(found["evidence"], expect)
        if missing and time.monotonic() >= deadline:
            return {**found, "failed": True, "msg": f"not as expected: {'; '.join(missing)}"}
        if not missing:
            break
        time.sleep(PAUSE)
        found = _look(member, known, nonce)
    if arguments.get("app_check"):
        found["app_check"] = {"ok": False, "text": NO_CHECK}
    if arguments.get("packages"):
        found["packages"] = {"found": [], "unknown": NO_PACKAGES}
    if arguments.get("reveal"):
        values = member.keys(member.see())
        texts += values.values()
        keys = {fingerprint(key): key for key in _keys(member, values)}
        texts += keys.values()
        where = f"the template of {member.target.called}"
        found["revealed"] = reveal.sealed(keys, arguments["reveal"], arguments["reveal_pad"], where)
    return found


def _look(member: Member, known: Any, nonce: str) -> Dict[str, Any]:
    evidence = member.look(known, nonce)
    signs = {worker["signs"] for worker in evidence["workers"]}
    accepts = [set(worker["accepts"]) for worker in evidence["workers"]]
    return {
        "changed": False,
        "evidence": evidence,
        "signs": signs.pop() if len(signs) == 1 else None,
        "accepts": sorted(set.intersection(*accepts)) if accepts else [],
        "idle": not evidence["workers"],
    }


def _keys(member: Member, values: Mapping[str, str]) -> Any:
    """Return every key in these values, container by container."""
    for container in {name.partition("/")[0] for name in values}:
        own = {name.partition("/")[2]: value for name, value in values.items() if name.startswith(f"{container}/")}
        try:
            yield from frameworks.decode(member.profile, own).accepts
        except frameworks.SettingsError:
            continue
