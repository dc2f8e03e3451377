# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks and visits of a workload ask of a cluster: a few calls with plain data. `client` makes them; nothing else knows how."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Protocol, Sequence

from ...module_utils._host.rules.errors import PhasedKeysError
from ...module_utils._rules.pod_spec import Object


class ApiTrouble(PhasedKeysError):
    """The cluster did not do what was asked; the text says why, without what was sent."""


class Changed(ApiTrouble):
    """Somebody else has written, or made, the object meanwhile."""


class OwnedByOthers(ApiTrouble):
    """Other managers own fields that were to be applied; `causes` are the API's."""

    def __init__(self, text: str, causes: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(text)
        self.causes = causes


class Api(Protocol):
    """A cluster. A `path` is that of an object or of all of a kind, as in the API's addresses."""

    def now(self) -> float:
        """Return the moment by the API's clock, epoch seconds."""

    def group(self, name: str, plural: str) -> str:
        """Return the path of the newest version of an API group that has this kind: an old cluster has some in older ones alone."""

    def get(self, path: str) -> Optional[Object]:
        """Return an object; None where there is none."""

    def items(self, path: str, selector: str = "") -> List[Object]:
        """Return all objects of a kind in a namespace, as they are now and not as a cache has them."""

    def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """Make an object; Changed where there is one of that name."""

    def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        """Write an object in place of the one with its resourceVersion; Changed where that is not the newest."""

    def apply(self, path: str, body: Mapping[str, Any], manager: str, force: bool = False) -> Object:
        """Apply fields as this manager; OwnedByOthers without `force`, Changed where the resourceVersion is not the newest."""

    def execute(self, namespace: str, pod: str, container: str, command: Sequence[str], seconds: float) -> str:
        """Run a command in a container, and return what it prints; ApiTrouble where it cannot be run, or does not end well in time."""

    def delete(self, path: str, uid: str) -> None:
        """Delete the object with this uid, if it is there."""
