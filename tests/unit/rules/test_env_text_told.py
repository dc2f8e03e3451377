# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an env file that cannot be used: the line, the setting and what is wrong with it, word by word."""

from __future__ import annotations

import re
from typing import Any, Dict, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import env_formats, env_text

UNCLOSED = "what is opened here is not closed, or not for every reader"
DIFFERS = "A is read differently by the readers of this format: put it in single quotes, without backslashes"
EXPANDS = "A holds a $ that some reader expands: put it in single quotes"
SHELL_EXPANDS = "A holds what a shell expands: put it in single quotes"
COMPOUND = "A is part of a compound command, and not set in every case"
NO_START = "A does not stand at the start of a line with an equals sign after it, as every reader needs it"

REFUSED = {
    "systemd": [
        ("# c\n\nA=1\nB=2\nA=3\n", "line 5: A stands in line 3 already"),
        ("B=1\n\0", "line 2: a NUL byte, where readers stop or fail"),
        ("B=1\nA=x\udcff\n", "line 2: A is not UTF-8"),
        ("\nB='x\nC=1\n", f"line 2: {UNCLOSED}"),
        ("B=1\nA=x'y'\nC= 'y' \"x\n", f"line 3: {UNCLOSED}"),
        ("# \\\nA=x\n", "line 2: A comes after a comment with a backslash at its end, which goes on in this line before systemd 254"),
    ],
    "docker": [("B=1\nA\n", "line 2: A has no value here: docker takes that from the one who calls it")],
    "dotenv": [
        ("B=1\nA=x$B\n", f"line 2: {EXPANDS}"), ("A=$(x)\n", f"line 1: {EXPANDS}"), ("A='x${B}'\n", f"line 1: {EXPANDS}"),
        ('A="x$B"\n', f"line 1: {EXPANDS}"), ("A=x#b\n", f"line 1: {DIFFERS}"), ("A=x b\n", f"line 1: {DIFFERS}"),
        ("A='x\\b'\n", f"line 1: {DIFFERS}"), ("A=`x`\n", f"line 1: {DIFFERS}"), ("A='x'b\n", f"line 1: {DIFFERS}"),
        ("A='x' # 'b'\n", f"line 1: {DIFFERS}"), ("A='x\ny'\n", f"line 1: {DIFFERS}"), ("A=x\x07\n", f"line 1: {DIFFERS}"),
        ("B=1\nA: x\n", f"line 2: {NO_START}"), ("A\n", f"line 1: {NO_START}"), ("\ufeffA=x\n", f"line 1: {NO_START}"),
        ("B=1\nexport A # c\n", f"line 2: {NO_START}"), ("B='x\\'\nA=1\nC='x'\n", f"line 1: {UNCLOSED}"),
        ("C=1\n# B=\"x\nA=1\n", f"line 2: {UNCLOSED}"), ("C=1\n'x\nA=1\n", f"line 2: {UNCLOSED}"),
        ("export 'x\nA=1\n", f"line 1: {UNCLOSED}"),
        # Unlike these, where the quote does not come right after an equals sign, or is closed.
        ("# B= \"x\nA=1\nA=2\n", "line 3: A stands in line 2 already"), ('# B="x"\nA=1\nA=2\n', "line 3: A stands in line 2 already"),
    ],
    "compose": [
        ("B=1\nA=x$$\n", f"line 2: {EXPANDS}"), ('A="x$%"\n', f"line 1: {EXPANDS}"), ("A= #x\n", f"line 1: {DIFFERS}"),
        ("A=x\t#b\n", f"line 1: {DIFFERS}"), ("A:x\n", f"line 1: {NO_START}"), ("A='x' B\n", f"line 1: {DIFFERS}"),
        ("\ufeffB=1\nA\n", f"line 2: {NO_START}"),
    ],
    "shell": [
        ("B=1\nA=$x\n", f"line 2: {SHELL_EXPANDS}"), ('A="x$"\n', f"line 1: {SHELL_EXPANDS}"), ("A=`x`\n", f"line 1: {SHELL_EXPANDS}"),
        ("A=~/x\n", f"line 1: {SHELL_EXPANDS}"), ("A=a~\n", f"line 1: {SHELL_EXPANDS}"),
        ("A=x\\", f"line 1: {SHELL_EXPANDS}"), ("A=${x:-'}'}\n", f"line 1: {SHELL_EXPANDS}"),
        *[(f"export A=x{char}\n", f"line 1: {SHELL_EXPANDS}") for char in "~*?[{"],
        ("A+=x\n", "line 1: A is appended to"), ("export B=1 A+=x\n", "line 1: A is appended to"),
        ("A=x django-admin\n", "line 1: A is set for one command only"), ("A=$x django-admin\n", "line 1: A is set for one command only"),
        ("A=x >f\n", "line 1: A stands beside a redirection, which may fail"),
        (">f A=x\n", "line 1: A stands beside a redirection, which may fail"),
        ("A=x <f &\n", f"line 1: {COMPOUND}"), ("A=x | cat\n", f"line 1: {COMPOUND}"), ("cat | A=x\n", f"line 1: {COMPOUND}"),
        ("true ||\n A=x\n", f"line 2: {COMPOUND}"), ("true && A=x\n", f"line 1: {COMPOUND}"), ("A=x && true &\n", f"line 1: {COMPOUND}"),
        ("B=1; A=x && true && true &\n", f"line 1: {COMPOUND}"), ("(A=x)\n", f"line 1: {COMPOUND}"), ("A=(x)\n", f"line 1: {COMPOUND}"),
        ("(true\n A=x\n)\n", f"line 2: {COMPOUND}"), ("((true); A=x)\n", f"line 1: {COMPOUND}"),
        *[(f"{first} true\nA=x\n{last}\n", f"line 2: {COMPOUND}") for first, last in
          (("if", "fi"), ("while", "done"), ("until", "done"), ("for", "done"), ("case", "esac"), ("{", "}"))],
        ("if true; then if true; then B=1; fi; A=x; fi\n", f"line 1: {COMPOUND}"),
        ("if true; then B=1; else A=x; fi\n", f"line 1: {COMPOUND}"),
        ("unset B A\n", "line 1: A is changed by `unset`"), ("\nread A\n", "line 2: A is changed by `read`"),
        ("\nB=$(x\nA=1\n", f"line 2: {UNCLOSED}"), ("B=`x\nA=1\n", f"line 1: {UNCLOSED}"), ("B=${x\nA=1\n", f"line 1: {UNCLOSED}"),
        ("B='x\nA=1\n", f"line 1: {UNCLOSED}"), ('B="x\nA=1\n', f"line 1: {UNCLOSED}"), ("B=$(x '\nA=1)\n", f"line 1: {UNCLOSED}"),
        ("\ncat <<END\nA=x\nEND\n", "line 2: a here-document, whose end is not looked for"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("form", "text", "said"), [(form, *case) for form, cases in REFUSED.items() for case in cases])
def test_what_cannot_be_known_is_said_with_its_line(form: str, text: str, said: str) -> None:
    with pytest.raises(env_text.EnvTextError) as error:
        env_text.read(text, form, ["A"])
    assert str(error.value) == said
    # It is the setting's own trouble: no other setting has it, but for what breaks the whole file.
    if error.value.kind not in ("broken", "twice"):
        assert env_text.read(text, form, ["Z"]) == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # After these the top level is reached again.
        ("(B=1); A=x\n", "x"), ("if true; then B=1; fi; A=x\n", "x"), ("{ B=1; }\nA=x\n", "x"), ("case x in (x) B=1;; esac\nA=x\n", "x"),
        ("for i in 1; do B=1; done; A=x\n", "x"), ("true | true\nA=x\n", "x"), ("true || true\nA=x\n", "x"), ("true &\nA=x\n", "x"),
        ("true &&\n\n true\nA=x\n", "x"), ("B=1 &\nA=x\n", "x"), ("B=1 >f\nA=x\n", "x"), ("B=1 2>&1; A=x\n", "x"), ("B=1 >|f; A=x\n", "x"),
        # And in these it is not left.
        ("A=x && true\n", "x"), ("A=x || true\n", "x"), ("echo if\nA=x\n", "x"), ("B=if\nA=x\n", "x"), ("! true\nA=x\n", "x"),
        ("A=a{b,c}*?[d]\n", "a{b,c}*?[d]"), ("export A='~*?[{'\n", "~*?[{"), ("A='~'\n", "~"), ("A=\"a'b\"\n", "a'b"),
        ("export A\n", None), ("A=\n", ""), ("A= B=1\n", ""), ("export B=$(x) A=y\n", "y"), ("B=$((1 + (2))) A=y\n", "y"),
        ("B=$(x \\) ) A=y\n", "y"), ("B=\"$(x \"`y`\")\" A=y\n", "y"), ("B=`x \\` ' ' $y` A=z\n", "z"), ("A=a\\\\b\\'c\n", "a\\b'c"),
        ("  \\\n # c\nA=x\n", "x"), ("A=x;;B=1\n", "x"), ("A=x#y\n", "x#y"), ("A=x #y\n", "x"),
    ],
)  # fmt: skip
def test_how_far_a_shells_command_goes(text: str, value: Optional[str]) -> None:
    assert env_text.read(text, "shell", ["A"]) == ({} if value is None else {"A": value})


@pytest.mark.parametrize(
    ("form", "text", "settings"),
    [
        ("systemd", "A=1\nB=2 # x\n#C=3\nD='4'\n", {"A": "1", "B": "2 # x", "D": "4"}),
        ("docker", "A=1\nB\nC= 3\n", {"A": "1", "C": " 3"}),
        ("dotenv", "A=1\nB=$x\nexport C='3 4'\nD\n", {"A": "1", "C": "3 4"}),
        ("compose", "A=1\nB=$x\nC=3\n", {"A": "1", "C": "3"}),
        ("shell", "A=1\nB=$x\nif true; then C=3; fi\nexport D=4 E=5\nunset F\n", {"A": "1", "D": "4", "E": "5"}),
        # What stands twice is the reader's last word.
        ("systemd", "A=1\nA=2\n", {"A": "2"}),
    ],
)
def test_everything_that_can_be_read_is_for_an_environment_like_the_applications(
    form: str, text: str, settings: Dict[str, str]
) -> None:
    assert env_text.read_all(text, form) == settings


@pytest.mark.parametrize("form", env_text.FORMATS)
def test_what_cannot_be_written_is_said_with_its_line_and_without_its_value(form: str) -> None:
    for text, line in (("B=1\nA=x\nC=2\n", 2), ("B=1\nC=2\n", 3), ("", 1)):
        with pytest.raises(env_text.EnvTextError) as error:
            env_text.rewrite(text, form, {"A": "hidden\n"})
        assert (error.value.kind, str(error.value)) == (
            "unwritable",
            f"line {line}: A cannot be given its new value here so that every reader of {form} files reads it back",
        )


@pytest.mark.parametrize(
    "text", ["B=1\nA=x; C=1\n", "B=1\nexport A=x C=1\n", "B=1\nexport A=x C\n", "B=1 \\\n A=x\n# c\n"]
)
def test_what_cannot_be_removed_is_said_with_its_line(text: str) -> None:
    with pytest.raises(env_text.EnvTextError) as error:
        env_text.rewrite(text, "shell", {"A": None})
    assert (error.value.kind, str(error.value)) == (
        "unwritable",
        "line 2: A cannot be removed, it shares its line with more",
    )


@pytest.mark.parametrize(
    ("form", "text", "values", "expected"),
    [
        # A file's own newline, its last line without one, and `export` where every line has it.
        ("systemd", "B=1\r\nC=2", {"A": "x"}, "B=1\r\nC=2\r\nA=x\r\n"),
        ("dotenv", "B=1\nC=2\r\n", {"A": "x"}, "B=1\nC=2\r\nA=x\n"),
        ("compose", "export B=1\r\n", {"A": "x"}, "export B=1\r\nexport A=x\r\n"),
        ("compose", "export\tB=1\n", {"A": "x"}, "export\tB=1\nexport A=x\n"),
        ("systemd", "export B=1\n", {"A": "x"}, "export B=1\nA=x\n"),
        ("docker", "B=1\n", {"A": "x y'z\""}, "B=1\nA=x y'z\"\n"),
        # The plainest spelling that is read back.
        ("systemd", "", {"A": "a\\b"}, 'A="a\\\\b"\n'),
        ("systemd", "", {"A": "a b"}, "A='a b'\n"),
        ("systemd", "", {"A": "it's"}, 'A="it\'s"\n'),
        ("dotenv", "", {"A": "a'b"}, 'A="a\'b"\n'),
        ("dotenv", "", {"A": "$"}, "A='$'\n"),
        ("compose", "", {"A": "a\"b'c"}, "A=a\"b'c\n"),
        ("shell", "", {"A": "it's a\"b"}, "export A='it'\\''s a\"b'\n"),
        ("shell", "", {"A": ""}, "export A=''\n"),
        # Removed with its line, comment and blanks; nothing else with it.
        ("dotenv", "B=1\n \tA='x' # c\nC=2\n", {"A": None}, "B=1\nC=2\n"),
        ("systemd", "B=1\rA=x\rC=2", {"A": None}, "B=1\rC=2"),
        ("shell", "A=x ; # c\nB=1\n", {"A": None}, "B=1\n"),
        ("docker", "A=x", {"A": None}, ""),
        # What is as it is to be stays as it is spelled; several at once.
        ("systemd", "A=\"x\"\nB='y'\n", {"A": "x", "B": "z", "C": None}, "A=\"x\"\nB=z\n"),
        ("systemd", "A=x\nB=y\n", {"A": None, "B": None}, ""),
    ],
)  # fmt: skip
def test_how_a_change_is_spelled(form: str, text: str, values: Dict[str, Any], expected: str) -> None:
    assert env_text.rewrite(text, form, values) == expected


def test_what_would_not_be_read_back_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = env_text.read
    # Each setting by itself is there, and all together they are not.
    monkeypatch.setattr(env_text, "read", lambda text, form, names: real(text, form, names) if len(names) < 2 else {})
    with pytest.raises(env_text.EnvTextError) as error:
        env_text.rewrite("", "systemd", {"A": "x", "B": "y"})
    assert (error.value.kind, str(error.value)) == ("unwritable", "A, B would not be read back as written")


def test_a_pattern_is_compiled_with_the_flags_that_were_asked_for_and_with_none_otherwise() -> None:
    assert env_formats.Pattern("a.B").asked == ("a.B", 0)
    assert env_formats.Pattern("a.b").match("a\nb") is None
    assert env_formats.Pattern("a.b", re.DOTALL).match("a\nb")


@pytest.mark.parametrize(
    "text",
    [
        "export A=x B=1\n",
        "export B=1 A=x\n",
        "export C=1\nexport A=x B=1\n",
        "B=1; A=x\n",
        "true; A=x # c\n",
    ],
)
def test_a_setting_that_shares_its_line_is_not_taken_out(text: str) -> None:
    with pytest.raises(env_text.EnvTextError) as error:
        env_text.rewrite(text, "shell", {"A": None})
    line = text[: text.index("A=x")].count("\n") + 1
    told = f"line {line}: A cannot be removed, it shares its line with more"
    assert (error.value.kind, str(error.value)) == ("unwritable", told)
