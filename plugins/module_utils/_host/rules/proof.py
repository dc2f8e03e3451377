# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether one host does what the open step asks, and what is wrong where it does not. A visit asks this of itself."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Collection,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)

from . import keepers, pools, proofs
from .durations import stamp
from .order import Order
from .remedies import (
    ELSEWHERE,
    EMPTIED,
    FIX_FIRST,
    MISSING,
    NO_UNIT,
    NOT_ALL_SAID,
    OUTSIDE,
    OVERRIDDEN,
    OVERRULED,
    PROBLEMS,
    REPLACED,
    RESTING,
    SET_ELSEWHERE,
    STALE,
    START,
    TEMPLATES,
    UNHEARD,
    UNKNOWN,
    VISIT,
)

if TYPE_CHECKING:
    from ..._keyring_shapes import KeyringCore
    from ..._shapes import EnvFile, Evidence, Holder, Keeper, Outsider, Record, Unit, Worker


class Finding(NamedTuple):
    """Why a member is not proven: what was `seen`, and the `advice`, what to do.

    `machine` is said of what every member on that machine sees alike: a process that belongs to none of them. Such a finding is
    shown once for all of them.
    """

    seen: str
    advice: str
    machine: str = ""


def inadmissible(asked: Order, evidence: Evidence) -> List[Finding]:
    """Find what a member does that is not safe beside what the open step lets others do."""
    found = []
    for holder in holders(evidence):
        where = place(holder)
        if holder["problem"]:
            if holder["problem"]["kind"] != "absent" or evidence["workers"]:
                found.append(Finding(f"{where}: {holder['problem']['text']}", FIX_FIRST))
        elif not asked.admits(holder["signs"], holder["accepts"]):
            found.append(Finding(f"{where} {differs(asked, holder)}", FIX_FIRST))
    return found


def holders(evidence: Evidence) -> List[Union[EnvFile, Worker, Keeper]]:
    """Return all of a host that has keys, or a problem with them: its env files, its workers, and what would bring any back."""
    return [*evidence["files"], *evidence["workers"], *keepers.resting(evidence)]


def held(holder: Holder) -> List[str]:
    """Return the keys of a worker or an env file, each once, the one that signs first."""
    return list(dict.fromkeys([holder["signs"], *holder["accepts"]] if holder["signs"] else holder["accepts"]))


def place(holder: Union[EnvFile, Worker, Keeper]) -> str:
    """Return what an env file, a worker or something that would start by itself is called."""
    if "path" in holder:
        return holder["path"]
    if "pid" not in holder:
        return holder["name"]
    return holder.get("called") or f"pid {holder['pid']} ({holder['command']})"


def look_at(unit: Unit) -> str:
    """Return where to look when a unit does not run as it should."""
    return unit.get("advice") or f"look at: systemctl status {unit['name']}"


def judge(keyring: KeyringCore, asked: Order, evidence: Evidence, claimed: Set[Tuple[str, int, int]]) -> List[Finding]:
    """Find what keeps a member from being proven at the open step."""
    found = fence_findings(keyring, evidence)
    if found:
        return found
    for file in evidence["files"]:
        found += file_findings(asked, file)
    restart = f"restart {evidence['restart']}" if evidence["restart"] else "restart the application"
    found += worker_findings(asked, evidence, restart)
    found += process_findings(evidence)
    found += resting_findings(asked.wants, asked, evidence)
    # Where a rollout is taken back this does not count: the host may do what is asked for all the same.
    found += [] if asked.incident else source_findings(evidence)
    nobodys = [other for other in evidence["others"] if not is_claimed(evidence, other, claimed)]
    return found + outsiders(evidence, nobodys, restart)


def fence_findings(keyring: KeyringCore, evidence: Evidence) -> List[Finding]:
    """Hold the host's record against the keyring."""
    record = evidence["record"]
    step = keyring["step"]
    if record is None:
        whose = evidence.get("record_of")
        had = f", for the one there is {whose}'s: an image brought it" if whose else ""
        return [
            Finding(
                f"has no record of a visit{had}", "run phased.keys.rollout, or the role in a deploy, which visits it"
            )
        ]
    found = outdated(keyring, record)
    if found:
        return found
    if record["counter"] != step["counter"]:
        return [
            Finding(
                f"was last visited at step {record['counter']} ({record['step']})",
                "run phased.keys.rollout, which visits it",
            )
        ]
    if record["state"] != "proven":
        return [
            Finding(
                f"its last visit, at {stamp(record['at'])}, did not end in a proof",
                "run phased.keys.rollout, which visits it again",
            )
        ]
    return []


def outdated(keyring: KeyringCore, record: Optional[Record]) -> List[Finding]:
    """Find a host that has seen more than this keyring knows, or another keyring, by its record."""
    step = keyring["step"]
    if record is None:
        return []
    if record["keyring"] != keyring["id"]:
        return [
            Finding(
                f"its record is of another keyring ({record['keyring']})",
                "use the keyring that this fleet was rolled with",
            )
        ]
    if record["counter"] < step["counter"] or (record["counter"], record["nonce"]) == (step["counter"], step["nonce"]):
        return []
    return [
        Finding(
            f"has seen step {record['counter']} ({record['step']}), and this keyring is at {step['counter']} ({step['name']})",
            "this keyring is a copy or a backup: use the one that the fleet was last rolled with; if that is lost, move this one away and run "
            "phased.keys.adopt -e app_keys_recover=true",
        )
    ]


def file_findings(asked: Order, file: EnvFile) -> List[Finding]:
    """Find what is wrong with an env file."""
    path = file["path"]
    if file["problem"]:
        # What is not there a visit writes.
        todo = (
            VISIT
            if file["problem"]["kind"] == "absent"
            else TEMPLATES.get(file["problem"]["kind"], "fix the file, and run again")
        )
        return [Finding(f"{path}: {file['problem']['text']}", todo)]
    if unknown_keys(asked, file):
        seen, todo = _unknown_keys_finding(asked, file)
        return [Finding(f"{path} {seen}", todo)]
    if asked.wants(file["signs"], file["accepts"]):
        return []
    return [Finding(f"{path} {differs(asked, file)}", VISIT)]


def worker_findings(
    asked: Order,
    evidence: Evidence,
    restart: str,
    fresh: Collection[Tuple[int, int]] = (),
    workers: Optional[Sequence[Worker]] = None,
) -> List[Finding]:
    """Find what is wrong with the workers, those of one kind together.

    `restart` says how they are restarted. `fresh` are those (`pools.identity`) that certainly started on the env files as they
    are; of the others only their age tells, by a clock that may have been set. `workers` are those to look at, else all.
    """
    groups: Dict[Tuple[str, str], List[Worker]] = {}
    for worker in evidence["workers"] if workers is None else workers:
        if worker["problem"]:
            key = (
                f"{worker['command']}: {worker['problem']['text']}",
                PROBLEMS.get(worker["problem"]["kind"], restart),
            )
        elif asked.wants(worker["signs"], worker["accepts"]):
            continue
        elif overruled(evidence, worker) and not unknown_keys(asked, worker):
            key = (
                f"{differs(asked, worker)}: {_overruled_text(evidence)}",
                f"{restart}; {SET_ELSEWHERE}",
            )
        else:
            key = _differing(asked, evidence, worker, restart, pools.identity(worker) in fresh)
        groups.setdefault(key, []).append(worker)
    written = [] if any(worker.get("called") for worker in evidence["workers"]) else _written(evidence)
    when = f"; the env file was written {stamp(max(written))}" if written else ""
    return [Finding(f"{_pids(workers)} {seen}{when}", do) for (seen, do), workers in groups.items()]


def overruled(evidence: Evidence, worker: Worker) -> bool:
    """Whether a weaker kind of proof was asked for than the one by which a worker's keys are known: that counts."""
    return bool(worker.get("by", evidence["proof"]) == proofs.ENVIRONMENT != evidence["proof"])


def _own_word(worker: Worker) -> str:
    """Name the kind of proof where it is the application's own word that something is wrong."""
    kind = proofs.PROOFS.get(worker.get("by", ""))
    return f", by {kind.called} ({worker['by']})" if kind and kind.asks else ""


def _overruled_text(evidence: Evidence) -> str:
    kind = proofs.PROOFS.get(evidence["proof"])
    return NOT_ALL_SAID if kind and kind.asks else OVERRULED.format(proof=evidence["proof"])


def source_findings(evidence: Evidence) -> List[Finding]:
    """Find what else a unit takes our settings from, where that wins over the env files."""
    paths = ", ".join(file["path"] for file in evidence["files"])
    return [
        Finding(f"{unit['name']} takes {other['setting']} from {other['source']}, which wins over {paths}", OVERRIDDEN)
        for unit in evidence["units"]
        for other in unit["sources"]
        if other["wins"]
    ]


def resting_findings(
    good: Callable[[Optional[str], Sequence[str]], bool], asked: Order, evidence: Evidence
) -> List[Finding]:
    """Find what does not run now, and would start by itself with keys that are not `good`."""
    found = []
    for keeper in keepers.resting(evidence):
        if keeper["problem"] or not good(keeper["signs"], keeper["accepts"]):
            has = keeper["problem"]["text"] if keeper["problem"] else f"then {differs(asked, keeper)}"
            seen = f"{keeper['name']} does not run, and comes back ({keeper['returns']}): it {has}"
            found.append(Finding(seen, RESTING.format(renew=keepers.renew(keeper))))
    return found


def missing_findings(evidence: Evidence) -> List[Finding]:
    """Find what app_keys_processes names and is not there."""
    return [Finding(f"there is no {one['name']}", MISSING) for one in keepers.missing(evidence)]


def process_findings(evidence: Evidence) -> List[Finding]:
    """Find what is wrong with how the application runs: units, and workers that are gone."""
    found = missing_findings(evidence)
    for unit in evidence["units"]:
        if unit["load"] not in ("loaded", "masked"):
            found.append(Finding(f"{unit['name']} is {unit['load']}", NO_UNIT))
        elif unit["active"] == "active" and not evidence["workers"]:
            found.append(Finding(f"{unit['name']} is active and has no process", "correct app_keys_processes"))
        elif unit["active"] not in ("active", "inactive"):
            found.append(Finding(f"{unit['name']} is {unit['active']} ({unit['sub']})", look_at(unit)))
    had = evidence["record"].get("workers", 0) if evidence["record"] else 0
    if had and not evidence["workers"] and not found and not on_demand(evidence):
        found.append(Finding(f"no worker runs, and at the last visit there were {had}", START))
    found += pool_findings(evidence)
    return found + unsettled_findings(evidence)


def pool_findings(evidence: Evidence, otherwise: Sequence[int] = ()) -> List[Finding]:
    """Find main processes that have no workers of their own, and had some at their last proof.

    What they had then the record says; `otherwise` (see `pools.remembered`) where it does not.
    """
    noted = evidence["record"].get("pools") if evidence["record"] else None
    had = otherwise if noted is None else noted
    bare = [f"pid {pool['main']} ({pool['called']})" for pool in pools.emptied(evidence["pools"], had)]
    if not bare:
        return []
    return [
        Finding(f"no worker runs below {', '.join(bare)} in two looks, and at the last proof there were some", EMPTIED)
    ]


def unheard(evidence: Evidence) -> bool:
    """Whether workers that should have told their keys did not, or others did: those of a moment ago may be gone by the next look."""
    problems = [worker.get("problem") for worker in evidence["workers"]]
    return any(problem["kind"] in UNHEARD for problem in problems if problem)


def on_demand(evidence: Evidence) -> bool:
    """Whether all that does not run is started by a socket, a timer or a path when it is needed, with the file as it is then."""
    resting = [unit for unit in evidence["units"] if unit["active"] == "inactive"]
    return bool(resting) and all(unit.get("on_demand") for unit in resting)


def unsettled_findings(evidence: Evidence) -> List[Finding]:
    """Find workers that came or went between two looks, with no worker above them that lasts."""
    if not evidence["workers"] or evidence["settled"]:
        return []
    called = {worker["pid"]: worker.get("called") for worker in evidence["workers"]}
    pids = listed([called.get(pid) or str(pid) for pid in evidence["unsettled"]]) or "a unit restarted"
    return [Finding(f"the workers changed between two looks ({pids})", "wait until the application runs steadily")]


def is_claimed(evidence: Evidence, other: Outsider, claimed: Set[Tuple[str, int, int]]) -> bool:
    """Whether a process outside is a worker that some member answers for; of more that are like it nobody knows."""
    return not other.get("more") and called_inside(evidence, other) in claimed


def called_inside(evidence: Evidence, process: Union[Worker, Outsider]) -> Tuple[str, int, int]:
    """Return what a process is called where it runs: all who see it, from its own PID namespace or from outside, name it alike so."""
    inner = process.get("inner")
    machine, pid = (inner["machine"], inner["pid"]) if inner else (evidence["machine"], process["pid"])
    return machine, pid, process["ticks"]


def outsiders(evidence: Evidence, others: Sequence[Outsider], restart: str) -> List[Finding]:
    """Say that processes outside the named ones hold one of our keys: those of one command that hold the same key together."""
    groups: Dict[Tuple[str, str], List[Outsider]] = {}
    for other in others:
        within = other.get("within")
        command = f"{other['command']} in container {within}" if within else other["command"]
        groups.setdefault((command, other["signs"] or "a key of the keyring"), []).append(other)
    return [
        Finding(
            f"{_pids(alike)}{'' if alike[0].get('called') else f' ({command})'}{_more(alike)} {'holds' if len(alike) == 1 else 'hold'} {key} and "
            f"{'is' if len(alike) == 1 else 'are'} not among app_keys_processes",
            OUTSIDE.format(restart=restart, them="it" if len(alike) == 1 else "them"),
            evidence["machine"],
        )
        for (command, key), alike in groups.items()
    ]


def _more(alike: Sequence[Outsider]) -> str:
    """Say of how many processes that are like these the host has said nothing else."""
    unlisted = sum(other.get("more") or 0 for other in alike)
    return f" (and {unlisted} more like {'it' if len(alike) == 1 else 'them'})" if unlisted else ""


def differs(asked: Order, holder: Holder) -> str:
    """Say in what a worker's or a file's keys are not what the step asks for."""
    parts = []
    if holder["signs"] != asked.signs:
        parts.append(f"signs with {holder['signs']} and not with {asked.signs}")
    missing = [key for key in asked.accepts if key not in holder["accepts"] and key != asked.signs]
    if asked.signs not in holder["accepts"]:
        missing.insert(0, asked.signs)
    extra = [key for key in holder["accepts"] if key not in asked.accepts]
    if missing:
        parts.append(f"does not accept {', '.join(missing)}")
    if extra:
        parts.append(f"still accepts {', '.join(extra)}")
    return " and ".join(parts)


def unknown_keys(asked: Order, holder: Holder) -> List[str]:
    """Return the keys of a worker or a file that the keyring does not know."""
    return [key for key in held(holder) if key not in asked.known]


def _unknown_keys_finding(asked: Order, holder: Holder) -> Tuple[str, str]:
    keys = unknown_keys(asked, holder)
    does = "signs with" if holder["signs"] in keys else "accepts"
    return f"{does} {', '.join(keys)}, which is not in the keyring", UNKNOWN.format(key=keys[0])


def _differing(asked: Order, evidence: Evidence, worker: Worker, restart: str, fresh: bool) -> Tuple[str, str]:
    """Say in what a worker's keys are wrong, and what to do: one that started on a file that says otherwise has them from elsewhere."""
    seen, todo = (
        _unknown_keys_finding(asked, worker)
        if unknown_keys(asked, worker)
        else (differs(asked, worker), f"{restart}: {STALE}")
    )
    seen += _own_word(worker)
    if worker.get("called"):
        return seen, todo if unknown_keys(asked, worker) else REPLACED.format(look=look_at(evidence["units"][0]))
    says = [_held(file) for file in evidence["files"] if not file["problem"]]
    if not says or _held(worker) in says:
        return seen, todo
    keeper = keepers.older(evidence, worker)
    if keeper:
        was = f"{keeper['name']} was created {stamp(keeper['made'])}, before the env file was written"
        return f"{seen}: {was}", keepers.renew(keeper)
    if not fresh and pools.began(evidence["workers"])[worker["pid"]] <= max(_written(evidence)):
        return seen, todo
    known = [f"{other['setting']} from {other['source']}" for unit in evidence["units"] for other in unit["sources"]]
    where = f"take out what may give it other keys: {', '.join(known)}" if known else ELSEWHERE
    seen = f"{seen}, though the env file that it started on says otherwise"
    if unknown_keys(asked, worker):
        return seen, f"{todo}. {where}"
    return seen, where if fresh else f"{restart}; if that does not help, {where}"


def _written(evidence: Evidence) -> List[float]:
    """When the env files were written."""
    return [float(file["identity"]["changed"]) for file in evidence["files"] if file["identity"]]


def _held(holder: Holder) -> Tuple[Optional[str], Set[str]]:
    return holder["signs"], set(holder["accepts"])


def _pids(workers: Sequence[Union[Worker, Outsider]]) -> str:
    first = min(workers, key=lambda worker: worker["started"])
    called = [worker["called"] for worker in workers if worker.get("called")]
    if called:
        return f"{listed(called)}, started {stamp(first['started'])},"
    noun = "pid" if len(workers) == 1 else "pids"
    return f"{noun} {listed([str(worker['pid']) for worker in workers])}, started {stamp(first['started'])},"


def listed(names: Sequence[str]) -> str:
    """Return names as a person reads them; of a long list the first, and how many more there are."""
    if len(names) <= FIRST + 1:
        return ", ".join(names)
    return f"{', '.join(names[:FIRST])} and {len(names) - FIRST} more"


FIRST = 2  # so many of a long list are named


def expected(evidence: Evidence, expect: Mapping[str, Any]) -> List[str]:
    """Say in what the workers of a host are not as a person or a playbook expects them."""
    missing = [] if evidence["workers"] else ["no worker runs"]
    for worker in evidence["workers"]:
        who = f"pid {worker['pid']}"
        lacking = [key for key in expect.get("accepts") or [] if key not in worker["accepts"]]
        if worker["problem"]:
            missing.append(f"{who}: {worker['problem']['text']}")
        elif expect.get("signs") and worker["signs"] != expect["signs"]:
            missing.append(f"{who} signs with {worker['signs']} and not with {expect['signs']}")
        elif lacking:
            missing.append(f"{who} does not accept {', '.join(lacking)}")
    return missing + [finding.seen for finding in unsettled_findings(evidence)]
