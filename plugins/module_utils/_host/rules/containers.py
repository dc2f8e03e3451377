# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers as their engines describe them: which one is meant, and whether it starts by itself.

Sources: docker-container-inspect(1), podman-container-inspect(1), podman-run(1) and podman-generate-systemd(1), the restart
manager of moby (container/container.go, restartmanager/restartmanager.go), and the labels that compose sets (the Compose Specification, podman-compose).
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Mapping, NamedTuple, Optional, Sequence, Tuple

from .errors import PhasedKeysError
from .process_sources import CONTAINER, ENGINES

PROJECT = ("com.docker.compose.project", "io.podman.compose.project")
SERVICE = ("com.docker.compose.service", "io.podman.compose.service")
IDENT = re.compile(r"[0-9a-f]{64}")
# A program that an engine puts before the application's, and that does nothing but wait for it.
INITS = ("docker-init", "podman-init", "catatonit", "tini", "pause")
_NOUN = "container"  # which may stand before what is to be done with one
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")


class ContainerError(PhasedKeysError):
    """What describes no container."""


class Container(NamedTuple):
    """A container. `made` is when it was created, in epoch seconds; `environment` is what it was created with.

    pid       of its first process, by the host's numbers; 0 where none runs
    returns   why it would start by itself while nothing runs in it; None where it would not
    """

    name: str
    ident: str
    engine: str
    pid: int
    made: float
    environment: Mapping[str, str]
    returns: Optional[str]
    project: str
    service: str

    @property
    def way(self) -> str:
        """How it is made anew: see `keepers.RENEWED`."""
        return f"{self.engine} {'service' if self.service else 'container'}"


def read(engine: str, entry: Mapping[str, Any]) -> Container:
    """Return a container as `ENGINE container inspect` describes it; ContainerError, ValueError, TypeError, KeyError or AttributeError where that is none."""
    config, state = entry["Config"], entry["State"]
    labels = config.get("Labels") or {}
    pairs = [str(pair).partition("=") for pair in config.get("Env") or []]
    ident = str(entry["Id"])
    if not IDENT.fullmatch(ident):
        raise ContainerError(f"{ident} is no id")
    return Container(
        name=str(entry["Name"]).lstrip("/"),
        ident=ident,
        engine=engine,
        pid=int(state["Pid"] or 0),
        made=moment(str(entry["Created"])),
        environment={name: value for name, _equals, value in pairs},
        returns=returns(entry),
        project=_label(labels, PROJECT),
        service=_label(labels, SERVICE),
    )


def returns(entry: Mapping[str, Any]) -> Optional[str]:
    """Return why a container that does not run would start by itself when the engine or the host starts again; None where it would not.

    `stopped_by_hand` in `entry` is what the engine keeps beside what it shows; where it is not known, it counts as no.
    """
    state = entry["State"]
    if state.get("Restarting"):
        return "it is being started again and again"
    policy = str(((entry.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name") or "no")
    if str(state.get("StartedAt") or "").startswith("0001-"):
        return None  # created, and never started
    by_hand = bool(entry.get("stopped_by_hand", state.get("StoppedByUser")))
    comes = {
        "always": True,
        "unless-stopped": not by_hand,
        "on-failure": bool(state.get("ExitCode")),
    }
    return f"its restart policy is {policy}" if comes.get(policy) else None


def moment(text: str) -> float:
    """Return a time of an engine's (RFC 3339) in epoch seconds; ContainerError."""
    found = _MOMENT.match(text)
    if not found:
        raise ContainerError(f"{text} is no time")
    try:
        whole = datetime.datetime.fromisoformat(found[1] + found[3].replace("Z", "+00:00"))
    except ValueError:
        raise ContainerError(f"{text} is no time") from None
    return whole.timestamp() + float(f"0{found[2] or '.0'}")


def started_by(words: Sequence[str]) -> Optional[Tuple[str, str, bool]]:
    """Return which engine a line of a unit (ExecStart=) has start which container, and whether one that is there: (engine, name, there).

    None where it does neither, or does not say which: one without a name is found by its processes alone.
    """
    engine = words[0].rpartition("/")[2] if words else ""
    if engine not in ENGINES:
        return None
    plain = [word for word in words[1:] if word != _NOUN]
    verb = next((word for word in plain if word in ("run", "start")), None)
    if verb is None:
        return None
    rest = plain[plain.index(verb) + 1 :]
    named = rest[-1] if verb == "start" and rest else _option(rest, "--name")
    return (engine, named, verb == "start") if named and CONTAINER.match(named) else None


def _option(words: Sequence[str], option: str) -> Optional[str]:
    for place, word in enumerate(words):
        if word == option:
            return words[place + 1] if place + 1 < len(words) else None
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _label(labels: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((str(labels[name]) for name in names if labels.get(name)), "")
