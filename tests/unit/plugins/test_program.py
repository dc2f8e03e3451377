# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in which our modules come to a host as one text, and what comes back."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import syslog
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator

import builders
import pytest
from ansible_collections.phased.keys.plugins.action import active_fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host import answers
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.plugin_utils import _program

PYTHON = sys.executable
SECRET = 'a\'key "with" \\ everything,é'


def ran(text: bytes, folder: Path) -> dict[str, Any]:
    """Run a text as a host does."""
    done = subprocess.run(
        [PYTHON, *_program.OPTIONS.split(), "-"], input=text, capture_output=True, cwd=folder, check=False
    )
    return {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()}


def look(folder: Path, **more: Any) -> dict[str, Any]:
    """Return arguments for a look at an application of which nothing runs."""
    (folder / "env").write_text("SECRET_KEY=hunter2-hunter2\n")
    own = {"name": "shop", "env_file": [str(folder / "env")], "state_dir": str(folder), "nonce": "n1"}
    return {**own, "processes": [{"pattern": "no such process anywhere"}], **more}


def test_a_text_answers_as_the_module_does(tmp_path: Path) -> None:
    answer = _program.answer(
        "active_fingerprint", PYTHON, ran(_program.text("active_fingerprint", look(tmp_path), False), tmp_path)
    )
    assert answer["idle"] is True and answer["changed"] is False
    assert answer["evidence"]["nonce"] == "n1"
    assert answer["evidence"]["files"][0]["problem"] is None


def dropped(told: Any, admitted: Any, where: str = "answer") -> Iterator[str]:
    """The places at which an answer is not what was told."""
    if isinstance(told, dict) and isinstance(admitted, dict):
        yield from (f"{where}.{name} was dropped" for name in sorted(set(told) - set(admitted)))
        for name in admitted:
            yield from dropped(told[name], admitted[name], f"{where}.{name}")
    elif isinstance(told, list) and isinstance(admitted, list) and len(told) == len(admitted):
        for number, one in enumerate(told):
            yield from dropped(one, admitted[number], f"{where}[{number}]")
    elif told != admitted:
        yield f"{where}: {told!r:.200} came in as {admitted!r:.200}"


@pytest.mark.parametrize("module", ["active_fingerprint", "env_keys"])
def test_what_an_honest_host_says_is_let_in_as_it_is(tmp_path: Path, module: str) -> None:
    """So every field that the host's code writes has its place in the shapes."""
    given = look(tmp_path, processes=[{"pattern": str(tmp_path)}])
    if module == "env_keys":
        keyring = builders.at("prepare")
        order, step = keyrings.order(keyring)._asdict(), keyring["step"]
        token = keyrings.token(keyring)._asdict()
        (tmp_path / "env").write_text(f"SECRET_KEY={builders.SECRETS[1]}\n")
        secrets = keyrings.secrets(keyring, order["may_accept"])
        given.update(order=order, token=token, step=step["name"], secrets=secrets, vouched=True, converge=True)
        given.update(processes=[{"pattern": "no such process anywhere"}])
    with subprocess.Popen(
        ["/bin/sh", "-c", f": {tmp_path}; sleep 20"], env={"SECRET_KEY": builders.SECRETS[1]}
    ) as worker:
        ended = ran(_program.text(module, given, False), tmp_path)
        worker.kill()
    told = json.loads(ended["stdout"].splitlines()[-1])
    assert told["evidence"]["workers"] or told["proven"], told
    admitted = _program.answer(module, PYTHON, ended)
    assert list(dropped(told, admitted)) == []


def test_a_host_is_sent_the_folder_of_hosts_whole_and_that_imports_nothing_else() -> None:
    root = Path(_program.start.__file__).parent
    own = {path.relative_to(root).with_suffix("").as_posix().replace("/", ".") for path in root.rglob("*.py")}
    own -= {"start", "__init__", "rules.__init__", "rules.profiles.__init__"}
    own = {name for name in own if not name.startswith("rules.profiles.")}
    texts = _program.start.unpack("".join(line.strip('"') for line in _program.TEXTS.splitlines()))
    assert {name.partition(".")[2] for name, text in texts.items() if text is not None} == own
    for path in root.rglob("*.py"):
        depth = len(path.relative_to(root).parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level > depth:
                # Seen by mypy alone.
                assert node.module in ("_shapes", "_keyring_shapes") and "if TYPE_CHECKING:" in path.read_text(), path


@pytest.mark.parametrize(
    ("framework", "sent"), [(None, "django"), ("flask", "flask"), ("keygrip", "express"), ("ory-system", "ory_system")]
)
def test_a_host_is_sent_the_one_profile_of_its_application(framework: str | None, sent: str, tmp_path: Path) -> None:
    text = _program.text("active_fingerprint", look(tmp_path, framework=framework), False)
    call = _program.start.unpack(
        "".join(line.strip('"') for line in text.decode().rpartition(",\n")[2].splitlines()[:-1])
    )
    assert list(call["texts"]) == [f"phased_keys_sent.rules.profiles.{sent}"]
    answer = _program.answer("active_fingerprint", PYTHON, ran(text, tmp_path))
    assert "evidence" in answer, answer


def test_a_framework_that_is_not_known_goes_to_no_host(tmp_path: Path) -> None:
    with pytest.raises(_program.ArgumentsError, match="app_keys_framework is 'jango'"):
        _program.text("active_fingerprint", look(tmp_path, framework="jango"), False)


def test_nothing_is_taken_from_the_folder_in_which_it_starts(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')\n")
    answer = _program.answer(
        "active_fingerprint", PYTHON, ran(_program.text("active_fingerprint", look(tmp_path), False), tmp_path)
    )
    assert "evidence" in answer, answer


def test_a_text_that_was_cut_off_does_nothing(tmp_path: Path) -> None:
    text = _program.text("active_fingerprint", look(tmp_path), False)
    call = text.rindex(b",\n")
    for cut in [*range(100, len(text) - 2, len(text) // 20), call, call + 40, call + 90, len(text) - 3, len(text) - 2]:
        ended = ran(text[:cut], tmp_path)
        assert ended["stdout"] == "", cut
        # And Python's complaint shows next to nothing of what was sent.
        assert len(ended["stderr"]) < 400, cut


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"surprise": 1}, "active_fingerprint: Unsupported parameters"),
        ({"env_format": "hope"}, "value of env_format must be one of"),
        ({"reveal": ["0" * 16]}, "reveal, reveal_pad"),
    ],
)
def test_arguments_that_cannot_be_used_go_nowhere(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(_program.ArgumentsError, match="active_fingerprint: ") as refused:
        _program.text("active_fingerprint", look(tmp_path, **arguments), False)
    assert said in str(refused.value)


def test_the_home_in_a_path_is_the_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = look(tmp_path, env_file=["~/env"])
    monkeypatch.setenv("HOME", "/nowhere")
    text = _program.text("active_fingerprint", arguments, False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _program.answer("active_fingerprint", PYTHON, ran(text, tmp_path))["evidence"]["files"][0]["path"] == str(
        tmp_path / "env"
    )


def test_no_secret_comes_back_not_even_in_a_failure(tmp_path: Path) -> None:
    assert SECRET not in json.loads(answers.hidden({"msg": f"it is {SECRET}", SECRET: [SECRET]}, [SECRET]))["msg"]
    order = {"signs": SECRET}
    visit = look(tmp_path, order=order, token={}, step="prepare", secrets={"0" * 16: SECRET})
    answer = _program.answer("env_keys", PYTHON, ran(_program.text("env_keys", visit, False), tmp_path))
    assert answer["failed"] and "hunter2" not in json.dumps(answer) and SECRET not in json.dumps(answer)


PYENV = "pyenv: python9: command not found\n\nThe `python9' command exists in these Python versions:\n  9.1\n\nNote: see pyenv help\n"


@pytest.mark.parametrize(
    "status, said, shown",
    [
        (127, "sh: 1: /usr/bin/python9: not found\n", "sh: 1: /usr/bin/python9: not found"),
        (127, PYENV, "pyenv: python9: command not found"),
        (126, "sh: 1: /usr/bin/python9: Permission denied\n", "sh: 1: /usr/bin/python9: Permission denied"),
        (126, "what it says\n", "what it says"),
    ],
)
def test_a_path_by_which_nothing_can_be_run_is_told_with_what_to_do(status: int, said: str, shown: str) -> None:
    answer = _program.answer("active_fingerprint", "/usr/bin/python9", {"rc": status, "stdout": "", "stderr": said})
    what = f"/usr/bin/python9 gave no answer (exit status {status}): {shown} {_program.NO_PYTHON}"
    assert answer == {"failed": True, "msg": what, "rc": status}


OLD = sorted(
    path for name in ("2.7*", "3.6*", "3.7*") for path in Path.home().glob(f".pyenv/versions/{name}/bin/python")
)


@pytest.mark.parametrize("python", OLD or [None], ids=lambda path: path and path.parts[-3])
def test_a_python_that_is_too_old_is_told_in_a_sentence(python: Path | None, tmp_path: Path) -> None:
    if python is None:
        pytest.skip("no Python before 3.8 here")
    text = _program.text("active_fingerprint", look(tmp_path), False)
    done = subprocess.run([python, *_program.OPTIONS.split(), "-"], input=text, capture_output=True, check=False)
    answer = _program.answer(
        "active_fingerprint",
        str(python),
        {"rc": done.returncode, "stdout": done.stdout.decode(), "stderr": done.stderr.decode()},
    )
    assert answer["failed"] and "3.8 or later" in answer["msg"] and "ansible_python_interpreter" in answer["msg"]
    version = python.parts[-3].split(".")
    if version[0] == "3":
        assert answer["msg"].startswith(f"this host's Python is 3.{version[1]}, and 3.8 or later is needed: set")


@pytest.mark.parametrize("status", [137, -9])
def test_a_call_that_was_killed_is_said_to_be(status: int) -> None:
    answer = _program.answer("env_keys", PYTHON, {"rc": status, "stdout": "", "stderr": "Killed\n"})
    assert answer["rc"] == status
    assert answer["msg"] == f"{PYTHON} gave no answer: {_program.KILLED}"
    assert "exit status 137" in _program.KILLED and "memory" in _program.KILLED and "run again" in _program.KILLED


def test_a_host_does_not_steer_ansible() -> None:
    told = '{"changed": false, "ansible_facts": {"x": 1}, "_ansible_y": 1, "add_host": {"host_name": "web2"}, "first": "/tmp/x"}'
    ended = {"rc": 0, "stderr": "", "stdout": f"Welcome!\n{told}\n"}
    for module in ("active_fingerprint", "env_keys"):
        assert _program.answer(module, PYTHON, ended) == {"changed": False}


def test_a_failure_is_told_in_the_words_of_whoever_failed() -> None:
    ended = {
        "rc": 1,
        "stdout": "",
        "stderr": "debug1: x\nops is not in the sudoers file.\nShared connection to web1 closed.\n",
    }
    answer = _program.answer("active_fingerprint", PYTHON, ended)
    assert answer["msg"].endswith("ops is not in the sudoers file.")


def test_the_hosts_log_is_told_of_the_call_and_of_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    visit = look(tmp_path, step="prepare", token={"counter": 7, "nonce": "n"}, secrets={"0" * 16: SECRET})
    log = _program.logged("env_keys", visit, "LOG_AUTH", "ticket 12")
    assert log == [
        "ansible-phased.keys.env_keys",
        "LOG_AUTH",
        "ticket 12 Invoked with name=shop step=prepare counter=7",
    ]
    told: list[Any] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: told.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: told.append(given))
    _program.start.note(*log)
    assert told == [("ansible-phased.keys.env_keys", 0, syslog.LOG_AUTH), (syslog.LOG_INFO, log[2])]


def test_a_log_that_takes_no_line_keeps_no_call_from_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_given: Any) -> None:
        raise ValueError("embedded null character")

    monkeypatch.setattr(syslog, "syslog", refuses)
    _program.start.note("ansible-phased.keys.env_keys", "LOG_USER", "Invoked with name=shop")
    assert _program.logged("active_fingerprint", {"token": "x"}, "LOG_USER", None)[2] == "Invoked with"


@pytest.mark.parametrize(
    ("variables", "no_log", "facility"),
    [
        ({}, False, "LOG_USER"),
        ({"ansible_syslog_facility": "LOG_DAEMON"}, False, "LOG_DAEMON"),
        ({"ansible_no_target_syslog": True}, False, None),
        ({}, True, None),
    ],
)
def test_ansibles_settings_say_whether_and_where_a_host_logs(
    variables: dict[str, Any], no_log: bool, facility: str | None
) -> None:
    action = object.__new__(active_fingerprint.ActionModule)
    action._task = SimpleNamespace(no_log=no_log)
    log = action.log_line("active_fingerprint", {"name": "shop"}, variables)
    assert (log and log[1]) == facility


def test_17_a_reader_that_reads_no_more_does_not_hold_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(_program.start.__file__).read_text()
    assert source.count("LAST = 60") == 1
    monkeypatch.setattr(_program, "START", _program.lines(_program.pack(source.replace("LAST = 60", "LAST = 1"))))
    text = _program.text("active_fingerprint", look(tmp_path), False)
    out, into = os.pipe()
    os.set_blocking(into, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(into, b"x" * 4096)
    os.set_blocking(into, True)
    child = subprocess.Popen([PYTHON, *_program.OPTIONS.split()], stdin=subprocess.PIPE, stdout=into, cwd=tmp_path)
    try:
        assert child.stdin is not None
        child.stdin.write(text)
        child.stdin.close()
        assert child.wait(60) == -signal.SIGALRM
    finally:
        child.kill()
        child.wait()
        os.close(out)
        os.close(into)


def test_the_shapes_stay_on_the_controller_when_the_code_runs() -> None:
    names = [name.partition(".")[2] for name, text in _program._texts().items() if text is not None]
    assert "rules.proof" in names and "visit" in names and not any("shapes" in name for name in names)
    package = _program.answers.__name__.rpartition("._host.")[0]
    code = (
        "import importlib, sys\nfor shapes in ('_shapes', '_keyring_shapes'):\n    sys.modules[f'{sys.argv[1]}.{shapes}'] = None\n"
        + ("for name in sys.argv[2:]: importlib.import_module(sys.argv[1] + '._host.' + name)\nprint('loaded')")
    )
    done = subprocess.run([PYTHON, "-c", code, package, *names], capture_output=True, text=True, check=False)
    assert done.stdout == "loaded\n", done.stderr
