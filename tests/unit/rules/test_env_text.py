# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What env files are read as and how they are rewritten, by tables and against the real readers."""

from __future__ import annotations

import ctypes
import glob
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import pytest
from ansible_collections.phased.keys.plugins.module_utils.rules import env_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FORMATS = env_text.FORMATS
QUOTING = [form for form in FORMATS if form != "docker"]
# Each character of the keys that Django makes; django/core/management/utils.py.
DJANGO = "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)"
# An old key whose every part would show in a message that leaks it.
HIDDEN = "hidden7f3a"


def kind(call: Any, *args: Any) -> str:
    with pytest.raises(env_text.EnvTextError) as caught:
        call(*args)
    assert HIDDEN not in str(caught.value)
    return caught.value.kind


# --- reading -----------------------------------------------------------------

EVERY_FORMAT = [
    ("A=x\n", "x"),
    ("A=x", "x"),
    ("A=\n", ""),
    ("\n\n  A=x\n", "x"),
    ("# A=y\nA=x\n", "x"),
    ("  # A=y\nA=x\n", "x"),
    ("B=y\nA=x\nC=z\n", "x"),
    ("AA=y\nA=x\nA_B=z\n", "x"),
    ("A=a=b==\n", "a=b=="),
    ("A=base64:Zm9v/+=\n", "base64:Zm9v/+="),
    ("B=y\n", None),
    ("#A=x\n", None),
    ("", None),
    ("a=x\n", None),
]
READ: Dict[str, List[Any]] = {
    "systemd": [
        # test_load_env_file_1 to _5 in systemd's src/test/test-env-file.c
        ("a=a\nA=b\\\nc\nd=d\\\ne\\\nf\ng=g\\ \nh=h\ni=i\\", "bc"),
        ("a=a\nb=b\\\nc\nA=d\\\ne\\\nf\ng=g\\ \nh=h\ni=i\\", "def"),
        ("a=a\nb=b\\\nc\nd=d\\\ne\\\nf\nA=g\\ \nh=h\ni=i\\", "g "),
        ("h=h\nA=i\\", "i"),
        ("A=a\\\n", "a"),
        ('# Generated\n\nA="coretemp f71882fg"\n\nMODULE_0=coretemp\n', "coretemp f71882fg"),
        ("a=\nA=", ""),
        # Quotes, escapes, blanks
        ("A='it is'\n", "it is"),
        ("A='a\\b'\n", "a\\b"),
        ("A='a'b\n", "ab"),
        ("A='a' 'b' c d  \n", "abc d"),
        ("A=a'b'\n", "a'b'"),
        ('A="a\\"b\\\\c\\$d\\`e\\f"\n', 'a"b\\c$d`e\\f'),
        ('A="a\\\nb\nc"\n', "ab\nc"),
        ("A=a\\'b\\\\\n", "a'b\\"),
        ("A = x y  \n", "x y"),
        ("A=x # y\n", "x # y"),
        ("A=$HOME `x` $(y)\n", "$HOME `x` $(y)"),
        ("A=x\r\nB=y\r\n", "x"),
        ("; A=y\nA=x\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=b\\\nA=y\nA=x\n", "x"),
        ("export A=x\n", None),
        ("\ufeffA=x\n", None),
        ("B=1\\", None),
        ("# \\\n# A=y\nA=x\n", "x"),
    ],
    "dotenv": [
        ("export A=x\n", "x"),
        ("A = x\n", "x"),
        ("A='x y' # c\n", "x y"),
        ("A=x # c\n", "x"),
        ("A='x' # don't\n", "x"),
        ('A="it\'s"\n', "it's"),
        ('A=\'["a", "b"]\'\n', '["a", "b"]'),
        ('A=["a","b"]\n', '["a","b"]'),
        ("A='a#b$c'\n", "a#b$c"),
        ('A="a#b$%"\n', "a#b$%"),
        ("A=a$\n", "a$"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ('B="a\nb"\nA=x\r\n', "x"),
        ("B=it's\nA=x\n", "x"),
        ("B=${C}\\n`d`\nA=x\n", "x"),
    ],
    "docker": [
        ("A='x y' # c \n", "'x y' # c "),
        ("A=$HOME\\\nB=x\n", "$HOME\\"),
        ("A= x\r\nB=y\r\n", " x"),
        ("\ufeffA=x\n", "x"),
        ("B='\nA=x\n", "x"),
        ("A =x\n", None),
        ("export A=x\n", None),
    ],
    "compose": [
        ("export A=x\n", "x"),
        ("A='a$b' # c\n", "a$b"),
        ("A=a#b c # d\n", "a#b c"),
        ("A=a\\b\n", "a\\b"),
        ("\ufeffA=x\r\nB=y\r\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=$C\nA=x\n", "x"),
    ],
    "shell": [
        ("export A=x\n", "x"),
        ("readonly A=x\n", "x"),
        ("export B=y A='x' C\n", "x"),
        ("A=x; export A # c\n", "x"),
        ("A=x && export A\n", "x"),
        ("A=a'b c'\"d'\"\\e\\\nf\n", "ab cd'ef"),
        ('A="a\\"b\\\\c\\$d\\`e\\f\\\ng"\n', 'a"b\\c$d`e\\fg'),
        ("A='a\nb'\n", "a\nb"),
        ("A=a#b #c\n", "a#b"),
        ("A=a*b?[c]{d,e}!f\n", "a*b?[c]{d,e}!f"),
        ("A=x\r\n", "x\r"),
        ("B=$(echo ')' \"$(id)\" (x)) C=`id` D=${E:-'}'}\nA=x\n", "x"),
        ("if true; then B=y; fi\nA=x\n", "x"),
        ("case $1 in a) B=y;; esac\nA=x\n", "x"),
        ("f() { B=y; }\nA=x\n", "x"),
        ("set -a\n. ./other >&2\nA=x\n", "x"),
        ("echo if >&2\nA=x\n", "x"),
        ("B='\nA=y\n'\nA=x\n", "x"),
        ("B=\\\nA=y\n", None),
        ("echo A=x\n", None),
        ("A =x\n", None),
    ],
}
READ_CASES = [(form, *case) for form in FORMATS for case in EVERY_FORMAT + READ[form]]


@pytest.mark.parametrize(("form", "text", "value"), READ_CASES)
def test_reads_as_the_format_does(form: str, text: str, value: Optional[str]) -> None:
    assert env_text.read(text, form, ["A"]) == ({} if value is None else {"A": value})


REFUSED = [
    *[(form, "A=1\nB=2\nA=hidden7f3a\n", "twice") for form in FORMATS],
    *[(form, "#\nB=1\0\n", "broken") for form in FORMATS],
    *[(form, "A=hidden7f3a\udcff\n", "not_literal") for form in FORMATS],
    *[(form, "B='hidden7f3a\nC=1\n", "broken") for form in QUOTING],
    *[(form, 'A="hidden7f3a\nC=1\n', "broken") for form in QUOTING],
    # systemd: up to version 253 the comment goes on
    ("systemd", "# \\\nA=hidden7f3a\n", "broken"),
    ("systemd", "#B='\\\nA=hidden7f3a\nA=2\n", "twice"),
    ("systemd", "# \\\nB='\nA=1\n", "broken"),
    ("systemd", "A=x 'y'\nB= 'y' 'hidden7f3a\n", "broken"),
    # dotenv
    ("dotenv", "A=hidden7f3a$B\n", "not_literal"),
    ("dotenv", 'A="hidden7f3a${B}"\n', "not_literal"),
    ("dotenv", "A='hidden7f3a${B}'\n", "not_literal"),
    ("dotenv", "A=$(hidden7f3a)\n", "not_literal"),
    ("dotenv", "A=hidden7f3a#b\n", "not_literal"),
    ("dotenv", "A=#hidden7f3a\n", "not_literal"),
    ("dotenv", "A= # hidden7f3a\n", "not_literal"),
    ("dotenv", "A=hidden7f3a b\n", "not_literal"),
    ("dotenv", "A=hidden7f3a\\b\n", "not_literal"),
    ("dotenv", "A='hidden7f3a\\b'\n", "not_literal"),
    ("dotenv", 'A="hidden7f3a\\n"\n', "not_literal"),
    ("dotenv", "A='hidden7f3a\nb'\n", "not_literal"),
    ("dotenv", "A=`hidden7f3a`\n", "not_literal"),
    ("dotenv", "A='hidden7f3a'b\n", "not_literal"),
    ("dotenv", "A='hidden7f3a' # 'b'\n", "not_literal"),
    ("dotenv", "A: hidden7f3a\n", "not_literal"),
    ("dotenv", "A\n", "not_literal"),
    ("dotenv", "A=1\nexport A\n", "twice"),
    ("dotenv", "\ufeffA=hidden7f3a\n", "not_literal"),
    ("dotenv", "B='hidden7f3a\\'\nA=1\nC='x'\n", "broken"),
    ("dotenv", '# B="hidden7f3a\nA=1\n', "broken"),
    # docker: taken from who calls it
    ("docker", "A\n", "not_literal"),
    # compose
    ("compose", "A=hidden7f3a$$\n", "not_literal"),
    ("compose", 'A="hidden7f3a$%"\n', "not_literal"),
    ("compose", "A='hidden7f3a\\''\n", "not_literal"),
    ("compose", "A= #hidden7f3a\n", "not_literal"),
    ("compose", "A=hidden7f3a\t#b\n", "not_literal"),
    ("compose", "A:hidden7f3a\n", "not_literal"),
    ("compose", "A\n", "not_literal"),
    ("compose", "A='hidden7f3a' B\n", "not_literal"),
    # shell
    ("shell", "A=$hidden7f3a\n", "not_literal"),
    ("shell", 'A="hidden7f3a$"\n', "not_literal"),
    ("shell", "A=`hidden7f3a`\n", "not_literal"),
    ("shell", "A=$(hidden7f3a)\n", "not_literal"),
    ("shell", 'A="$(echo "hidden7f3a")"\n', "not_literal"),
    ("shell", "A=~/hidden7f3a\n", "not_literal"),
    ("shell", "export A=hidden7f3a*\n", "not_literal"),
    ("shell", "export A={hidden7f3a,b}\n", "not_literal"),
    ("shell", "A+=hidden7f3a\n", "not_literal"),
    ("shell", "A=(hidden7f3a)\n", "not_literal"),
    ("shell", "A=hidden7f3a\\", "not_literal"),
    ("shell", "A=hidden7f3a django-admin check\n", "not_literal"),
    ("shell", "A=hidden7f3a B=2 django-admin C=3\n", "not_literal"),
    ("shell", "A=hidden7f3a &\n", "not_literal"),
    ("shell", "A=hidden7f3a | cat\n", "not_literal"),
    ("shell", "cat | A=hidden7f3a\n", "not_literal"),
    ("shell", "test -n x || \n A=hidden7f3a\n", "not_literal"),
    ("shell", "test -n x && A=hidden7f3a\n", "not_literal"),
    ("shell", "A=hidden7f3a && test -n x &\n", "not_literal"),
    ("shell", "if true; then A=hidden7f3a; fi\n", "not_literal"),
    ("shell", "case x in x) A=hidden7f3a;; esac\n", "not_literal"),
    ("shell", "f() { A=hidden7f3a; }\n", "not_literal"),
    ("shell", "(A=hidden7f3a)\n", "not_literal"),
    ("shell", "A=1\nunset A\n", "twice"),
    ("shell", "unset A\n", "not_literal"),
    ("shell", "read A\n", "not_literal"),
    ("shell", "B=$(hidden7f3a\nA=1\n", "broken"),
    ("shell", "B=`hidden7f3a\nA=1\n", "broken"),
    ("shell", "cat <<END\nA=hidden7f3a\nEND\n", "broken"),
]


@pytest.mark.parametrize(("form", "text", "expected"), REFUSED)
def test_refuses_what_cannot_be_known(form: str, text: str, expected: str) -> None:
    assert kind(env_text.read, text, form, ["A"]) == expected
    assert kind(env_text.rewrite, text, form, {"A": "new"}) == expected


@pytest.mark.parametrize("form", QUOTING)
def test_leaves_the_problems_of_others_alone(form: str) -> None:
    text = "B=1\nB=2\nC=$HOME$(id)`id`\nA=x\n"
    assert env_text.read(text, form, ["A"]) == {"A": "x"}
    assert env_text.rewrite(text, form, {"A": "y"}) == text.replace("A=x", "A=y")


@pytest.mark.parametrize("form", FORMATS)
def test_errors_name_the_line_and_the_setting(form: str) -> None:
    with pytest.raises(env_text.EnvTextError, match=r"^line 4: SECRET_KEY stands in line 2 already$"):
        env_text.read("# x\nSECRET_KEY=1\n\nSECRET_KEY=2\n", form, ["SECRET_KEY"])


def test_knows_no_other_format() -> None:
    assert kind(env_text.read, "", "ini", []) == "format"
    assert kind(env_text.rewrite, "", "ini", {}) == "format"


# --- rewriting ---------------------------------------------------------------

REWRITE = [
    *[(form, "# c\nB=1\nA=x\nC=2", {"A": "y"}, "# c\nB=1\nA=y\nC=2") for form in FORMATS],
    *[(form, "A=x\nB=1\n", {"A": None, "C": None}, "B=1\n") for form in FORMATS],
    *[(form, "#A=x\nB=1\n", {"A": None}, "#A=x\nB=1\n") for form in FORMATS],
    *[(form, "", {"A": "x", "B": "y"}, "A=x\nB=y\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1", {"A": "x"}, "B=1\nA=x\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1\r\nA=x\r\n", {"A": "y", "C": "z"}, "B=1\r\nA=y\r\nC=z\r\n") for form in FORMATS if form != "shell"],
    *[(form, "B=1\r\n  A=x\r\nC=2\r\n", {"A": None}, "B=1\r\nC=2\r\n") for form in FORMATS],
    *[(form, "A='x'\n", {"A": "x"}, "A='x'\n") for form in QUOTING],
    *[(form, "A='a b'\n", {"A": "c d"}, "A='c d'\n") for form in QUOTING],
    *[(form, "A=x\n", {"A": '["a$b", "c"]'}, "A='[\"a$b\", \"c\"]'\n") for form in QUOTING],
    *[(form, "A=x\n", {"A": "it's"}, 'A="it\'s"\n') for form in QUOTING if form != "shell"],
    ("systemd", "A = 'x' \"y\" z \\\n  q  \nB=1\n", {"A": "n"}, "A = n  \nB=1\n"),
    ("systemd", "A=x\\\ny\nB=1\n", {"A": None}, "B=1\n"),
    ("systemd", "", {"A": "a'b\"c\\d$e`f"}, 'A="a\'b\\"c\\\\d\\$e\\`f"\n'),
    ("systemd", "", {"A": "a b\\c"}, 'A="a b\\\\c"\n'),
    ("docker", "A='x'\n", {"A": '["a b", "$\\"]'}, 'A=["a b", "$\\"]\n'),
    ("dotenv", "export A=x # c\n", {"A": "y z"}, "export A='y z' # c\n"),
    ("dotenv", "  A = 'x' # c\n", {"A": ""}, "  A = '' # c\n"),
    ("dotenv", "export B=1\n", {"A": "x"}, "export B=1\nexport A=x\n"),
    ("dotenv", "export B=1\nC=2\n", {"A": "x"}, "export B=1\nC=2\nA=x\n"),
    ("compose", "A=x # c\n", {"A": "a#b"}, "A='a#b' # c\n"),
    ("shell", "", {"A": "x"}, "export A=x\n"),
    ("shell", "B=1\r\n", {"A": "x"}, "B=1\r\nexport A=x\n"),
    ("shell", "export A=x B=1\n", {"A": "it's", "B": "2"}, "export A='it'\\''s' B=2\n"),
    ("shell", " A=x; # c\nB=1\n", {"A": None}, "B=1\n"),
    ("shell", "export A=x # c\nB=1\n", {"A": None}, "B=1\n"),
    ("shell", "A=a\\\nb\"c\nd\"; export A\n", {"A": "n"}, "A=n; export A\n"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "text", "values", "expected"), REWRITE)
def test_rewrites_in_place(form: str, text: str, values: Mapping[str, Optional[str]], expected: str) -> None:
    assert env_text.rewrite(text, form, values) == expected


UNWRITABLE = [
    *[(form, "A=x\n", f"hidden7f3a{char}") for form in FORMATS for char in ("\n", "\r", "\0", "\t", "\x7f", "\udcff")],
    *[(form, "A=x\n", value) for form in ("dotenv", "compose") for value in ("hidden7f3a'$b\"", "hidden7f3a${b}#'")],
    ("dotenv", "A=x\n", "hidden7f3a\\"),
    ("dotenv", "A=x\n", "hidden7f3a '\""),
    ("dotenv", "A=x # 'c' # \"d\"\n", "hidden7f3a b"),
    ("shell", "A=x; B=1\n", None),
    ("shell", "export A=x B=1\n", None),
    ("shell", "B=1\nexport A=x B\n", None),
    ("shell", "B=1 \\\n A=x\n# c\n", None),
    # What is added would become part of what comes before it.
    ("systemd", "B=1\\", "hidden7f3a"),
    ("systemd", "# \\", "hidden7f3a"),
    ("shell", "B=1\\", "hidden7f3a"),
    ("shell", "if true", "hidden7f3a"),
]


@pytest.mark.parametrize(("form", "text", "value"), UNWRITABLE)
def test_writes_nothing_that_would_be_read_otherwise(form: str, text: str, value: Optional[str]) -> None:
    assert kind(env_text.rewrite, text, form, {"A": value}) == "unwritable"


# --- properties --------------------------------------------------------------

key = st.text(DJANGO, max_size=60)
value_of_any_framework = st.one_of(
    key, st.lists(key, max_size=3).map(json.dumps), st.lists(key, max_size=3).map(",".join)
)
other_line = st.sampled_from(
    [
        "",
        "# it's",
        "#A=1",
        " ;",
        "B=1",
        "  B = 'x y'",
        "export C=2 ",
        'D="x\ny"',
        "E='a#b'",
        "F=x # y",
        "# SECRET_KEY=2",
    ]
)
old_line = st.sampled_from(
    ["SECRET_KEY=old", "export SECRET_KEY='o l d'", '  SECRET_KEY="old" ', "SECRET_KEY=", "", "\t"]
)
common = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("form", FORMATS)
@common
@given(
    above=st.lists(other_line, max_size=4),
    old=old_line,
    below=st.lists(other_line, max_size=4),
    newline=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    new=value_of_any_framework,
)
def test_any_key_goes_in_and_all_else_stays(
    form: str, above: List[str], old: str, below: List[str], newline: str, last: bool, new: str
) -> None:
    newline = "\n" if form == "shell" else newline
    text = newline.join([*above, old, *below]) + (newline if last else "")
    after = env_text.rewrite(text, form, {"SECRET_KEY": new})
    assert env_text.read(after, form, ["SECRET_KEY"]) == {"SECRET_KEY": new}
    head, tail = "".join(line + newline for line in above), "".join(newline + line for line in below)
    tail += newline if last else ""
    if "SECRET_KEY" in env_text.read(text, form, ["SECRET_KEY"]):
        assert after.startswith(head)
        assert after.endswith(tail)
        assert len(after) >= len(head) + len(tail)
        assert after[len(head) : len(after) - len(tail)].count("\n") == 0
    else:
        assert after.startswith(text)
    assert env_text.rewrite(after, form, {"SECRET_KEY": new}) == after
    if "SECRET_KEY" not in env_text.read(text, form, ["SECRET_KEY"]) and text[-1:] in ("", "\n"):
        assert env_text.rewrite(after, form, {"SECRET_KEY": None}) == text


pieces = st.sampled_from(
    [
        *"AB='\"\\ \n#;$`()&|<>{}*~:x\t\r",
        "A=",
        "\nA=",
        "\nexport A=",
        "'x'",
        '"x"',
        "\\\n",
        "if ",
        "fi",
        "[",
        " #",
        "\r\n",
    ]
)
soup = st.lists(pieces, max_size=20).map("".join)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=400, deadline=None)
@given(text=soup, new=st.text("ax'\"\\ #$`;~{é\n", max_size=6))
def test_any_text_is_rewritten_faithfully_or_refused(form: str, text: str, new: str) -> None:
    try:
        before = env_text.read(text, form, ["A", "B"])
    except env_text.EnvTextError as error:
        assert error.kind in ("twice", "not_literal", "broken")
        return
    try:
        after = env_text.rewrite(text, form, {"A": new})
    except env_text.EnvTextError as error:
        assert error.kind == "unwritable"
        return
    assert env_text.read(after, form, ["A", "B"]) == {**before, "A": new}
    assert env_text.rewrite(after, form, {"A": new, "B": before.get("B")}) == after


# --- the real readers --------------------------------------------------------


def systemd_reads(folder: Path, text: str) -> Optional[Dict[str, str]]:
    """systemd's own load_env_file, out of its private library; None where it fails."""
    library = ctypes.CDLL(sorted(glob.glob(SYSTEMD))[-1])
    path = folder / "env"
    path.write_bytes(text.encode())
    found = ctypes.POINTER(ctypes.c_char_p)()
    if library.load_env_file(None, str(path).encode(), ctypes.byref(found)) < 0:
        return None
    values, index = {}, 0
    while found and found[index] is not None:
        name, _equals, value = (found[index] or b"").decode().partition("=")
        values[name], index = value, index + 1
    return values


def shell_reads(folder: Path, text: str, shell: Sequence[str]) -> Optional[Dict[str, str]]:
    (folder / "env").write_bytes(text.encode())
    done = subprocess.run(
        [shutil.which(shell[0]) or "", *shell[1:], "-c", "set -a; . ./env >&2; exec env -0"],
        cwd=folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, capture_output=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode or b"yntax error" in done.stderr or b"unexpected" in done.stderr:
        return None
    return dict(line.split("=", 1) for line in done.stdout.decode().split("\0") if "=" in line)


def dotenv_reads(_folder: Path, text: str) -> Optional[Dict[str, str]]:
    dotenv = pytest.importorskip("dotenv")
    values = dotenv.dotenv_values(stream=io.StringIO(text, newline=""))
    return {name: value for name, value in values.items() if value is not None}


SYSTEMD = "/usr/lib/*/systemd/libsystemd-shared-2*.so"
SHELLS = [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]]
READERS = [
    pytest.param(
        "systemd", systemd_reads, id="systemd",
        marks=pytest.mark.skipif(not glob.glob(SYSTEMD), reason="no libsystemd-shared here"),
    ),
    pytest.param("dotenv", dotenv_reads, id="python-dotenv"),
    *[
        pytest.param(
            "shell", lambda folder, text, shell=shell: shell_reads(folder, text, shell), id=shell[0],
            marks=pytest.mark.skipif(not shutil.which(shell[0]), reason=f"no {shell[0]} here"),
        )
        for shell in SHELLS
    ],
]  # fmt: skip


@pytest.mark.parametrize(("form", "reader"), READERS)
def test_the_real_reader_agrees_with_the_tables(form: str, reader: Any, tmp_path: Path) -> None:
    for text, value in EVERY_FORMAT + READ[form]:
        if form != "dotenv" or "\ufeff" not in text:
            real = reader(tmp_path, text)
            assert real is None or real.get("A") == value, text
    for case_form, text, values, expected in REWRITE:
        if case_form == form:
            real = reader(tmp_path, env_text.rewrite(text, form, values))
            assert real is not None
            assert {name: real.get(name) for name in values} == values, expected


@pytest.mark.parametrize(("form", "reader"), READERS)
@settings(common, max_examples=60)
@given(key=value_of_any_framework, text=st.lists(other_line, max_size=3).map("\n".join))
def test_the_real_reader_reads_back_what_is_written(
    form: str, reader: Any, tmp_path: Path, key: str, text: str
) -> None:
    before = reader(tmp_path, text)
    after = reader(tmp_path, env_text.rewrite(text, form, {"SECRET_KEY": key}))
    if before is not None:
        assert after == {**before, "SECRET_KEY": key}


@pytest.mark.parametrize(("form", "reader"), READERS)
@settings(common, max_examples=150)
@given(text=soup)
def test_the_real_reader_agrees_on_any_text(form: str, reader: Any, tmp_path: Path, text: str) -> None:
    try:
        ours = env_text.read(text, form, ["A", "B"])
    except env_text.EnvTextError:
        return
    real = reader(tmp_path, text)
    if real is not None and (ours or form != "dotenv"):
        assert {name: real[name] for name in ("A", "B") if name in real} == ours
