# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the application itself verify what a fallback signed?

The environment proves what a process was given, not that the application reads it: settings that
never read the fallbacks log everybody out at promote. So the application is asked, once, with keys
that are thrown away, in a process of its own beside the running ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from . import paths, run_as, units
from .new_keys import new_key
from .rules.frameworks import Keys, encode
from .run_as import Person

# Exit status 0 and nothing else means that the application does as its profile says.
DJANGO = """
import os, sys
from django.conf import settings
from django.core import signing
new, old = os.environ["PHASED_KEYS_PRIMARY"], os.environ["PHASED_KEYS_FALLBACK"]
if settings.SECRET_KEY != new:
    sys.exit("settings.SECRET_KEY is not what the environment says")
if old not in settings.SECRET_KEY_FALLBACKS:
    sys.exit("settings.SECRET_KEY_FALLBACKS does not hold the key that the environment lists: the settings never read it")
if "" in settings.SECRET_KEY_FALLBACKS:
    sys.exit("settings.SECRET_KEY_FALLBACKS holds an empty key: anyone can sign with that")
if signing.loads(signing.dumps("phased", key=old)) != "phased":
    sys.exit("what a fallback signed is not verified")
signing.loads(signing.dumps("phased"), key=new, fallback_keys=[])
from django.apps import apps
if apps.is_installed("django.contrib.auth"):
    import django
    from django.contrib.auth import get_user_model
    user = get_user_model()()
    # A login holds a hash of its own beside the signature, which Django 4.1.0 to 4.1.7 makes with SECRET_KEY alone.
    if hasattr(user, "get_session_auth_hash"):
        settings.SECRET_KEY = old
        before = user.get_session_auth_hash()
        settings.SECRET_KEY = new
        fallbacks = getattr(user, "get_session_auth_fallback_hash", tuple)
        if before not in [user.get_session_auth_hash(), *fallbacks()]:
            sys.exit("a login made with a fallback is refused: the session's hash of " + type(user).__name__ + " (Django " +
                     django.get_version() + ") knows SECRET_KEY alone. Use Django 4.1.8 or later, and its get_session_auth_fallback_hash")
"""

# prctl(2)
_NO_NEW_PRIVS = 38
_POWERFUL = 125  # the exit status of a child that could not give up its rights
# So much of the end of what it prints is kept, and so much of the last line shown.
_KEPT, _SHOWN = 8192, 500
_MOST = 1024 * 1024  # that a pipe can hold
_PAUSE = 0.02

Check = Union[str, Sequence[str], Mapping[str, str]]


def run(app: Mapping[str, Any], check: Check, workers: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Run the check as each user of the application, and return `ok` with what it said.

    It runs with throw-away keys in place of the real ones; as whom, and with which environment, see `run_as`.
    """
    try:
        persons = run_as.persons(app, workers)
    except run_as.Refused as error:
        return {"ok": False, "text": f"it was not run: {error}"}
    answer: Dict[str, Any] = {"ok": False, "text": ""}
    for person in persons:
        answer = _run_as(person, app, check)
        if not answer["ok"]:
            if len(persons) > 1:
                answer["text"] = f"as {paths.user(person.uid)} ({person.why}): {answer['text']}"
            break
    return answer


def _run_as(person: Person, app: Mapping[str, Any], check: Check) -> Dict[str, Any]:
    new, old = new_key(app["profile"].key), new_key(app["profile"].key)  # no other form would pass with every framework
    environment = {**person.environment, **encode(app["profile"], Keys(new, [new, old]))}
    environment.update(PHASED_KEYS_PRIMARY=new, PHASED_KEYS_FALLBACK=old)
    folder = person.folder
    command: Union[str, Sequence[str]]
    if isinstance(check, Mapping):
        command = [check["python"], check["manage"], "shell", "-c", DJANGO]
        folder = os.path.dirname(os.path.abspath(check["manage"]))
    else:
        command = check
    return ask(person, command, environment, folder, app["timeout"])


def ask(
    person: Person,
    command: Union[str, Sequence[str]],
    environment: Mapping[str, str],
    folder: str,
    timeout: float,
    hidden: Sequence[str] = (),
    what: str = "the check",
) -> Dict[str, Any]:
    """Run a command as this person, and return whether it ended with 0 (`ok`), and its last line or how else it ended (`text`).

    Nothing of its environment is in that, and nothing that is to stay `hidden`.
    """
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    try:
        code, said = _execute(words, environment, becoming(person, folder), timeout)
    except (OSError, subprocess.SubprocessError) as error:
        return {"ok": False, "text": f"{what} could not be started: {error}"}
    if code is None:
        return {"ok": False, "text": f"{what} did not end within {timeout:.0f} s"}
    for value in sorted([*environment.values(), *hidden], key=len, reverse=True):
        if len(value) >= 8:
            # It has the application's environment, with all of its passwords.
            said = said.replace(value, "***")
    lines = said.strip().splitlines()
    text = lines[-1][:_SHOWN] if lines else ""
    if code == _POWERFUL and not text:
        text = f"the rights of root cannot be given up for those of {paths.user(person.uid)} here"
    return {"ok": code == 0, "text": text or f"exit status {code}"}


def lines(
    command: Sequence[str], person: Person, timeout: float, most: int, sends: bytes = b""
) -> List[Union[bytes, str]]:
    """Run a command of the application's as its user, and return the lines that it prints; or, as a text, why there are none.

    On its stdin is what this `sends`: never in its arguments, which everybody on the host can read.

    What it says of itself (stderr) goes nowhere, for it has the application's environment, with all of its passwords.
    """
    try:
        code, said = _execute(
            command,
            person.environment,
            becoming(person, person.folder),
            timeout,
            kept=most,
            errors=subprocess.DEVNULL,
            sends=sends,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [f"the command could not be started: {error}"]
    if code is None:
        return ["the command did not end in time"]
    if code:
        return [f"the command ended with exit status {code}"]
    found = [line.encode() for line in said.split("\n") if line.strip()]
    return list(found) or ["the command says nothing that can be read"]


def _execute(
    command: Sequence[str],
    environment: Mapping[str, str],
    become: Callable[[], None],
    timeout: float,
    kept: int = _KEPT,
    errors: int = subprocess.STDOUT,
    sends: bytes = b"",
) -> Tuple[Optional[int], str]:
    """Run a program in a session of its own, and return its exit status and the end of what it printed; None after `timeout` s.

    However much it prints, little of it is ever held: `kept` bytes.
    """
    end = time.monotonic() + timeout
    # Not run_command: there is no AnsibleModule here, and that one waits for whoever holds its pipes open.
    child = subprocess.Popen(  # pylint: disable=ansible-bad-function
        command, env=environment, stdin=subprocess.PIPE if sends else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        start_new_session=True, close_fds=True, preexec_fn=become,
    )  # fmt: skip
    if child.stdout is None:
        raise AssertionError("the child was started with a pipe")
    said, cut, ended = b"", False, False
    try:
        if child.stdin:
            # So little that the pipe takes it at once, whether it is read or not.
            with contextlib.suppress(OSError), child.stdin:
                child.stdin.write(sends)
        with child.stdout as pipe:
            while not ended:
                # Read once more after the check has ended, but not until the pipe is closed: what it left behind may keep that open for ever.
                ended = child.poll() is not None
                if not ended and time.monotonic() >= end:
                    return None, ""
                part = b""
                if select.select([pipe], [], [], 0 if ended else _PAUSE)[0]:
                    part = os.read(pipe.fileno(), _MOST)
                if not part and not ended:
                    time.sleep(_PAUSE)  # it prints nothing, or has closed its output and goes on
                said, cut = (said + part)[-kept:], cut or len(said + part) > kept
        text = said.decode("utf-8", "replace")
        # A password that is cut in half is not recognised, and so not masked.
        return child.returncode, text.partition("\n")[2] if cut else text
    finally:
        units.kill_session(child)


def becoming(person: Person, folder: str) -> Callable[[], None]:
    """Return what makes the child the person's: done between fork and exec, with all that has to be looked up found before."""
    root, prctl = os.geteuid() == 0, ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

    def become() -> None:
        units.default_signals()
        if root and person.uid != 0:
            os.setgroups(list(person.groups))
            os.setresgid(person.gid, person.gid, person.gid)
            os.setresuid(person.uid, person.uid, person.uid)
            if os.getresuid() != (person.uid,) * 3 or _powerful():
                os._exit(_POWERFUL)
        if person.uid != 0 and prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
            os._exit(_POWERFUL)
        try:
            os.chdir(folder)  # only now, since it has to be a folder that this user may enter
        except OSError:
            os.chdir("/")

    return become


def _powerful() -> bool:
    """Whether this process has any capability. (capabilities(7))"""
    with open("/proc/self/status", "rb") as file:
        lines = [line.split(b":") for line in file.read().split(b"\n")]
    return any(int(line[1], 16) for line in lines if line[0] in (b"CapPrm", b"CapEff"))
