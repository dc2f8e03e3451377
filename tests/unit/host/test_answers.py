# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module answers: no secret in it, however that is spelled, and words where a host's Python is too old."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from typing import Any, Callable, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import answers
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text, writable
from ansible_collections.phased.keys.plugins.module_utils._host.rules.errors import PhasedKeysError
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import Keys, encode, profile

PLAIN = "plain-key-abcdefghijklmnop"
AWKWARD = [
    'it\'s "a" \\ $key `of` äöü#€',
    "'quoted'and\"more\"",
    "back\\slash\\\\key$HOME",
    "emoji-🔑-key-abc",
    "with spaces in it #1",
]
KEYS = [PLAIN, *AWKWARD]


def bash(value: str, form: str) -> str:
    program = shutil.which("bash")
    if not program:
        pytest.skip("no bash here")
    script = {"%q": 'printf %q "$1"', "xtrace": 'set -x; : "$1"', "ansi-c": 'printf %s "${1@Q}"'}[form]
    done = subprocess.run([program, "-c", script, "-", value], capture_output=True, check=True, env={"LC_ALL": "C"})
    return (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


SPELLINGS: List[Callable[[str], str]] = [
    lambda key: key,
    lambda key: f"x{key}x",
    repr,
    ascii,
    shlex.quote,
    json.dumps,
    lambda key: json.dumps(key, ensure_ascii=False),
    lambda key: json.dumps(json.dumps([key, "other"])),
    lambda key: f"a\nline\n{key}",
    lambda key: bash(key, "%q"),
    lambda key: bash(key, "xtrace"),
    lambda key: bash(key, "ansi-c"),
]


@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_masked_however_it_is_quoted(key: str, spell: Callable[[str], str]) -> None:
    shown = json.loads(answers.hidden({"msg": f"it said: {spell(key)} and ended"}, [key]))["msg"]
    assert answers.HIDDEN in shown
    kept = [
        part
        for part in key.replace("\\", " ").replace("'", " ").replace('"', " ").replace("`", " ").split()
        if len(part) > 3
    ]
    assert not [part for part in kept if part in shown], shown
    assert shown.startswith("it said: ") and shown.endswith(" and ended")


@pytest.mark.parametrize("form", env_text.FORMATS)
@pytest.mark.parametrize("framework", ["django", "flask", "itsdangerous"])
@pytest.mark.parametrize("key", KEYS)
def test_what_we_write_ourselves_is_masked_too(key: str, framework: str, form: str) -> None:
    of = profile(framework)
    try:
        values = dict(encode(of, Keys(key, [key, PLAIN + "2"])))
        listed = dict(encode(of, Keys(PLAIN + "2", [PLAIN + "2", key])))
        texts = [env_text.rewrite("", form, values), env_text.rewrite("", form, listed)]
    except PhasedKeysError:
        # What is never written needs no mask; and it is the same that is refused at adopt.
        assert key != PLAIN and writable.why_not(of, form, key)
        return
    for text in texts:
        shown = answers.masked({"msg": f"cat env:\n{text}"}, [key])["msg"]
        assert answers.HIDDEN in shown
        assert key not in shown and answers._bare(key) not in answers._bare(shown)


def test_nothing_else_is_masked() -> None:
    answer: Any = {
        "msg": "a plain text",
        "changed": False,
        "evidence": {"workers": [{"pid": 1, "started": 1.5, "signs": None}]},
    }
    assert answers.masked(answer, KEYS) == answer
    assert answers.masked(answer, ["", "'''", "\\"]) == answer
    assert json.loads(answers.hidden(answer, KEYS)) == answer
    assert answers.masked({"msg": "nabc and \nabc"}, ["nabc"]) == {"msg": f"{answers.HIDDEN} and \nabc"}


def test_it_is_masked_wherever_it_is() -> None:
    answer = {"a": [PLAIN, {"b": (PLAIN,), PLAIN: 1}], "n": 1, "none": None}
    hidden = json.loads(answers.hidden(answer, [PLAIN]))
    assert hidden == {"a": [answers.HIDDEN, {"b": [answers.HIDDEN], answers.HIDDEN: 1}], "n": 1, "none": None}


def test_a_long_secret_is_found_as_it_is() -> None:
    pad = "ab/" * 7000
    assert answers.masked({"msg": pad}, [pad]) == {"msg": answers.HIDDEN}


@pytest.mark.parametrize("version", [(3, 7, 16), (3, 6, 0), (2, 7, 18)])
def test_a_python_that_is_too_old_says_so(version: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    answer = answers.answer("active_fingerprint", {}, False)
    said = "%d.%d" % version[:2]
    assert answer == {
        "failed": True,
        "msg": f"this host's Python is {said}, and 3.8 or later is needed: set ansible_python_interpreter to one that is",
    }
