# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of proof that `app_keys_proof` names: how it is known which keys a worker has.

`PROOFS`, at the end, holds one entry for each, and nothing else knows a kind by its name (CONTRIBUTING.md says how to add one).
Whatever is asked for, an environment that can be read and holds one of our settings counts (rule 16).
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Protocol

from .errors import PhasedKeysError

# The strongest of them, which all others give way to.
ENVIRONMENT = "environ"
PROCESSES, PODS = "processes", "pods"


class Sight(Protocol):
    """What a proof may ask of the host. Each answer says what a worker `signs` with and `accepts`, or what `problem` keeps it from being told."""

    def by_age(self, pid: int) -> Mapping[str, Any]:
        """Return what a worker must have read from the env files, if it and all that it runs on are younger than these."""


class ProofError(PhasedKeysError):
    """There is no such kind of proof."""


class Proof(NamedTuple):
    """One kind of proof.

    read       what a worker with this pid has, where its environment does not tell; None: then nothing does
    reads      what of a member it is read from: the processes of a host, or the pods of a workload
    renewed    whether a file that is written makes every worker unproven until it is started anew
    """

    read: Optional[Callable[[Sight, int], Mapping[str, Any]]] = None
    renewed: bool = False
    reads: str = PROCESSES


def named(name: str) -> Proof:
    """Return the kind of proof with this name; ProofError where there is none."""
    if name not in PROOFS:
        raise ProofError(f"app_keys_proof is {name!r}; it is one of {', '.join(PROOFS)}")
    return PROOFS[name]


PROOFS: Dict[str, Proof] = {
    ENVIRONMENT: Proof(),
    "process_age": Proof(read=lambda host, pid: host.by_age(pid), renewed=True),
    "pod_spec": Proof(reads=PODS),
    "pod_exec": Proof(reads=PODS),
}
