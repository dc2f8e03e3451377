# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What container engines say of their containers, asked of their command line clients.

A client runs without a shell, found in a fixed PATH, with an environment of ours, and ends within a limit of its own, as does what it
prints. Where the containers are a user's own (rootless), it runs as that user, and what it says is that user's word.

Sources: docker(1), podman(1), docker-container-inspect(1), podman-container-inspect(1), ioctl_ns(2).
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import select
import shutil
import struct
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

from . import files, units
from .problems import Unusable
from .rules import containers
from .rules.containers import Container, ContainerError
from .rules.process_sources import ENGINES

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # systemd's own
TIMEOUT = 15.0
LARGEST = 4 * 1024 * 1024  # of what a client may print
_ERRORS = 4096
_PART = 65536
_GET_OWNER_UID = 0xB704  # NS_GET_OWNER_UID in linux/nsfs.h
_NO_SUCH = ("no such container", "no such object")
_SOCKETS = {"docker": "unix:///var/run/docker.sock"}
_OWN_SOCKETS = {"docker": "unix://{runtime}/docker.sock"}


class _Said(NamedTuple):
    code: int
    out: bytes
    err: str


class Engines:
    """The engines of this host, or those of one of its users; of those that are asked for by name only that one."""

    def __init__(self, name: Optional[str] = None, user: Optional[str] = None) -> None:
        self._who = _person(user)
        self._user = user
        self.names = [engine for engine in ENGINES if engine == (name or engine) and _client(engine)]
        if not self.names:
            wanted = name or " nor ".join(ENGINES)
            raise Unusable(
                f"app_keys_processes names a container, and no client of {wanted} is in {PATH}: install it, or name the workers "
                "in another way"
            )

    def named(self, name: str) -> List[Container]:
        """Return the container with this name; several where several engines have one, none where none has."""
        return self._all(lambda engine: self._inspect(engine, [name], lambda one: one.name == name))

    def of_project(self, project: str) -> List[Container]:
        """Return all containers of a compose project, stopped ones too."""
        return self._all(lambda engine: self._labelled(engine, project))

    def _all(self, ask: Callable[[str], List[Container]]) -> List[Container]:
        found: Dict[str, Container] = {}
        silent: List[Unusable] = []
        for engine in self.names:
            try:
                # A `docker` that is podman (podman-docker) has the same ones.
                found.update({one.ident: one for one in ask(engine) if one.ident not in found})
            except Unusable as error:
                silent.append(error)
        if silent and not found:
            raise silent[0]
        return [self._believed(one) for one in found.values()]

    def _labelled(self, engine: str, project: str) -> List[Container]:
        idents: List[str] = []
        for label in containers.PROJECT:
            said = self._ask(engine, ["ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}={project}"])
            if said.code:
                raise _silent(engine, said)
            idents += [word for word in said.out.decode("ascii", "replace").split() if word not in idents]
        if any(not containers.IDENT.fullmatch(ident) for ident in idents):
            raise Unusable(f"{engine} ps answers with something else than the ids of containers")
        return self._inspect(engine, idents, lambda one: one.project == project) if idents else []

    def _inspect(self, engine: str, names: Sequence[str], wanted: Callable[[Container], bool]) -> List[Container]:
        said = self._ask(engine, ["container", "inspect", *names])
        # Of several some may be gone by now: the others are shown all the same.
        if said.code and not any(text in said.err.lower() for text in _NO_SUCH):
            raise _silent(engine, said)
        try:
            entries = json.loads(said.out or b"[]")
            found = [containers.read(engine, self._completed(entry)) for entry in entries]
        except (ContainerError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise Unusable(f"{engine} container inspect answers with something that describes no container") from None
        return [one for one in found if wanted(one)]

    def _completed(self, entry: Dict[str, Any]) -> Dict[str, Any]:
        """Add whether a person has stopped it, which docker keeps in a file and does not show."""
        folder = os.path.dirname(str(entry.get("ResolvConfPath") or ""))
        if os.geteuid() == 0 and self._user is None and os.path.basename(folder) == entry["Id"]:
            try:
                kept = json.loads(files.read_text(f"{folder}/config.v2.json") or "{}")
                return {**entry, "stopped_by_hand": kept["HasBeenManuallyStopped"]}
            except (OSError, ValueError, KeyError, TypeError, RecursionError, Unusable):
                pass  # no docker's: what is not known counts as no
        return entry

    def _believed(self, one: Container) -> Container:
        """See that a user's engine names a process of that user's; Unusable."""
        if os.geteuid() == 0 and self._who.pw_uid != 0 and one.pid and not _owned(one.pid, self._who.pw_uid):
            raise Unusable(
                f"{one.engine} of {self._who.pw_name} says that pid {one.pid} is in the container {one.name}, and that process is not "
                f"{self._who.pw_name}'s: find out why before you trust it again"
            )
        return one

    def _ask(self, engine: str, arguments: Sequence[str]) -> _Said:
        runtime = f"/run/user/{self._who.pw_uid}"
        environment = {"PATH": PATH, "LC_ALL": "C", "HOME": self._who.pw_dir, "USER": self._who.pw_name}
        sockets: Mapping[str, str] = _SOCKETS
        if self._user is not None or os.geteuid() != 0:
            environment["XDG_RUNTIME_DIR"] = runtime
            sockets = {name: place.format(runtime=runtime) for name, place in _OWN_SOCKETS.items()}
            sockets = {
                name: own if os.path.exists(own[len("unix://") :]) else _SOCKETS[name] for name, own in sockets.items()
            }
        if engine in sockets:
            environment["DOCKER_HOST"] = sockets[engine]  # whatever context somebody has chosen
        return _execute([_client(engine) or engine, *arguments], environment, self._who)


def _silent(engine: str, said: _Said) -> Unusable:
    return Unusable(
        f"{engine} does not say which containers there are (exit status {said.code}): {said.err or 'it said nothing'} -> start it, or see "
        "why it does not answer: without its word nobody knows which processes are the workers"
    )


def _client(engine: str) -> Optional[str]:
    return shutil.which(engine, path=PATH)


def _person(user: Optional[str]) -> pwd.struct_passwd:
    """Return whose containers they are; Unusable."""
    try:
        who = pwd.getpwnam(user) if user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Unusable(
            f"app_keys_processes names {user or f'uid {os.geteuid()}'}, whom this host does not know"
        ) from None
    if os.geteuid() not in (0, who.pw_uid):
        raise Unusable(f"app_keys_processes names a container of {user}'s: run with become (-b), as root or as {user}")
    return who


def _owned(pid: int, uid: int) -> bool:
    """Whether a process, or the user namespace that it is in, is this user's."""
    try:
        if os.stat(f"/proc/{pid}").st_uid == uid:
            return True
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        try:
            return bool(struct.unpack("I", fcntl.ioctl(namespace, _GET_OWNER_UID, bytes(4)))[0] == uid)
        finally:
            os.close(namespace)
    except FileNotFoundError:
        return True  # it has ended: it names nothing
    except OSError:
        return False


def _execute(argv: Sequence[str], environment: Mapping[str, str], who: pwd.struct_passwd) -> _Said:
    """Run a client to its end in a session of its own; Unusable where it does not end, or prints more than is read."""
    groups = os.getgrouplist(who.pw_name, who.pw_gid)

    def become() -> None:
        units.default_signals()
        if os.geteuid() == 0 and who.pw_uid != 0:
            os.setgroups(groups)
            os.setresgid(who.pw_gid, who.pw_gid, who.pw_gid)
            os.setresuid(who.pw_uid, who.pw_uid, who.pw_uid)
        os.chdir("/")

    engine, end = os.path.basename(argv[0]), time.monotonic() + TIMEOUT
    try:
        child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, close_fds=True, preexec_fn=become,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Unusable(f"{argv[0]} cannot be run: {error}") from None
    if child.stdout is None or child.stderr is None:
        raise AssertionError("the child was started with a pipe")
    said: Dict[int, bytes] = {child.stdout.fileno(): b"", child.stderr.fileno(): b""}
    out, err = said
    waiting = set(said)
    try:
        with child.stdout, child.stderr:
            while waiting:
                left = end - time.monotonic()
                if left <= 0:
                    raise Unusable(
                        f"{engine} did not answer within {TIMEOUT:g} s: see whether it hangs ({engine} ps), and run again"
                    )
                for pipe in select.select(sorted(waiting), [], [], left)[0]:
                    part = os.read(pipe, _PART)
                    said[pipe] += part
                    if not part:
                        waiting.discard(pipe)
                said[err] = said[err][-_ERRORS:]
                if len(said[out]) > LARGEST:
                    raise Unusable(
                        f"{engine} prints more than {LARGEST:,} bytes about a few containers: nothing of it is read"
                    )
            code = child.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Unusable(f"{engine} did not end within {TIMEOUT:g} s, and was killed") from None
    finally:
        units.kill_session(child)
    lines = said[err].decode("utf-8", "replace").strip().split("\n")
    return _Said(code, said[out], lines[-1].strip())
