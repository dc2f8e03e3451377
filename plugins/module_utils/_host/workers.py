# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of the application on this host: which processes they are, and what each signs with and accepts, in fingerprints."""

from __future__ import annotations

import os
import re
from typing import (
    TYPE_CHECKING,
    Any,
    Collection,
    Dict,
    FrozenSet,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    cast,
)

from . import given, helpers, processes, sight
from .processes import EnvironmentUnknown, Process
from .rules import process_sources, proof, proofs
from .rules.fingerprint import fingerprint
from .rules.frameworks import MOST_KEYS, Profile, SettingsError, decode, possible_keys

if TYPE_CHECKING:
    from .._shapes import EnvFile, Outsider, Stamp, Worker

Application = Mapping[str, Any]
Entry = Dict[str, Any]
Table = Mapping[int, Process]
MOST_ALIKE = 500  # others that hold the same keys under the same ids
LONGEST = 128 * 1024  # of one variable, at execve (MAX_ARG_STRLEN)
STRANGER = "it answers, and so does pid {pids}, which lives and is not among app_keys_processes"


class Named(NamedTuple):
    """The processes that are to be proven.

    processes   by pid
    doubts      of a pid that may have come round again, and that nothing else names: why
    together    those that were named as one, by their unit or by one above them, and not each by what it is called
    guests      of those that may be no workers the one that is proven in their place
    holds       what the container of a process is called
    """

    processes: Table
    doubts: Dict[int, str]
    together: List[FrozenSet[int]]
    guests: Mapping[int, int]
    holds: Mapping[int, str]


def needed(app: Application) -> List[str]:
    """Return what has to be read of every process of the host to find those that `app_keys_processes` names."""
    return sorted({what for place in app["processes"] for what in process_sources.of(place).reads})


def find(app: Application, here: sight.Processes) -> Named:
    """Return the processes that are to be proven."""
    table = here.table
    found: Set[int] = set()
    doubts: Dict[int, str] = {}
    together: List[Set[int]] = []
    sure: Set[int] = set()
    called: Set[int] = set()
    guests: Dict[int, int] = {}
    for place in app["processes"]:
        source = process_sources.of(place)
        members = source.find(here, place)
        pids = set(members.pids)
        found |= pids
        guests.update(members.guests)
        if members.doubt:
            doubts.update(dict.fromkeys(pids, members.doubt))
        else:
            sure |= pids
        if source.together:
            together.append(pids)
        else:
            called |= pids
    wholes = {pid: processes.whole(table[pid]) for pid in sorted(found & table.keys())}
    return Named(
        {pid: process for pid, process in wholes.items() if process},
        {pid: doubt for pid, doubt in doubts.items() if pid not in sure},
        [frozenset(pids - called) for pids in together],
        guests,
        here.containers.holds if here.containers else {},
    )


def read(
    app: Application,
    table: Table,
    named: Named,
    env_files: Sequence[Tuple[EnvFile, Mapping[str, str]]],
    stamps: Mapping[str, Stamp],
) -> List[Worker]:
    """Return what each worker does; `env_files` are what they say with our settings in them, `stamps` the record's.

    Whatever kind of proof is asked for, a readable environment that holds one of our settings counts: it has to say what
    the files say. Only the application's own word by every worker overrules it.
    """
    profile: Profile = app["profile"]
    entries = [file for file, _values in env_files]
    name = proofs.name_of(app["proof"])
    weaker, asks = proofs.named(name).read, proofs.named(name).asks
    here = sight.Keys(app, table, named.processes, stamps, entries)
    by_files = env_files[0][1] if env_files else {}
    found: Dict[int, Entry] = {}
    given_ours = set()
    for process, values in given.settings(named.processes.values(), profile.names):
        pid = process.pid
        ours = not isinstance(values, EnvironmentUnknown) and bool(values)
        how = proofs.ENVIRONMENT
        if isinstance(values, EnvironmentUnknown):
            said = _unknown(values, process, named)
        else:
            said = in_fingerprints(profile, {**by_files, **values} if weaker or (asks and ours) else values)
            if misread(profile, values, by_files):
                said = blank("misread", "its key is a cut or quoted form of the one that its env file says")
        if weaker and _kind(said) != "gone" and (not ours or _agrees(said, entries)):
            said, how = dict(weaker(here, pid)), name
        if pid in named.doubts and not ours:
            said = blank("doubtful", named.doubts[pid])
        given_ours |= {pid} if ours else set()
        found[pid] = {**_identity(process), "parent": process.parent, "by": how, **said}
        if pid in named.holds:
            found[pid]["keeper"] = named.holds[pid]
    found = {pid: found[pid] for pid in sorted(found) if _kind(found[pid]) != "gone"}
    if asks:
        _told(name, asks(here, app["proof"]), named, found, given_ours, app["timeout"])
    idle = _helpers(named, found) | _guests(named, found)
    return [cast("Worker", entry) for pid, entry in found.items() if pid not in idle]


def _told(
    name: str, ask: proofs.Asking, named: Named, found: Dict[int, Entry], given_ours: Collection[int], timeout: float
) -> None:
    """Put into `found` what the workers say of themselves; `given_ours` are those whose environment says what they were given."""
    # Whoever asks no application pays nothing for it.
    from . import own_word
    from .rules import word

    no_workers = {pid for pid in found if helpers.runs_for_others(named.processes[pid])}
    no_workers |= {
        pid for pid in found if _kind(found[pid]) == "absent" and helpers.given_nothing(named.processes[pid])
    }
    parents = {pid: int(entry["parent"]) for pid, entry in found.items() if pid not in no_workers}
    asked = word.voices(parents)
    told = own_word.heard(ask, {pid: named.processes[pid] for pid in parents}, asked, min(timeout, own_word.WITHIN))
    says = word.by_word(told, parents, asked)
    outside = own_word.strangers(told, named.processes)
    for pid in parents:
        differs = pid in given_ours and (pid not in says or not _same(says[pid], found[pid]))
        if pid in says and not (differs and len(says) < len(parents)):
            found[pid].update(says[pid], by=name, **({"overrules": True} if differs else {}))
            if outside:
                found[pid].update(blank("stranger", STRANGER.format(pids=proof.listed([str(one) for one in outside]))))
        elif pid not in given_ours and _kind(found[pid]) != "doubtful":
            found[pid].update(blank("untold", told.silence(pid, asked)), by=name)


def others(table: Table, named: Table, profile: Profile, held: Collection[str]) -> List[Outsider]:
    """Return the processes outside the named ones that were given one of our keys: a queue worker, a cron job.

    One that does not show what it was given cannot be judged, and is not ours by name. Of very many that are alike the
    first are listed, and the last of those says how many `more` there are.
    """
    groups: Dict[Any, List[Entry]] = {}
    outside = given.may_hold((process for process in table.values() if process.pid not in named), profile.names)
    for process, values in given.settings(outside, profile.names):
        keys = [] if isinstance(values, EnvironmentUnknown) else any_keys(profile, values, held)
        whole = processes.whole(process) if keys else None
        if whole:
            ident = processes.container_of(whole)
            within = {"within": ident[:12]} if ident else {}
            entry = {**_identity(whole), **within, "signs": keys[0], "holds": keys, "more": 0}
            alike = groups.setdefault((*keys, *entry["uids"]), [])
            if len(alike) < MOST_ALIKE:
                alike.append(entry)
            else:
                alike[-1]["more"] += 1
    listed = [cast("Outsider", entry) for alike in groups.values() for entry in alike]
    return sorted(listed, key=lambda entry: entry["pid"])


def _helpers(named: Named, found: Mapping[int, Entry]) -> Set[int]:
    """Return the pids that are no workers: there have to be others in their unit that are."""
    idle: Set[int] = set()
    for pids in named.together:
        members = {pid: named.processes[pid] for pid in pids if pid in found}
        blind = {pid: process for pid, process in members.items() if found[pid]["problem"]}
        foreign = {pid for pid, process in blind.items() if helpers.runs_for_others(process)}
        if len(foreign) < len(members):
            idle |= foreign
        if any(found[pid]["accepts"] for pid in members):
            # Without a variable it can sign with no key of the environment.
            idle |= {
                pid
                for pid, process in blind.items()
                if _kind(found[pid]) == "absent" and helpers.given_nothing(process)
            }
    return idle


def _unknown(why: EnvironmentUnknown, process: Process, named: Named) -> Entry:
    """Say why what a process was given is not known."""
    if why.kind == "unreadable" and os.geteuid() != 0 and process.pid in named.holds:
        uid = process.uids[1] if process.uids else "another uid"
        return blank(
            "mapped", f"runs in {named.holds[process.pid]} as uid {uid}, and only root may read what it was given"
        )
    return blank(why.kind, str(why))


def _guests(named: Named, found: Mapping[int, Entry]) -> Set[int]:
    """Return the pids that are no workers since another one stands for them, which has the same keys."""
    same = ("signs", "accepts", "problem")
    return {
        pid
        for pid, stand in named.guests.items()
        if pid in found and stand in found and all(found[pid][what] == found[stand][what] for what in same)
    }


def _identity(process: Process) -> Entry:
    elsewhere = processes.inner(process.pid)
    return {
        **({"inner": elsewhere} if elsewhere else {}),
        "pid": process.pid,
        "ticks": process.ticks,
        "started": process.started,
        "command": called(process),
        "uids": sorted(set(process.uids)),
    }


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return not other["problem"] and (one["signs"], set(one["accepts"])) == (other["signs"], set(other["accepts"]))


def _kind(said: Mapping[str, Any]) -> Optional[str]:
    return said["problem"] and str(said["problem"]["kind"])


def _agrees(said: Entry, files: Sequence[EnvFile]) -> bool:
    """Whether what an environment says, with the files for what it leaves out, is what each file says."""
    return all(
        not said["problem"] and (said["signs"], set(said["accepts"])) == (file["signs"], set(file["accepts"]))
        for file in files
    )


def any_keys(profile: Profile, values: Mapping[str, str], held: Collection[str]) -> List[str]:
    """Return the fingerprints of held keys that are somewhere in our settings, however malformed the rest of them is.

    Of a list with too many entries the first and the last are searched: there stands what signs.
    """
    texts = [values[name] for name in profile.names if values.get(name)]
    parts: Dict[str, None] = {}
    for text in texts:
        entries = list(dict.fromkeys(possible_keys(profile, text[:LONGEST])))
        parts.update(dict.fromkeys([text, *entries[:MOST_KEYS], *entries[-MOST_KEYS:]]))
    found = (fingerprint(text) for text in parts if text)
    return [key for key in dict.fromkeys(found) if key in held]


def in_fingerprints(profile: Profile, values: Mapping[str, str]) -> Entry:
    """Return what an application does that is given `values`."""
    try:
        keys = decode(profile, values)
    except SettingsError as error:
        return blank(error.kind, str(error))
    return {"signs": fingerprint(keys.signs), "accepts": [fingerprint(key) for key in keys.accepts], "problem": None}


def misread(profile: Profile, values: Mapping[str, str], by_files: Mapping[str, str]) -> bool:
    """Whether a worker signs with what another reader than that of the format would make of the files' key.

    That is no key of anybody's: it ends at a character that the reader takes for something else, or has its quotes on.
    """
    try:
        given_key, filed = decode(profile, values).signs, decode(profile, by_files).signs
    except SettingsError:
        return False
    bare = [re.sub(r"[\\'\"`]", "", key) for key in (given_key, filed)]
    related = bare[0] == bare[1] or filed.startswith(given_key) or given_key.startswith(filed)
    return given_key != filed and related


def blank(kind: str, text: str) -> Entry:
    """Return what is said of keys that are not known."""
    return {"signs": None, "accepts": [], "problem": {"kind": kind, "text": text}}


def called(process: Process) -> str:
    """Return what a process is called: its program, and a script's path, but no argument that may be a secret."""
    words = process.command.split(" ")
    script = words[1:2] if words[1:2] and words[1].startswith(("/", "./")) else []
    return " ".join([os.path.basename(words[0]), *script])[:60]
