# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one visit may do to one host.

`order` is the step's (see `order.py`), `look` is the evidence of this host a moment ago, and `before` that of the look with which
its visit began.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Callable,
    Collection,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from . import pools, proof, proofs, remedies
from .durations import stamp
from .order import Order, Token
from .proof import Finding

if TYPE_CHECKING:
    from ..._shapes import EnvFile, Evidence, Record, Remembered, Unit, Worker

# A worker whose keys cannot be seen before the visit cannot be proven after it either.
BLIND = (
    "unreadable", "mapped", "overwritten", "not_a_list", "ageless", "container", "doubtful", "replaced", "unasked", *remedies.UNHEARD
)  # fmt: skip
# These a restart cures.
CURED = ("stale", "undated", "mutable", "literal", "deleted", "recreated")
NO_RESTART = (
    "the workers have to be restarted, and neither app_keys_service nor app_keys_restart_command is set: set the one that restarts them. "
    "Nothing was changed"
)
POOL_LOST = (
    "see in its log why it ends; if fewer are meant to run, restart the application by hand, and run again; if they are the children of one "
    "process, name that in app_keys_processes too"
)
NOT_REPLACED = (
    "the restart of {} has to end these processes and start new ones, since a reload gives none a new environment: correct app_keys_service or "
    "app_keys_restart_command"
)
MAY_BE_DOWN = "THE APPLICATION MAY BE DOWN ON THIS HOST"


class Plan(NamedTuple):
    """What a visit is to do; where `refuse` has a text it does nothing, and that is why."""

    write: bool
    restart: bool
    refuse: Optional[str] = None


class ApplicationState(NamedTuple):
    """What of the application runs: whether it is `down` though it ran before, and the sentence that says so."""

    down: bool
    text: str


def fence(token: Token, record: Optional[Record], who: str = "this host") -> Optional[str]:
    """Say why a visit of the step with this token comes too late, or from the wrong keyring; else None. `who` is what is visited."""
    if record is None:
        return None
    if record["keyring"] != token.keyring:
        return (
            f"{who} was rolled with another keyring ({record['keyring']}, last visit {stamp(record['at'])}), and this is {token.keyring}. "
            "Use the keyring that the fleet was rolled with"
        )
    if record["counter"] > token.counter:
        return (
            f"{who} has seen step {record['counter']} ({record['step']}, {stamp(record['at'])}), and this keyring is only at step "
            f"{token.counter}: it is a copy or a backup, or this visit is late. Use the keyring that the fleet was last rolled with"
        )
    if record["counter"] == token.counter and record["nonce"] != token.nonce:
        return (
            f"step {token.counter} was opened twice, from two copies of the keyring, and {who} was visited from the other one at "
            f"{stamp(record['at'])}. Use the copy that the fleet was last rolled with"
        )
    return None


def plan(order: Order, look: Evidence, converge: bool, replace: Collection[str] = ()) -> Plan:
    """Say what the visit is to do.

    With `converge` (the step's own visit) the host is brought to the settings of the step; without
    (a deploy) it is changed only if what it does now is not admissible. `replace` names unknown
    keys that the operator gives up.
    """
    refuse = _unknown_keys(order, look, replace) or _blind(order, look)
    if refuse:
        return Plan(False, False, refuse)
    good = order.wants if converge else order.admits
    write = not all(_does(good, file) for file in look["files"])
    restart = not all(_does(good, worker) for worker in look["workers"])
    if proofs.named(look["proof"]).renewed and look["workers"]:
        restart = restart or write
    why_down = down(look)
    if converge and why_down and not order.incident:
        text = ". ".join(said(why_down))
        begin = "A" if text.endswith(remedies.START) else "Start the application: a"
        return Plan(False, False, f"{text}. {begin} host is not changed while it is down")
    others = proof.source_findings(look)
    if others and (converge or write or restart) and not order.incident:
        return Plan(False, False, f"{'. '.join(said(others))}. Nothing was changed")
    # It may be down because of the key that is taken back: start it with the key before.
    restart = restart or (converge and bool(why_down))
    return Plan(False, False, NO_RESTART) if restart and not look["restart"] else Plan(write, restart)


def brought_back(order: Order, look: Evidence) -> Dict[str, List[str]]:
    """Return by env file the keys in it that have ended: whoever wrote it since the last visit has them from before."""
    found = {
        file["path"]: [key for key in proof.held(file) if order.has_ended(key)]
        for file in look["files"]
        if not file["problem"]
    }
    return {path: keys for path, keys in found.items() if keys}


def down(look: Evidence) -> List[Finding]:
    """Find why the application of a host on which nothing runs should run; nothing where it is not meant to."""
    return [] if look["workers"] else proof.process_findings(look)


def unproven(order: Order, look: Evidence, converge: bool, before: Evidence, restarted: bool = False) -> List[Finding]:
    """Find what keeps the host from being proven after a visit that found it as `before`; nothing where it is.

    `restarted` says that the visit restarted the application, and that nothing said that this had failed.
    """
    good = order.wants if converge else order.admits
    found = [finding for file in look["files"] if not _does(good, file) for finding in proof.file_findings(order, file)]
    bad = [worker for worker in look["workers"] if not _does(good, worker)]
    found += _after_restart(order, look, bad, before) if restarted else _of_workers(order, look, bad)
    if pools.fewer(before, look):
        last = len(look["pools"])
        noun = "main process lasts" if last == 1 else "main processes last"
        found.append(Finding(f"{last} {noun}, and before there were {len(before['pools'])}", POOL_LOST))
    if converge or not proof.pool_findings(before):
        # A deploy that found the pool without workers has not made it worse.
        found += proof.pool_findings(look, pools.remembered(before["pools"]))
    for unit in _ended(before, look):
        found.append(Finding(f"{unit['name']} is {unit['active']} ({unit['sub']})", proof.look_at(unit)))
    found += proof.unsettled_findings(look)
    found += proof.resting_findings(good, order, look)
    if converge or not proof.missing_findings(before):
        # A deploy may write a host before there is anything on it.
        found += proof.missing_findings(look)
    return found + (down(look) if converge and down(before) else [])


def said(findings: Sequence[Finding]) -> List[str]:
    """Return findings as sentences: what was seen, and what to do; that only once for several that want the same."""
    by_do: Dict[str, List[str]] = {}
    for finding in findings:
        by_do.setdefault(finding.advice, []).append(finding.seen)
    return [f"{'; '.join(dict.fromkeys(seen))}. What to do: {do}" for do, seen in by_do.items()]


def application_after(before: Evidence, look: Evidence) -> ApplicationState:
    """Say what of the application runs after a visit that could not prove its host, and had found it as `before`."""
    # What is changing over still serves.
    ended = [
        f"{unit['name']} is {unit['active']} ({unit['sub']})"
        for unit in _ended(before, look)
        if unit["active"] != "reloading"
    ]
    if before["workers"] and (ended or not look["lasting"]):
        return ApplicationState(True, f"{'; '.join(ended) or 'no worker lasts'}: {MAY_BE_DOWN}")
    if not look["workers"]:
        return ApplicationState(False, "nothing of the application runs, as before")
    old = {pools.identity(worker) for worker in before["workers"]}
    same = all(pools.identity(worker) in old for worker in look["workers"])
    return ApplicationState(False, f"{'the old workers run on' if same else 'workers run'} with {_keys(look)}")


def remembered(before: Evidence, look: Evidence) -> Remembered:
    """Return what the record of a proof says of the workers: how many there are, and how far down their pools.

    A deploy may write a host while its application is down. That does not make it one on which nothing ever ran.
    """
    if look["lasting"]:
        # While a pool is still filling, not all of its workers are in both looks.
        return {"workers": len(look["workers"]), "pools": pools.remembered(look["pools"])}
    record = before["record"]
    if record is None:
        return {"workers": 0, "pools": None}
    return {"workers": record.get("workers", 0), "pools": record.get("pools")}


def remembered_uids(before: Evidence, look: Evidence) -> List[int]:
    """Return whose the workers are, for the record: those of the record before where nothing runs."""
    uids = {uid for worker in look["workers"] for uid in worker.get("uids", [])}
    kept = before["record"].get("uids", []) if before["record"] else []
    return sorted(uids) or kept


def _of_workers(
    order: Order, look: Evidence, bad: Sequence[Worker], fresh: Collection[Tuple[int, int]] = ()
) -> List[Finding]:
    restart = f"restart {look['restart']}" if look["restart"] else "restart the application"
    return proof.worker_findings(order, look, restart, fresh, bad)


def _after_restart(order: Order, look: Evidence, bad: Sequence[Worker], before: Evidence) -> List[Finding]:
    """Find what is wrong with workers after a restart: those that it did not replace, and those that have their keys from elsewhere."""
    old = {pools.identity(worker) for worker in before["workers"]}
    kept = [worker for worker in bad if pools.identity(worker) in old]
    new = [worker for worker in bad if pools.identity(worker) not in old]
    all_kept = all(pools.identity(worker) in old for worker in look["workers"])
    text = "the restart replaced no process: {}" if all_kept else "the restart left processes of before: {}"
    found = [
        Finding(text.format(finding.seen), NOT_REPLACED.format(look["restart"]))
        for finding in _of_workers(order, look, kept)
    ]
    return found + _of_workers(order, look, new, {pools.identity(worker) for worker in new})


def _ended(before: Evidence, look: Evidence) -> List[Unit]:
    """The units that are not active, and were not stopped before, on a host on which something ran; one that rests until it is wanted is none."""
    stopped = [unit["name"] for unit in before["units"] if unit["active"] == "inactive"]
    return [
        unit
        for unit in look["units"]
        if before["workers"]
        and unit["name"] not in stopped
        and unit["active"] != "active"
        and not (unit["on_demand"] and unit["active"] == "inactive")
    ]


def _keys(look: Evidence) -> str:
    """Say which keys the workers have."""
    does = {(worker["signs"], tuple(worker["accepts"])) for worker in look["workers"] if not worker["problem"]}
    texts = [f"{signs}, accepting {', '.join(accepts)}" for signs, accepts in sorted(does)]
    return "; others with ".join(
        texts + ["keys that cannot be seen"] * any(worker["problem"] for worker in look["workers"])
    )


def _unknown_keys(order: Order, look: Evidence, replace: Collection[str]) -> Optional[str]:
    """A value that the keyring does not know may be the only copy of a key."""
    for holder in proof.holders(look):
        where = proof.place(holder)
        if "pid" in holder and not holder.get("called"):
            where = f"the worker with pid {holder['pid']}"
        if holder["problem"]:
            if holder["problem"]["kind"] == "absent" and "path" in holder:
                continue
            if holder["problem"]["kind"] in CURED:
                continue
            if holder["problem"]["kind"] in BLIND and "pid" in holder:
                continue
            advice = remedies.PROBLEMS.get(holder["problem"]["kind"], "Fix it, and run again")
            return f"{where}: {holder['problem']['text']}. Nothing was changed. What to do: {advice}"
        for key in proof.held(holder):
            if key not in order.known and key not in replace:
                return f"{where} holds the key {key}, which is not in the keyring. Nothing was changed: {remedies.UNKNOWN.format(key=key)}"
    return None


def _blind(order: Order, look: Evidence) -> Optional[str]:
    # The key that is taken back may be what keeps the application from answering: a restart with the one before may cure that.
    cured = remedies.UNHEARD if order.incident else ()
    for worker in look["workers"]:
        if worker["problem"] and worker["problem"]["kind"] in BLIND and worker["problem"]["kind"] not in cured:
            advice = remedies.PROBLEMS[worker["problem"]["kind"]]
            return f"{proof.place(worker)}: {worker['problem']['text']}. Nothing was changed. What to do: {advice}"
    return None


def _does(good: Callable[[Optional[str], Sequence[str]], bool], holder: Union[EnvFile, Worker]) -> bool:
    return not holder["problem"] and bool(good(holder["signs"], holder["accepts"]))
