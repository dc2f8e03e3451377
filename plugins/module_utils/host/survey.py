# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `active_fingerprint` does on a host: it looks, and waits for what is expected. It changes nothing."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping

from . import arguments, files, record
from .look import look

PAUSE = 0.25
# A visit outlives a controller that was killed; it restarts the application once or, to fall back, twice.
VISIT_FACTOR = 3


def run(params: Mapping[str, Any], check: bool) -> Dict[str, Any]:
    """Take the look, and a second and a third until what is expected is seen; `check` makes no difference."""
    del check
    app = arguments.application(params)
    result = survey(app, params)
    if params["expect"]:
        from ..rules.proof import expected

        deadline = time.monotonic() + app["timeout"]
        while (missing := expected(result["evidence"], params["expect"])) and time.monotonic() < deadline:
            time.sleep(PAUSE)
            result = survey(app, params)
        if missing:
            result.update(failed=True, msg=f"not as expected after {app['timeout']:.0f} s: {'; '.join(missing)}")
    if params["app_check"]:
        from . import app_check

        result["app_check"] = app_check.run(app, params["app_check"], result["evidence"]["workers"])
    if params["reveal"]:
        from . import reveal

        result["revealed"] = reveal.seal(app, params["reveal"], params["reveal_pad"])
    return result


def survey(app: Mapping[str, Any], params: Mapping[str, Any]) -> Dict[str, Any]:
    """Return one look with its summary, after a visit that is under way has ended."""
    deadline = time.monotonic() + VISIT_FACTOR * app["timeout"]
    lock = record.lock_path(app["state_dir"], app["name"])
    while files.holder(lock) is not None and time.monotonic() < deadline:
        time.sleep(PAUSE)
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
