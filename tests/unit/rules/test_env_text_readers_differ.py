# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that the readers of one format do not read alike, or that a reader stops in: refused, and never guessed.

Each was found by hhiddening the formats against the readers themselves; what the reader makes of it is said beside it.
"""

from __future__ import annotations

from typing import Dict, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text

DOTENVS = ["python-dotenv", "node-dotenv", "ruby-dotenv", "phpdotenv"]
ENV_FILE = "node-env-file"

REFUSED = [
    # npm's dotenv alone knows a backtick string of several lines; python-dotenv and Ruby read the setting in it.
    *[(form, "B=`\nA=hidden\n`\n") for form in ("dotenv", "python-dotenv", "ruby-dotenv")],
    # python-dotenv and phpdotenv take the quotes off a name.
    *[(form, "'A'=hidden\n") for form in ("dotenv", "python-dotenv", "phpdotenv")],
    *[(form, "\"A\"=hidden\n") for form in ("dotenv", "phpdotenv")],
    *[(form, "export 'A'=hidden\n") for form in ("dotenv", "python-dotenv", "phpdotenv")],
    # What python-dotenv skips is the rest of the line in which the quotes end.
    *[(form, "\"x\"A='\nA='hidden'") for form in ("dotenv", "python-dotenv")],
    # A colon takes the next line for its value, for npm's dotenv and Ruby's.
    *[(form, "B:\nA=hidden\n") for form in ("dotenv", "node-dotenv", "ruby-dotenv")],
    # Not at the start of its line, or behind two blanks, node's own reader finds another name.
    *[(ENV_FILE, text) for text in ("  A=hidden\n", "\tA=hidden\n", "export  A=hidden\n", "export\tA=hidden\n", "B\nA=hidden\n", "B:\nA=hidden\n")],
    *[(ENV_FILE, text) for text in ("A=`hidden`\n", "B='x\nA=hidden\n", "B=it's\nA=hidden\n", "A=hidden\\n\n", "A='hidden' x\n", "A=o d'\n")],
    # A byte order mark is part of the first name for some.
    *[(form, "\ufeffA=hidden\n") for form in ("dotenv", "python-dotenv", "phpdotenv", ENV_FILE)],
    (ENV_FILE, "\ufeff# c\nA=hidden\n"),
    # Some versions take the line after an empty value for that value.
    (ENV_FILE, "B=\nA=hidden\n"),
    # dotenv-expand, which comes with dotenv for node, knows no single quotes any more when it looks for a $.
    *[(form, f"A='hidden{what}'\n") for form in ("dotenv", "node-dotenv") for what in ("$x", "$(x)", "${x}")],
    # docker compose keeps a lone CR, podman-compose ends the line there.
    ("compose", "A=hidden\rB=x\n"), ("compose", "B=x\rA=hidden\n"),
    # Docker reads no file with a longer line at all.
    ("docker", "A=hidden\nB=" + "x" * 65536 + "\n"), ("docker", "A=" + "x" * 65536), ("docker", "# " + "é" * 32768 + "\nA=hidden\n"),
    # A shell reads no further, or not for sure.
    *[("shell", f"{what}\nA=hidden\n") for what in (
        "return", "return 0", "exit", "exit 1", "set -e", "set -o errexit", "set -eu", "set -u", "set -n", "set -- x",
        "exec true", "trap x EXIT",
        "[ -f x ] || return", "if true; then exit; fi", "f() { exit; }", "'exit'", "ex\\it", "B=1 exit", "command exit", "builtin exit",
        "B=${C:?not set}", "B=${C?}", 'B="${C:?}"', "shift 3", "[[", "[[ -f x ]] && B=1", "select B in x", "coproc x", "function f {", "$B", "`x`", "\"$B\" x",
    )],
    # It may be set, unset, renamed or kept from being handed on by what is not looked into.
    *[("shell", text) for text in (
        "A=hidden\n. ./other\n", ". ./other\nA=hidden\n", "A=hidden\nsource other\n", "A=hidden\neval B=2\n", "A=hidden\neval \"$x\"\n",
        "command export A=hidden\n", "A=1\ncommand export A=hidden\n", "typeset A=hidden\n",
        "typeset -x A=hidden\n", "declare -x A=hidden\n", "declare A=hidden\n",
        "local A=hidden\n", "A=hidden\ndeclare +x A\n", "export A=hidden\nexport -n A\n", "A=hidden\nunset -v A\n", "A=hidden\nunset \"$B\"\n",
        "set +a\nA=hidden\n", "set +o allexport\nA=hidden\n", "set -a\nB=1\nset +a\nA=hidden\n", "if true; then set +a; fi\nA=hidden\n",
        "A=hidden\nfor A in x; do true; done\n", "A=hidden\nB=${A:=x}\n", "A=hidden\nprintf -v A x\n", "A=hidden\nlet A=1\n", "A=hidden\ngetopts a A\n",
        "A=hidden\nB=$((A=1))\n", "A=hidden\nB=$((A++))\n", "A=hidden\nmapfile A\n", "A=hidden\nreadarray A\n",
        "alias A=x\nA=hidden\n", "export $B\nA=hidden\n",
        "A=hidden\nexport \"$B\"\n", "export() { :; }\nexport A=hidden\n", "env -i\nB=2\nA=hidden\nexport 1B=2\n",
    )],
]  # fmt: skip


@pytest.mark.parametrize(("form", "text"), REFUSED)
def test_what_a_reader_makes_something_else_of_is_refused(form: str, text: str) -> None:
    with pytest.raises(env_text.EnvTextError) as error:
        env_text.read(text, form, ["A"])
    assert "hidden" not in str(error.value)
    with pytest.raises(env_text.EnvTextError):
        env_text.rewrite(text, form, {"A": "new"})


READ = [
    # Whoever names his reader has what it reads.
    *[(form, "A='a$b$(c)'\n", "a$b$(c)") for form in ("python-dotenv", "ruby-dotenv", "phpdotenv", ENV_FILE)],
    *[(form, "B:\nA=x\n", "x") for form in ("python-dotenv",)],
    ("node-dotenv", "'A'=x\n", None), ("ruby-dotenv", "'A'=x\n", None),
    ("node-dotenv", "\"A\"=x\n", None),
    *[(form, "export A=x # c\n", "x") for form in ("python-dotenv", "node-dotenv", "ruby-dotenv", ENV_FILE)],
    *[(form, "# it's\n\nA='x y' # c\nB=\"z\"\n", "x y") for form in [*DOTENVS, ENV_FILE]],
    *[(form, "A = x\nB = 'y'\n", "x") for form in [*DOTENVS, ENV_FILE]],
    (ENV_FILE, "A=\nB=x", ""), (ENV_FILE, "B=''\nA=x", "x"), (ENV_FILE, "B=\n\n# c\nC=1\nA=x\n", "x"),
    # What a shell does for sure.
    ("shell", "set -a\nA=x\nset +a\n", "x"), ("shell", "set -o allexport\nA=x\n", "x"), ("shell", "set +a\nexport A=x\n", "x"),
    ("shell", "set +a\nset -a\nA=x\n", "x"), ("shell", "A=x\ndeclare -x B=1\ntypeset C=2\n", "x"), ("shell", "A=x\nfor B in 1; do true; done\n", "x"),
    ("shell", "A=x\nB=${C:-d}${E:=f}\n", "x"), ("shell", "echo exit\nA=x\n", "x"), ("shell", "A=x\nunset -v B\n", "x"),
    ("shell", "[ -f x ] && B=1\nA=x\n", "x"), ("shell", "A=x\nalias ll='ls -l'\n", "x"), ("shell", "export PATH=\"$PATH:/x\" A=x\n", "x"),
    ("docker", "B=" + "x" * 65000 + "\nA=y\n", "y"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "text", "value"), READ)
def test_what_is_certain_is_read(form: str, text: str, value: Optional[str]) -> None:
    assert env_text.read(text, form, ["A"]) == ({} if value is None else {"A": value})


EMPTY: List[str] = ["dotenv", "compose", "shell", *DOTENVS, ENV_FILE]


@pytest.mark.parametrize("form", EMPTY)
def test_an_empty_value_is_written_with_its_quotes(form: str) -> None:
    """`export NAME=` with nothing behind it stops Ruby's dotenv from 3.1.8 on, and the whole application with it."""
    for text in ("export BB=1\n", "export AA=x\n", "export AA=\n", "AA=x\nBB=1\n"):
        if text == "export AA=\n" and form in ("ruby-dotenv", "shell"):
            continue  # that file Ruby does not read, and for a shell it is as good
        after = env_text.rewrite(text, form, {"AA": ""})
        assert "AA=''" in after
        assert env_text.rewrite(after, form, {"AA": ""}) == after


def test_what_ruby_does_not_read_is_not_read_for_it() -> None:
    for text in ("export A=\nB=1\n", "export B\nA=1\n"):
        with pytest.raises(env_text.EnvTextError):
            env_text.read(text, "ruby-dotenv", ["A"])


def test_a_write_keeps_the_file_one_that_every_reader_takes() -> None:
    values: Dict[str, Optional[str]] = {"A": "", "C": "x"}
    assert env_text.rewrite("export B=1\n", "dotenv", values) == "export B=1\nexport A=''\nexport C=x\n"
