# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host answers: the shapes of its evidence and of the two modules' results.

They are the schema too: `door` lets in what has one of these shapes, field by field, and nothing else.
Times are epoch seconds of the host's clock, unless it says otherwise. Keys are named by their fingerprints.
"""

from __future__ import annotations

from typing import Dict, List, Literal, Optional, TypedDict


class Problem(TypedDict):
    """Why it cannot be told what keys something has: `kind` names the kind (see `proof.PROBLEMS`), `text` says it."""

    kind: str
    text: str


class Identity(TypedDict):
    """What tells whether a file was written since."""

    inode: int
    changed: float
    modified: float
    size: int


class EnvFile(TypedDict):
    """An env file as it is on disk; `identity` is null where there is none. `links`: how many names it has;
    `unusable`: the keys in it that no rollout could write, each with the reason."""

    path: str
    identity: Optional[Identity]
    links: int
    unusable: Dict[str, str]
    signs: Optional[str]
    accepts: List[str]
    problem: Optional[Problem]


class Worker(TypedDict):
    """A running process of the application. `ticks`: when it started, in clock ticks since boot; `uids`: its real, effective, saved and
    file system uid, each once; `by`: the kind of proof by which its keys are known; `idle`: whether it may run without a pool."""

    pid: int
    parent: int
    ticks: int
    started: float
    command: str
    uids: List[int]
    by: str
    idle: bool
    signs: Optional[str]
    accepts: List[str]
    problem: Optional[Problem]


class Outsider(TypedDict):
    """A process outside the named ones that holds keys of ours; `more` of them are like it and are not listed."""

    pid: int
    ticks: int
    started: float
    command: str
    uids: List[int]
    signs: Optional[str]
    holds: List[str]
    more: int


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


class Unit(TypedDict):
    """A systemd unit: its LoadState, ActiveState, SubState, NRestarts, whether something starts it when it is needed, after how many
    seconds systemd restarts it (null: never), and what else it takes our settings from."""

    name: str
    load: str
    active: str
    sub: str
    restarts: int
    on_demand: bool
    restart_delay: Optional[float]
    sources: List[Source]


class Stamp(TypedDict):
    """Since when an env file is as it is, by the boot clock: `boot` names the boot, `ticks` are clock ticks since it."""

    identity: Identity
    boot: str
    ticks: int


class _Record(TypedDict):
    """What every record has."""

    schema: int
    name: str
    ring: str
    counter: int
    nonce: str
    step: str
    state: Literal["visiting", "proven", "unproven"]
    at: float
    signs: Optional[str]
    workers: int
    stopped: Dict[str, float]
    files: Dict[str, Optional[Identity]]
    leaked: List[str]


class Record(_Record, total=False):
    """What the host remembers of its visits; see `host/record.py`. What is named here a record may lack that an earlier release wrote."""

    member: Optional[str]
    linked: Dict[str, int]
    stamps: Dict[str, Stamp]
    pools: Optional[List[int]]
    uids: List[int]


class Evidence(TypedDict):
    """One look at a host. `nonce` is that of the survey; `ticks` are `now` by the boot clock; `visit` the pid of a visit that is under way; `state` marks the
    folder of the record, and `record_of` names the host whose record is there, where that is another: an image brought it."""

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


class AppCheck(TypedDict):
    """What the application check ended with."""

    ok: bool
    text: str


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
    revealed: str


class VisitAnswer(Answer, total=False):
    """What `env_keys` says."""

    needed: bool
    proven: bool
    joining: bool
    did: Did
    diff: Diff
