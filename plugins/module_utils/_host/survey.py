# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `active_fingerprint` does on a host: it looks, and waits for what is expected. It changes nothing."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping

from . import arguments, files, limit, record
from .look import look

PAUSE = 0.25


def run(params: Mapping[str, Any], check: bool) -> Dict[str, Any]:
    """Take the look, and a second and a third until what is expected is seen; `check` makes no difference."""
    del check
    app = arguments.application(params)
    with limit.within(
        limit.look_parts(params) * (app["timeout"] + app["settle"]) + limit.MARGIN, "the look at this host"
    ):
        return _look(app, params)


def _look(app: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    _wait(app)
    result = survey(app, params)
    if params["expect"]:
        from .rules.proof import expected

        deadline = time.monotonic() + app["timeout"]
        while (missing := expected(result["evidence"], params["expect"])) and time.monotonic() < deadline:
            time.sleep(PAUSE)
            result = survey(app, params)
        if missing:
            result.update(failed=True, msg=f"not as expected after {app['timeout']:.0f} s: {'; '.join(missing)}")
    if params["app_check"]:
        from . import app_check

        result["app_check"] = app_check.run(app, params["app_check"], result["evidence"]["workers"])
    if params["packages"]:
        from . import packages

        result["packages"] = packages.look(app, result["evidence"]["workers"])
    if params["crossing"]:
        from . import crossing

        result.update(crossing.run(app, params["crossing"], result["evidence"]["workers"]))
    if params["reveal"]:
        from . import reveal

        result["revealed"] = reveal.seal(app, params["reveal"], params["reveal_pad"])
    return result


def _wait(app: Mapping[str, Any]) -> None:
    """Let a visit that is under way end. If it does not end soon, the look says that it is in flight."""
    deadline = time.monotonic() + app["timeout"]
    lock = record.lock_path(app["state_dir"], app["name"])
    while files.holder(lock) is not None and time.monotonic() < deadline:
        time.sleep(PAUSE)


def survey(app: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return one look with its summary."""
    evidence = look(app, params["known"], params["nonce"])
    workers = evidence["workers"]
    signs = {worker["signs"] for worker in workers}
    accepts = [set(worker["accepts"]) for worker in workers]
    return {
        "changed": False,
        "evidence": evidence,
        "signs": signs.pop() if len(signs) == 1 else None,
        "accepts": sorted(set.intersection(*accepts)) if accepts else [],
        "idle": not workers,
    }
