# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet reads env files as systemd does."""

from __future__ import annotations

import envfile
import pytest
from fleet import KEY_CHARACTERS

CASES = {
    "plain": ("A=1\nB=two\n", {"A": "1", "B": "two"}),
    "no newline at the end": ("A=1", {"A": "1"}),
    "comments of both kinds": ("# A=1\n; B=2\nC=3 # no comment\n", {"C": "3 # no comment"}),
    "blanks around": ("  A = one two \t\n", {"A": "one two"}),
    "single quotes": ("A='$x \\ \"y\"'\n", {"A": '$x \\ "y"'}),
    "double quotes": ('A="a \\" \\\\ \\$ \\` \\n"\n', {"A": 'a " \\ $ ` \\n'}),
    "quoted blanks": ("A='  x  '\n", {"A": "  x  "}),
    "pieces": ("A='x'\"y\"z\n", {"A": "xyz"}),
    "continued": ("A=one\\\ntwo\nB=3\n", {"A": "onetwo", "B": "3"}),
    "continued in quotes": ('A="one\\\ntwo"\n', {"A": "onetwo"}),
    "lines in quotes": ("A='one\ntwo'\n", {"A": "one\ntwo"}),
    "escaped": ("A=\\$x\\ \n", {"A": "$x "}),
    "empty": ("A=\nB=''\n", {"A": "", "B": ""}),
    "twice: the last": ("A=1\nA=2\n", {"A": "2"}),
    "no names": ("1A=1\nA B=2\nnothing\n=3\n", {}),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_parse(text, expected):
    assert envfile.parse(text) == expected


@pytest.mark.parametrize("value", [KEY_CHARACTERS, "'", '"', "\\", "\\n", "`$HOME`", " x ", "", "a\nb", "#", "ключ"])
def test_what_is_quoted_is_read_back(value):
    assert envfile.parse(f"A={envfile.quote(value)}\n") == {"A": value}


def test_assign_leaves_other_lines_alone(tmp_path):
    path = tmp_path / "env"
    path.write_text("# note\nA=1\n\nB = 'x'\n")
    envfile.assign(path, A="2 $", C="3")
    assert path.read_text() == '# note\n\nB = \'x\'\nA="2 \\$"\nC="3"\n'
    assert path.stat().st_mode & 0o777 == 0o600
