# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the environment that it was made with, through every restart: a container. Only making it anew gives it another.

`Evidence` names those of a host in `keepers`, if its application runs in any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Optional

if TYPE_CHECKING:
    from ..._shapes import Evidence, Keeper, Worker


def missing(evidence: Evidence) -> List[Keeper]:
    """Return those that app_keys_processes names and that are not there."""
    return [one for one in evidence.get("keepers", []) if not one["there"]]


def resting(evidence: Evidence) -> List[Keeper]:
    """Return those in which nothing runs now, and which would start by themselves, with the settings of ours that they were made with."""
    return [
        one
        for one in evidence.get("keepers", [])
        if one["there"] and one["returns"] is not None and not one["runs"] and not _has_none(one)
    ]


def older(evidence: Evidence, worker: Worker) -> Optional[Keeper]:
    """Return what a worker runs in, if that was made before an env file was written as it is."""
    written = [float(file["identity"]["changed"]) for file in evidence["files"] if file["identity"]]
    name = worker.get("keeper")
    return next(
        (one for one in evidence.get("keepers", []) if one["name"] == name and one["made"] < max(written, default=0.0)),
        None,
    )


def renew(keeper: Keeper) -> str:
    """Return how one is made anew, and why that has to be."""
    how = RENEWED.get(keeper["way"], RENEWED_ANYHOW).format(name=keeper["anew"])
    return f"recreate it ({how}), a restart keeps the environment"


def _has_none(keeper: Keeper) -> bool:
    return keeper["problem"] is not None and keeper["problem"]["kind"] == "absent"


RENEWED_ANYHOW = "remove {name}, and create it as before"
# By `Container.way`.
RENEWED: Dict[str, str] = {
    "docker service": "docker compose up -d {name}",
    "podman service": "podman-compose up -d --force-recreate {name}",
    "docker container": "docker rm -f {name}, then the docker run that made it",
    "podman container": "podman run --replace --name {name} and so on, or restart the unit that does that",
}
