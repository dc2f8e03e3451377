# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the application itself verify what a fallback signed?

The environment proves what a process was given, not that the application reads it: settings that
never read the fallbacks log everybody out at promote. So the application is asked, once, with keys
that are thrown away, in a process of its own beside the running ones.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
from functools import partial
from typing import Any, Dict, List, Mapping, Sequence, Union

from ..rules import env_text
from ..rules.frameworks import Keys, encode
from . import files, processes

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
"""

Check = Union[str, Sequence[str], Mapping[str, str]]


def run(app: Mapping[str, Any], check: Check, workers: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Run the check and return `ok` with what it said.

    It runs as the user, in the folder and with the environment of a running worker where there is
    one, with throw-away keys in place of the real ones.
    """
    new, old = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    environment, folder, become = _surroundings(app, workers)
    environment.update(encode(app["profile"], Keys(new, [new, old])))
    environment.update(PHASED_KEYS_PRIMARY=new, PHASED_KEYS_FALLBACK=old)
    if isinstance(check, Mapping):
        command: List[str] = [check["python"], check["manage"], "shell", "-c", DJANGO]
        folder = os.path.dirname(os.path.abspath(check["manage"]))
    else:
        command = ["/bin/sh", "-c", check] if isinstance(check, str) else list(check)
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=app["timeout"], check=False, text=True, errors="replace", preexec_fn=become,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"ok": False, "text": f"the check did not end within {app['timeout']:.0f} s"}
    except OSError as error:
        return {"ok": False, "text": f"the check could not be started: {error}"}
    said = done.stdout
    for value in sorted(environment.values(), key=len, reverse=True):
        if len(value) >= 8:
            # The check has the application's environment, with all of its passwords.
            said = said.replace(value, "***")
    lines = said.strip().splitlines()
    text = lines[-1] if lines else ""
    return {"ok": done.returncode == 0, "text": text or f"exit status {done.returncode}"}


def _surroundings(app: Mapping[str, Any], workers: Sequence[Mapping[str, Any]]) -> Any:
    """The environment, folder and user of a worker; without one what the env file says."""
    table = processes.table()
    for worker in workers:
        process = table.get(worker["pid"])
        try:
            if process is not None:
                environment = processes.environment(process)
                if environment:
                    return (
                        environment,
                        os.readlink(f"/proc/{process.pid}/cwd"),
                        partial(_become, process.uid, process.gid),
                    )
        except (processes.EnvironmentUnknown, OSError):
            continue
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    for path in app["env_file"]:
        environment.update(env_text.read_all(files.read_text(path) or "", app["env_format"]))
    # Nothing runs: as the owner of the env file, rather than leave files of root's to the application.
    owner = next((os.stat(path) for path in app["env_file"] if os.path.exists(path)), None)
    return environment, "/", partial(_become, owner.st_uid, owner.st_gid) if owner else None


def _become(uid: int, gid: int) -> None:
    """Give up root in the child: the check must not leave files that the application cannot write."""
    if os.geteuid() == 0:
        try:
            os.initgroups(pwd.getpwuid(uid).pw_name, gid)
        except KeyError:
            os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
