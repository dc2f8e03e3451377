# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What env files are read as and how they are rewritten, by tables and against the real readers."""

from __future__ import annotations

from typing import Any, List, Mapping, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_text
from env_text_cases import (
    FORMATS,
    QUOTING,
    READ,
    REWRITE,
    STRICT,
    common,
    every,
    expands,
    old_line,
    other_line,
    soup,
    value_of_any_framework,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# An old key whose every part would show in a message that leaks it.
HIDDEN = "hidden7f3a"


def kind(call: Any, *args: Any) -> str:
    with pytest.raises(env_text.EnvTextError) as caught:
        call(*args)
    assert HIDDEN not in str(caught.value)
    return caught.value.kind


def refused(text: str, form: str) -> bool:
    try:
        env_text.read(text, form, ["SECRET_KEY"])
    except env_text.EnvTextError:
        return True
    return False


# --- reading -----------------------------------------------------------------

READ_CASES = [(form, *case) for form in FORMATS for case in every(form) + READ[form]]


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
    ("shell", "A\\\n=hidden7f3a\n", "broken"),
    ("shell", "i\\\nf false; then\nA=hidden7f3a\nfi\n", "broken"),
    ("shell", "false &\\\n& A=hidden7f3a\n", "broken"),
]


@pytest.mark.parametrize(("form", "text", "expected"), REFUSED)
def test_refuses_what_cannot_be_known(form: str, text: str, expected: str) -> None:
    assert kind(env_text.read, text, form, ["A"]) == expected
    assert kind(env_text.rewrite, text, form, {"A": "new"}) == expected


@pytest.mark.parametrize("form", [form for form in QUOTING if form not in STRICT])
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
    if expands(form, new) or (form in STRICT and refused(text, form)):
        assert kind(env_text.rewrite, text, form, {"SECRET_KEY": new}) in ("unwritable", "broken")
        return
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
