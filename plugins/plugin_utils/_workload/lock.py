# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of a workload: a Lease, which ends by itself where its holder is gone. Times are those of the API's clock."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import socket
import time
from types import TracebackType
from typing import Optional, Type

from ...module_utils._host.visit import IN_FLIGHT
from ...module_utils._rules.pod_spec import Object
from .api import ApiTrouble, Changed
from .member import Member, held, written

PAUSE = 0.5


class Lock:
    """Holds a workload's Lease for at most so many `seconds`; waits at most as long for one that is held by another."""

    def __init__(self, member: Member, seconds: float, wait: float) -> None:
        self.member, self.seconds, self.wait = member, math.ceil(seconds), wait
        self.holder = f"{socket.gethostname().replace('/', '-')}/{os.getpid()}/{secrets.token_hex(4)}"

    def __enter__(self) -> Lock:
        """Take it; ApiTrouble where another visit keeps it."""
        deadline = time.monotonic() + self.wait
        while not self._take():
            if time.monotonic() >= deadline:
                raise ApiTrouble(f"{self.member.target.called} is locked: {IN_FLIGHT}")
            time.sleep(PAUSE)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Let go of it. One that cannot be let go of ends by itself."""
        with contextlib.suppress(ApiTrouble):
            found = self.member.api.get(self.member.lease_path)
            if found is not None and (found.get("spec") or {}).get("holderIdentity") == self.holder:
                self.member.api.replace(
                    self.member.lease_path, {**found, "spec": {**found["spec"], "holderIdentity": ""}}
                )

    def _take(self) -> bool:
        api, path = self.member.api, self.member.lease_path
        found = api.get(path)
        now = api.now()
        if found is not None and held(found.get("spec") or {}, now):
            return False
        moment = written(now)
        spec = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": moment,
            "renewTime": moment,
        }
        try:
            if found is None:
                api.create(self.member.of_group("coordination.k8s.io", "leases"), self._new(spec))
            else:
                api.replace(path, {**found, "spec": spec})
        except Changed:
            return False
        return True

    def _new(self, spec: Object) -> Object:
        meta = {"name": self.member.kept_name, "namespace": self.member.target.namespace}
        version = self.member.api.group("coordination.k8s.io", "leases")[len("/apis/") :]
        return {"apiVersion": version, "kind": "Lease", "metadata": meta, "spec": spec}
