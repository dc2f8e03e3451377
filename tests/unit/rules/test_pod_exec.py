# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of a container say of themselves, whoever answers."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import pod_exec
from ansible_collections.phased.keys.plugins.module_utils._rules.pod_exec import REPLACED, UNASKED, Question

NAMES = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")
NONCE = "n1"
ASKED = Question(("uid", "app"), "web-1", "app", {"SECRET_KEY": "one", "SECRET_KEY_FALLBACKS": "two"})


def digest(value: str, nonce: str = NONCE) -> str:
    return hmac.new(nonce.encode(), value.encode(), hashlib.sha256).hexdigest()


def said(**values: str) -> Dict[str, List[str]]:
    return {name: [digest(value)] for name, value in values.items()}


GOOD = said(SECRET_KEY="one", SECRET_KEY_FALLBACKS="two")


@pytest.mark.parametrize(
    ("processes", "kind"),
    [
        ([[1, "app", GOOD], [7, "app", GOOD]], None),
        ([[1, "app", GOOD], [7, "app", said(SECRET_KEY="other", SECRET_KEY_FALLBACKS="two")]], REPLACED),
        ([[1, "app", said(SECRET_KEY="one")]], REPLACED),  # its fallbacks are gone
        ([[1, "app", {**GOOD, "SECRET_KEY": [digest("one"), digest("other")]}]], REPLACED),  # twice: which counts is anybody's guess
        ([[1, "app", {"SECRET_KEY": [digest("one", "n0")], "SECRET_KEY_FALLBACKS": [digest("two", "n0")]}]], REPLACED),  # of another look
        ([[1, "app", GOOD], [7, "app", "unreadable"]], UNASKED),
        ([[1, "app", GOOD], [7, "app", "overwritten"]], UNASKED),
        ([], UNASKED),
        ([[1, "app", {}]], UNASKED),
        ([[1, "app", {"PATH": ["x"]}]], UNASKED),
        ([[1, "app", {"SECRET_KEY": "x"}]], UNASKED),
        ([["one", "app", GOOD]], UNASKED),
        ({"changed": True}, UNASKED),
        (None, UNASKED),
    ],
)  # fmt: skip
def test_only_what_has_all_that_the_spec_gives_is_proven(processes: Any, kind: Any) -> None:
    found = pod_exec.judged(ASKED, NAMES, NONCE, json.dumps(processes))
    assert (found and found[0]) == kind


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "Traceback (most recent call last):"])
def test_what_cannot_be_read_is_no_answer(text: str) -> None:
    assert pod_exec.judged(ASKED, NAMES, NONCE, text) == (UNASKED, "its container answers what cannot be read")


def test_what_a_process_calls_itself_is_one_printable_line() -> None:
    found = pod_exec.judged(ASKED, NAMES, NONCE, json.dumps([[1, "a\x1b[31m\n" + "b" * 99, "unreadable"]]))
    assert found and found[1].isprintable() and len(found[1]) < 120


def test_the_look_says_no_value_and_leaves_out_what_has_ended(tmp_path: Path) -> None:
    processes = {
        "1": ("S", b"SECRET_KEY=one\0SECRET_KEY_FALLBACKS=two\0PATH=/bin\0"),
        "2": ("Z", b"SECRET_KEY=other\0"),
        "3": ("S", b"PATH=/bin\0"),
        "4": ("S", b""),
        "5": ("S", b"\0\0\0"),
        str(os.getpid()): ("S", b"SECRET_KEY=one\0SECRET_KEY_FALLBACKS=two\0"),
    }
    for pid, (state, environ) in processes.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "stat").write_text(f"{pid} (a (b) c) {state} 0 1 1")
        (tmp_path / pid / "environ").write_bytes(environ)
    words = pod_exec.command(NONCE, NAMES, str(tmp_path))
    text = subprocess.run([sys.executable, *words[1:]], check=True, capture_output=True, text=True).stdout
    found = json.loads(text)
    assert [(pid, comm) for pid, comm, _said in found][:2] == [(1, "a (b) c"), (5, "a (b) c")]
    assert found[0][2] == GOOD and found[1][2] == "overwritten" and "one" not in text
