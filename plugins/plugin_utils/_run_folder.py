# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run knows: its fleet, and what every host said in it, in a folder that ends with the run.

The folder is in the temporary folder that ansible-playbook makes for itself (DEFAULT_LOCAL_TMP): its forks share it, nobody
else may read it, and it is removed at the end. A registered result, a fact or a variable may be a host's own words, or yesterday's;
what is here was let in through `door` by an action of this very run. No secret is in it.

    run.json             the run that is under way: its nonce, its fleet, the members to visit, how far it is (`progress`), what it
                         waits for and until when (`waits`), whether what is at rest is to be encrypted anew (`at_rest`), and where (`reencrypt`)
    NONCE/fleet.json     what the inventory says of the fleet
    NONCE/look.HOST.json    what a host said in its last look; visit.HOST.json and reencrypt.HOST.json likewise. A call without a run
                            has the nonce `-`
    NONCE/wait.HOST.json    a visit that waits for something, until there is one that does not
    NONCE/token.HOST.json   what a host made for a cross-proof; questions.HOST.json and verdicts.HOST.json what it is asked, and says
    store/PLACE          the sealed text of a keyring in a remote store, as this run read or wrote it last
    arrivals/            hosts that wait to be registered (`_arrivals`)
    *.lock               whom the processes of this run wait for
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from typing import Any, Dict, Iterable, List, Mapping, Optional
from urllib.parse import quote, unquote

from ansible import constants as C

from ..module_utils._host import files

LOOK, VISIT, WAIT, REENCRYPT = "look", "visit", "wait", "reencrypt"
TOKEN, QUESTIONS, VERDICTS = "token", "questions", "verdicts"
NO_RUN = "-"
WHOLE = ".json"  # what has been written to its end

Said = Dict[str, Any]


def keep(nonce: str, kind: str, host: str, said: Mapping[str, Any]) -> None:
    """Keep what a host said in a look or a visit of the run with this nonce, in place of what it said before."""
    _write(os.path.join(_folder(nonce), _name(kind, host)), said)


def read(nonce: str) -> Dict[str, Dict[str, Said]]:
    """Return what the hosts said in this run, by kind and host."""
    found: Dict[str, Dict[str, Said]] = {LOOK: {}, VISIT: {}}
    folder = _folder(nonce)
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        kind, _dot, host = name.partition(".")
        if kind in found and host.endswith(WHOLE):
            found[kind][unquote(host[: -len(WHOLE)])] = _read(os.path.join(folder, name)) or {}
    return found


def one(nonce: str, kind: str, host: str) -> Optional[Said]:
    """Return what one host said in its last look or visit; None if it has said nothing."""
    return _read(os.path.join(_folder(nonce), _name(kind, host)))


def forget(nonce: str, kind: str, host: str) -> None:
    """Take away what was kept of a host."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(os.path.join(_folder(nonce), _name(kind, host)))


def begin(run: Mapping[str, Any]) -> None:
    """Make this the run that is under way."""
    _write(os.path.join(_root(), "run.json"), run)


def current() -> Dict[str, Any]:
    """Return the run that is under way; empty where none has begun in this process of ansible-playbook."""
    return _read(os.path.join(_root(), "run.json")) or {}


def keep_fleet(nonce: str, fleet: Mapping[str, Any]) -> None:
    """Keep the fleet of a run: one run has one, and thousands of hosts take a while to be read."""
    _write(os.path.join(_folder(nonce), "fleet.json"), fleet)


def fleet(nonce: str) -> Optional[Dict[str, Any]]:
    """Return the fleet of a run; None where it has not been read yet."""
    return _read(os.path.join(_folder(nonce), "fleet.json"))


def keep_text(place: str, text: bytes) -> None:
    """Keep the text that lies in a store, sealed as it is, for the visits of this run."""
    path = _text_path(place)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # A name of its own for each, whoever else writes at this moment.
    handle, draft = tempfile.mkstemp(prefix=f"{os.path.basename(path)}.", dir=os.path.dirname(path))
    with open(handle, "wb") as file:
        file.write(text)
    os.replace(draft, path)


def text(place: str, age: float) -> Optional[bytes]:
    """Return the text of a store that was kept at most `age` seconds ago; None where there is none."""
    try:
        with open(_text_path(place), "rb") as file:
            young = 0 <= time.time() - os.fstat(file.fileno()).st_mtime <= age
            return file.read() if young else None
    except FileNotFoundError:
        return None


def forget_text(place: str) -> None:
    """Have the text of a store read anew."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(_text_path(place))


def locked(name: str, wait: float) -> files.Lock:
    """Return a lock among the processes of this run; see `files.Lock`."""
    os.makedirs(_root(), mode=0o700, exist_ok=True)
    return files.Lock(os.path.join(_root(), f"{name}.lock"), wait=wait, own=False)


def arrive(place: str, host: str) -> None:
    """Say that a host waits to be registered in the keyring in this place."""
    _write(os.path.join(_arrivals(place), f"{quote(host, safe='')}{WHOLE}"), {})


def arrivals(place: str) -> List[str]:
    """Return the hosts that wait for that."""
    folder = _arrivals(place)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(unquote(name[: -len(WHOLE)]) for name in names if name.endswith(WHOLE))


def arrived(place: str, hosts: Iterable[str]) -> None:
    """Say that these hosts wait no longer."""
    for host in hosts:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(_arrivals(place), f"{quote(host, safe='')}{WHOLE}"))


def _arrivals(place: str) -> str:
    return os.path.join(_root(), "arrivals", hashlib.sha256(place.encode()).hexdigest())


def _text_path(place: str) -> str:
    return os.path.join(_root(), "store", hashlib.sha256(place.encode()).hexdigest())


def _name(kind: str, host: str) -> str:
    return f"{kind}.{quote(host, safe='')}{WHOLE}"


def _root() -> str:
    # The constant: asked for its value, ansible-core makes a new folder each time.
    return os.path.join(vars(C)["DEFAULT_LOCAL_TMP"], "phased.keys")


def _folder(nonce: str) -> str:
    return os.path.join(_root(), quote(nonce, safe="") or NO_RUN)


def _write(path: str, value: Mapping[str, Any]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # Whole or not at all: the forks of a run write side by side, and one of them may be killed.
    draft = f"{path}.{os.getpid()}"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(value, file, separators=(",", ":"))
    os.replace(draft, path)


def _read(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            return dict(json.load(file))
    except FileNotFoundError:
        return None
