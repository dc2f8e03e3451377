# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a call begins on a host to which its code came as a text; tests/unit/plugins/test_program.py has the whole way."""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import sys
import syslog
import traceback
import zlib
from typing import Any, Dict, Iterator, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import start

ANSWERS = """
def answer(module, arguments, check):
    return [module, arguments, check]


def hidden(answer, secrets):
    return f"{answer} without {secrets}"
"""
TEXTS = {
    start.PACKAGE: None,
    f"{start.PACKAGE}.rules": None,
    f"{start.PACKAGE}.answers": ANSWERS,
    f"{start.PACKAGE}.broken": "\nraise ValueError('here')\n",
}


def packed(what: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(what).encode())).decode()


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """What a call does to a process that ends with it is undone here."""
    finders, handler = list(sys.meta_path), signal.getsignal(signal.SIGALRM)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.split(".")[0] == start.PACKAGE]:
        del sys.modules[name]


def test_what_came_along_is_imported_and_nothing_else() -> None:
    finder = start.Sent(TEXTS)
    sys.meta_path.insert(0, finder)
    assert importlib.import_module(f"{start.PACKAGE}.answers").answer(1, 2, 3) == [1, 2, 3]
    package, module = finder.find_spec(f"{start.PACKAGE}.rules"), finder.find_spec(f"{start.PACKAGE}.answers")
    assert package is not None and package.submodule_search_locations == [] and package.loader is finder
    assert module is not None and module.submodule_search_locations is None
    assert finder.find_spec("json") is None and finder.find_spec(f"{start.PACKAGE}.rules.none") is None


def test_an_error_in_it_is_told_with_the_name_of_its_module() -> None:
    sys.meta_path.insert(0, start.Sent(TEXTS))
    with pytest.raises(ValueError, match="here") as caught:
        importlib.import_module(f"{start.PACKAGE}.broken")
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.lineno) == (f"{start.PACKAGE}.broken.py", 2)


def test_what_was_packed_is_unpacked() -> None:
    assert start.unpack(packed({"a": ["ü", None, 1.5]})) == {"a": ["ü", None, 1.5]}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """What goes to the host's log."""
    found: List[Any] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: found.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: found.append(given))
    return found


@pytest.mark.parametrize(
    ("named", "facility"), [("LOG_DAEMON", syslog.LOG_DAEMON), ("LOG_USER", syslog.LOG_USER), ("NO_SUCH", syslog.LOG_USER)]
)  # fmt: skip
def test_a_line_is_left_in_the_hosts_log(log: List[Any], named: str, facility: int) -> None:
    start.note("ansible-x", named, "Invoked with a")
    assert log == [("ansible-x", 0, facility), (syslog.LOG_INFO, "Invoked with a")]


def test_a_line_that_no_log_takes_does_not_stop_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_given: Any) -> None:
        raise ValueError("embedded null character")

    monkeypatch.setattr(syslog, "openlog", refused)
    start.note("ansible-x", "LOG_USER", "a\0b")


CALL: Dict[str, Any] = {
    "module": "env_keys",
    "arguments": {"a": 1},
    "check": True,
    "secrets": ["s"],
    "log": None,
    "texts": {},
}
ANSWER = "['env_keys', {'a': 1}, True] without ['s']\n"


def test_a_call_is_answered_on_stdout_and_handing_it_over_has_an_end(log: List[Any], capsys: Any) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    start.begin(packed(TEXTS), packed(CALL))
    assert capsys.readouterr().out == ANSWER
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert start.LAST - 1 <= signal.alarm(0) <= start.LAST
    assert isinstance(sys.meta_path[0], start.Sent), "nothing that is installed comes before it"
    assert log == []


def test_a_call_brings_texts_of_its_own_beside_those_that_every_call_has(log: List[Any], capsys: Any) -> None:
    texts = dict(TEXTS)
    name = next(name for name, text in texts.items() if text is not None)
    start.begin(packed({**texts, name: None}), packed({**CALL, "texts": {name: texts[name]}}))
    assert capsys.readouterr().out == ANSWER


def test_a_call_leaves_the_line_that_it_is_asked_to(log: List[Any], capsys: Any) -> None:
    start.begin(packed(TEXTS), packed({**CALL, "log": ["ansible-x", "LOG_USER", "Invoked"]}))
    assert log == [("ansible-x", 0, syslog.LOG_USER), (syslog.LOG_INFO, "Invoked")]
    assert capsys.readouterr().out == ANSWER


@pytest.mark.parametrize("ours", [True, False])
def test_a_folder_that_may_not_be_entered_is_left(ours: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    asked: List[Any] = []
    left: List[str] = []
    monkeypatch.setattr(os, "access", lambda path, how: asked.append((path, how)) or ours)
    monkeypatch.setattr(os, "chdir", left.append)
    start.begin(packed(TEXTS), packed(CALL))
    assert asked == [(".", os.R_OK | os.X_OK)] and left == ([] if ours else ["/"])
    assert capsys.readouterr().out == ANSWER
