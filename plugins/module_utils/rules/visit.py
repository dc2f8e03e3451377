# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one visit may do to one host.

`order` is the step's (see `order`), `look` is the evidence of this host a moment ago.
"""

from __future__ import annotations

from typing import Any, Collection, List, Mapping, NamedTuple, Optional

from . import proof
from .durations import stamp
from .order import Order, Token

# A worker whose keys cannot be seen before the visit cannot be proven after it either.
BLIND = ("unreadable", "overwritten", "not_a_list", "ageless", "container", "doubtful")
# These a restart cures.
CURED = ("stale", "undated")
NO_RESTART = "the workers have to be restarted, and nothing says how: set app_keys_service or app_keys_restart_command. Nothing was changed"


class Plan(NamedTuple):
    """What a visit is to do; where `refuse` has a text it does nothing, and that is why."""

    write: bool
    restart: bool
    refuse: Optional[str] = None


def fence(token: Token, record: Optional[Mapping[str, Any]]) -> Optional[str]:
    """Say why a visit of the step with this token comes too late, or from the wrong keyring; else None."""
    if record is None:
        return None
    if record["ring"] != token.ring:
        return (
            f"this host was rolled with another keyring ({record['ring']}, last visit {stamp(record['at'])}), and this is {token.ring}. "
            "Use the keyring that the fleet was rolled with"
        )
    if record["counter"] > token.counter:
        return (
            f"this host has seen step {record['counter']} ({record['step']}, {stamp(record['at'])}), and this keyring is only at step "
            f"{token.counter}: it is a copy or a backup, or this visit is late. Use the keyring that the fleet was last rolled with"
        )
    if record["counter"] == token.counter and record["nonce"] != token.nonce:
        return (
            f"step {token.counter} was opened twice, from two copies of the keyring, and this host was visited from the other one at "
            f"{stamp(record['at'])}. Use the copy that the fleet was last rolled with"
        )
    return None


def plan(order: Order, look: Mapping[str, Any], converge: bool, replace: Collection[str] = ()) -> Plan:
    """Say what the visit is to do.

    With `converge` (the step's own visit) the host is brought to the settings of the step; without
    (a deploy) it is changed only if what it does now is not admissible. `replace` names unknown
    keys that the operator gives up.
    """
    refuse = _unknown(order, look, replace) or _blind(look)
    if refuse:
        return Plan(False, False, refuse)
    good = order.wants if converge else order.admits
    write = not all(_does(good, file) for file in look["files"])
    restart = not all(_does(good, worker) for worker in look["workers"])
    if look["proof"] == "process_age" and look["workers"]:
        # The file's age is the proof there: one that is written makes every worker older than it.
        restart = restart or write
    lost = [finding.seen for finding in down(look)]
    if converge and lost and not order.urgent:
        return Plan(False, False, f"{'; '.join(lost)}. Start the application: a host is not changed while it is down")
    # It may be down because of the key that is taken back, and is started with the one before.
    restart = restart or (converge and bool(lost))
    return Plan(False, False, NO_RESTART) if restart and not look["restart"] else Plan(write, restart)


def down(look: Mapping[str, Any]) -> List[proof.Finding]:
    """Find why the application of a host on which nothing runs should run; nothing where it is not meant to."""
    return [] if look["workers"] else proof.process_findings(look)


def unproven(order: Order, look: Mapping[str, Any], converge: bool, before: Mapping[str, Any]) -> List[str]:
    """Say what keeps the host from being proven after a visit that found it as `before`; nothing where it is."""
    good = order.wants if converge else order.admits
    found = [
        finding.seen for file in look["files"] if not _does(good, file) for finding in proof.file_findings(order, file)
    ]
    bad = [worker for worker in look["workers"] if not _does(good, worker)]
    found += [finding.seen for finding in proof.worker_findings(order, {**look, "workers": bad}, "")]
    if look["lasting"] < before["lasting"]:
        found.append(f"{look['lasting']} workers last, and before there were {before['lasting']}")
    stopped = [unit["name"] for unit in before["units"] if unit["active"] == "inactive"]
    for unit in look["units"]:
        if before["workers"] and unit["name"] not in stopped and unit["active"] != "active":
            found.append(f"{unit['name']} is {unit['active']} ({unit['sub']})")
    found += [finding.seen for finding in proof.unsettled_findings(look)]
    if converge and down(before):
        found += [finding.seen for finding in down(look)]
    return found


def remembered(look: Mapping[str, Any], seen: Mapping[str, Any]) -> int:
    """Return how many workers the record of a proof says there are.

    A deploy may write a host while its application is down. That does not make it one on which nothing ever ran.
    """
    return int(seen["lasting"]) or (look["record"] or {}).get("workers", 0)


def remembered_uids(look: Mapping[str, Any], seen: Mapping[str, Any]) -> List[int]:
    """Return whose the workers are, for the record: those of before where nothing runs."""
    uids = {uid for worker in seen["workers"] for uid in worker.get("uids", [])}
    return sorted(uids) or (look["record"] or {}).get("uids", [])


def _unknown(order: Order, look: Mapping[str, Any], replace: Collection[str]) -> Optional[str]:
    """A value that the keyring does not know may be the only copy of a key."""
    for holder in [*look["files"], *look["workers"]]:
        where = holder.get("path") or f"the worker with pid {holder['pid']}"
        if holder["problem"]:
            if holder["problem"]["kind"] == "absent" and "path" in holder:
                continue
            if holder["problem"]["kind"] in CURED:
                continue
            if holder["problem"]["kind"] in BLIND and "pid" in holder:
                continue
            advice = proof.PROBLEMS.get(holder["problem"]["kind"], "Mend it, and run again")
            return f"{where}: {holder['problem']['text']}. Nothing was changed. What to do: {advice}"
        for key in [holder["signs"], *holder["accepts"]]:
            if key not in order.known and key not in replace:
                return f"{where} holds the key {key}, which is not in the keyring. Nothing was changed: {proof.UNKNOWN.format(key=key)}"
    return None


def _blind(look: Mapping[str, Any]) -> Optional[str]:
    for worker in look["workers"]:
        if worker["problem"] and worker["problem"]["kind"] in BLIND:
            advice = proof.PROBLEMS[worker["problem"]["kind"]]
            return f"{proof.place(worker)}: {worker['problem']['text']}. Nothing was changed. What to do: {advice}"
    return None


def _does(good: Any, holder: Mapping[str, Any]) -> bool:
    return not holder["problem"] and bool(good(holder["signs"], holder["accepts"]))
