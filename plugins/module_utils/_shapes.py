# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what a host says: its evidence with its record, and the modules' results. Those of the keyring are in `_keyring_shapes`.

They are the schema too: `door` lets in what a host says in one of these shapes, field by field, and nothing else. Times are epoch seconds of
the host's clock. Keys are named by their fingerprints. Nothing that travels to a host needs this when it runs.
"""

from __future__ import annotations

from typing import Dict, List, Literal, Optional, TypedDict, final

StepName = Literal["adopt", "prepare", "promote", "retire", "rollback", "withdraw"]

# How a host's last visit ended, if it has.
Ended = Literal["visiting", "proven", "unproven"]

# --- a host's evidence ---


class Problem(TypedDict):
    """Why it cannot be told what keys something has: `kind` names the kind (see `remedies.PROBLEMS`), `text` says it."""

    kind: str
    text: str


class Identity(TypedDict):
    """What tells whether a file was written since."""

    inode: int
    changed: float
    modified: float
    size: int


class Holder(TypedDict):
    """What has keys, or a problem with them: a worker or an env file."""

    signs: Optional[str]
    accepts: List[str]
    problem: Optional[Problem]


@final
class EnvFile(Holder):
    """An env file as it is on disk; `identity` is null where there is none. `links`: how many names it has;
    `unusable`: the keys in it that no rollout could write, each with the reason."""

    path: str
    identity: Optional[Identity]
    links: int
    unusable: Dict[str, str]


class Inner(TypedDict):
    """What a process in another PID namespace than the looker's is called in there: `machine` as evidence from there has it."""

    machine: str
    pid: int


class _Worker(Holder):
    """What every worker has."""

    pid: int
    parent: int
    ticks: int
    started: float
    command: str
    uids: List[int]
    by: str
    idle: bool


@final
class Worker(_Worker, total=False):
    """A running process of the application. `ticks`: when it started, in clock ticks since boot; `uids`: its real, effective, saved and
    file system uid, each once; `by`: the kind of proof by which its keys are known; `idle`: whether it may run without a pool;
    `keeper`: the name of what keeps its environment; `called`: what it is called where no pid names it, as the container of a pod;
    `overrules`: its own word, by which its keys are known, says otherwise than its environment."""

    called: str
    overrules: bool
    inner: Inner
    keeper: str


@final
class Keeper(Holder):
    """What keeps the environment that it was made with, and the keys in that; see `keepers`. Times are epoch seconds.

    `there`: whether there is one; `runs`: whether anything runs in it; `returns`: why it would start by itself, if it would; `way` and `anew`: how it
    is made anew, and by which name."""

    name: str
    there: bool
    made: float
    runs: bool
    returns: Optional[str]
    way: str
    anew: str


class _Outsider(TypedDict):
    """What every such process has."""

    pid: int
    ticks: int
    started: float
    command: str
    uids: List[int]
    signs: Optional[str]
    holds: List[str]
    more: int


class Outsider(_Outsider, total=False):
    """A process outside the named ones that holds keys of ours; `more` of them are like it and are not listed. `within` is the
    beginning of its container's id, `called` as that of a worker."""

    called: str
    inner: Inner
    within: str


class Source(TypedDict):
    """What else a unit takes one of our settings from, and whether that wins over the env files."""

    setting: str
    source: str
    wins: bool


class Pool(TypedDict):
    """A main process with what is below it; see `pools`."""

    main: int
    ticks: int
    called: str
    depth: int
    lasting: int
    idle: bool


class _Unit(TypedDict):
    """What every unit has."""

    name: str
    load: str
    active: str
    sub: str
    restarts: int
    on_demand: bool
    restart_delay: Optional[float]
    sources: List[Source]


class Unit(_Unit, total=False):
    """A systemd unit, or what takes its place: its LoadState, ActiveState, SubState, NRestarts, whether something starts it when it is needed, after how many
    seconds systemd restarts it (null: never), and what else it takes our settings from. `advice`: where to look, if not in systemd."""

    advice: str


class Stamp(TypedDict):
    """Since when an env file is as it is, by the boot clock: `boot` names the boot, `ticks` are clock ticks since it."""

    identity: Identity
    boot: str
    ticks: int


class _Record(TypedDict):
    """What every record has."""

    schema: int
    name: str
    keyring: str
    counter: int
    nonce: str
    step: str
    state: Ended
    at: float
    signs: Optional[str]
    workers: int
    stopped: Dict[str, float]
    files: Dict[str, Optional[Identity]]
    leaked: List[str]


class Record(_Record, total=False):
    """What the host remembers of its visits; see `_host/record.py`. What is named here a record may lack that an earlier release wrote."""

    member: Optional[str]
    linked: Dict[str, int]
    stamps: Dict[str, Stamp]
    pools: Optional[List[int]]
    uids: List[int]


class Remembered(TypedDict):
    """What the record of a proof says of the workers."""

    workers: int
    pools: Optional[List[int]]


class _Evidence(TypedDict):
    """What every look says."""

    nonce: str
    now: float
    ticks: int
    machine: str
    proof: str
    workers: List[Worker]
    files: List[EnvFile]
    others: List[Outsider]
    units: List[Unit]
    settled: bool
    unsettled: List[int]
    lasting: int
    pools: List[Pool]
    record: Optional[Record]
    record_of: Optional[str]
    visit: Optional[int]
    state: str
    restart: Optional[str]


class Evidence(_Evidence, total=False):
    """One look at a host. `nonce` is that of the survey; `ticks` are `now` by the boot clock; `visit` the pid of a visit that is under way; `state` marks the
    folder of the record, and `record_of` names the host whose record is there, where that is another: an image brought it. `keepers` says a
    look at an application that runs in any."""

    keepers: List[Keeper]


class DatedEvidence(Evidence):
    """Evidence as the controller keeps it: `asked` is when the host was asked for it, in the controller's seconds since its boot."""

    asked: float


# --- the modules' results ---


class AppCheck(TypedDict):
    """What the application check ended with."""

    ok: bool
    text: str


class Package(TypedDict):
    """A package of an application, and where its metadata lies."""

    name: str
    version: str
    path: str


class Packages(TypedDict):
    """Which packages an application has of those that its profile asks for; `unknown` says why not all of them can be known."""

    found: List[Package]
    unknown: Optional[str]


class Did(TypedDict):
    """What a visit did: the files that it wrote, and whether it restarted, restored, or left the application down,
    and how many seconds it took from the restart to the proof."""

    written: List[str]
    restarted: bool
    restored: bool
    down: bool
    took: float


class Diff(TypedDict):
    """The env files before and after, in fingerprints."""

    before: str
    after: str


class Answer(TypedDict, total=False):
    """What either module may say; which of these there are depends on how it ended."""

    changed: bool
    failed: bool
    msg: str
    exception: str
    evidence: Evidence


class LookAnswer(Answer, total=False):
    """What `active_fingerprint` says."""

    signs: Optional[str]
    accepts: List[str]
    idle: bool
    app_check: AppCheck
    packages: Packages
    revealed: str
    token: str
    trouble: str
    verdicts: List[str]


class VisitAnswer(Answer, total=False):
    """What `env_keys` says. `taking`: whose fields a visit would take over, since that was asked for."""

    needed: bool
    proven: bool
    joining: bool
    did: Did
    diff: Diff
    taking: List[str]


class ReencryptAnswer(Answer, total=False):
    """What `reencrypt` says: `shown` is true where both commands ended well; `user` says as whom."""

    shown: bool
    user: str
