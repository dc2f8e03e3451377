# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's units, by `systemctl`, and commands that restart an application; nothing here waits without an end.

Sources: systemctl(1), org.freedesktop.systemd1(5), systemd.unit(5) and execve(2).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Union

from .problems import Unusable
from .processes import start_ticks
from .rules.errors import PhasedKeysError
from .rules.process_sources import ENGINES

if TYPE_CHECKING:
    from .._shapes import Source
    from .._shapes import Unit as Shown

QUERY_TIMEOUT = 15.0
# systemd.unit(5)
_SUFFIXES = (
    *(".service", ".socket", ".target", ".slice", ".scope", ".timer"),
    *(".path", ".mount", ".automount", ".swap", ".device"),
)
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "SubState", "ControlGroup", "NRestarts", "TriggeredBy"),
    *("Restart", "RestartUSec", "EnvironmentFiles", "UnsetEnvironment", "FragmentPath", "DropInPaths", "ExecStart"),
)
# systemd.time(7): a span, as systemctl prints it and as people write it
_SPANS = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 30.44 * 86400),
    **dict.fromkeys(("y", "year", "years"), 365.25 * 86400),
}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([^\W\d]*)")
_IGNORE_ERRORS = re.compile(r" \(ignore_errors=(?:yes|no)\)\Z")
_TAIL_LINES, _TAIL_BYTES = 20, 4096
_NO_MANAGER = (
    "the units of a user are asked of a manager of that user's own, and {user} has none that runs here. Become the user whose units "
    "they are (ansible_become_user), and let it have a manager without a login: loginctl enable-linger USER"
)
_GRACE = 2.0  # between SIGTERM and SIGKILL, and after


class UnitsUnavailable(PhasedKeysError):
    """There is no systemd to ask, or it does not answer; the text is systemctl's own where it has one."""


class RestartFailed(PhasedKeysError):
    """A restart did not end well. The text may hold what the command printed."""


class Unit(NamedTuple):
    """A unit as systemd has it now. `name` is the one that was asked for; `cgroup` is empty where nothing runs.

    triggered_by    the sockets, timers and paths that start it when it is needed
    restart_delay   after how many seconds systemd starts it again where it has ended; None where it never does
    env_files       what its EnvironmentFile= lines name, in their order; may be patterns
    unset           what UnsetEnvironment= takes away
    files           the unit's own file and its drop-ins, in the order in which they are read
    starts          the words of each ExecStart= that runs a client of a container engine
    """

    name: str
    load: str
    active: str
    sub: str
    cgroup: str
    restarts: int
    triggered_by: Tuple[str, ...] = ()
    restart_delay: Optional[float] = None
    env_files: Tuple[str, ...] = ()
    unset: Tuple[str, ...] = ()
    files: Tuple[str, ...] = ()
    starts: Tuple[Tuple[str, ...], ...] = ()


def full_name(name: str) -> str:
    """Return the unit's name as systemctl completes it; Unusable for a pattern and for what is no name."""
    # systemctl takes a pattern for the units that are loaded just now: one that is stopped would be passed over.
    if not name or name.startswith("-") or set(name) & set("*?[/ \t\n"):
        raise Unusable(f"{name!r} is not the name of a unit")
    return name if name.endswith(_SUFFIXES) else name + ".service"


def show(names: Sequence[str], *, scope: str = "system", timeout: float = QUERY_TIMEOUT) -> List[Unit]:
    """Return the units in the order of `names`; one that does not exist has `load` "not-found"."""
    if not names:
        return []
    full = [full_name(name) for name in names]
    code, out, err = systemctl(scope, ["show", "--property=" + ",".join(_PROPERTIES), "--", *full], timeout)
    blocks = [_block(block) for block in out.split("\n\n") if block]
    if code or len(blocks) != len(full):
        raise UnitsUnavailable(err or f"systemctl show answered for {len(blocks)} units instead of {len(full)}")
    return [_unit(name, block) for name, block in zip(full, blocks)]


def on_demand(units: Sequence[Unit], *, scope: str = "system", timeout: float = QUERY_TIMEOUT) -> Set[str]:
    """Return the names of those that do not run now, and are started by an active socket, timer or path when needed."""
    waiting = {unit.name: unit.triggered_by for unit in units if unit.active == "inactive" and unit.triggered_by}
    triggers = sorted({name for names in waiting.values() for name in names})
    active = {unit.name for unit in show(triggers, scope=scope, timeout=timeout) if unit.active == "active"}
    return {name for name, names in waiting.items() if active.intersection(names)}


def restart(names: Sequence[str], timeout: float, *, scope: str = "system") -> None:
    """Restart units, and wait until systemd says that they are up; RestartFailed, whatever the reason."""
    full = [full_name(name) for name in names]
    what = f"systemctl restart {' '.join(full)}"
    end = time.monotonic() + timeout
    try:
        # Without this a unit that has just failed a few times (with settings that we are putting back) would be
        # refused by its StartLimitBurst. It is no error that there was nothing to reset.
        systemctl(scope, ["reset-failed", "--", *full], timeout)
        code, _out, err = systemctl(scope, ["restart", "--", *full], max(0.1, end - time.monotonic()))
    except UnitsUnavailable as error:
        raise RestartFailed(f"{what}: {error}") from None
    except subprocess.TimeoutExpired:
        # Only the client was stopped. systemd goes on with the job by the unit's own timeouts.
        text = f"{what}: not finished after {timeout:g} s; systemd is still working on it (app_keys_timeout is how long it may take)"
        raise RestartFailed(text) from None
    if code:
        advice = f" (systemctl unmask {' '.join(full)}, or correct app_keys_service)" if " is masked" in err else ""
        raise RestartFailed(f"{what}: {_ended(code)}: {err or 'it said nothing'}{advice}")


def run(command: Union[str, Sequence[str]], timeout: float) -> None:
    """Run a restart command to its end: a text in /bin/sh, a list as it is. RestartFailed, whatever the reason.

    What it starts may live on, and keeps writing to a file without a name if it was not sent elsewhere.
    """
    argv = ["/bin/sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
    if not argv or not argv[-1].strip():
        raise RestartFailed("the restart command is empty")
    if "\0" in "".join(argv):
        raise RestartFailed("the restart command cannot be run: it holds a NUL")
    # ANSIBLE_* may name, or hold, the passwords of the vault and of become: with `connection: local` the module has
    # all that the controller has.
    environment = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("ANSIBLE_")}
    what = "the restart command"
    with _nameless() as output:
        try:
            code = _execute(argv, environment, output, output, timeout)
        except subprocess.TimeoutExpired:
            text = f"{what} did not end within {timeout:g} s; it and what it started in its session were killed"
            raise RestartFailed(_with_tail(text, output)) from None
        except (OSError, subprocess.SubprocessError) as error:
            raise RestartFailed(f"{what} cannot be run: {error}") from None
        if code:
            raise RestartFailed(_with_tail(f"{what}: {_ended(code)}", output))


def _nameless() -> IO[bytes]:
    """Return a file that nobody else sees."""
    import tempfile

    return tempfile.TemporaryFile()


def systemctl(scope: str, arguments: Sequence[str], timeout: float) -> Tuple[int, str, str]:
    if scope not in ("system", "user"):
        raise Unusable(f"{scope!r} is not a scope: system or user")
    environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    runtime = f"/run/user/{os.getuid()}"
    if scope == "user" and os.path.isdir(runtime):
        environment.setdefault("XDG_RUNTIME_DIR", runtime)  # `become` comes without a login session
    argv = ["systemctl", f"--{scope}", "--no-pager", "--no-ask-password", *arguments]
    with _nameless() as out, _nameless() as err:
        try:
            code = _execute(argv, environment, out, err, timeout)
        except subprocess.TimeoutExpired:
            if arguments[0] == "restart":
                raise
            raise UnitsUnavailable(f"systemctl {arguments[0]} did not answer within {timeout:g} s") from None
        except OSError as error:
            raise UnitsUnavailable(f"systemctl cannot be run: {error.strerror}") from None
        said, text = _tail(err), _content(out)
    if scope == "user" and "Failed to connect to bus" in said:
        raise UnitsUnavailable(f"{said}: {_NO_MANAGER.format(user=_me())}")
    # In a chroot systemctl does nothing, and succeeds.
    if "not been booted with systemd" in said or "ignoring command" in said:
        raise UnitsUnavailable(said)
    return code, text, said


def _block(text: str) -> Dict[str, List[str]]:
    """The properties of one unit; of those with a line per entry (EnvironmentFiles) all lines."""
    found: Dict[str, List[str]] = {}
    for line in text.split("\n"):
        name, _equals, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def _unit(name: str, block: Mapping[str, Sequence[str]]) -> Unit:
    said = {key: values[0] for key, values in block.items()}
    own = [said.get("FragmentPath", ""), *said.get("DropInPaths", "").split()]
    return Unit(
        name,
        said.get("LoadState", ""),
        said.get("ActiveState", ""),
        said.get("SubState", ""),
        said.get("ControlGroup", ""),
        # Only services have these two, and NRestarts only since systemd 235.
        int(said.get("NRestarts") or 0),
        tuple(said.get("TriggeredBy", "").split()),
        None if said.get("Restart", "no") == "no" else span(said.get("RestartUSec", "")),
        tuple(_IGNORE_ERRORS.sub("", entry) for entry in block.get("EnvironmentFiles", ()) if entry),
        tuple(said.get("UnsetEnvironment", "").split()),
        tuple(path for path in own if path),
        tuple(words for words in map(_words, block.get("ExecStart", ())) if os.path.basename(words[0]) in ENGINES),
    )


def _words(shown: str) -> Tuple[str, ...]:
    """The words of a command, as `systemctl show` prints it."""
    return tuple(shown.partition(" argv[]=")[2].partition(" ; ")[0].split(" "))


def span(text: str) -> Optional[float]:
    """Return the seconds of a time span of systemd's, such as "1min 30.500s"; None for infinity, and for what is none."""
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text).strip() or not all(unit in _SPANS for _number, unit in parts):
        return None
    return sum(float(number) * _SPANS[unit] for number, unit in parts)


def evidence(unit: Unit, on_demand: bool, sources: List[Source]) -> Shown:
    """Return what a look says of a unit, with the `sources` that it takes our settings from."""
    return {
        "name": unit.name,
        "load": unit.load,
        "active": unit.active,
        "sub": unit.sub,
        "restarts": unit.restarts,
        "on_demand": on_demand,
        "restart_delay": unit.restart_delay,
        "sources": sources,
    }


def _me() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _execute(
    argv: Sequence[str], environment: Mapping[str, str], out: IO[bytes], err: IO[bytes], timeout: float
) -> int:
    """Run a program in a session of its own, so that no Ctrl-C at the controller reaches it; TimeoutExpired.

    Its output goes to files, not to pipes: a daemon that it leaves behind keeps them open, and would make us wait
    for an end that does not come, or die of SIGPIPE later.
    """
    # Not run_command: there is no AnsibleModule here, and that one waits for whoever holds its pipes open.
    child = subprocess.Popen(  # pylint: disable=ansible-bad-function
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        close_fds=True,  # a daemon with our lock's descriptor would hold the lock for as long as it lives
        preexec_fn=default_signals,
    )
    try:
        return child.wait(timeout)
    except BaseException:
        kill_session(child)
        raise


def default_signals() -> None:
    # Handlers end with execve by themselves, but what is ignored or blocked stays so (execve(2)), and a daemon that
    # ignores SIGHUP or SIGTERM does not reload or stop.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(number) != signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def kill_session(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that is still in its session, however many process groups that are."""
    if child.returncode is not None:
        return  # reaped: its number may be somebody else's by now
    begun = time.monotonic()
    while time.monotonic() < begun + 2 * _GRACE:  # not even SIGKILL ends a process that waits for a dead disk
        members = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == child.pid]
        if not members:
            break
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < begun + _GRACE else signal.SIGKILL)
        time.sleep(0.05)
    child.poll()  # the last to be reaped: until then no other session can have its number


def _session(pid: int) -> int:
    try:
        return os.getsid(pid) if start_ticks(pid) is not None else 0
    except (ProcessLookupError, PermissionError):
        return 0


def _ended(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"ended by signal {-code}"


def _content(file: IO[bytes], last: int = sys.maxsize) -> str:
    # pread leaves the offset alone, which who writes to the file shares with us.
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), min(size, last), max(0, size - last)).decode("utf-8", "replace")


def _tail(file: IO[bytes]) -> str:
    lines = _content(file, _TAIL_BYTES + 1).splitlines()
    if os.fstat(file.fileno()).st_size > _TAIL_BYTES:
        # A key that is cut in half is not recognised, and so not masked, by what reads this.
        lines = lines[1:]
    return "\n".join(lines[-_TAIL_LINES:]).strip()


def _with_tail(text: str, file: IO[bytes]) -> str:
    tail = _tail(file)
    return f"{text}\n{tail}" if tail else text
