# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of proof that `app_keys_proof` names: how it is known which keys a worker has.

`PROOFS`, at the end, holds one entry for each, and nothing else knows a kind by its name (CONTRIBUTING.md says how to add one).
Whatever is asked for, an environment that can be read and holds one of our settings counts against what is weaker (rule 16): against
all of them, but for the application's own word where every worker gave it.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple, Union

from .errors import PhasedKeysError

# What the kernel keeps of what a process was given; what all kinds give way to that are no word of the application's own.
ENVIRONMENT = "environ"
PROCESSES, PODS = "processes", "pods"
# Asks so many times at once, for at most so many seconds: texts in bytes are answers, others say what went wrong.
Asking = Callable[[int, float], Sequence[Union[bytes, str]]]
# Of this host alone: what a name stands for is asked once, on the host, and has to be such an address too.
_LOOPBACK = r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]"
_HTTP = rf"\Ahttp://(?P<host>{_LOOPBACK})(?::(?P<port>[1-9][0-9]{{0,4}}))?(?P<page>/[!-\"$-~]*)?\Z"
_PAGE = r"\A/[!-\"$-~]*\Z"
_HOST = r"\A[A-Za-z0-9._:\[\]-]{1,255}\Z"
PAGE = "/phased-keys"


class Sight(Protocol):
    """What a proof may ask of the host. Each answer says what a worker `signs` with and `accepts`, or what `problem` keeps it from being told."""

    def by_age(self, pid: int) -> Mapping[str, Any]:
        """Return what a worker must have read from the env files, if it and all that it runs on are younger than these."""

    def by_http(self, url: str, host: Optional[str]) -> Asking:
        """Return what asks the application over HTTP, at a loopback address; `host` is what the header Host says."""

    def by_socket(self, path: str, page: str, host: Optional[str]) -> Asking:
        """Return what asks the application over HTTP, at a unix socket."""

    def by_command(self, command: Union[str, List[str]]) -> Asking:
        """Return what runs a command as the application's user."""


class ProofError(PhasedKeysError):
    """There is no such kind of proof, or it cannot be used so."""


class Proof(NamedTuple):
    """One kind of proof.

    read       what a worker with this pid has, where its environment does not tell; None: then nothing does
    reads      what of a member it is read from: the processes of a host, or the pods of a workload
    renewed    whether a file that is written makes every worker unproven until it is started anew
    asks       how the application itself is asked, where that is the proof
    argument   what stands behind its name, as messages and docs say it: {http: URL}; "": it is named alone
    problem    what is wrong with what stands there, as the end of a sentence that begins with the variable's name; None: nothing
    fields     what else may stand beside it
    called     what people call it, where it is no proof by what a process was given; "": it is
    """

    read: Optional[Callable[[Sight, int], Mapping[str, Any]]] = None
    renewed: bool = False
    reads: str = PROCESSES
    asks: Optional[Callable[[Sight, Mapping[str, Any]], Asking]] = None
    argument: str = ""
    problem: Callable[[Mapping[str, Any]], Optional[str]] = lambda way: None
    fields: Tuple[str, ...] = ()
    called: str = ""


def read(value: Any) -> Union[str, Dict[str, Any]]:
    """Return a value of `app_keys_proof` that can be used: a name, or a mapping of one with what stands behind it; ProofError."""
    if isinstance(value, Mapping):
        names = [name for name in value if name in PROOFS and PROOFS[name].argument]
        if len(names) == 1 and set(value) <= {names[0], *PROOFS[names[0]].fields}:
            problem = PROOFS[names[0]].problem(value)
            if problem:
                raise ProofError(problem)
            return dict(value)
    elif isinstance(value, str) and value in PROOFS and not PROOFS[value].argument:
        return value
    raise ProofError(f"is {value!r}; it is one of {', '.join(forms())}")


def name_of(value: Union[str, Mapping[str, Any]]) -> str:
    """Return which kind of proof a value that `read` returned is."""
    return value if isinstance(value, str) else next(name for name in value if name in PROOFS)


def named(name: str) -> Proof:
    """Return the kind of proof with this name; ProofError where there is none."""
    if name not in PROOFS:
        raise ProofError(f"app_keys_proof is {name!r}; it is one of {', '.join(PROOFS)}")
    return PROOFS[name]


def forms() -> List[str]:
    """Return each kind as one writes it."""
    return [f"{{{name}: {proof.argument}}}" if proof.argument else name for name, proof in PROOFS.items()]


def place(url: str) -> Tuple[str, int, str]:
    """Return the host, the port and the page of a URL that `read` let in."""
    found = re.match(_HTTP, url)
    if found is None:
        raise ProofError("its URL is none of a loopback address")
    return found["host"].strip("[]"), int(found["port"] or 80), found["page"] or "/"


def _no_url(way: Mapping[str, Any]) -> Optional[str]:
    url = way["http"]
    found = re.match(_HTTP, url) if isinstance(url, str) else None
    if found is None or int(found["port"] or 80) > 65535:
        return (
            f"is {dict(way)!r}; the URL is one of this very host: http://127.0.0.1:PORT/PAGE, or localhost or [::1] in its place. Over a network "
            "anybody may answer"
        )
    return _no_host(way)


def _no_socket(way: Mapping[str, Any]) -> Optional[str]:
    path, page = way["unix"], way.get("page", PAGE)
    if (
        not isinstance(path, str)
        or not path.startswith("/")
        or "\0" in path
        or len(path.encode("utf-8", "replace")) > 107
    ):
        return f"is {dict(way)!r}; the socket is an absolute path of at most 107 bytes"
    if not isinstance(page, str) or not re.match(_PAGE, page):
        return f"is {dict(way)!r}; the page begins with / and has no blanks"
    return _no_host(way)


def _no_host(way: Mapping[str, Any]) -> Optional[str]:
    host = way.get("host", "localhost")
    if not isinstance(host, str) or not re.match(_HOST, host):
        return f"is {dict(way)!r}; the host is a name as the header Host has it"
    return None


def _no_command(way: Mapping[str, Any]) -> Optional[str]:
    command = way["command"]
    words = command if isinstance(command, list) else [command]
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        return f"is {dict(way)!r}; the command is a text for /bin/sh, or a list of words"
    return None


OWN_WORD = "the application's own word"

PROOFS: Dict[str, Proof] = {
    ENVIRONMENT: Proof(),
    "process_age": Proof(read=lambda host, pid: host.by_age(pid), renewed=True, called="age alone"),
    "pod_spec": Proof(reads=PODS),
    "pod_exec": Proof(reads=PODS),
    "http": Proof(
        asks=lambda host, way: host.by_http(way["http"], way.get("host")), argument="URL", problem=_no_url, fields=("host",),
        called=OWN_WORD,
    ),
    "unix": Proof(
        asks=lambda host, way: host.by_socket(way["unix"], way.get("page", PAGE), way.get("host")),
        argument="SOCKET", problem=_no_socket, fields=("page", "host"), called=OWN_WORD,
    ),
    "command": Proof(asks=lambda host, way: host.by_command(way["command"]), argument="COMMAND", problem=_no_command, called=OWN_WORD),
}  # fmt: skip
