# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages an application has, of those that its profile asks for: their metadata is read, and nothing of theirs is imported or run.

Where they lie follows from what the workers are (program, command line, folder), and all of that a user of the host decides. So
files are read with the rights of the worker's user, and of root's workers with those of nobody: what these may not read is unknown.

Sources: PEP 376, 405, 427 and 503, the Debian Python policy, npm-folders(5), composer's installed.json, Bundler's Gemfile.lock.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import select
import signal
import stat
import time
from typing import TYPE_CHECKING, Any, Callable, Collection, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from . import app_check, given, proc, processes, run_as
from .rules.shipped import PROFILES

if TYPE_CHECKING:
    from .._shapes import Package, Packages

NOBODY = 65534
MOST_WORKERS, MOST_FOLDERS, MOST_ENTRIES, MOST_FOUND = 16, 64, 20_000, 64
DEEPEST = 8  # parents of a folder
LARGEST_ANSWER = 64 * 1024
# So much of a file is read; what is larger is not what it is taken for.
HEAD, MANIFEST, LOCK, MAPS = 16 * 1024, 1024 * 1024, 16 * 1024 * 1024, 1024 * 1024
TEXT = 200
_DUMPABLE = 4  # PR_SET_DUMPABLE of prctl(2)
_METADATA = re.compile(r"(.+?)-([^-]+)(?:-py[0-9.]+)?\.(dist-info|egg-info)")
_SITE = re.compile(rb"(/[^\n]*?/(?:site|dist)-packages)/")
_NOTHING_RUNS = "nothing runs"
_CONTAINED = "it runs in a container"


class Hint:
    """What says where the packages of one worker lie: texts that its user decides."""

    def __init__(self, process: proc.Process, environment: Mapping[str, str]) -> None:
        with proc.opened("/proc", process.pid) as folder:
            if proc.stat_of(folder).ticks != process.ticks:
                raise ProcessLookupError
            self.program = os.readlink("exe", dir_fd=folder)
            self.folder = os.readlink("cwd", dir_fd=folder)
            self.contained = not os.path.samestat(os.stat("root", dir_fd=folder), os.stat("/"))
            shown = proc.read(folder, "cmdline", proc.LONGEST_COMMAND).split(b"\0")[:4]
            self.words = [os.fsdecode(word) for word in shown if word]
            self.mapped = list(dict.fromkeys(os.fsdecode(one) for one in _SITE.findall(_whole(folder, "maps"))))
        self.environment = environment

    def paths(self) -> List[str]:
        """Return the files that its command line names, as they lie on this host."""
        return [os.path.normpath(os.path.join(self.folder, word)) for word in self.words if "/" in word]

    def above(self) -> List[str]:
        """Return its folder and those of its command line, with their parents."""
        found: Dict[str, None] = {}
        for start in [self.folder, *map(os.path.dirname, self.paths())]:
            for _each in range(DEEPEST):
                found[start] = None
                start = os.path.dirname(start)
        return list(found)[:MOST_FOLDERS]


def look(app: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> Packages:
    """Return which of the packages that the profile asks for the application has; `unknown` says why that cannot be known."""
    data = PROFILES[app["framework"]]
    wanted = sorted({entry["package"] for entry in [*data["versions"], *data["conflicts"]]})
    if not wanted:
        return {"found": [], "unknown": None}
    table = processes.table()
    running = [table[worker["pid"]] for worker in workers if worker["pid"] in table]
    running = [one for one in running if any(one.ticks == worker["ticks"] for worker in workers)][:MOST_WORKERS]
    found: List[Package] = []
    unknown = None if running else _NOTHING_RUNS
    end = time.monotonic() + app["timeout"]
    for (uid, gid), own in _by_user(running).items():
        hints, why = _hints(own)
        unknown = unknown or why
        if hints:
            answer = _asked(uid, gid, functools.partial(_found, READERS[data["packages"]], wanted, hints), end)
            found += [one for one in answer["found"] if one not in found]
            unknown = unknown or answer["unknown"]
    return {"found": found[:MOST_FOUND], "unknown": unknown}


def _by_user(running: Sequence[proc.Process]) -> Dict[Tuple[int, int], List[proc.Process]]:
    """Return the workers by their user and group; of one with the rights of several nobody, who may read what all may."""
    found: Dict[Tuple[int, int], List[proc.Process]] = {}
    for process in running:
        try:
            with proc.opened("/proc", process.pid) as folder:
                ids = run_as.ids_of(folder) or (0, 0)
        except OSError:
            ids = (0, 0)
        found.setdefault(ids, []).append(process)
    return dict(list(found.items())[: run_as.MOST])


def _hints(own: Sequence[proc.Process]) -> Tuple[List[Hint], Optional[str]]:
    """Return what says where the packages of these workers lie, and why that is not known of all."""
    hints, why = [], None
    for process in own:
        try:
            environment = given.environment(process)
        except given.EnvironmentUnknown:
            environment = {}
        try:
            hint = Hint(process, environment)
        except OSError:
            why = f"pid {process.pid} does not show its program, or has ended"
            continue
        if hint.contained:
            why = _CONTAINED
        else:
            hints.append(hint)
    return hints, why


def _asked(uid: int, gid: int, work: Callable[[], Packages], end: float) -> Packages:
    """Return what a child with the rights of this user finds, of root's none; it is given time until `end` (monotonic)."""
    if uid == 0:
        uid, gid, groups = NOBODY, NOBODY, []
    else:
        groups = run_as.groups_of(uid, gid)
    become = app_check.becoming(run_as.Person(uid, gid, groups, {}, "/", ""), "/")
    hide = functools.partial(
        ctypes.CDLL(None).prctl, _DUMPABLE, 0, 0, 0, 0
    )  # from others of that user: it holds what this process has read
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(out)
            become()
            hide()
            os.write(into, json.dumps(work()).encode()[:LARGEST_ANSWER])
        finally:
            os._exit(0)
    os.close(into)
    said = b""
    try:
        while select.select([out], [], [], max(0.0, end - time.monotonic()))[0]:
            part = os.read(out, LARGEST_ANSWER)
            said += part
            if not part or len(said) > LARGEST_ANSWER:
                break
    finally:
        os.close(out)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        answer: Packages = json.loads(said.decode())
    except ValueError:
        return {"found": [], "unknown": "its packages could not be read in time"}
    return answer


def _found(
    reader: Callable[[Hint, Collection[str]], Iterator[Package]], wanted: Sequence[str], hints: Sequence[Hint]
) -> Packages:
    """Return what the workers' packages are; done with the rights of their user."""
    found: List[Package] = []
    for hint in hints:
        for one in reader(hint, wanted):
            if one not in found and len(found) < MOST_FOUND:
                found.append(one)
    return {"found": found, "unknown": None}


# --- where packages lie ---


def _pypi(hint: Hint, wanted: Collection[str]) -> Iterator[Package]:
    names = {_same(name): name for name in wanted}
    for folder in _site_folders(hint):
        for entry in _entries(folder):
            match = _METADATA.fullmatch(entry)
            if match and _same(match[1]) in names:
                path = os.path.join(folder, entry)
                inside = "METADATA" if match[3] == "dist-info" else "PKG-INFO"
                head = _text(os.path.join(path, inside), HEAD) or _text(path, HEAD) or ""
                version = re.search(r"(?mi)^Version:[ \t]*(\S+)", head)
                yield _package(names[_same(match[1])], version[1] if version else match[2], path)


def _same(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _site_folders(hint: Hint) -> List[str]:
    """Return the folders in which a worker's Python looks for packages."""
    prefixes = [os.path.dirname(os.path.dirname(path)) for path in hint.paths()]
    prefixes = [hint.environment.get("VIRTUAL_ENV", ""), *prefixes]
    venvs = [
        prefix
        for prefix in dict.fromkeys(prefixes)
        if prefix.startswith("/") and _text(f"{prefix}/pyvenv.cfg", HEAD) is not None
    ]
    shared = any(
        re.search(r"(?mi)^include-system-site-packages\s*=\s*true", _text(f"{one}/pyvenv.cfg", HEAD) or "")
        for one in venvs
    )
    if not venvs or shared:
        prefix = os.path.dirname(os.path.dirname(hint.program))
        venvs += [prefix, *(["/usr/local"] if prefix == "/usr" else [])]
    named = [path for path in hint.environment.get("PYTHONPATH", "").split(":") if path.startswith("/")]
    found = [*named, *hint.mapped]
    for prefix in venvs:
        for lib in ("lib", "lib64"):
            pythons = [entry for entry in _entries(f"{prefix}/{lib}") if re.fullmatch(r"python3(\.\d+)?", entry)]
            found += [f"{prefix}/{lib}/{python}/{kind}-packages" for python in pythons for kind in ("site", "dist")]
    return list(dict.fromkeys(found))[:MOST_FOLDERS]


def _npm(hint: Hint, wanted: Collection[str]) -> Iterator[Package]:
    for name in wanted:
        for folder in hint.above():
            path = f"{folder}/node_modules/{name}/package.json"
            version = _mapping(_json(path, MANIFEST)).get("version")
            if isinstance(version, str):
                yield _package(name, version, path)
                break


def _composer(hint: Hint, wanted: Collection[str]) -> Iterator[Package]:
    for folder in hint.above():
        path = f"{folder}/vendor/composer/installed.json"
        said = _json(path, LOCK)
        listed = _mapping(said).get("packages") if isinstance(said, dict) else said
        for one in map(_mapping, listed if isinstance(listed, list) else []):
            if one.get("name") in wanted and isinstance(one.get("version"), str):
                yield _package(str(one["name"]), one["version"], path)


def _gem(hint: Hint, wanted: Collection[str]) -> Iterator[Package]:
    for folder in hint.above():
        path = f"{folder}/Gemfile.lock"
        for name, version in re.findall(r"(?m)^ {4}(\S+) \(([^()\n]+)\)$", _text(path, LOCK) or ""):
            if name in wanted:
                yield _package(name, version, path)


READERS: Dict[str, Callable[[Hint, Collection[str]], Iterator[Package]]] = {
    "pypi": _pypi,
    "npm": _npm,
    "composer": _composer,
    "gem": _gem,
}


def _package(name: str, version: str, path: str) -> Package:
    return {"name": name, "version": version[:TEXT], "path": path[-TEXT:].encode("utf-8", "replace").decode()}


# --- bounded reads ---


def _whole(folder: int, name: str) -> bytes:
    """Return what the kernel says, which it gives in pieces here; nothing where it may not be seen."""
    said = b""
    try:
        fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    except OSError:
        return said
    try:
        while len(said) < MAPS:
            part = os.read(fd, MAPS)
            if not part:
                break
            said += part
    except OSError:
        pass
    finally:
        os.close(fd)
    return said


def _entries(folder: str) -> List[str]:
    """Return the names in a folder, so many as anybody means."""
    found: List[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.append(entry.name)
                if len(found) >= MOST_ENTRIES:
                    break
    except (OSError, ValueError):
        return []
    return sorted(found)


def _text(path: str, most: int) -> Optional[str]:
    """Return the beginning of a regular file; None where there is none. Nothing else is waited for or opened for good."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(most).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(fd)


def _json(path: str, most: int) -> Any:
    text = _text(path, most)
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def _mapping(said: Any) -> Mapping[str, Any]:
    return said if isinstance(said, dict) else {}
