# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How our modules run on a host: their code and arguments as one text for its Python, by stdin or as a file.

An ordinary module costs a host more in Ansible's own wrapping than in what ours do (docs/benchmarks.md has the figures), and what
it answers steers Ansible (facts, `add_host`, warnings). What comes back here is let in by `door`, whichever way the text went.
"""

from __future__ import annotations

import binascii
import json
import os
import re
import zlib
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from ..module_utils import _shapes as shapes
from ..module_utils._host import answers, start
from ..module_utils._host import arguments as options
from ..module_utils._host.rules import frameworks, profiles, shipped
from ..module_utils._host.rules.errors import PhasedKeysError
from . import _door as door
from ._inventory import plain

# Nothing but the standard library, and nothing from the folder or the environment that it happens to start in.
OPTIONS = "-I -S"  # then `-` or a path
LINE = 76
# What comes first has to be read by any Python there is, to say which one it should be. What follows is three texts: the file that
# begins a call (`start`), the modules, and the call.
BOOT = (
    "import sys\n"
    "run = lambda start, *call: sys.stdout.write(%s %% sys.version_info[:2]) if sys.version_info < %r else eval(compile("
    '__import__("json").loads(__import__("zlib").decompress(__import__("binascii").a2b_base64(start)).decode()), '
    '"start.py", "exec"), globals()) or begin(*call)\nrun(\n'
) % (repr(json.dumps({"failed": True, "msg": answers.TOO_OLD}) + "\n"), answers.OLDEST)
TOO_OLD = "-> it has to be Python 3.8 or later: set ansible_python_interpreter"
NO_PYTHON = "-> nothing could be run by that path: set ansible_python_interpreter to a Python 3.8 or later"
KILLED = (
    "it was killed (exit status 137), by the kernel where memory ran out (dmesg says so) or by hand. What a visit has begun the next one "
    "finishes: run again"
)
SHAPES = {"env_keys": shapes.VisitAnswer, "active_fingerprint": shapes.LookAnswer}
PROFILES = os.path.dirname(profiles.__file__ or "")
UNREADABLE = "no honest host answers like that: find out why before you trust it again"


_NO_PYTHON = ("SyntaxError", "ImportError", "ModuleNotFoundError", "Unknown option: -I")
_KILLED = (137, -9)


class ArgumentsError(PhasedKeysError):
    """The arguments of a call cannot be used; the text says which."""


def pack(value: Any) -> str:
    """Return plain data as one line of letters, whatever is in it."""
    return binascii.b2a_base64(zlib.compress(json.dumps(value).encode()), newline=False).decode()


def lines(packed: str) -> str:
    """Return it as Python writes a long text: what is cut off makes Python show its last line, and that has to say little."""
    return "\n".join(f'"{packed[place : place + LINE]}"' for place in range(0, len(packed), LINE))


def _texts() -> Dict[str, Any]:
    """Return all that every host gets, by the names that it has there: the folder `_host`, but for its profiles. A package has no text."""
    root = os.path.dirname(start.__file__)
    found: Dict[str, Any] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("__"))
        package = ".".join([start.PACKAGE, *os.path.relpath(folder, root).replace(".", "").split(os.sep)]).rstrip(".")
        found[package] = None
        for file in sorted(files):
            name, ending = os.path.splitext(file)
            if ending == ".py" and name not in ("__init__", "start") and folder != PROFILES:
                found[f"{package}.{name}"] = _source(os.path.join(folder, file))
    return found


def _profile(framework: Optional[str]) -> Dict[str, str]:
    """Return the one profile that a host gets: there are many, and an application has one."""
    framework = framework or frameworks.DEFAULT_FRAMEWORK
    try:
        frameworks.profile(framework)
    except frameworks.SettingsError as error:
        raise ArgumentsError(str(error)) from None
    name = shipped.module_of(framework)
    return {f"{start.PACKAGE}.rules.profiles.{name}": _source(os.path.join(PROFILES, f"{name}.py"))}


def _source(path: str) -> str:
    with open(path, encoding="utf-8") as source:
        return source.read()


# Made where this is imported, which is before Ansible forks a process per host.
START, TEXTS = lines(pack(_source(start.__file__))), lines(pack(_texts()))


def text(module: str, arguments: Mapping[str, Any], check: bool, log: Optional[Sequence[str]] = None) -> bytes:
    """Return the program that runs the module once and prints its result; ArgumentsError where it cannot be called so.

    `log` is what the host's log gets before (see `logged`), and None where it gets nothing.
    """
    spec = options.ENV_KEYS if module == "env_keys" else options.ACTIVE_FINGERPRINT
    together = None if module == "env_keys" else options.TOGETHER
    # The controller's home is not the host's: paths are expanded there.
    try:
        said = plain(dict(arguments))
    except TypeError as error:
        raise ArgumentsError(f"{module}: {error}: only plain data can be given") from None
    checked = ArgumentSpecValidator(_unexpanded(spec), required_together=together).validate(said)
    if checked.error_messages:
        wrong = [
            f"Unsupported parameters: {error.msg}" if isinstance(error, UnsupportedError) else error.msg
            for error in checked.errors.errors
        ]
        raise ArgumentsError(f"{module}: {'; '.join(wrong)}")
    given = checked.validated_parameters
    call = {"module": module, "arguments": given, "check": check, "secrets": _secrets(spec, given), "log": log}
    call["texts"] = _profile(given.get("framework"))
    return f"{BOOT}{START},\n{TEXTS},\n{lines(pack(call))}\n)\n".encode()


def logged(module: str, arguments: Mapping[str, Any], facility: str, info: Optional[str]) -> List[str]:
    """Return who tells the host's log, where, and what: that the module was called and for what, but none of its secrets.

    `facility` is one of syslog(3), `info` stands before the line; both are Ansible's settings.
    """
    token = arguments.get("token")  # of no use to anybody yet: the arguments have still to be checked
    counter = token.get("counter") if isinstance(token, Mapping) else None
    said = {"name": arguments.get("name"), "step": arguments.get("step"), "counter": counter}
    words = [f"{name}={value}" for name, value in said.items() if value is not None]
    return [f"ansible-phased.keys.{module}", facility, " ".join([*([info] if info else []), "Invoked with", *words])]


def answer(module: str, interpreter: str, ended: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the module's answer as the door lets it in, or a failure that says what came instead.

    `ended` is how the program ended: `rc`, `stdout` and `stderr`. All of it is the host's own words.
    """
    said = next((line for line in reversed(ended["stdout"].splitlines()) if line.startswith("{")), None)
    if said is None:
        return {"failed": True, "msg": _silence(interpreter, ended), "rc": ended["rc"]}
    try:
        return door.admit(SHAPES[module], said)
    except door.Unreadable as error:
        return {"failed": True, "msg": f"its answer cannot be read: {error} -> {UNREADABLE}"}


def _silence(interpreter: str, ended: Mapping[str, Any]) -> str:
    """Say what came in place of an answer."""
    if ended["rc"] in _KILLED:
        return f"{interpreter} gave no answer: {KILLED}"
    lines = [line.strip() for line in (ended["stderr"] or ended["stdout"])[-door.TEXT :].splitlines()]
    not_run = ended["rc"] in (126, 127)
    said = [line for line in lines if line and not re.match(r"debug\d: |Shared connection|OpenSSH_", line)]
    # pyenv goes on for lines about the versions that it has.
    said = [line for line in said if not_run and line.endswith(("not found", "denied"))] or said
    text = f"{interpreter} gave no answer (exit status {ended['rc']}): {''.join(said[-1:]) or 'it said nothing'}"
    if not_run:
        text += f" {NO_PYTHON}"
    elif any(kind in "\n".join(lines) for kind in _NO_PYTHON):
        text += f" {TOO_OLD}"
    return door.printable(text)


def _unexpanded(spec: Mapping[str, Any]) -> Dict[str, Any]:
    return {
        name: {key: "str" if value == "path" else value for key, value in option.items()}
        for name, option in spec.items()
    }


def _secrets(spec: Mapping[str, Any], given: Mapping[str, Any]) -> List[str]:
    """Return what no result may show: every text in an option that is marked so."""
    hidden = [given.get(name) for name, option in spec.items() if option.get("no_log")]
    texts = [value for value in hidden if isinstance(value, str)]
    return texts + [text for value in hidden if isinstance(value, dict) for text in value.values()]
