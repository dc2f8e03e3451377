# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a call begins on a host to which all of its code came on stdin, as one text.

The text is one call, which has this very file as an argument, and `begin` called with the others (see plugin_utils/_program.py). So nothing
of it runs if the connection is cut while it is sent: without its last parenthesis the text is no program.
"""

from __future__ import annotations

import binascii
import json
import os
import signal
import sys
import zlib
from importlib.machinery import ModuleSpec
from typing import Any, Dict, Mapping, Optional

# What the code is called on a host: nothing that could be installed there.
PACKAGE = "phased_keys_sent"
LAST = 60  # seconds for handing over the answer


class Sent:
    """Finds modules in texts that came along; a package is one without a text. (PEP 451)"""

    def __init__(self, texts: Mapping[str, Optional[str]]) -> None:
        self.texts = texts

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return how a module is loaded that came along."""
        if name not in self.texts:
            return None
        return ModuleSpec(name, self, is_package=self.texts[name] is None)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Have the usual kind of module made."""

    def exec_module(self, module: Any) -> None:
        """Fill the module."""
        name = module.__name__
        exec(compile(self.texts[name] or "", f"{name}.py", "exec"), module.__dict__)


def unpack(packed: str) -> Any:
    """Return what `pack` packed."""
    return json.loads(zlib.decompress(binascii.a2b_base64(packed)).decode())


def note(program: str, facility: str, line: str) -> None:
    """Leave the line in this host's log that an ordinary module leaves. (syslog(3))"""
    try:
        import syslog

        syslog.openlog(program, 0, getattr(syslog, facility, syslog.LOG_USER))
        syslog.syslog(syslog.LOG_INFO, line)
    except (ImportError, TypeError, ValueError):
        pass  # a Python without it, or a line that no log takes: no reason to leave the call undone


def begin(texts: str, call: str) -> None:
    """Answer one call, and print the answer."""
    if not os.access(".", os.R_OK | os.X_OK):
        os.chdir("/")  # another user's home, after become: what a restart command starts should not fail there
    asked: Dict[str, Any] = unpack(call)
    if asked["log"]:
        note(*asked["log"])
    # Beside the code that every host gets, what this call alone needs.
    sys.meta_path.insert(0, Sent({**unpack(texts), **asked["texts"]}))
    from importlib import import_module

    answers = import_module(f"{PACKAGE}.answers")
    answer = answers.answer(asked["module"], asked["arguments"], asked["check"])
    said = answers.hidden(answer, asked["secrets"])
    # All is done, and nobody may be left to hear of it: a reader that reads no more does not hold us.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAST)
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
