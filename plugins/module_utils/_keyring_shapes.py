# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the keyring: what lies in its file, field by field. What a host says is in `_shapes`.

They are the schema too: `keyring.check` takes what every field is from here. Times are texts that `durations.stamp` wrote. Keys are named by
their fingerprints.
"""

from __future__ import annotations

from typing import Dict, List, Literal, Optional, TypedDict, Union

from ._shapes import StepName

# staged     accepted, has never signed
# primary    signs
# retiring   accepted, used to sign, and what it signed may still be alive
# dropping   retire has opened: some hosts may accept it no longer, so there is no way back
# retired    its secret is destroyed, the record stays
# withdrawn  rolled back, and never used again
State = Literal["staged", "primary", "retiring", "dropping", "retired", "withdrawn"]
# What a key may be marked with, for good:
# weak          too short or too plain, and adopted all the same because that was asked for
# rolled_back   taken back before it had signed, or by a rollback: it never signs again
# compromised   it has leaked: it never signs again, and its soak is waived
# brought_back  it had ended, and is accepted once more for what it encrypted: it never signs again
Mark = Literal["weak", "rolled_back", "compromised", "brought_back"]


class _AtRest(TypedDict):
    """What is always said of what is at rest."""

    what: str


class AtRest(_AtRest, total=False):
    """What a key encrypts that is stored, the command that encrypts it anew, and the one that shows that no other key is needed."""

    command: str
    proof: str


class Settings(TypedDict, total=False):
    """What an application does otherwise than its framework's profile; see `frameworks.Profile`. `at_rest` is false where nothing is."""

    primary: str
    fallbacks: str
    separator: str
    signs: str
    key: str
    soak: Union[str, int, float, None]
    decode: str
    at_rest: Union[bool, List[AtRest]]


class Form(TypedDict):
    """A framework, with what an application does otherwise."""

    framework: str
    settings: Settings


class RecordedOutput(TypedDict):
    """One place where keys are written; see `ways.Output`."""

    names: List[str]
    place: str
    holds: str
    way: str
    separator: str
    decode: str


class RecordedProfile(TypedDict):
    """What a profile said when a keyring was begun, as far as keys are written, live or stay by it; see `frameworks.Profile`."""

    outputs: List[RecordedOutput]
    signs: str
    key: str
    soak: Optional[str]
    least: int
    most: int
    at_rest: bool
    spread: Optional[str]


class Soak(TypedDict):
    """How long anything that a key signed may live, and who says so."""

    seconds: float
    source: str


class Spread(TypedDict):
    """How long those who verify may go by the keys of before, and who says so."""

    seconds: float
    source: str


class Reencrypted(TypedDict):
    """What was at rest was encrypted anew with this key: when that began and ended, and who did or said it (`by`)."""

    began: str
    at: str
    by: str


class _Key(TypedDict):
    """What every key has."""

    id: str
    fingerprint: str
    state: State
    origin: str
    since: int
    times: Dict[str, str]
    marks: List[Mark]
    secret: Optional[str]


class Key(_Key, total=False):
    """A key. `since` is the counter of the step that brought it: a member that was proven then or later accepts it. `times` says when it
    came to each of its states (and `created`, `spreading`, `soaking`, `ended`); `secret` is null once it is destroyed. `soak` has a key that was
    to be let go of once; `after` names the key that signed before it. `spread` has one whose coming, or going, some verifiers learn late.
    `reencrypted` has the one that signs, once nothing at rest needs another; `keep_sealed` (seconds) one whose secret is kept so long after
    it has ended; `confirmed` names those who confirmed its coming, or going, as their phase is. `probe` is a token that it signed (see
    `cross_proof`), as secret as the key and kept as long."""

    soak: Soak
    after: str
    spread: Spread
    reencrypted: Reencrypted
    keep_sealed: float
    confirmed: List[str]
    probe: str


class _Step(TypedDict):
    """What every step has."""

    name: StepName
    counter: int
    nonce: str
    key: str
    opened: str
    closed: Optional[str]
    signing: List[str]
    partly_accepted: List[str]
    skippable_since: Optional[int]


class Step(_Step, total=False):
    """The last step, open until it is `closed`. `key` is the key that it is about. While it is open the keys in `signing` may sign
    somewhere, and those in `partly_accepted` are not accepted everywhere yet. `lets_go` are the keys that hosts are to accept no longer,
    in a keyring of a release that writes it down. `skippable_since` (a counter, or null): a member that was proven then or later does not
    hold up the others, reachable or not."""

    lets_go: List[str]


class Member(TypedDict):
    """A member: since when it is one, and at which step it was proven last."""

    since: str
    proven: Optional[int]


class Waiver(TypedDict):
    """A member that somebody has asserted to serve no traffic."""

    member: str
    reason: str
    since: str
    until: str


class Details(TypedDict, total=False):
    """What an entry of the journal may say besides."""

    key: str
    lets_go: List[str]
    members: List[str]
    reason: str
    until: str
    waived: List[str]


class JournalEntry(Details):
    """What was done, when, and at which step."""

    at: str
    event: str
    counter: int


class _Verified(TypedDict):
    """What is always known of it."""

    how: str


class Verified(_Verified, total=False):
    """How, and when, it became known that the application reads its fallbacks: it was checked, or somebody trusts it."""

    at: str


class KeyringCore(TypedDict):
    """What a visit needs of a keyring: it is none, for it has no journal, and not all of the members."""

    kind: str
    schema: int
    name: str
    id: str
    revision: int
    framework: str
    settings: Settings
    app_check: Verified
    keys: List[Key]
    step: Step
    members: Dict[str, Member]
    waivers: List[Waiver]


class _Keyring(KeyringCore):
    """What every keyring has."""

    journal: List[JournalEntry]


class Keyring(_Keyring, total=False):
    """An application's keyring, as it stands in its file. `id` is random, `revision` counts how often it was written. `writes` has one
    that was written to a remote store: the ids of the last writes, the newest first (see `landing`). `profile` is what was in force at adopt;
    a keyring that an earlier release began has none."""

    writes: List[str]
    profile: RecordedProfile
